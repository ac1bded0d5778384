//! A driver whose functions are written in C: each call becomes a call of a slot,
//! and each answer is checked before anybody sees it.

mod answer;
mod factory;
mod handles;

use std::ffi::{c_char, c_void};
use std::fmt::Display;
use std::ptr;
use std::sync::Arc;

use super::boundary::{self, Caller};
use super::context::sd_context;
use super::custom::{
    SD_CAP_EXACT_APPEND, SD_CAP_MTIME_OF_DIRECTORIES, SD_CAP_REAL_DIRECTORIES, SD_CAP_REDIRECT,
    SD_CAP_SHRINKABLE, SD_CAP_VISIBLE_UPLOADS, sd_driver_vtable,
};
use super::error::{sd_error, sd_status};
use super::handle::Lent;
use super::operations::sd_redirect_request;
use super::text::c_text;
use super::value::sd_buffer;
use super::writer::SD_WRITER_APPEND;
use crate::context::Context;
use crate::driver::{Capabilities, Driver, FileInfo, Reader, RedirectRequest, Writer};
use crate::error::{Code, Error, Result};
use crate::names::Names;
use crate::path;
use crate::runtime::Birth;
use answer::{taken, wrong};
pub use factory::CustomFactory;
use handles::{CustomReader, CustomWriter};

/// No file is longer; what says so is a negative number.
const LONGEST: u64 = i64::MAX as u64;

/// A slot that must be there: `InvalidArgument` naming it if it is not.
pub fn slot<F>(slot: Option<F>, name: &str) -> Result<F> {
    slot.ok_or_else(|| Error::invalid_argument(format!("the slot {name} is null")))
}

/// A copy of the vtable of C, with nothing missing.
pub fn checked(c: &Caller, vtable: *const sd_driver_vtable) -> Result<sd_driver_vtable> {
    let vtable = c.sized(vtable)?;
    let vtable = vtable.ok_or_else(|| Error::invalid_argument("vtable is null"))?;
    check(&vtable)?;
    Ok(vtable)
}

fn check(v: &sd_driver_vtable) -> Result<()> {
    slot(v.get_content, "get_content")?;
    slot(v.put_content, "put_content")?;
    slot(v.stat, "stat")?;
    slot(v.list, "list")?;
    slot(v.r#move, "move")?;
    slot(v.remove, "remove")?;
    slot(v.reader_open, "reader_open")?;
    slot(v.reader_read, "reader_read")?;
    slot(v.reader_free, "reader_free")?;
    slot(v.writer_open, "writer_open")?;
    slot(v.writer_write, "writer_write")?;
    slot(v.writer_size, "writer_size")?;
    slot(v.writer_commit, "writer_commit")?;
    slot(v.writer_cancel, "writer_cancel")?;
    slot(v.writer_close, "writer_close")?;
    slot(v.writer_free, "writer_free")?;
    let known = SD_CAP_REAL_DIRECTORIES
        | SD_CAP_VISIBLE_UPLOADS
        | SD_CAP_EXACT_APPEND
        | SD_CAP_SHRINKABLE
        | SD_CAP_MTIME_OF_DIRECTORIES
        | SD_CAP_REDIRECT;
    let unknown = v.capabilities & !known;
    if unknown != 0 {
        return Err(Error::invalid_argument(format!("unknown capabilities {unknown:#x}")));
    }
    if v.capabilities & SD_CAP_REDIRECT != 0 {
        slot(v.redirect_url, "redirect_url")?;
    }
    Ok(())
}

/// What the functions work on, freed with its last user.
struct Store {
    vtable: sd_driver_vtable,
    object: *mut c_void,
    birth: Birth,
}

// SAFETY: the header says that any thread may call a slot, several at once.
unsafe impl Send for Store {}
// SAFETY: as above.
unsafe impl Sync for Store {}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(free) = self.vtable.free.filter(|_| self.birth.same_process().is_ok()) {
            // SAFETY: the driver promises that it can be freed when no reader or
            // writer is left, and they hold this.
            unsafe { free(self.object) };
        }
    }
}

impl Store {
    /// Runs a slot with the arguments that most have. An error that names no path
    /// is about `path`.
    fn call(
        &self,
        slot: &str,
        ctx: &Context,
        path: &str,
        run: impl FnOnce(*mut c_void, *const sd_context, *const c_char, *mut *mut sd_error) -> sd_status,
    ) -> Result<()> {
        self.birth.same_process()?;
        let (ctx, c_path) = (Lent::<sd_context>::new(ctx.clone()), c_text(path));
        answer::call(slot, |err| run(self.object, ctx.as_ptr(), c_path.as_ptr(), err))
            .map_err(|error| error.or_path(path))
    }
}

pub struct CustomDriver {
    name: String,
    store: Arc<Store>,
}

impl CustomDriver {
    /// `vtable` must have passed `checked`. Takes over `object`.
    pub fn new(name: &str, vtable: sd_driver_vtable, object: *mut c_void) -> CustomDriver {
        let store = Store { vtable, object, birth: Birth::now() };
        CustomDriver { name: name.to_string(), store: Arc::new(store) }
    }

    fn wrong(&self, slot: &str, path: &str, what: impl Display) -> Error {
        wrong(slot, what).with_path(path)
    }
}

impl Driver for CustomDriver {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        let has = |flag| self.store.vtable.capabilities & flag != 0;
        Capabilities {
            real_directories: has(SD_CAP_REAL_DIRECTORIES),
            visible_uploads: has(SD_CAP_VISIBLE_UPLOADS),
            exact_append: has(SD_CAP_EXACT_APPEND),
            shrinkable: has(SD_CAP_SHRINKABLE),
            mtime_of_directories: has(SD_CAP_MTIME_OF_DIRECTORIES),
            redirect: has(SD_CAP_REDIRECT),
        }
    }

    fn max_concurrency(&self) -> Option<usize> {
        let most = usize::try_from(self.store.vtable.max_concurrency).unwrap_or(usize::MAX);
        (most > 0).then_some(most)
    }

    fn get_content(&self, ctx: &Context, path: &str) -> Result<Vec<u8>> {
        const SLOT: &str = "get_content";
        let run = slot(self.store.vtable.get_content, SLOT)?;
        let mut out = ptr::null_mut();
        self.store.call(SLOT, ctx, path, |object, ctx, path, err| {
            // SAFETY: the driver keeps the header's promises; so are these arguments.
            unsafe { run(object, ctx, path, &mut out, err) }
        })?;
        content(SLOT, out).map_err(|error| error.with_path(path))
    }

    fn put_content(&self, ctx: &Context, path: &str, data: &[u8]) -> Result<()> {
        const SLOT: &str = "put_content";
        let run = slot(self.store.vtable.put_content, SLOT)?;
        self.store.call(SLOT, ctx, path, |object, ctx, path, err| {
            // SAFETY: the driver keeps the header's promises; so are these arguments.
            unsafe { run(object, ctx, path, bytes(data), data.len(), err) }
        })
    }

    fn stat(&self, ctx: &Context, path: &str) -> Result<FileInfo> {
        const SLOT: &str = "stat";
        let run = slot(self.store.vtable.stat, SLOT)?;
        let mut out = ptr::null_mut();
        self.store.call(SLOT, ctx, path, |object, ctx, path, err| {
            // SAFETY: the driver keeps the header's promises; so are these arguments.
            unsafe { run(object, ctx, path, &mut out, err) }
        })?;
        let wrong = |what: &str| self.wrong(SLOT, path, what);
        if out.is_null() {
            return Err(wrong("answered success without a result"));
        }
        // SAFETY: the driver promises an info of ours that it owned.
        let info = unsafe { boundary::answered(|c| c.take_info(out)) };
        let info = info.ok_or_else(|| wrong("gave something that is no sd_file_info"))?;
        if info.path != path {
            return Err(wrong(&format!("is about another path, {}", info.path)));
        }
        if info.is_dir && info.size > 0 {
            return Err(wrong("gave a directory a size"));
        }
        if !info.is_dir && path == "/" {
            return Err(wrong("says that the root is a file"));
        }
        if info.size > LONGEST || info.mtime_ns < 0 {
            return Err(wrong("gave a negative size or time"));
        }
        Ok(info)
    }

    fn list(&self, ctx: &Context, path: &str) -> Result<Names> {
        const SLOT: &str = "list";
        let run = slot(self.store.vtable.list, SLOT)?;
        let mut out = ptr::null_mut();
        self.store.call(SLOT, ctx, path, |object, ctx, path, err| {
            // SAFETY: the driver keeps the header's promises; so are these arguments.
            unsafe { run(object, ctx, path, &mut out, err) }
        })?;
        let names = taken(SLOT, out).map_err(|error| error.with_path(path))?;
        let is_child = |name: &str| path::below(name, path).is_some_and(path::is_component);
        if let Some(name) = names.iter().find(|name| !is_child(name)) {
            return Err(self.wrong(SLOT, path, format_args!("gave no child, {name}")));
        }
        Ok(names)
    }

    fn r#move(&self, ctx: &Context, source: &str, dest: &str) -> Result<()> {
        const SLOT: &str = "move";
        let run = slot(self.store.vtable.r#move, SLOT)?;
        let c_dest = c_text(dest);
        let mut about_dest = false;
        let outcome = self.store.call(SLOT, ctx, source, |object, ctx, source, err| {
            // SAFETY: the driver keeps the header's promises; so are these arguments.
            let status = unsafe { run(object, ctx, source, c_dest.as_ptr(), err) };
            // A source below a file is not found; only the destination can be so.
            about_dest = status == Code::NotDirectory.number();
            status
        });
        match outcome {
            Err(error) if about_dest && error.path() == source => Err(error.with_path(dest)),
            outcome => outcome,
        }
    }

    fn delete(&self, ctx: &Context, path: &str) -> Result<()> {
        const SLOT: &str = "remove";
        let run = slot(self.store.vtable.remove, SLOT)?;
        self.store.call(SLOT, ctx, path, |object, ctx, path, err| {
            // SAFETY: the driver keeps the header's promises; so are these arguments.
            unsafe { run(object, ctx, path, err) }
        })
    }

    fn redirect_url(
        &self,
        ctx: &Context,
        path: &str,
        request: &RedirectRequest,
    ) -> Result<Option<String>> {
        const SLOT: &str = "redirect_url";
        let Some(run) = self.store.vtable.redirect_url else { return Ok(None) };
        let method = if request.method.is_empty() { "GET" } else { &request.method };
        let (method, remote_addr) = (c_text(method), c_text(&request.remote_addr));
        let known = !request.remote_addr.is_empty();
        let request = sd_redirect_request {
            struct_size: size_of::<sd_redirect_request>(),
            method: method.as_ptr(),
            remote_addr: if known { remote_addr.as_ptr() } else { ptr::null() },
            expires_s: request.expires_s,
        };
        let mut out = ptr::null_mut();
        self.store.call(SLOT, ctx, path, |object, ctx, path, err| {
            // SAFETY: the driver keeps the header's promises; so are these arguments.
            unsafe { run(object, ctx, path, &request, &mut out, err) }
        })?;
        if out.is_null() {
            return Ok(None);
        }
        let url = content(SLOT, out).map_err(|error| error.with_path(path))?;
        match String::from_utf8(url) {
            Ok(url) if !url.is_empty() && !url.contains(char::is_control) => Ok(Some(url)),
            _ => Err(self.wrong(SLOT, path, "gave something that is no url")),
        }
    }

    fn reader(&self, ctx: &Context, path: &str, offset: i64) -> Result<Box<dyn Reader>> {
        const SLOT: &str = "reader_open";
        let run = slot(self.store.vtable.reader_open, SLOT)?;
        let kept = Lent::new(ctx.clone());
        let mut reader = ptr::null_mut();
        self.store.call(SLOT, ctx, path, |object, _, path, err| {
            // SAFETY: the driver keeps the header's promises; so are these arguments.
            unsafe { run(object, kept.as_ptr(), path, offset, &mut reader, err) }
        })?;
        if reader.is_null() {
            return Err(self.wrong(SLOT, path, "answered success without a reader"));
        }
        Ok(Box::new(CustomReader::new(self.store.clone(), reader, kept)))
    }

    fn writer(&self, ctx: &Context, path: &str, append: bool) -> Result<Box<dyn Writer>> {
        const SLOT: &str = "writer_open";
        let run = slot(self.store.vtable.writer_open, SLOT)?;
        let flags = if append { SD_WRITER_APPEND } else { 0 };
        let kept = Lent::new(ctx.clone());
        let mut writer = ptr::null_mut();
        self.store.call(SLOT, ctx, path, |object, _, path, err| {
            // SAFETY: the driver keeps the header's promises; so are these arguments.
            unsafe { run(object, kept.as_ptr(), path, flags, &mut writer, err) }
        })?;
        if writer.is_null() {
            return Err(self.wrong(SLOT, path, "answered success without a writer"));
        }
        let writer = CustomWriter::open(self.store.clone(), writer, kept, append);
        Ok(Box::new(writer.map_err(|error| error.with_path(path))?))
    }
}

/// The bytes of a buffer, without the NUL but with room for it.
fn content(slot: &str, buffer: *mut sd_buffer) -> Result<Vec<u8>> {
    let mut bytes = taken(slot, buffer)?;
    bytes.pop();
    Ok(bytes)
}

/// A pointer that C may use even for no bytes.
fn bytes(data: &[u8]) -> *const c_void {
    if data.is_empty() { c"".as_ptr().cast() } else { data.as_ptr().cast() }
}
