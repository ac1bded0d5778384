//! Open readers, writers and walkers as their users see them. Each keeps its
//! driver alive and its opening context for its calls; a slot is held only while
//! a call runs. None survives a fork.

use std::sync::Arc;

use super::writer_state::{Action, State, Turn};
use super::{Call, Core};
use crate::context::Context;
use crate::driver::{FileInfo, Reader, Walker, Writer};
use crate::error::{Error, Result};
use crate::observe::{self, Level, Verb};
use crate::runtime::Birth;

pub struct BaseReader {
    core: Arc<Core>,
    birth: Birth,
    ctx: Context,
    path: String,
    inner: Box<dyn Reader>,
}

impl BaseReader {
    pub fn new(core: Arc<Core>, ctx: &Context, path: &str, inner: Box<dyn Reader>) -> BaseReader {
        let (ctx, path) = (ctx.clone(), path.to_string());
        BaseReader { core, birth: Birth::now(), ctx, path, inner }
    }
}

impl Reader for BaseReader {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        if buf.is_empty() {
            let error = Error::invalid_argument("a read needs room for one byte at least");
            return Err(error.with_driver(&self.core.name).with_path(&self.path));
        }
        let call = Call::begin_on(self.birth, &self.core, Verb::Read, &self.ctx)?;
        let outcome = self.inner.read(buf).map_err(|error| error.or_path(&self.path));
        call.end(outcome, |len| *len)
    }
}

pub struct BaseWriter {
    core: Arc<Core>,
    birth: Birth,
    ctx: Context,
    path: String,
    state: State,
    /// What a cancelled upload had, which its driver has forgotten.
    size_at_cancel: Option<u64>,
    inner: Box<dyn Writer>,
}

impl BaseWriter {
    pub fn new(core: Arc<Core>, ctx: &Context, path: &str, inner: Box<dyn Writer>) -> BaseWriter {
        let (ctx, path) = (ctx.clone(), path.to_string());
        BaseWriter {
            core,
            birth: Birth::now(),
            ctx,
            path,
            state: State::Open,
            size_at_cancel: None,
            inner,
        }
    }

    /// One step of the state machine around one call of the driver. A panic
    /// inside leaves the writer broken.
    fn step(
        &mut self,
        action: Action,
        verb: Verb,
        ctx: &Context,
        bytes: usize,
        work: impl FnOnce(&mut dyn Writer) -> Result<()>,
    ) -> Result<()> {
        let named = |e: Error| e.with_driver(&self.core.name).or_path(&self.path);
        let before = self.state;
        if before.begin(action).map_err(named)? == Turn::Nothing {
            self.state = before.end(action, true);
            return Ok(());
        }
        self.state = State::Broken;
        let outcome = Call::begin_on(self.birth, &self.core, verb, ctx).and_then(|call| {
            let outcome = work(&mut *self.inner).map_err(|error| error.or_path(&self.path));
            call.end(outcome, |()| bytes)
        });
        self.state = before.end(action, outcome.is_ok());
        outcome
    }
}

impl Writer for BaseWriter {
    fn write(&mut self, data: &[u8]) -> Result<()> {
        let ctx = self.ctx.clone();
        self.step(Action::Write, Verb::Write, &ctx, data.len(), |w| w.write(data))
    }

    fn size(&self) -> u64 {
        self.size_at_cancel.unwrap_or_else(|| self.inner.size())
    }

    fn commit(&mut self, ctx: &Context) -> Result<()> {
        self.step(Action::Commit, Verb::Commit, ctx, 0, |w| w.commit(ctx))
    }

    fn cancel(&mut self, ctx: &Context) -> Result<()> {
        let size = self.size();
        self.step(Action::Cancel, Verb::Cancel, ctx, 0, |w| w.cancel(ctx))?;
        self.size_at_cancel = Some(size);
        Ok(())
    }

    fn close(&mut self, ctx: &Context) -> Result<()> {
        self.step(Action::Close, Verb::Close, ctx, 0, |w| w.close(ctx))
    }
}

impl Drop for BaseWriter {
    fn drop(&mut self) {
        let unfinished = matches!(self.state, State::Open | State::Broken);
        if unfinished && self.birth.same_process().is_ok() {
            let fields = [("driver", self.core.name.as_str()), ("path", self.path.as_str())];
            let message = || "a writer was freed before commit, cancel or close".to_string();
            observe::log(Level::Warn, "base", &self.ctx, message, &fields);
        }
    }
}

pub struct BaseWalker {
    core: Arc<Core>,
    birth: Birth,
    ctx: Context,
    inner: Box<dyn Walker>,
}

impl BaseWalker {
    pub fn new(core: Arc<Core>, ctx: &Context, inner: Box<dyn Walker>) -> BaseWalker {
        BaseWalker { core, birth: Birth::now(), ctx: ctx.clone(), inner }
    }
}

impl Walker for BaseWalker {
    fn next(&mut self) -> Result<Option<FileInfo>> {
        let call = Call::begin_on(self.birth, &self.core, Verb::Walk, &self.ctx)?;
        call.end(self.inner.next(), |_| 0)
    }

    fn skip_dir(&mut self) {
        self.inner.skip_dir();
    }
}
