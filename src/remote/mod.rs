//! Where blocking callers and asynchronous drivers meet. A network driver
//! implements the traits of this page; a `Bridge` makes it a `Driver`, whose calls
//! run on the executor while the caller is parked. What a queue submits is spawned
//! there as it is.
//!
//! Every future here may be dropped at any point where it waits, when its context
//! ends; what it was part of must be usable afterwards.

mod bridge;
mod handles;
mod kept;

pub use bridge::Bridge;
pub use handles::{reader, walker, writer};

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::{Instant, sleep};

use crate::context::Context;
use crate::driver::{Capabilities, FileInfo, Reader, RedirectRequest, WalkOptions, Walker, Writer};
use crate::error::Result;
use crate::names::Names;

/// `Driver` for a store that is reached over a network; each verb as there.
#[async_trait]
pub trait RemoteDriver: Send + Sync {
    fn name(&self) -> &str;
    fn capabilities(&self) -> Capabilities;
    fn max_concurrency(&self) -> Option<usize> {
        None
    }
    async fn get_content(&self, ctx: &Context, path: &str) -> Result<Vec<u8>>;
    async fn put_content(&self, ctx: &Context, path: &str, data: Bytes) -> Result<()>;
    async fn stat(&self, ctx: &Context, path: &str) -> Result<FileInfo>;
    async fn list(&self, ctx: &Context, path: &str) -> Result<Names>;
    async fn list_page(
        &self,
        ctx: &Context,
        path: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<Names> {
        let mut all = self.list(ctx, path).await?;
        all.sort();
        Ok(all.page(start_after, limit))
    }
    async fn r#move(&self, ctx: &Context, source: &str, dest: &str) -> Result<()>;
    async fn delete(&self, ctx: &Context, path: &str) -> Result<()>;
    async fn redirect_url(
        &self,
        _ctx: &Context,
        _path: &str,
        _request: &RedirectRequest,
    ) -> Result<Option<String>> {
        Ok(None)
    }
    /// Made with [`reader`].
    async fn reader(&self, ctx: &Context, path: &str, offset: i64) -> Result<Box<dyn Reader>>;
    /// Made with [`writer`].
    async fn writer(&self, ctx: &Context, path: &str, append: bool) -> Result<Box<dyn Writer>>;
    /// Made with [`walker`].
    async fn walker(
        &self,
        ctx: &Context,
        path: &str,
        options: &WalkOptions,
    ) -> Result<Box<dyn Walker>>;
}

/// What a remote driver reads from.
#[async_trait]
pub trait Chunks: Send {
    /// The next bytes, as they come; empty at the end. Dropped while it waits, it
    /// has lost nothing.
    async fn chunk(&mut self) -> Result<Bytes>;
}

/// What a remote driver writes to.
#[async_trait]
pub trait Parts: Send {
    /// Copies as much of `data` as there is room for.
    fn fill(&mut self, data: &[u8]) -> usize;
    /// Makes room for one byte at least.
    async fn drain(&mut self) -> Result<()>;
    fn size(&self) -> u64;
    async fn commit(&mut self, ctx: &Context) -> Result<()>;
    async fn cancel(&mut self, ctx: &Context) -> Result<()>;
    async fn close(&mut self, ctx: &Context) -> Result<()>;
}

/// What a remote driver walks with.
#[async_trait]
pub trait Entries: Send {
    async fn next(&mut self) -> Result<Option<FileInfo>>;
    fn skip_dir(&mut self);
}

/// A `Reader` that need not block: what a queue uses.
#[async_trait]
pub trait RemoteReader: Send {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize>;
}

/// A `Writer` that need not block.
#[async_trait]
pub trait RemoteWriter: Send {
    async fn write(&mut self, data: &[u8]) -> Result<()>;
    async fn commit(&mut self, ctx: &Context) -> Result<()>;
    async fn cancel(&mut self, ctx: &Context) -> Result<()>;
    async fn close(&mut self, ctx: &Context) -> Result<()>;
}

/// A `Walker` that need not block.
#[async_trait]
pub trait RemoteWalker: Send {
    async fn next(&mut self) -> Result<Option<FileInfo>>;
}

/// Runs `work` until it is done or the context ends; it is dropped then. On the
/// executor only.
pub async fn race<T>(ctx: &Context, work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut work = pin!(work);
    let mut nap = None;
    let mut _subscription = None;
    poll_fn(|task| {
        if let Poll::Ready(outcome) = work.as_mut().poll(task) {
            return Poll::Ready(outcome);
        }
        // Before the look at the context, so that an end in between wakes the task.
        _subscription = Some(ctx.subscribe(task.waker()));
        ctx.status()?;
        if let Some(pause) = ctx.longest_sleep() {
            let nap = nap.get_or_insert_with(|| Box::pin(sleep(pause)));
            nap.as_mut().reset(Instant::now() + pause);
            if nap.as_mut().poll(task).is_ready() {
                task.waker().wake_by_ref();
            }
        }
        Poll::Pending
    })
    .await
}
