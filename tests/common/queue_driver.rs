//! A driver whose every call is submitted to a queue, so that the suite says of the
//! queue what it says of blocking calls. One thread takes the completions and hands
//! each to the thread that waits for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use storagedriver::base::Base;
use storagedriver::context::Context;
use storagedriver::driver::{
    Capabilities, Driver, FileInfo, Reader, RedirectRequest, WalkOptions, Walker, Writer,
};
use storagedriver::error::Result;
use storagedriver::lease::Lease;
use storagedriver::names::Names;
use storagedriver::queue::{Completion, Outcome, Queue, SharedReader, SharedWalker, SharedWriter};

pub struct QueueDriver {
    driver: Arc<Base>,
    line: Arc<Line>,
    dispatcher: Option<JoinHandle<()>>,
}

struct Line {
    queue: Queue,
    next_tag: AtomicU64,
    waiting: Mutex<HashMap<u64, Sender<Completion>>>,
    ended: AtomicBool,
}

impl Line {
    /// Submits and waits for the completion.
    fn call(&self, submit: impl FnOnce(&Queue, u64) -> Result<()>) -> Result<(u64, Outcome)> {
        let tag = self.next_tag.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = channel();
        self.waiting.lock().unwrap().insert(tag, sender);
        if let Err(error) = submit(&self.queue, tag) {
            self.waiting.lock().unwrap().remove(&tag);
            return Err(error);
        }
        let completion = answer.recv().unwrap();
        completion.outcome.map(|outcome| (completion.count, outcome))
    }

    fn dispatch(&self) {
        while !self.ended.load(Ordering::Acquire) {
            let Some(completion) = self.queue.next(Some(Duration::from_millis(50))).unwrap() else {
                continue;
            };
            let waiting = self.waiting.lock().unwrap().remove(&completion.tag);
            waiting.expect("one completion for each submission").send(completion).unwrap();
        }
        assert_eq!(self.queue.in_flight(), 0);
        assert!(self.queue.next(Some(Duration::ZERO)).unwrap().is_none());
    }
}

impl QueueDriver {
    pub fn new(driver: Arc<Base>) -> QueueDriver {
        let line = Arc::new(Line {
            queue: Queue::new().unwrap(),
            next_tag: AtomicU64::new(u64::MAX / 2),
            waiting: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let taker = line.clone();
        let dispatcher = thread::spawn(move || taker.dispatch());
        QueueDriver { driver, line, dispatcher: Some(dispatcher) }
    }
}

impl Drop for QueueDriver {
    fn drop(&mut self) {
        self.line.ended.store(true, Ordering::Release);
        if let Some(Err(panic)) = self.dispatcher.take().map(JoinHandle::join)
            && !thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

macro_rules! unexpected {
    () => {
        panic!("an outcome of another verb")
    };
}

macro_rules! outcome {
    ($call:expr, $pattern:pat => $value:expr) => {
        match $call?.1 {
            $pattern => Ok::<_, storagedriver::error::Error>($value),
            _ => unexpected!(),
        }
    };
}

impl Driver for QueueDriver {
    fn name(&self) -> &str {
        Driver::name(&*self.driver)
    }

    fn capabilities(&self) -> Capabilities {
        Driver::capabilities(&*self.driver)
    }

    fn get_content(&self, ctx: &Context, path: &str) -> Result<Vec<u8>> {
        let call = self.line.call(|queue, tag| queue.get_content(tag, &self.driver, ctx, path));
        outcome!(call, Outcome::Content(content) => content)
    }

    fn put_content(&self, ctx: &Context, path: &str, data: &[u8]) -> Result<()> {
        let call =
            self.line.call(|queue, tag| queue.put_content(tag, &self.driver, ctx, path, data));
        outcome!(call, Outcome::Done => ())
    }

    fn stat(&self, ctx: &Context, path: &str) -> Result<FileInfo> {
        let call = self.line.call(|queue, tag| queue.stat(tag, &self.driver, ctx, path));
        outcome!(call, Outcome::Info(info) => info)
    }

    fn list(&self, ctx: &Context, path: &str) -> Result<Names> {
        let call = self.line.call(|queue, tag| queue.list(tag, &self.driver, ctx, path));
        outcome!(call, Outcome::Names(names) => names)
    }

    fn list_page(
        &self,
        ctx: &Context,
        path: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Names> {
        let call = self
            .line
            .call(|queue, tag| queue.list_page(tag, &self.driver, ctx, path, after, limit));
        outcome!(call, Outcome::Names(names) => names)
    }

    fn r#move(&self, ctx: &Context, source: &str, dest: &str) -> Result<()> {
        let call = self.line.call(|queue, tag| queue.r#move(tag, &self.driver, ctx, source, dest));
        outcome!(call, Outcome::Done => ())
    }

    fn delete(&self, ctx: &Context, path: &str) -> Result<()> {
        let call = self.line.call(|queue, tag| queue.delete(tag, &self.driver, ctx, path));
        outcome!(call, Outcome::Done => ())
    }

    fn redirect_url(
        &self,
        ctx: &Context,
        path: &str,
        request: &RedirectRequest,
    ) -> Result<Option<String>> {
        let call =
            self.line.call(|queue, tag| queue.redirect_url(tag, &self.driver, ctx, path, request));
        outcome!(call, Outcome::Url(url) => url)
    }

    fn reader(&self, ctx: &Context, path: &str, offset: i64) -> Result<Box<dyn Reader>> {
        let call =
            self.line.call(|queue, tag| queue.reader_open(tag, &self.driver, ctx, path, offset));
        let reader = outcome!(call, Outcome::Reader(reader) => Lease::new("reader", reader))?;
        Ok(Box::new(QueueReader(self.line.clone(), reader)))
    }

    fn writer(&self, ctx: &Context, path: &str, append: bool) -> Result<Box<dyn Writer>> {
        let call =
            self.line.call(|queue, tag| queue.writer_open(tag, &self.driver, ctx, path, append));
        let writer = outcome!(call, Outcome::Writer(writer) => writer)?;
        let size = writer.size();
        let writer = Lease::new("writer", writer);
        writer.set_note(size);
        Ok(Box::new(QueueWriter(self.line.clone(), writer)))
    }

    /// Opening a walk has no twin.
    fn walker(
        &self,
        ctx: &Context,
        path: &str,
        options: &WalkOptions,
    ) -> Result<Option<Box<dyn Walker>>> {
        let walker = Driver::walker(&*self.driver, ctx, path, options)?.unwrap();
        Ok(Some(Box::new(QueueWalker(self.line.clone(), Lease::new("walker", walker)))))
    }
}

/// Memory of the caller's, as C lends it.
struct Lent(*mut u8, usize);

// SAFETY (all three): whoever lends it waits for the completion.
unsafe impl Send for Lent {}
unsafe impl Sync for Lent {}
impl AsMut<[u8]> for Lent {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.0, self.1) }
    }
}
impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(self.0, self.1) }
    }
}

struct QueueReader(Arc<Line>, SharedReader);

impl Reader for QueueReader {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let lent = Lent(buf.as_mut_ptr(), buf.len());
        let call = self.0.call(|queue, tag| queue.reader_read(tag, &self.1, lent));
        Ok(call?.0 as usize)
    }
}

struct QueueWriter(Arc<Line>, SharedWriter);

impl Writer for QueueWriter {
    fn write(&mut self, data: &[u8]) -> Result<()> {
        let lent = Lent(data.as_ptr().cast_mut(), data.len());
        let call = self.0.call(|queue, tag| queue.writer_write(tag, &self.1, lent));
        assert_eq!(call?.0, data.len() as u64);
        Ok(())
    }

    fn size(&self) -> u64 {
        self.1.note()
    }

    fn commit(&mut self, ctx: &Context) -> Result<()> {
        let call = self.0.call(|queue, tag| queue.writer_commit(tag, &self.1, ctx));
        outcome!(call, Outcome::Done => ())
    }

    fn cancel(&mut self, ctx: &Context) -> Result<()> {
        let call = self.0.call(|queue, tag| queue.writer_cancel(tag, &self.1, ctx));
        outcome!(call, Outcome::Done => ())
    }

    fn close(&mut self, ctx: &Context) -> Result<()> {
        let call = self.0.call(|queue, tag| queue.writer_close(tag, &self.1, ctx));
        outcome!(call, Outcome::Done => ())
    }
}

struct QueueWalker(Arc<Line>, SharedWalker);

impl Walker for QueueWalker {
    fn next(&mut self) -> Result<Option<FileInfo>> {
        let call = self.0.call(|queue, tag| queue.walker_next(tag, &self.1));
        outcome!(call, Outcome::Entry(entry) => entry)
    }

    fn skip_dir(&mut self) {
        self.1.take().unwrap().object().unwrap().skip_dir();
    }
}
