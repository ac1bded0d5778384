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
use crate::remote::{RemoteReader, RemoteWalker, RemoteWriter};
use crate::runtime::Birth;

pub struct BaseReader {
    pub(super) core: Arc<Core>,
    pub(super) birth: Birth,
    pub(super) ctx: Context,
    pub(super) path: String,
    pub(super) inner: Box<dyn Reader>,
}

impl BaseReader {
    pub fn new(core: Arc<Core>, ctx: &Context, path: &str, inner: Box<dyn Reader>) -> BaseReader {
        let (ctx, path) = (ctx.clone(), path.to_string());
        BaseReader { core, birth: Birth::now(), ctx, path, inner }
    }
}

impl BaseReader {
    pub(super) fn check_room(&self, buf: &[u8]) -> Result<()> {
        if buf.is_empty() {
            let error = Error::invalid_argument("a read needs room for one byte at least");
            return Err(error.with_driver(&self.core.name).with_path(&self.path));
        }
        Ok(())
    }
}

impl Reader for BaseReader {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.check_room(buf)?;
        let call = Call::begin_on(self.birth, &self.core, Verb::Read, &self.ctx)?;
        let outcome = self.inner.read(buf).map_err(|error| error.or_path(&self.path));
        call.end(outcome, |len| *len)
    }

    fn remote(&mut self) -> Option<&mut dyn RemoteReader> {
        self.inner.remote().is_some().then_some(self)
    }
}

pub struct BaseWriter {
    pub(super) core: Arc<Core>,
    pub(super) birth: Birth,
    pub(super) ctx: Context,
    pub(super) path: String,
    state: State,
    /// What a cancelled upload had, which its driver has forgotten.
    size_at_cancel: Option<u64>,
    pub(super) inner: Box<dyn Writer>,
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

    /// One step of the state machine around one call of the driver.
    fn step(
        &mut self,
        action: Action,
        verb: Verb,
        ctx: &Context,
        bytes: usize,
        work: impl FnOnce(&mut dyn Writer) -> Result<()>,
    ) -> Result<()> {
        let Some(before) = self.begin_step(action)? else { return Ok(()) };
        let outcome = Call::begin_on(self.birth, &self.core, verb, ctx).and_then(|call| {
            let outcome = work(&mut *self.inner).map_err(|error| error.or_path(&self.path));
            call.end(outcome, |()| bytes)
        });
        self.end_step(action, before, outcome)
    }

    /// The state to go on from; `None` if nothing is left to do. A step that does
    /// not end, by a panic or because its task was dropped, leaves a broken writer.
    pub(super) fn begin_step(&mut self, action: Action) -> Result<Option<State>> {
        let named = |e: Error| e.with_driver(&self.core.name).or_path(&self.path);
        let before = self.state;
        if before.begin(action).map_err(named)? == Turn::Nothing {
            self.state = before.end(action, true);
            return Ok(None);
        }
        if action == Action::Cancel {
            self.size_at_cancel = Some(self.inner.size());
        }
        self.state = State::Broken;
        Ok(Some(before))
    }

    pub(super) fn end_step(
        &mut self,
        action: Action,
        before: State,
        outcome: Result<()>,
    ) -> Result<()> {
        self.state = before.end(action, outcome.is_ok());
        if self.state != State::Cancelled {
            self.size_at_cancel = None;
        }
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
        self.step(Action::Cancel, Verb::Cancel, ctx, 0, |w| w.cancel(ctx))
    }

    fn close(&mut self, ctx: &Context) -> Result<()> {
        self.step(Action::Close, Verb::Close, ctx, 0, |w| w.close(ctx))
    }

    fn remote(&mut self) -> Option<&mut dyn RemoteWriter> {
        self.inner.remote().is_some().then_some(self)
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
    pub(super) core: Arc<Core>,
    pub(super) birth: Birth,
    pub(super) ctx: Context,
    pub(super) inner: Box<dyn Walker>,
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

    fn remote(&mut self) -> Option<&mut dyn RemoteWalker> {
        self.inner.remote().is_some().then_some(self)
    }
}
