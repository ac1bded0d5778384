//! What wraps every driver, once: checks of paths and offsets, the driver's name
//! in every error, the writer's states, deadlines, concurrency, times, counts and
//! logs. It does no I/O of its own.
//!
//! A call is `Call::begin`, the driver's work, `Call::end`, whoever makes it.

mod handles;
mod remote;
mod slots;
mod writer_state;

use std::sync::Arc;
use std::time::Instant;

use crate::context::Context;
use crate::driver::{
    Capabilities, Driver, FileInfo, Reader, RedirectRequest, WalkOptions, Walker, Writer,
};
use crate::error::{Error, Result};
use crate::names::Names;
use crate::observe::{self, DriverMetrics, InFlight, Level, Verb};
use crate::path;
use crate::remote::RemoteDriver;
use crate::runtime::{Birth, Gate, Inside};
use crate::walk::EntriesWalker;
use slots::{Slot, Slots};

/// Children in a page when the caller names no limit.
const DEFAULT_PAGE: usize = 1000;

fn page_size(limit: usize) -> usize {
    if limit == 0 { DEFAULT_PAGE } else { limit }
}

/// A driver as its users see it.
pub struct Base(Arc<Core>);

/// What a driver's calls and its open handles share.
struct Core {
    driver: Arc<dyn Driver>,
    name: String,
    slots: Option<Arc<Slots>>,
    metrics: DriverMetrics,
    gate: Arc<Gate>,
    /// Of a remote driver, whose connections do not outlive a fork.
    birth: Option<Birth>,
}

impl Core {
    fn enter(&self) -> Result<Inside<'_>> {
        self.birth.map_or(Ok(()), Birth::same_process)?;
        self.gate.enter()
    }
}

impl Base {
    pub fn new(driver: Arc<dyn Driver>) -> Base {
        let name = driver.name().to_string();
        Base(Arc::new(Core {
            slots: driver.max_concurrency().map(Slots::new),
            metrics: DriverMetrics::new(&name),
            gate: Arc::default(),
            birth: driver.remote().is_some().then(Birth::now),
            driver,
            name,
        }))
    }

    /// The same driver under a middleware. Both share what counts the calls inside
    /// it, so that it never sees more at once, and a fork is noticed by both.
    pub fn wrap(
        &self,
        middleware: impl FnOnce(Arc<dyn Driver>) -> Result<Arc<dyn Driver>>,
    ) -> Result<Base> {
        let driver = middleware(self.0.driver.clone())?;
        let name = driver.name().to_string();
        Ok(Base(Arc::new(Core {
            slots: self.0.slots.clone(),
            metrics: DriverMetrics::new(&name),
            gate: self.0.gate.clone(),
            birth: self.0.birth,
            driver,
            name,
        })))
    }

    /// Runs `work` as one call of the driver.
    fn run<T>(&self, verb: Verb, ctx: &Context, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let call = Call::begin(&self.0, verb, ctx)?;
        call.end(work(), |_| 0)
    }

    /// Before the path, as Distribution has it.
    fn check_offset(&self, path: &str, offset: i64) -> Result<()> {
        let ok = if offset < 0 { Err(Error::invalid_offset(path, offset)) } else { Ok(()) };
        self.checked(ok)
    }

    fn checked(&self, check: Result<()>) -> Result<()> {
        check.map_err(|error| error.with_driver(&self.0.name))
    }
}

impl Driver for Base {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn capabilities(&self) -> Capabilities {
        self.0.driver.capabilities()
    }

    fn max_concurrency(&self) -> Option<usize> {
        self.0.driver.max_concurrency()
    }

    fn get_content(&self, ctx: &Context, path: &str) -> Result<Vec<u8>> {
        self.checked(path::check(path))?;
        let call = Call::begin(&self.0, Verb::GetContent, ctx)?;
        call.end(self.0.driver.get_content(ctx, path), |content| content.len())
    }

    fn put_content(&self, ctx: &Context, path: &str, data: &[u8]) -> Result<()> {
        self.checked(path::check(path))?;
        let call = Call::begin(&self.0, Verb::PutContent, ctx)?;
        call.end(self.0.driver.put_content(ctx, path, data), |()| data.len())
    }

    fn stat(&self, ctx: &Context, path: &str) -> Result<FileInfo> {
        self.checked(path::check_or_root(path))?;
        self.run(Verb::Stat, ctx, || self.0.driver.stat(ctx, path))
    }

    fn list(&self, ctx: &Context, path: &str) -> Result<Names> {
        self.checked(path::check_or_root(path))?;
        let mut names = self.run(Verb::List, ctx, || self.0.driver.list(ctx, path))?;
        names.sort();
        Ok(names)
    }

    fn list_page(
        &self,
        ctx: &Context,
        path: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<Names> {
        self.checked(path::check_or_root(path))?;
        self.checked(start_after.map_or(Ok(()), path::check_or_root))?;
        let limit = page_size(limit);
        self.run(Verb::List, ctx, || self.0.driver.list_page(ctx, path, start_after, limit))
    }

    fn entries(&self, ctx: &Context, path: &str, after: Option<&str>) -> Result<Vec<FileInfo>> {
        self.checked(path::check_or_root(path))?;
        self.run(Verb::List, ctx, || self.0.driver.entries(ctx, path, after))
    }

    fn r#move(&self, ctx: &Context, source: &str, dest: &str) -> Result<()> {
        self.checked(path::check(source))?;
        self.checked(path::check(dest))?;
        self.run(Verb::Move, ctx, || self.0.driver.r#move(ctx, source, dest))
    }

    fn delete(&self, ctx: &Context, path: &str) -> Result<()> {
        self.checked(path::check(path))?;
        self.run(Verb::Delete, ctx, || self.0.driver.delete(ctx, path))
    }

    fn redirect_url(
        &self,
        ctx: &Context,
        path: &str,
        request: &RedirectRequest,
    ) -> Result<Option<String>> {
        self.checked(path::check(path))?;
        self.run(Verb::RedirectUrl, ctx, || self.0.driver.redirect_url(ctx, path, request))
    }

    fn reader(&self, ctx: &Context, path: &str, offset: i64) -> Result<Box<dyn Reader>> {
        self.check_offset(path, offset)?;
        self.checked(path::check(path))?;
        let inner = self.run(Verb::Reader, ctx, || self.0.driver.reader(ctx, path, offset))?;
        Ok(Box::new(handles::BaseReader::new(self.0.clone(), ctx, path, inner)))
    }

    fn writer(&self, ctx: &Context, path: &str, append: bool) -> Result<Box<dyn Writer>> {
        self.checked(path::check(path))?;
        let inner = self.run(Verb::Writer, ctx, || self.0.driver.writer(ctx, path, append))?;
        Ok(Box::new(handles::BaseWriter::new(self.0.clone(), ctx, path, inner)))
    }

    fn walker(
        &self,
        ctx: &Context,
        path: &str,
        options: &WalkOptions,
    ) -> Result<Option<Box<dyn Walker>>> {
        self.checked(path::check_or_root(path))?;
        self.checked(options.start_after.as_deref().map_or(Ok(()), path::check_or_root))?;
        let inner = self.run(Verb::Walk, ctx, || {
            Ok(match self.0.driver.walker(ctx, path, options)? {
                Some(walker) => walker,
                None => {
                    let driver = self.0.driver.clone();
                    Box::new(EntriesWalker::open(driver, ctx, path, options)?) as Box<dyn Walker>
                }
            })
        })?;
        Ok(Some(Box::new(handles::BaseWalker::new(self.0.clone(), ctx, inner))))
    }

    fn remote(&self) -> Option<&dyn RemoteDriver> {
        self.0.driver.remote().map(|_| self as &dyn RemoteDriver)
    }
}

/// One call inside the driver: it holds a slot and is counted while it lives.
struct Call<'c> {
    core: &'c Core,
    ctx: &'c Context,
    verb: Verb,
    started: Instant,
    slot: Option<Slot>,
    _in_flight: InFlight<'c>,
    _inside: Inside<'c>,
}

impl<'c> Call<'c> {
    /// Waits for a slot; `Cancelled` or `Deadline` if the context ends first.
    fn begin(core: &'c Core, verb: Verb, ctx: &'c Context) -> Result<Call<'c>> {
        let named = |error: Error| error.with_driver(&core.name);
        let inside = core.enter().map_err(named)?;
        ctx.status().map_err(named)?;
        let slot = core.slots.as_ref().map(|slots| slots.acquire(ctx)).transpose();
        let slot = slot.map_err(named)?;
        if slot.is_some() {
            // Those in line when a shutdown comes are not run.
            core.gate.still_open().map_err(named)?;
        }
        Ok(Call::new(core, verb, ctx, inside, slot))
    }

    fn new(
        core: &'c Core,
        verb: Verb,
        ctx: &'c Context,
        inside: Inside<'c>,
        slot: Option<Slot>,
    ) -> Call<'c> {
        let in_flight = core.metrics.begin();
        let started = Instant::now();
        Call { core, ctx, verb, started, slot, _in_flight: in_flight, _inside: inside }
    }

    /// `begin` for an open handle, which does not outlive a fork.
    fn begin_on(birth: Birth, core: &'c Core, verb: Verb, ctx: &'c Context) -> Result<Call<'c>> {
        birth.same_process().map_err(|error| error.with_driver(&core.name))?;
        Call::begin(core, verb, ctx)
    }

    /// Names the error, counts, times and logs. `bytes`: how many a success moved.
    fn end<T>(mut self, outcome: Result<T>, bytes: impl FnOnce(&T) -> usize) -> Result<T> {
        let duration = self.started.elapsed();
        // No slot is held while a hook runs.
        drop(self.slot.take());
        let outcome = outcome.map_err(|error| error.with_driver(&self.core.name));
        let (code, bytes) = match &outcome {
            Ok(value) => (None, bytes(value) as u64),
            Err(error) => (Some(error.code()), 0),
        };
        self.core.metrics.end(self.verb, code, duration, bytes);
        if observe::logs(Level::Debug) {
            let result = outcome.as_ref().err().map_or("ok".to_string(), |e| e.to_string());
            let micros = duration.as_micros();
            let message = || format!("{} took {micros} us: {result}", self.verb.name());
            let fields = [("driver", self.core.name.as_str()), ("action", self.verb.name())];
            observe::log(Level::Debug, "base", self.ctx, message, &fields);
        }
        outcome
    }
}
