//! Readers, writers and walkers of remote drivers, for both kinds of caller. A
//! blocking call lends the driver's object to a task and gets it back with the
//! answer, also when the context ended first.

use async_trait::async_trait;
use bytes::{Buf, Bytes};

use super::kept::Kept;
use super::{Chunks, Entries, Parts, RemoteReader, RemoteWalker, RemoteWriter, race};
use crate::context::Context;
use crate::driver::{FileInfo, Reader, Walker, Writer};
use crate::error::{Code, Error, Result};
use crate::executor;

/// A reader whose waits end with `ctx`.
pub fn reader(ctx: &Context, chunks: Box<dyn Chunks>) -> Box<dyn Reader> {
    Box::new(BridgedReader { ctx: ctx.clone(), left: Bytes::new(), chunks: Kept::new(chunks) })
}

/// A writer whose writes end with `ctx`.
pub fn writer(ctx: &Context, parts: Box<dyn Parts>) -> Box<dyn Writer> {
    let size = parts.size();
    Box::new(BridgedWriter { ctx: ctx.clone(), size, parts: Kept::new(parts) })
}

/// A walker whose steps end with `ctx`.
pub fn walker(ctx: &Context, entries: Box<dyn Entries>) -> Box<dyn Walker> {
    Box::new(BridgedWalker { ctx: ctx.clone(), entries: Kept::new(entries) })
}

/// The object was lent to a task that panicked.
fn lost() -> Error {
    Error::new(Code::Internal, "an earlier call failed inside the library")
}

/// Lends what is in `$place` to a task as `$lent` and puts it back.
macro_rules! lend {
    ($place:expr, $ctx:expr, |$lent:ident, $c:ident| $work:expr) => {{
        let mut $lent = $place.take().ok_or_else(lost)?;
        let $c = $ctx.clone();
        let (back, outcome) = executor::block(async move {
            let outcome = race(&$c, async { $work.await }).await;
            ($lent, outcome)
        })?;
        $place.put_back(back);
        outcome
    }};
}

struct BridgedReader {
    ctx: Context,
    /// Of the last chunk, what did not fit.
    left: Bytes,
    chunks: Kept<Box<dyn Chunks>>,
}

impl BridgedReader {
    fn give(&mut self, buf: &mut [u8]) -> usize {
        let len = self.left.len().min(buf.len());
        if let Some(front) = buf.get_mut(..len) {
            self.left.copy_to_slice(front);
        }
        len
    }
}

impl Reader for BridgedReader {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        if self.left.is_empty() {
            self.left = lend!(self.chunks, self.ctx, |chunks, c| chunks.chunk())?;
        }
        Ok(self.give(buf))
    }

    fn remote(&mut self) -> Option<&mut dyn RemoteReader> {
        Some(self)
    }
}

#[async_trait]
impl RemoteReader for BridgedReader {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        if self.left.is_empty() {
            let chunks = self.chunks.get_mut().ok_or_else(lost)?;
            self.left = race(&self.ctx, chunks.chunk()).await?;
        }
        Ok(self.give(buf))
    }
}

struct BridgedWriter {
    ctx: Context,
    /// What `parts` last had, for when it is lost.
    size: u64,
    parts: Kept<Box<dyn Parts>>,
}

impl BridgedWriter {
    fn parts(&mut self) -> Result<&mut Box<dyn Parts>> {
        self.parts.get_mut().ok_or_else(lost)
    }

    fn note_size(&mut self) {
        self.size = self.size();
    }
}

/// Fills `parts` from the front of `data`, leaving what there was no room for.
fn fill(parts: &mut dyn Parts, data: &mut &[u8]) {
    let len = parts.fill(data);
    *data = data.get(len..).unwrap_or_default();
}

impl Writer for BridgedWriter {
    fn write(&mut self, mut data: &[u8]) -> Result<()> {
        loop {
            fill(&mut **self.parts()?, &mut data);
            self.note_size();
            if data.is_empty() {
                return Ok(());
            }
            lend!(self.parts, self.ctx, |parts, c| parts.drain())?;
        }
    }

    fn size(&self) -> u64 {
        self.parts.get().map_or(self.size, |parts| parts.size())
    }

    fn commit(&mut self, ctx: &Context) -> Result<()> {
        lend!(self.parts, ctx, |parts, c| parts.commit(&c))
    }

    fn cancel(&mut self, ctx: &Context) -> Result<()> {
        lend!(self.parts, ctx, |parts, c| parts.cancel(&c))
    }

    fn close(&mut self, ctx: &Context) -> Result<()> {
        lend!(self.parts, ctx, |parts, c| parts.close(&c))
    }

    fn remote(&mut self) -> Option<&mut dyn RemoteWriter> {
        Some(self)
    }
}

#[async_trait]
impl RemoteWriter for BridgedWriter {
    async fn write(&mut self, mut data: &[u8]) -> Result<()> {
        loop {
            let ctx = self.ctx.clone();
            let parts = self.parts()?;
            fill(&mut **parts, &mut data);
            if data.is_empty() {
                return Ok(());
            }
            race(&ctx, parts.drain()).await?;
        }
    }

    async fn commit(&mut self, ctx: &Context) -> Result<()> {
        race(ctx, self.parts()?.commit(ctx)).await
    }

    async fn cancel(&mut self, ctx: &Context) -> Result<()> {
        race(ctx, self.parts()?.cancel(ctx)).await
    }

    async fn close(&mut self, ctx: &Context) -> Result<()> {
        race(ctx, self.parts()?.close(ctx)).await
    }
}

struct BridgedWalker {
    ctx: Context,
    entries: Kept<Box<dyn Entries>>,
}

impl Walker for BridgedWalker {
    fn next(&mut self) -> Result<Option<FileInfo>> {
        lend!(self.entries, self.ctx, |entries, c| entries.next())
    }

    fn skip_dir(&mut self) {
        if let Some(entries) = self.entries.get_mut() {
            entries.skip_dir();
        }
    }

    fn remote(&mut self) -> Option<&mut dyn RemoteWalker> {
        Some(self)
    }
}

#[async_trait]
impl RemoteWalker for BridgedWalker {
    async fn next(&mut self) -> Result<Option<FileInfo>> {
        let entries = self.entries.get_mut().ok_or_else(lost)?;
        race(&self.ctx, entries.next()).await
    }
}
