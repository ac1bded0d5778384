//! What a storage driver is: Distribution's verbs as blocking functions. Drivers
//! implement these traits; `base` wears them too, so whatever takes a driver
//! takes either.
//!
//! What a driver may rely on when it is called through `base` (and it always is,
//! but for unit tests): paths follow the grammar ("/" only in `stat`, `list`,
//! `entries` and `walker`), offsets are not negative, a writer sees only calls
//! that its state allows, and errors need no driver name.

use crate::context::Context;
use crate::error::Result;
use crate::names::Names;
use crate::remote::{RemoteDriver, RemoteReader, RemoteWalker, RemoteWriter};

/// What is known of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// As asked for.
    pub path: String,
    /// 0 for a directory.
    pub size: u64,
    /// Nanoseconds since 1970-01-01 UTC; 0 when unknown.
    pub mtime_ns: i64,
    pub is_dir: bool,
}

/// The few things in which stores differ by nature. Everything else is the same
/// on every driver; conformance checks both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// An emptied directory stays, and a file cannot lie over or under another.
    pub real_directories: bool,
    /// An upload that is not committed can be read and listed.
    pub visible_uploads: bool,
    /// Appending to committed, non-empty content works.
    pub exact_append: bool,
    /// Cancelling an append restores the length found at its opening.
    pub shrinkable: bool,
    /// `stat` of a directory knows a modification time.
    pub mtime_of_directories: bool,
    /// `redirect_url` gives URLs.
    pub redirect: bool,
}

/// What a redirect URL is wanted for.
#[derive(Clone, Debug, Default)]
pub struct RedirectRequest {
    /// "" means GET.
    pub method: String,
    /// The client's address, "" when unknown.
    pub remote_addr: String,
    /// Seconds; 0 means the driver's default.
    pub expires_s: u32,
}

/// Where a walk starts and what it leaves out.
#[derive(Clone, Debug, Default)]
pub struct WalkOptions {
    /// Only entries that come strictly after this path in canonical order.
    pub start_after: Option<String>,
    /// Leave out what is below `start_after` as well.
    pub skip_start_subtree: bool,
}

/// A store. Shared by threads; every call may block.
pub trait Driver: Send + Sync {
    /// The name in errors and metrics, constant for a driver.
    fn name(&self) -> &str;

    fn capabilities(&self) -> Capabilities;

    /// How many calls may run inside the driver at once; `None`: any number.
    fn max_concurrency(&self) -> Option<usize> {
        None
    }

    /// All bytes of a file. Leave room for one byte more in the vector: C gets a
    /// NUL after the last one.
    fn get_content(&self, ctx: &Context, path: &str) -> Result<Vec<u8>>;

    /// Stores a file, replacing what was there: all or nothing, and durable.
    fn put_content(&self, ctx: &Context, path: &str, data: &[u8]) -> Result<()>;

    /// `PathNotFound` where nothing is; "/" always exists.
    fn stat(&self, ctx: &Context, path: &str) -> Result<FileInfo>;

    /// Full paths of the direct children, in any order (`base` sorts).
    /// `PathNotFound` if missing, `NotDirectory` for a file.
    fn list(&self, ctx: &Context, path: &str) -> Result<Names>;

    /// Up to `limit` children after `start_after`, a full path, in byte order.
    /// An empty page is the end, a short one is not.
    fn list_page(
        &self,
        ctx: &Context,
        path: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<Names> {
        let mut all = self.list(ctx, path)?;
        all.sort();
        Ok(all.page(start_after, limit))
    }

    /// The direct children with what the listing knows of them, in any order,
    /// for a walk. `after`: only children whose name is greater. What vanishes
    /// meanwhile is left out.
    fn entries(&self, ctx: &Context, path: &str, after: Option<&str>) -> Result<Vec<FileInfo>> {
        crate::walk::entries_by_stat(self, ctx, path, after)
    }

    /// Moves a file over whatever file is at `dest`. Onto itself it does nothing
    /// but check that the file exists. `PathNotFound` names the source.
    fn r#move(&self, ctx: &Context, source: &str, dest: &str) -> Result<()>;

    /// Removes `path` and everything below it, never a lexical sibling.
    fn delete(&self, ctx: &Context, path: &str) -> Result<()>;

    /// Where a client can fetch the file itself; `None`: serve it yourself.
    fn redirect_url(
        &self,
        _ctx: &Context,
        _path: &str,
        _request: &RedirectRequest,
    ) -> Result<Option<String>> {
        Ok(None)
    }

    /// Opens a file for reading at `offset`; at or past the end it reads nothing.
    fn reader(&self, ctx: &Context, path: &str, offset: i64) -> Result<Box<dyn Reader>>;

    /// Opens an upload. Without `append` it starts over, leaving committed
    /// content alone until its commit; with `append` it goes on where an
    /// uncommitted upload or committed content ended, `PathNotFound` if neither
    /// exists.
    fn writer(&self, ctx: &Context, path: &str, append: bool) -> Result<Box<dyn Writer>>;

    /// The driver's own walk, in canonical order; `None`: walk by `entries`.
    fn walker(
        &self,
        _ctx: &Context,
        _path: &str,
        _options: &WalkOptions,
    ) -> Result<Option<Box<dyn Walker>>> {
        Ok(None)
    }

    /// The same driver for callers that must not block, if it has such a side.
    fn remote(&self) -> Option<&dyn RemoteDriver> {
        None
    }
}

/// A file being read. One thread at a time. Goes on with the content it was
/// opened on while the path is replaced, or fails with `Conflict` where the store
/// has lost it.
pub trait Reader: Send {
    /// Fills the front of `buf`, which is not empty; 0 is the end.
    fn read(&mut self, buf: &mut [u8]) -> Result<usize>;

    /// The same reader for callers that must not block.
    fn remote(&mut self) -> Option<&mut dyn RemoteReader> {
        None
    }
}

/// An upload. One thread at a time. Dropped without `close` it loses what was
/// not flushed, and does no I/O.
pub trait Writer: Send {
    /// Takes all of `data` or fails; after a failure only `cancel` and `close`
    /// follow.
    fn write(&mut self, data: &[u8]) -> Result<()>;

    /// Every byte accepted, those of earlier sessions included. After `close`:
    /// what an append would find.
    fn size(&self) -> u64;

    /// Makes the content readable at the path, durably. After a failure nothing
    /// has changed there and it may be called again.
    fn commit(&mut self, ctx: &Context) -> Result<()>;

    /// Discards what this session wrote: a fresh upload altogether, an append
    /// back to the length it found where the store can shrink.
    fn cancel(&mut self, ctx: &Context) -> Result<()>;

    /// Flushes so that an append can go on later, in any process.
    fn close(&mut self, ctx: &Context) -> Result<()>;

    /// The same writer for callers that must not block.
    fn remote(&mut self) -> Option<&mut dyn RemoteWriter> {
        None
    }
}

/// A walk in canonical order (`path::compare`), the start not included.
pub trait Walker: Send {
    /// The next entry; `None` at the end and ever after.
    fn next(&mut self) -> Result<Option<FileInfo>>;

    /// Leaves out what is below the directory just returned. After a file, or
    /// before the first entry, it does nothing.
    fn skip_dir(&mut self);

    /// The same walker for callers that must not block.
    fn remote(&mut self) -> Option<&mut dyn RemoteWalker> {
        None
    }
}
