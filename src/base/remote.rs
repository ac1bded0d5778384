//! The same wrapping for callers that must not block. Each verb does what its
//! blocking twin does, with the guard's wait and the driver's work as futures.

use async_trait::async_trait;
use bytes::Bytes;

use super::handles::{BaseReader, BaseWalker, BaseWriter};
use super::writer_state::Action;
use super::{Base, Call, Core, page_size};
use crate::context::Context;
use crate::driver::{
    Capabilities, Driver, FileInfo, Reader, RedirectRequest, WalkOptions, Walker, Writer,
};
use crate::error::{Code, Error, Result};
use crate::names::Names;
use crate::observe::Verb;
use crate::path;
use crate::remote::{RemoteDriver, RemoteReader, RemoteWalker, RemoteWriter, race};
use crate::runtime::Birth;

/// What is behind has a remote side, or nobody would have come here.
fn missing() -> Error {
    Error::new(Code::Internal, "the driver has no remote side")
}

impl Core {
    fn remote(&self) -> Result<&dyn RemoteDriver> {
        self.driver.remote().ok_or_else(missing)
    }

    async fn call<T>(
        &self,
        verb: Verb,
        ctx: &Context,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let call = Call::begin_soon(self, verb, ctx).await?;
        let outcome = race(ctx, work).await;
        call.end(outcome, |_| 0)
    }
}

impl<'c> Call<'c> {
    /// `begin`, with a slot waited for by a task.
    async fn begin_soon(core: &'c Core, verb: Verb, ctx: &'c Context) -> Result<Call<'c>> {
        let named = |error: Error| error.with_driver(&core.name);
        let inside = core.enter().map_err(named)?;
        ctx.status().map_err(named)?;
        let slot = match &core.slots {
            None => None,
            Some(slots) => {
                let mut request = slots.request();
                let wait = std::future::poll_fn(|task| request.poll(task.waker()).map(Ok));
                let slot = race(ctx, wait).await.map_err(named)?;
                core.gate.still_open().map_err(named)?;
                Some(slot)
            }
        };
        Ok(Call::new(core, verb, ctx, inside, slot))
    }

    async fn begin_soon_on(
        birth: Birth,
        core: &'c Core,
        verb: Verb,
        ctx: &'c Context,
    ) -> Result<Call<'c>> {
        birth.same_process().map_err(|error| error.with_driver(&core.name))?;
        Call::begin_soon(core, verb, ctx).await
    }
}

#[async_trait]
impl RemoteDriver for Base {
    fn name(&self) -> &str {
        Driver::name(self)
    }

    fn capabilities(&self) -> Capabilities {
        Driver::capabilities(self)
    }

    async fn get_content(&self, ctx: &Context, path: &str) -> Result<Vec<u8>> {
        self.checked(path::check(path))?;
        let call = Call::begin_soon(&self.0, Verb::GetContent, ctx).await?;
        let outcome = race(ctx, self.0.remote()?.get_content(ctx, path)).await;
        call.end(outcome, Vec::len)
    }

    async fn put_content(&self, ctx: &Context, path: &str, data: Bytes) -> Result<()> {
        self.checked(path::check(path))?;
        let len = data.len();
        let call = Call::begin_soon(&self.0, Verb::PutContent, ctx).await?;
        let outcome = race(ctx, self.0.remote()?.put_content(ctx, path, data)).await;
        call.end(outcome, |()| len)
    }

    async fn stat(&self, ctx: &Context, path: &str) -> Result<FileInfo> {
        self.checked(path::check_or_root(path))?;
        self.0.call(Verb::Stat, ctx, self.0.remote()?.stat(ctx, path)).await
    }

    async fn list(&self, ctx: &Context, path: &str) -> Result<Names> {
        self.checked(path::check_or_root(path))?;
        let mut names = self.0.call(Verb::List, ctx, self.0.remote()?.list(ctx, path)).await?;
        names.sort();
        Ok(names)
    }

    async fn list_page(
        &self,
        ctx: &Context,
        path: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<Names> {
        self.checked(path::check_or_root(path))?;
        self.checked(start_after.map_or(Ok(()), path::check_or_root))?;
        let page = self.0.remote()?.list_page(ctx, path, start_after, page_size(limit));
        self.0.call(Verb::List, ctx, page).await
    }

    async fn r#move(&self, ctx: &Context, source: &str, dest: &str) -> Result<()> {
        self.checked(path::check(source))?;
        self.checked(path::check(dest))?;
        self.0.call(Verb::Move, ctx, self.0.remote()?.r#move(ctx, source, dest)).await
    }

    async fn delete(&self, ctx: &Context, path: &str) -> Result<()> {
        self.checked(path::check(path))?;
        self.0.call(Verb::Delete, ctx, self.0.remote()?.delete(ctx, path)).await
    }

    async fn redirect_url(
        &self,
        ctx: &Context,
        path: &str,
        request: &RedirectRequest,
    ) -> Result<Option<String>> {
        self.checked(path::check(path))?;
        let url = self.0.remote()?.redirect_url(ctx, path, request);
        self.0.call(Verb::RedirectUrl, ctx, url).await
    }

    async fn reader(&self, ctx: &Context, path: &str, offset: i64) -> Result<Box<dyn Reader>> {
        self.check_offset(path, offset)?;
        self.checked(path::check(path))?;
        let open = self.0.remote()?.reader(ctx, path, offset);
        let inner = self.0.call(Verb::Reader, ctx, open).await?;
        Ok(Box::new(BaseReader::new(self.0.clone(), ctx, path, inner)))
    }

    async fn writer(&self, ctx: &Context, path: &str, append: bool) -> Result<Box<dyn Writer>> {
        self.checked(path::check(path))?;
        let open = self.0.remote()?.writer(ctx, path, append);
        let inner = self.0.call(Verb::Writer, ctx, open).await?;
        Ok(Box::new(BaseWriter::new(self.0.clone(), ctx, path, inner)))
    }

    async fn walker(
        &self,
        ctx: &Context,
        path: &str,
        options: &WalkOptions,
    ) -> Result<Box<dyn Walker>> {
        self.checked(path::check_or_root(path))?;
        self.checked(options.start_after.as_deref().map_or(Ok(()), path::check_or_root))?;
        let open = self.0.remote()?.walker(ctx, path, options);
        let inner = self.0.call(Verb::Walk, ctx, open).await?;
        Ok(Box::new(BaseWalker::new(self.0.clone(), ctx, inner)))
    }
}

#[async_trait]
impl RemoteReader for BaseReader {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.check_room(buf)?;
        let call = Call::begin_soon_on(self.birth, &self.core, Verb::Read, &self.ctx).await?;
        let inner = self.inner.remote().ok_or_else(missing)?;
        let outcome = inner.read(buf).await.map_err(|error| error.or_path(&self.path));
        call.end(outcome, |len| *len)
    }
}

/// The asynchronous twin of `BaseWriter::step`; a macro, since a closure cannot
/// lend the writer to the future it returns.
macro_rules! step {
    ($self:ident, $action:expr, $verb:expr, $ctx:expr, $bytes:expr, |$w:ident| $work:expr) => {{
        let Some(before) = $self.begin_step($action)? else { return Ok(()) };
        let outcome = async {
            let call = Call::begin_soon_on($self.birth, &$self.core, $verb, $ctx).await?;
            let $w = $self.inner.remote().ok_or_else(missing)?;
            let outcome = $work.await.map_err(|error: Error| error.or_path(&$self.path));
            call.end(outcome, |()| $bytes)
        }
        .await;
        $self.end_step($action, before, outcome)
    }};
}

#[async_trait]
impl RemoteWriter for BaseWriter {
    async fn write(&mut self, data: &[u8]) -> Result<()> {
        let ctx = self.ctx.clone();
        step!(self, Action::Write, Verb::Write, &ctx, data.len(), |w| w.write(data))
    }

    async fn commit(&mut self, ctx: &Context) -> Result<()> {
        step!(self, Action::Commit, Verb::Commit, ctx, 0, |w| w.commit(ctx))
    }

    async fn cancel(&mut self, ctx: &Context) -> Result<()> {
        step!(self, Action::Cancel, Verb::Cancel, ctx, 0, |w| w.cancel(ctx))
    }

    async fn close(&mut self, ctx: &Context) -> Result<()> {
        step!(self, Action::Close, Verb::Close, ctx, 0, |w| w.close(ctx))
    }
}

#[async_trait]
impl RemoteWalker for BaseWalker {
    async fn next(&mut self) -> Result<Option<FileInfo>> {
        let call = Call::begin_soon_on(self.birth, &self.core, Verb::Walk, &self.ctx).await?;
        let inner = self.inner.remote().ok_or_else(missing)?;
        call.end(inner.next().await, |_| 0)
    }
}
