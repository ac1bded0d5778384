//! A driver whose every call goes through the exported C functions, so that the
//! suite says of them what it says of the Rust interface.

use std::ffi::{CStr, CString, c_char};
use std::ptr::{null, null_mut};
use std::time::Duration;

use storagedriver::context::Context;
use storagedriver::driver::{
    Capabilities, Driver, FileInfo, Reader, RedirectRequest, WalkOptions, Walker, Writer,
};
use storagedriver::error::{Code, Error, Result};
use storagedriver::ffi::*;
use storagedriver::names::Names;

pub struct FfiDriver {
    driver: *mut sd_driver,
    name: String,
    /// C has no function for them.
    capabilities: Capabilities,
}

// SAFETY: the header says that any number of threads may use a driver.
unsafe impl Send for FfiDriver {}
// SAFETY: as above.
unsafe impl Sync for FfiDriver {}

impl FfiDriver {
    pub fn create(name: &str, params: &str, capabilities: Capabilities) -> Result<FfiDriver> {
        let (name, params) = (c_text(name), c_text(params));
        let mut parsed = null_mut();
        // SAFETY: text, and places for results, that live through the call.
        call(|err| unsafe { sd_params_from_json(params.as_ptr(), &mut parsed, err) })?;
        let mut driver = null_mut();
        // SAFETY: as above; `parsed` is a live handle.
        let made = call(|err| unsafe {
            sd_factory_create(name.as_ptr(), null(), parsed, &mut driver, err)
        });
        // SAFETY: freed once, and not used again.
        unsafe { sd_params_free(parsed) };
        made?;
        Ok(FfiDriver::new(driver, capabilities))
    }

    /// The driver under a middleware.
    #[allow(dead_code)] // not every test program wraps one
    pub fn wrap(&self, middleware: &str, params: &str, capabilities: Capabilities) -> FfiDriver {
        let (middleware, params) = (c_text(middleware), c_text(params));
        let (mut parsed, mut driver) = (null_mut(), null_mut());
        // SAFETY: text, and places for results, that live through the call.
        call(|err| unsafe { sd_params_from_json(params.as_ptr(), &mut parsed, err) }).unwrap();
        // SAFETY: as above; the handles are live.
        let wrapped = call(|err| unsafe {
            sd_driver_wrap(self.driver, middleware.as_ptr(), parsed, &mut driver, err)
        });
        // SAFETY: freed once, and not used again.
        unsafe { sd_params_free(parsed) };
        wrapped.unwrap();
        FfiDriver::new(driver, capabilities)
    }

    fn new(driver: *mut sd_driver, capabilities: Capabilities) -> FfiDriver {
        // SAFETY: a live driver.
        let name = unsafe { text(sd_driver_name(driver)) };
        FfiDriver { driver, name, capabilities }
    }
}

impl Drop for FfiDriver {
    fn drop(&mut self) {
        // SAFETY: freed once, and not used again.
        unsafe { sd_driver_free(self.driver) }
    }
}

impl Driver for FfiDriver {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn get_content(&self, ctx: &Context, path: &str) -> Result<Vec<u8>> {
        let (ctx, path, mut out) = (Ctx::new(ctx), c_text(path), null_mut());
        // SAFETY: handles, text and places for results that live through the call.
        call(|err| unsafe { sd_get_content(self.driver, ctx.0, path.as_ptr(), &mut out, err) })?;
        Ok(take_buffer(out))
    }

    fn put_content(&self, ctx: &Context, path: &str, data: &[u8]) -> Result<()> {
        let (ctx, path) = (Ctx::new(ctx), c_text(path));
        let start = if data.is_empty() { null() } else { data.as_ptr().cast() };
        // SAFETY: as above; `data` is that long, and (NULL, 0) is empty.
        call(|err| unsafe {
            sd_put_content(self.driver, ctx.0, path.as_ptr(), start, data.len(), err)
        })
    }

    fn stat(&self, ctx: &Context, path: &str) -> Result<FileInfo> {
        let (ctx, path, mut out) = (Ctx::new(ctx), c_text(path), null_mut());
        // SAFETY: handles, text and places for results that live through the call.
        call(|err| unsafe { sd_stat(self.driver, ctx.0, path.as_ptr(), &mut out, err) })?;
        Ok(take_info(out))
    }

    fn list(&self, ctx: &Context, path: &str) -> Result<Names> {
        let (ctx, path, mut out) = (Ctx::new(ctx), c_text(path), null_mut());
        // SAFETY: handles, text and places for results that live through the call.
        call(|err| unsafe { sd_list(self.driver, ctx.0, path.as_ptr(), &mut out, err) })?;
        Ok(take_names(out))
    }

    fn list_page(
        &self,
        ctx: &Context,
        path: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<Names> {
        let (ctx, path, mut out) = (Ctx::new(ctx), c_text(path), null_mut());
        let start_after = start_after.map(c_text);
        let after = start_after.as_ref().map_or(null(), |text| text.as_ptr());
        // SAFETY: as above; `start_after` may be NULL.
        call(|err| unsafe {
            sd_list_page(self.driver, ctx.0, path.as_ptr(), after, limit, &mut out, err)
        })?;
        Ok(take_names(out))
    }

    fn r#move(&self, ctx: &Context, source: &str, dest: &str) -> Result<()> {
        let (ctx, source, dest) = (Ctx::new(ctx), c_text(source), c_text(dest));
        // SAFETY: handles and text that live through the call.
        call(|err| unsafe { sd_move(self.driver, ctx.0, source.as_ptr(), dest.as_ptr(), err) })
    }

    fn delete(&self, ctx: &Context, path: &str) -> Result<()> {
        let (ctx, path) = (Ctx::new(ctx), c_text(path));
        // SAFETY: handles and text that live through the call.
        call(|err| unsafe { sd_delete(self.driver, ctx.0, path.as_ptr(), err) })
    }

    fn redirect_url(
        &self,
        ctx: &Context,
        path: &str,
        request: &RedirectRequest,
    ) -> Result<Option<String>> {
        let (ctx, path, mut out) = (Ctx::new(ctx), c_text(path), null_mut());
        let (method, remote_addr) = (c_text(&request.method), c_text(&request.remote_addr));
        let request = sd_redirect_request {
            struct_size: size_of::<sd_redirect_request>(),
            method: method.as_ptr(),
            remote_addr: remote_addr.as_ptr(),
            expires_s: request.expires_s,
        };
        // SAFETY: handles, text and places for results that live through the call.
        call(|err| unsafe {
            sd_redirect_url(self.driver, ctx.0, path.as_ptr(), &request, &mut out, err)
        })?;
        let url = (!out.is_null()).then(|| take_buffer(out));
        Ok(url.map(|url| String::from_utf8(url).expect("a URL is text")))
    }

    fn reader(&self, ctx: &Context, path: &str, offset: i64) -> Result<Box<dyn Reader>> {
        let (ctx, path, mut reader) = (OpenCtx::new(ctx), c_text(path), null_mut());
        // SAFETY: handles, text and places for results that live through the call.
        call(|err| unsafe {
            sd_reader_open(self.driver, ctx.c.0, path.as_ptr(), offset, &mut reader, err)
        })?;
        Ok(Box::new(FfiReader { reader, ctx }))
    }

    fn writer(&self, ctx: &Context, path: &str, append: bool) -> Result<Box<dyn Writer>> {
        let (ctx, path, mut writer) = (OpenCtx::new(ctx), c_text(path), null_mut());
        let flags = if append { SD_WRITER_APPEND } else { 0 };
        // SAFETY: handles, text and places for results that live through the call.
        call(|err| unsafe {
            sd_writer_open(self.driver, ctx.c.0, path.as_ptr(), flags, &mut writer, err)
        })?;
        Ok(Box::new(FfiWriter { writer, ctx }))
    }

    fn walker(
        &self,
        ctx: &Context,
        path: &str,
        options: &WalkOptions,
    ) -> Result<Option<Box<dyn Walker>>> {
        let (ctx, path, mut walker) = (OpenCtx::new(ctx), c_text(path), null_mut());
        let start_after = options.start_after.as_deref().map(c_text);
        let options = sd_walk_options {
            struct_size: size_of::<sd_walk_options>(),
            start_after: start_after.as_ref().map_or(null(), |text| text.as_ptr()),
            flags: if options.skip_start_subtree { SD_WALK_SKIP_START_SUBTREE } else { 0 },
        };
        // SAFETY: handles, text and places for results that live through the call.
        call(|err| unsafe {
            sd_walker_open(self.driver, ctx.c.0, path.as_ptr(), &options, &mut walker, err)
        })?;
        Ok(Some(Box::new(FfiWalker { walker, ctx })))
    }
}

struct FfiReader {
    reader: *mut sd_reader,
    ctx: OpenCtx,
}

// SAFETY: the header says that any thread may use a reader, one at a time.
unsafe impl Send for FfiReader {}

impl Reader for FfiReader {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.ctx.follow();
        let mut len = usize::MAX;
        // SAFETY: a live reader and a buffer of that length.
        call(|err| unsafe {
            sd_reader_read(self.reader, buf.as_mut_ptr().cast(), buf.len(), &mut len, err)
        })?;
        Ok(len)
    }
}

impl Drop for FfiReader {
    fn drop(&mut self) {
        // SAFETY: freed once, and not used again.
        unsafe { sd_reader_free(self.reader) }
    }
}

struct FfiWriter {
    writer: *mut sd_writer,
    ctx: OpenCtx,
}

// SAFETY: the header says that any thread may use a writer, one at a time.
unsafe impl Send for FfiWriter {}

impl Writer for FfiWriter {
    fn write(&mut self, data: &[u8]) -> Result<()> {
        self.ctx.follow();
        let start = if data.is_empty() { null() } else { data.as_ptr().cast() };
        // SAFETY: a live writer and data of that length.
        call(|err| unsafe { sd_writer_write(self.writer, start, data.len(), err) })
    }

    fn size(&self) -> u64 {
        // SAFETY: a live writer.
        unsafe { sd_writer_size(self.writer) }
    }

    fn commit(&mut self, ctx: &Context) -> Result<()> {
        let ctx = Ctx::new(ctx);
        // SAFETY: live handles.
        call(|err| unsafe { sd_writer_commit(self.writer, ctx.0, err) })
    }

    fn cancel(&mut self, ctx: &Context) -> Result<()> {
        let ctx = Ctx::new(ctx);
        // SAFETY: live handles.
        call(|err| unsafe { sd_writer_cancel(self.writer, ctx.0, err) })
    }

    fn close(&mut self, ctx: &Context) -> Result<()> {
        let ctx = Ctx::new(ctx);
        // SAFETY: live handles.
        call(|err| unsafe { sd_writer_close(self.writer, ctx.0, err) })
    }
}

impl Drop for FfiWriter {
    fn drop(&mut self) {
        // SAFETY: freed once, and not used again.
        unsafe { sd_writer_free(self.writer) }
    }
}

struct FfiWalker {
    walker: *mut sd_walker,
    ctx: OpenCtx,
}

// SAFETY: the header says that any thread may use a walker, one at a time.
unsafe impl Send for FfiWalker {}

impl Walker for FfiWalker {
    fn next(&mut self) -> Result<Option<FileInfo>> {
        self.ctx.follow();
        let mut out = null_mut();
        // SAFETY: a live walker and places for results.
        call(|err| unsafe { sd_walker_next(self.walker, &mut out, err) })?;
        Ok((!out.is_null()).then(|| take_info(out)))
    }

    fn skip_dir(&mut self) {
        // SAFETY: a live walker.
        assert_eq!(unsafe { sd_walker_skip_dir(self.walker) }, SD_OK);
    }
}

impl Drop for FfiWalker {
    fn drop(&mut self) {
        // SAFETY: freed once, and not used again.
        unsafe { sd_walker_free(self.walker) }
    }
}

/// A context of C that says what a context of Rust says now.
struct Ctx(*mut sd_context);

impl Ctx {
    fn new(ctx: &Context) -> Ctx {
        // SAFETY: no parent.
        let c = Ctx(unsafe { sd_context_new(null()) });
        for (key, value) in ctx.fields() {
            let (key, value) = (c_text(&key), c_text(&value));
            // SAFETY: a live context and text.
            assert_eq!(unsafe { sd_context_set_field(c.0, key.as_ptr(), value.as_ptr()) }, SD_OK);
        }
        c.follow(ctx);
        c
    }

    fn follow(&self, ctx: &Context) {
        if ctx.status().is_err_and(|error| error.code() == Code::Cancelled) {
            // SAFETY: a live context.
            unsafe { sd_context_cancel(self.0) }
        }
        if let Some(left) = ctx.remaining() {
            // Rounded up: what has time left must not end early.
            let millis = left.as_nanos().div_ceil(1_000_000);
            // SAFETY: a live context.
            unsafe { sd_context_set_timeout_ms(self.0, millis.try_into().unwrap_or(u64::MAX)) }
        }
    }
}

impl Drop for Ctx {
    fn drop(&mut self) {
        // SAFETY: freed once, and not used again.
        unsafe { sd_context_free(self.0) }
    }
}

/// The context of an open handle, which is looked at again before each call.
struct OpenCtx {
    c: Ctx,
    ctx: Context,
}

impl OpenCtx {
    fn new(ctx: &Context) -> OpenCtx {
        OpenCtx { c: Ctx::new(ctx), ctx: ctx.clone() }
    }

    fn follow(&self) {
        self.c.follow(&self.ctx);
    }
}

/// NUL cannot get across; the grammar has it neither.
fn c_text(text: &str) -> CString {
    CString::new(text).expect("no NUL in a text for C")
}

/// A copy of text of the library.
unsafe fn text(text: *const c_char) -> String {
    assert!(!text.is_null());
    // SAFETY: the header promises NUL-terminated text.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().expect("text is UTF-8").to_string()
}

/// One call of C: its status and its error become a result.
fn call(work: impl FnOnce(*mut *mut sd_error) -> sd_status) -> Result<()> {
    // What is there before must be neither read nor freed.
    let untouched = std::ptr::dangling_mut::<sd_error>();
    let mut error = untouched;
    let status = work(&mut error);
    if status == SD_OK {
        assert_eq!(error, untouched, "a success touched err");
        return Ok(());
    }
    assert!(status < 0, "the status {status} is neither success nor failure");
    assert_ne!(error, untouched, "a failure left err as it was");
    Err(take_error(status, error))
}

/// The error in Rust, with all that C knows of it.
fn take_error(status: sd_status, error: *mut sd_error) -> Error {
    // SAFETY (here and below): a live error, whose texts live as long as it does.
    let (code, message, json) = unsafe {
        (sd_error_code(error), text(sd_error_message(error)), text(sd_error_json(error)))
    };
    assert_eq!(code, status, "the error has another code than the call");
    // SAFETY: as above.
    let (driver, path) = unsafe { (text(sd_error_driver(error)), text(sd_error_path(error))) };
    let code = Code::from_number(code).expect("a code of the header");
    // SAFETY: static text.
    assert_eq!(unsafe { text(sd_status_name(status)) }, code.name());

    // The text is "driver: detail: path".
    let detail = message.strip_prefix(&format!("{driver}: ")).unwrap_or(&message);
    let detail = detail.strip_suffix(&format!(": {path}")).unwrap_or(detail);
    let mut copy = Error::new(code, detail).with_driver(&driver).with_path(&path);
    let mut offset = 0;
    // SAFETY: as above, and a place for the offset.
    if unsafe { sd_error_offset(error, &mut offset) } {
        copy = copy.with_offset(offset);
    }
    // SAFETY: a live error.
    let (http, retryable, wait, callback) = unsafe {
        (
            sd_error_http_status(error),
            sd_error_is_retryable(error),
            sd_error_retry_after_ms(error),
            sd_error_callback_result(error),
        )
    };
    // SAFETY: as above.
    let id = unsafe { text(sd_error_request_id(error)) };
    copy = copy.with_http_status(http).with_retryable(retryable).with_request_id(&id);
    copy = copy.with_callback_result(callback);
    if let Ok(wait) = u64::try_from(wait) {
        copy = copy.with_retry_after(Duration::from_millis(wait));
    }
    // SAFETY: freed once, and not used again.
    unsafe { sd_error_free(error) };
    assert_eq!(copy.to_string(), message, "the copy reads otherwise");
    assert_eq!(copy.json(), json, "the copy has other JSON");
    copy
}

fn take_buffer(buffer: *mut sd_buffer) -> Vec<u8> {
    assert!(!buffer.is_null());
    // SAFETY: a live buffer.
    let (data, len) = unsafe { (sd_buffer_data(buffer), sd_buffer_len(buffer)) };
    // SAFETY: the header promises `len` bytes and a NUL.
    let bytes = unsafe { std::slice::from_raw_parts(data, len + 1) };
    assert_eq!(bytes.last(), Some(&0), "no NUL after the last byte");
    let copy = bytes[..len].to_vec();
    // SAFETY: freed once; `bytes` is not used again.
    unsafe { sd_buffer_free(buffer) };
    copy
}

fn take_names(names: *mut sd_names) -> Names {
    // SAFETY: a live list.
    let count = unsafe { sd_names_count(names) };
    let mut copy = Names::new();
    for index in 0..count {
        // SAFETY: as above, and its texts live as long as it does.
        copy.push(&unsafe { text(sd_names_get(names, index)) });
    }
    // SAFETY: as above.
    assert!(unsafe { sd_names_get(names, count) }.is_null(), "a name past the end");
    // SAFETY: freed once, and not used again.
    unsafe { sd_names_free(names) };
    copy
}

fn take_info(info: *mut sd_file_info) -> FileInfo {
    assert!(!info.is_null());
    // SAFETY: the header promises a struct of this size at least.
    let c = unsafe { &*info };
    assert_eq!(c.struct_size, size_of::<sd_file_info>());
    let copy = FileInfo {
        // SAFETY: its text lives as long as it does.
        path: unsafe { text(c.path) },
        size: c.size,
        mtime_ns: c.mtime_ns,
        is_dir: c.flags & SD_INFO_DIR != 0,
    };
    // SAFETY: freed once; `c` is not used again.
    unsafe { sd_file_info_free(info) };
    copy
}
