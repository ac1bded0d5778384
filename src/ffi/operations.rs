//! Section 7: driver operations.

use std::ffi::{c_char, c_void};
use std::ptr;

use super::boundary::{self, Caller};
use super::context::sd_context;
use super::driver::sd_driver;
use super::error::{sd_error, sd_status};
use super::handle;
use super::sized::SizedStruct;
use super::value::{buffer, give_info, sd_buffer, sd_file_info, sd_names};
use crate::driver::{Driver, RedirectRequest};
use crate::error::Result;
use crate::path;

/// Read a whole file into memory. For anything large use sd_reader_open or
/// sd_read_stream.
///
/// Ownership: `*out` is yours; free it with sd_buffer_free.
/// Threads:   shared.
/// Errors:    SD_ERR_PATH_NOT_FOUND  nothing is stored at `path`
///            SD_ERR_IS_DIRECTORY    `path` is a directory (on object stores:
///                                   SD_ERR_PATH_NOT_FOUND)
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_get_content(
    driver: *const sd_driver,
    ctx: *const sd_context,
    path: *const c_char,
    out: *mut *mut sd_buffer,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let out = c.out(out, "out")?;
            let driver = &c.share(driver, "driver")?.driver;
            let content = driver.get_content(c.context(ctx)?, c.path(path, "path")?)?;
            out.set(buffer(content));
            Ok(())
        })
    }
}

/// Store `len` bytes as a file, making the directories above it.
///
/// All or nothing: whoever reads `path` sees what was there before or all of the
/// new bytes. When it returns SD_OK, they are durable. If it fails, nothing has
/// changed, except after SD_ERR_CANCELLED, SD_ERR_DEADLINE and
/// SD_ERR_UNAVAILABLE, which leave the outcome unknown.
///
/// Ownership: `data` is read during the call only. (NULL, 0) stores an empty file.
/// Threads:   shared.
/// Errors:    SD_ERR_IS_DIRECTORY   `path` is a directory
///            SD_ERR_NOT_DIRECTORY  `path` lies below a file
///            SD_ERR_NO_SPACE       the store is full
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_put_content(
    driver: *const sd_driver,
    ctx: *const sd_context,
    path: *const c_char,
    data: *const c_void,
    len: usize,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let driver = &c.share(driver, "driver")?.driver;
            let data = c.bytes(data, len, "data")?;
            driver.put_content(c.context(ctx)?, c.path(path, "path")?, data)
        })
    }
}

/// Ask what is at `path`: a file, its size and time, or a directory. "/" always
/// exists.
///
/// Ownership: `*out` is yours; free it with sd_file_info_free.
/// Threads:   shared.
/// Errors:    SD_ERR_PATH_NOT_FOUND  nothing is at `path`
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_stat(
    driver: *const sd_driver,
    ctx: *const sd_context,
    path: *const c_char,
    out: *mut *mut sd_file_info,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let out = c.out(out, "out")?;
            let driver = &c.share(driver, "driver")?.driver;
            out.set(give_info(driver.stat(c.context(ctx)?, c.path(path, "path")?)?));
            Ok(())
        })
    }
}

/// List the direct children of a directory: their full paths in byte order,
/// without duplicates.
///
/// Ownership: `*out` is yours; free it with sd_names_free.
/// Threads:   shared.
/// Errors:    SD_ERR_PATH_NOT_FOUND  nothing is at `path`
///            SD_ERR_NOT_DIRECTORY   `path` is a file
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_list(
    driver: *const sd_driver,
    ctx: *const sd_context,
    path: *const c_char,
    out: *mut *mut sd_names,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let out = c.out(out, "out")?;
            let driver = &c.share(driver, "driver")?.driver;
            out.set(handle::give(driver.list(c.context(ctx)?, c.path(path, "path")?)?));
            Ok(())
        })
    }
}

/// List the direct children of a directory a page at a time.
///
/// Gives up to `limit` children (0: a default) that come after `start_after` in
/// byte order. `start_after` is the full path of a child, usually the last one of
/// the page before, and need not exist; NULL starts at the beginning. An empty
/// page is the end, a short one is not.
///
/// Ownership: `*out` is yours; free it with sd_names_free.
/// Threads:   shared.
/// Errors:    as sd_list
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_list_page(
    driver: *const sd_driver,
    ctx: *const sd_context,
    path: *const c_char,
    start_after: *const c_char,
    limit: usize,
    out: *mut *mut sd_names,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let out = c.out(out, "out")?;
            let driver = &c.share(driver, "driver")?.driver;
            let path = c.path(path, "path")?;
            let after = (!start_after.is_null()).then(|| c.path(start_after, "start_after"));
            let page = driver.list_page(c.context(ctx)?, path, after.transpose()?, limit)?;
            out.set(handle::give(page));
            Ok(())
        })
    }
}

/// Check a path against the grammar, without asking any store. "/" is not the
/// path of a file and is refused.
///
/// Threads:   any.
/// Errors:    SD_ERR_INVALID_PATH
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_check_path(path: *const c_char, err: *mut *mut sd_error) -> sd_status {
    // SAFETY: the header's promises.
    unsafe { boundary::run(err, |c| path::check(c.path(path, "path")?)) }
}

/// Move a file to `dest`, replacing a file that is there and making the
/// directories above it.
///
/// The source goes only when the destination is complete and durable. A file
/// moved onto itself stays as it is.
///
/// Threads:   shared.
/// Errors:    SD_ERR_PATH_NOT_FOUND  there is no `source`; nothing has changed
///            SD_ERR_IS_DIRECTORY    `source` or `dest` is a directory; the
///                                   error's path tells which
///            SD_ERR_NOT_DIRECTORY   `dest` lies below a file
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_move(
    driver: *const sd_driver,
    ctx: *const sd_context,
    source: *const c_char,
    dest: *const c_char,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let driver = &c.share(driver, "driver")?.driver;
            let (source, dest) = (c.path(source, "source")?, c.path(dest, "dest")?);
            driver.r#move(c.context(ctx)?, source, dest)
        })
    }
}

/// Delete a file, or a directory with everything below it. Deleting "/a" never
/// touches "/ab". If it fails, some of what is below may be gone already.
///
/// Threads:   shared.
/// Errors:    SD_ERR_PATH_NOT_FOUND  nothing is at `path`
///            SD_ERR_INVALID_PATH    "/" cannot be deleted
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_delete(
    driver: *const sd_driver,
    ctx: *const sd_context,
    path: *const c_char,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let driver = &c.share(driver, "driver")?.driver;
            driver.delete(c.context(ctx)?, c.path(path, "path")?)
        })
    }
}

/// What a redirect is wanted for. Set struct_size to sizeof(sd_redirect_request)
/// and everything else to zero, then what you need.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct sd_redirect_request {
    pub struct_size: usize,
    /// NULL means GET.
    pub method: *const c_char,
    /// The client's address, for stores that filter by it; NULL: unknown.
    pub remote_addr: *const c_char,
    /// How long the URL is to work, in seconds; 0: the driver's default.
    pub expires_s: u32,
}

// SAFETY: pointers that are NULL and numbers that are 0.
unsafe impl SizedStruct for sd_redirect_request {
    const NAME: &'static str = "sd_redirect_request";
    const FIRST_SIZE: usize = 32;
}

/// Ask for a URL at which a client can fetch the file itself.
///
/// `*out` is NULL if there is none: that is a success and means that you serve the
/// file yourself. Whether the file exists is not checked.
///
/// Ownership: `request` may be NULL. `*out`, if not NULL, is yours; free it with
///            sd_buffer_free.
/// Threads:   shared.
/// Errors:    SD_ERR_STRUCT_SIZE  the request is newer than this library
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_redirect_url(
    driver: *const sd_driver,
    ctx: *const sd_context,
    path: *const c_char,
    request: *const sd_redirect_request,
    out: *mut *mut sd_buffer,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let out = c.out(out, "out")?;
            let driver = &c.share(driver, "driver")?.driver;
            let wanted = redirect_request(c, request)?;
            let url = driver.redirect_url(c.context(ctx)?, c.path(path, "path")?, &wanted)?;
            out.set(url.map_or(ptr::null_mut(), |url| buffer(url.into_bytes())));
            Ok(())
        })
    }
}

/// The caller's request, owned.
pub fn redirect_request(
    c: &Caller,
    request: *const sd_redirect_request,
) -> Result<RedirectRequest> {
    let mut wanted = RedirectRequest::default();
    if let Some(request) = c.sized(request)? {
        let text = |text, name| c.optional_text(text, name).map(Option::unwrap_or_default);
        wanted.method = text(request.method, "method")?.to_string();
        wanted.remote_addr = text(request.remote_addr, "remote_addr")?.to_string();
        wanted.expires_s = request.expires_s;
    }
    Ok(wanted)
}
