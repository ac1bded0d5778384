//! The completion queue: calls are handed in, and exactly one answer comes back for
//! each that was accepted, whatever happens to it.
//!
//! Remote drivers are spawned on the executor; the others run on its bounded pool.

mod descriptor;
mod inbox;
mod submit;

use std::collections::BTreeMap;
use std::future::Future;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::context::Context;
use crate::driver::{FileInfo, Reader, Walker, Writer};
use crate::error::{Code, Error, Result};
use crate::executor::{Executor, Pool};
use crate::names::Names;
use crate::runtime::{Birth, Busy};
use descriptor::Descriptor;
use inbox::Inbox;

/// What a call came to.
pub enum Outcome {
    /// Nothing but that it is done.
    Done,
    Content(Vec<u8>),
    Info(FileInfo),
    Names(Names),
    /// `None`: serve the file yourself.
    Url(Option<String>),
    Reader(Box<dyn Reader>),
    Writer(Box<dyn Writer>),
    /// `None`: the walk is at its end.
    Entry(Option<FileInfo>),
}

/// The answer to one submission.
pub struct Completion {
    pub tag: u64,
    /// Bytes read or written by this call.
    pub count: u64,
    pub outcome: Result<Outcome>,
}

/// What a submission comes to: bytes moved, and the rest.
type Answer = (u64, Result<Outcome>);

/// Memory that a read fills, lent until its completion is taken.
pub trait Room: AsMut<[u8]> + Send + 'static {}
impl<T: AsMut<[u8]> + Send + 'static> Room for T {}

/// Memory that a write reads, lent until its completion is taken.
pub trait Load: AsRef<[u8]> + Send + Sync + 'static {}
impl<T: AsRef<[u8]> + Send + Sync + 'static> Load for T {}

/// A reader, writer or walker as the queue takes it.
pub type Shared<T> = Arc<crate::lease::Lease<Box<T>>>;
pub type SharedReader = Shared<dyn Reader>;
pub type SharedWriter = Shared<dyn Writer>;
pub type SharedWalker = Shared<dyn Walker>;

/// Any thread may submit; one takes.
pub struct Queue {
    shared: Arc<State>,
    birth: Birth,
}

struct State {
    inbox: Inbox<Completion, Descriptor>,
    /// The contexts of what is in flight, to end it when the queue goes.
    in_flight: Mutex<(u64, BTreeMap<u64, Context>)>,
}

impl State {
    fn in_flight(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, Context>)> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    pub fn new() -> Result<Queue> {
        let _busy = Busy::begin()?;
        let inbox = Inbox::new(Descriptor::new()?);
        let shared = Arc::new(State { inbox, in_flight: Mutex::default() });
        Ok(Queue { shared, birth: Birth::now() })
    }

    /// Readable while a completion waits.
    pub fn descriptor(&self) -> RawFd {
        self.shared.inbox.signal().number()
    }

    /// Submissions whose completion has not come yet.
    pub fn in_flight(&self) -> usize {
        // In a child of a fork there are none, and the lock may be held for ever.
        self.birth.same_process().map_or(0, |()| self.shared.inbox.owed())
    }

    /// The next completion; `None` if none comes within `timeout`, which has no end
    /// if it is `None`.
    pub fn next(&self, timeout: Option<Duration>) -> Result<Option<Completion>> {
        self.birth.same_process()?;
        Ok(self.shared.inbox.next(timeout))
    }

    /// Promises a completion for `tag`, under a context that ends with the queue, once
    /// there are `threads` to run the call on.
    fn accept<T>(
        &self,
        tag: u64,
        ctx: &Context,
        threads: fn() -> Result<T>,
    ) -> Result<Accepted<T>> {
        self.birth.same_process()?;
        // A shutdown either is seen here, or waits until the threads it ends are those
        // that this call will use.
        let _busy = Busy::begin()?;
        self.birth.same_generation()?;
        let threads = threads()?;
        let ctx = Context::new(ctx);
        if !self.shared.inbox.promise() {
            return Err(Error::new(Code::Shutdown, "the queue is being freed"));
        }
        let mut in_flight = self.shared.in_flight();
        let id = in_flight.0;
        in_flight.0 += 1;
        in_flight.1.insert(id, ctx.clone());
        drop(in_flight);
        let (state, birth) = (Some(self.shared.clone()), self.birth);
        Ok(Accepted { promise: Promise { state, tag, id, birth }, ctx, threads })
    }
}

/// A submission for which a completion will come. Dropped before it runs, as by a
/// shutdown, the work goes first: what it holds is back before the completion.
struct Accepted<T> {
    promise: Promise,
    ctx: Context,
    threads: T,
}

impl Accepted<Executor> {
    fn spawn(self, task: impl Future<Output = Answer> + Send + 'static) {
        self.threads.spawn(task_of(task, self.promise));
    }
}

impl Accepted<Pool> {
    fn run(self, job: impl FnOnce() -> Answer + Send + 'static) {
        self.threads.run(job_of(self.promise, job));
    }
}

/// Dropped before its end, as by a shutdown, it lets go of what was lent to it
/// before the promise tells of that.
async fn task_of(task: impl Future<Output = Answer>, promise: Promise) {
    promise.keep(task.await);
}

/// The same for a job.
fn job_of(promise: Promise, job: impl FnOnce() -> Answer) -> impl FnOnce(&dyn Fn()) {
    move |free| {
        let answer = job();
        free();
        promise.keep(answer);
    }
}

impl Drop for Queue {
    /// Ends what is in flight and waits for it: no lent memory is in use afterwards.
    fn drop(&mut self) {
        if self.birth.same_process().is_err() {
            return;
        }
        // New ones cannot come: whoever submits holds the queue.
        let contexts: Vec<Context> = self.shared.in_flight().1.values().cloned().collect();
        contexts.iter().for_each(Context::cancel);
        self.shared.inbox.close();
        // What was not taken goes here and now: a thread that has just answered still
        // holds what it lies in.
        while self.shared.inbox.next(Some(Duration::ZERO)).is_some() {}
    }
}

/// That a completion will come. Dropped without one, as by a panic or with an
/// executor that was shut down, it sends an error.
struct Promise {
    /// `None` once it is kept.
    state: Option<Arc<State>>,
    tag: u64,
    id: u64,
    birth: Birth,
}

impl Promise {
    fn keep(mut self, answer: Answer) {
        self.send(answer);
    }

    fn send(&mut self, (count, outcome): Answer) {
        let Some(state) = self.state.take() else { return };
        state.in_flight().1.remove(&self.id);
        state.inbox.put(Completion { tag: self.tag, count, outcome });
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let error = match self.birth.same_generation() {
            Err(shutdown) if !std::thread::panicking() => shutdown,
            _ => Error::new(Code::Internal, "the call failed inside the library"),
        };
        self.send((0, Err(error)));
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context as TaskContext, Waker};

    use super::*;

    /// Something lent to a call; it must be given back while the answer is owed.
    struct Lent(Arc<State>);

    impl Drop for Lent {
        fn drop(&mut self) {
            assert_eq!(self.0.inbox.owed(), 1, "the completion came first");
        }
    }

    struct Held(#[allow(dead_code)] Arc<()>);

    impl Reader for Held {
        fn read(&mut self, _buf: &mut [u8]) -> Result<usize> {
            Ok(0)
        }
    }

    #[test]
    fn what_was_not_taken_goes_with_the_queue() {
        let queue = Queue::new().unwrap();
        let accepted = queue.accept(1, &Context::none(), || Ok(())).unwrap();
        let held_by_a_thread = queue.shared.clone();
        let object = Arc::new(());
        let reader: Box<dyn Reader> = Box::new(Held(object.clone()));
        accepted.promise.keep((0, Ok(Outcome::Reader(reader))));
        drop(queue);
        assert_eq!(Arc::strong_count(&object), 1);
        drop(held_by_a_thread);
    }

    #[test]
    fn what_was_lent_to_a_call_that_never_ran_is_back_before_its_completion() {
        let queue = Queue::new().unwrap();
        let accept = |tag| {
            let accepted = queue.accept(tag, &Context::none(), || Ok(())).unwrap();
            (accepted.promise, Lent(queue.shared.clone()))
        };
        let code = || {
            let completion = queue.next(Some(Duration::ZERO)).unwrap().unwrap();
            completion.outcome.err().map(|error| error.code())
        };
        let (promise, lent) = accept(1);
        drop(job_of(promise, move || {
            drop(lent);
            (0, Ok(Outcome::Done))
        }));
        assert_eq!(code(), Some(Code::Internal));
        for polled in [false, true] {
            let (promise, lent) = accept(2);
            let mut task = Box::pin(task_of(
                async move {
                    std::future::pending::<()>().await;
                    drop(lent);
                    (0, Ok(Outcome::Done))
                },
                promise,
            ));
            if polled {
                let waiting = task.as_mut().poll(&mut TaskContext::from_waker(Waker::noop()));
                assert!(waiting.is_pending());
            }
            drop(task);
            assert_eq!(code(), Some(Code::Internal));
        }
    }
}
