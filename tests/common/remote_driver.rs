//! A remote driver for tests: a store in memory that answers after a delay, gives
//! what is read in chunks and takes what is written in parts.
#![allow(dead_code)] // each test program uses a part of it

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

#[path = "flat.rs"]
mod flat;

use async_trait::async_trait;
use bytes::Bytes;
use flat::Flat;
use storagedriver::base::Base;
use storagedriver::context::Context;
use storagedriver::driver::{
    Capabilities, Driver, FileInfo, Reader, RedirectRequest, WalkOptions, Walker, Writer,
};
use storagedriver::error::Result;
use storagedriver::factory;
use storagedriver::names::Names;
use storagedriver::params::Params;
use storagedriver::remote::{self, Bridge, Chunks, Entries, Parts, RemoteDriver};
use storagedriver::walk::EntriesWalker;

/// What a process made. Only that process may drop it: locks of its connections may be
/// held for ever in a child of a fork.
struct Home(u32);

impl Home {
    fn here() -> Home {
        Home(std::process::id())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.0 != std::process::id() {
            eprintln!("dropped in a child of a fork");
            std::process::abort();
        }
    }
}

/// How it is: the factory's "delayed" takes them as parameters.
pub struct Settings {
    pub delay: Duration,
    /// The most bytes that come at once.
    pub chunk: usize,
    /// How many bytes a writer holds before they go.
    pub part: usize,
    pub max_concurrency: Option<usize>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { delay: Duration::ZERO, chunk: 100_000, part: 1 << 20, max_concurrency: None }
    }
}

/// What a test changes and sees while the driver is in use.
#[derive(Default)]
pub struct Control {
    delay_us: AtomicU64,
    /// What each call does first, on whatever thread it runs.
    on_call: Mutex<Option<Box<dyn Fn() + Send>>>,
    /// Calls that ever waited for their answer, that do so now, and the most there were.
    begun: AtomicUsize,
    pub waiting: AtomicUsize,
    pub most_waiting: AtomicUsize,
}

impl Control {
    pub fn set_delay(&self, delay: Duration) {
        self.delay_us.store(delay.as_micros() as u64, Ordering::SeqCst);
    }

    pub fn on_call(&self, run: impl Fn() + Send + 'static) {
        *self.on_call.lock().unwrap() = Some(Box::new(run));
    }

    /// Until so many calls wait for their answer.
    pub fn wait_for(&self, calls: usize) {
        Control::reaches(&self.waiting, calls);
    }

    /// Until so many did, be they answered by now or not.
    pub fn wait_for_begun(&self, calls: usize) {
        Control::reaches(&self.begun, calls);
    }

    pub fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    fn reaches(counter: &AtomicUsize, calls: usize) {
        let end = Instant::now() + Duration::from_secs(120);
        while counter.load(Ordering::SeqCst) < calls {
            assert!(Instant::now() < end, "there are no {calls} calls");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The way to the store and back.
    async fn trip(&self) {
        struct Waits<'c>(&'c Control);
        impl Drop for Waits<'_> {
            fn drop(&mut self) {
                self.0.waiting.fetch_sub(1, Ordering::SeqCst);
            }
        }
        if let Some(run) = &*self.on_call.lock().unwrap() {
            run();
        }
        let delay = self.delay_us.load(Ordering::SeqCst);
        if delay == 0 {
            return tokio::task::yield_now().await;
        }
        self.begun.fetch_add(1, Ordering::SeqCst);
        let now = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_waiting.fetch_max(now, Ordering::SeqCst);
        let _waits = Waits(self);
        tokio::time::sleep(Duration::from_micros(delay)).await;
    }
}

/// The driver as its users have it, and the control over it.
pub fn delayed(settings: Settings) -> (Arc<Base>, Arc<Control>) {
    let control = Arc::new(Control::default());
    let driver = Remote::new(settings, control.clone());
    (Arc::new(Base::new(Arc::new(Bridge::new(Arc::new(driver))))), control)
}

/// The same by its name.
pub fn create(params: &str) -> Arc<Base> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| factory::register("delayed", Arc::new(from_params)).unwrap());
    let params = Params::from_json(params).unwrap();
    factory::create("delayed", &Context::none(), &params).unwrap()
}

fn from_params(_: &Context, params: &Params) -> Result<Arc<dyn Driver>> {
    let default = Settings::default();
    let mut params = params.reader();
    let settings = Settings {
        delay: Duration::from_millis(params.limit("delay", 0, 0)?),
        chunk: params.limit("chunk", 1, default.chunk as u64)? as usize,
        part: params.limit("part", 1, default.part as u64)? as usize,
        max_concurrency: Some(params.limit("maxconcurrency", 1, u32::MAX.into())? as usize),
    };
    params.finish()?;
    Ok(Arc::new(Bridge::new(Arc::new(Remote::new(settings, Arc::default())))))
}

struct Remote {
    _home: Home,
    /// Local and quick: it answers within a step.
    store: Arc<dyn Driver>,
    settings: Settings,
    control: Arc<Control>,
}

impl Remote {
    fn new(settings: Settings, control: Arc<Control>) -> Remote {
        let store = Arc::new(Flat::new(false));
        control.set_delay(settings.delay);
        Remote { _home: Home::here(), store, settings, control }
    }
}

/// A path that makes the driver panic, before and after it has waited.
fn touch(path: &str, place: &str) {
    assert!(!path.ends_with(place), "asked to, {place}");
}

#[async_trait]
impl RemoteDriver for Remote {
    fn name(&self) -> &str {
        "delayed"
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    fn max_concurrency(&self) -> Option<usize> {
        self.settings.max_concurrency
    }

    async fn get_content(&self, _: &Context, path: &str) -> Result<Vec<u8>> {
        touch(path, "panic-at-once");
        self.control.trip().await;
        touch(path, "panic-later");
        self.store.get_content(&Context::none(), path)
    }

    async fn put_content(&self, _: &Context, path: &str, data: Bytes) -> Result<()> {
        self.control.trip().await;
        self.store.put_content(&Context::none(), path, &data)
    }

    async fn stat(&self, _: &Context, path: &str) -> Result<FileInfo> {
        self.control.trip().await;
        self.store.stat(&Context::none(), path)
    }

    async fn list(&self, _: &Context, path: &str) -> Result<Names> {
        self.control.trip().await;
        self.store.list(&Context::none(), path)
    }

    async fn r#move(&self, _: &Context, source: &str, dest: &str) -> Result<()> {
        self.control.trip().await;
        self.store.r#move(&Context::none(), source, dest)
    }

    async fn delete(&self, _: &Context, path: &str) -> Result<()> {
        self.control.trip().await;
        self.store.delete(&Context::none(), path)
    }

    async fn redirect_url(
        &self,
        _: &Context,
        path: &str,
        request: &RedirectRequest,
    ) -> Result<Option<String>> {
        self.control.trip().await;
        self.store.redirect_url(&Context::none(), path, request)
    }

    async fn reader(&self, ctx: &Context, path: &str, offset: i64) -> Result<Box<dyn Reader>> {
        self.control.trip().await;
        let inner = self.store.reader(&Context::none(), path, offset)?;
        let (control, chunk) = (self.control.clone(), self.settings.chunk);
        let inner = Mutex::new(inner);
        let path = path.to_string();
        Ok(remote::reader(
            ctx,
            Box::new(DelayedChunks { _home: Home::here(), inner, control, chunk, path }),
        ))
    }

    async fn writer(&self, ctx: &Context, path: &str, append: bool) -> Result<Box<dyn Writer>> {
        self.control.trip().await;
        let inner = self.store.writer(&Context::none(), path, append)?;
        let (control, part) = (self.control.clone(), self.settings.part);
        let inner = Mutex::new(inner);
        let held = Vec::new();
        Ok(remote::writer(
            ctx,
            Box::new(DelayedParts { _home: Home::here(), inner, control, part, held }),
        ))
    }

    async fn walker(
        &self,
        ctx: &Context,
        path: &str,
        options: &WalkOptions,
    ) -> Result<Box<dyn Walker>> {
        self.control.trip().await;
        let inner = EntriesWalker::open(self.store.clone(), &Context::none(), path, options)?;
        let control = self.control.clone();
        Ok(remote::walker(ctx, Box::new(DelayedEntries { _home: Home::here(), inner, control })))
    }
}

// The mutexes below are never locked by two: they make a future that holds a
// reference to what is `Send` only a future that is `Send`.

struct DelayedChunks {
    _home: Home,
    inner: Mutex<Box<dyn Reader>>,
    control: Arc<Control>,
    chunk: usize,
    path: String,
}

#[async_trait]
impl Chunks for DelayedChunks {
    async fn chunk(&mut self) -> Result<Bytes> {
        self.control.trip().await;
        touch(&self.path, "panic-in-chunk");
        let mut chunk = vec![0; self.chunk];
        let len = self.inner.get_mut().unwrap().read(&mut chunk)?;
        chunk.truncate(len);
        Ok(chunk.into())
    }
}

struct DelayedParts {
    _home: Home,
    inner: Mutex<Box<dyn Writer>>,
    control: Arc<Control>,
    part: usize,
    held: Vec<u8>,
}

impl DelayedParts {
    fn inner(&mut self) -> &mut dyn Writer {
        &mut **self.inner.get_mut().unwrap()
    }

    /// Gives the store what is held, if anything.
    async fn flush(&mut self) -> Result<()> {
        if !self.held.is_empty() {
            self.control.trip().await;
            let held = std::mem::take(&mut self.held);
            self.inner().write(&held)?;
        }
        Ok(())
    }
}

#[async_trait]
impl Parts for DelayedParts {
    fn fill(&mut self, data: &[u8]) -> usize {
        let len = data.len().min(self.part - self.held.len());
        self.held.extend_from_slice(&data[..len]);
        len
    }

    async fn drain(&mut self) -> Result<()> {
        self.flush().await
    }

    fn size(&self) -> u64 {
        self.inner.lock().unwrap().size() + self.held.len() as u64
    }

    async fn commit(&mut self, _: &Context) -> Result<()> {
        self.flush().await?;
        self.control.trip().await;
        self.inner().commit(&Context::none())
    }

    async fn cancel(&mut self, _: &Context) -> Result<()> {
        self.control.trip().await;
        self.held.clear();
        self.inner().cancel(&Context::none())
    }

    async fn close(&mut self, _: &Context) -> Result<()> {
        self.flush().await?;
        self.control.trip().await;
        self.inner().close(&Context::none())
    }
}

struct DelayedEntries {
    _home: Home,
    inner: EntriesWalker,
    control: Arc<Control>,
}

#[async_trait]
impl Entries for DelayedEntries {
    async fn next(&mut self) -> Result<Option<FileInfo>> {
        self.control.trip().await;
        self.inner.next()
    }

    fn skip_dir(&mut self) {
        self.inner.skip_dir();
    }
}
