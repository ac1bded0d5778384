//! Section 8: reading.

use std::ffi::{c_char, c_void};

use super::boundary;
use super::context::sd_context;
use super::driver::sd_driver;
use super::error::{SD_OK, SD_STOP, sd_error, sd_status};
use super::handle::{self, Opaque};
use crate::driver::{Driver, Reader};
use crate::error::{Code, Error};
use crate::lease::Lease;
use crate::queue::SharedReader;
use crate::stream::{self, Flow};

/// A file being read. It goes on with the content it was opened on while the path
/// is replaced or deleted; where a store cannot do that, it fails with
/// SD_ERR_CONFLICT rather than mix two contents.
pub struct sd_reader {
    _opaque: [u8; 0],
}

impl Opaque for sd_reader {
    type Value = SharedReader;
    const TAG: u32 = 0x5d52_4452;
    const NAME: &'static str = "sd_reader";
}

pub fn give_reader(reader: Box<dyn Reader>) -> *mut sd_reader {
    handle::give(Lease::new("reader", reader))
}

/// Open a file for reading at `offset`. At or past the end it is an empty read,
/// not an error.
///
/// Ownership: `*out` is yours; free it with sd_reader_free. It keeps the driver
///            and `ctx`, which its reads obey, alive.
/// Threads:   shared.
/// Errors:    SD_ERR_INVALID_OFFSET  `offset` is negative
///            SD_ERR_PATH_NOT_FOUND  nothing is stored at `path`
///            SD_ERR_IS_DIRECTORY    `path` is a directory (on object stores:
///                                   SD_ERR_PATH_NOT_FOUND)
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_reader_open(
    driver: *const sd_driver,
    ctx: *const sd_context,
    path: *const c_char,
    offset: i64,
    out: *mut *mut sd_reader,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let out = c.out(out, "out")?;
            let driver = &c.share(driver, "driver")?.driver;
            let reader = driver.reader(c.context(ctx)?, c.path(path, "path")?, offset)?;
            out.set(give_reader(reader));
            Ok(())
        })
    }
}

/// Read the next bytes into `buf`, at least one and at most `cap` of them.
///
/// `*len` is how many; 0 with SD_OK is the end of the file and nothing else is.
/// After a failure you may try again: the position has not moved.
///
/// Ownership: `buf` is used during the call only.
/// Threads:   exclusive.
/// Errors:    SD_ERR_INVALID_ARGUMENT  `cap` is 0
///            SD_ERR_CANCELLED, SD_ERR_DEADLINE  from the opening context
///            SD_ERR_CONFLICT          the file was replaced and the old content
///                                     is gone
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_reader_read(
    reader: *mut sd_reader,
    buf: *mut c_void,
    cap: usize,
    len: *mut usize,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let out = c.out(len, "len")?;
            let buf = c.bytes_mut(buf, cap, "buf")?;
            let len = c.share(reader.cast_const(), "reader")?.take()?.object()?.read(buf)?;
            out.set(len);
            Ok(())
        })
    }
}

/// Free a reader. NULL is fine.
///
/// Threads:   any, but not while another thread still uses it.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_reader_free(reader: *mut sd_reader) {
    // SAFETY: the header's promises.
    unsafe { boundary::free(reader) }
}

/// Takes `len` bytes, never 0. Answers SD_OK to go on, SD_STOP to end early, or
/// a negative value to give up.
pub type sd_sink_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, data: *const c_void, len: usize) -> sd_status>;

/// Read a file from `offset` to its end, handing each piece to `sink`.
///
/// `sink` is called in order and never twice for the same byte. SD_STOP makes the
/// call a success; a negative answer, or one that is not documented, makes it
/// fail with SD_ERR_CALLBACK, and sd_error_callback_result gives the answer back.
/// An offset at or past the end is a success without any call of `sink`.
///
/// Ownership: the data is lent to `sink` until it returns. `*total`, if not NULL,
///            gets the number of bytes that `sink` accepted, on failure as well.
/// Threads:   shared. `sink` runs on the calling thread, inside this call; it may
///            call the library, and must not throw or longjmp.
/// Errors:    as sd_reader_open and sd_reader_read; SD_ERR_CALLBACK
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_read_stream(
    driver: *const sd_driver,
    ctx: *const sd_context,
    path: *const c_char,
    offset: i64,
    sink: sd_sink_fn,
    user: *mut c_void,
    total: *mut u64,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let mut total = c.total(total);
            let sink = sink.ok_or_else(|| Error::invalid_argument("sink is null"))?;
            // Our own, in case that `sink` frees the caller's.
            let driver = c.share(driver, "driver")?.driver.clone();
            let (ctx, path) = (c.context(ctx)?.clone(), c.path(path, "path")?);
            let mut accept = |data: &[u8]| match sink(user, data.as_ptr().cast(), data.len()) {
                SD_OK => Ok(Flow::Continue),
                SD_STOP => Ok(Flow::Stop),
                answer => Err(callback_failed(answer)),
            };
            stream::read(&*driver, &ctx, path, offset, &mut accept, &mut total.count)
        })
    }
}

/// For an answer of a callback that is a failure or undocumented.
pub fn callback_failed(answer: sd_status) -> Error {
    let detail = format!("the callback answered {answer}");
    Error::new(Code::Callback, detail).with_callback_result(answer)
}
