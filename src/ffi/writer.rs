//! Section 9: writing.

use std::ffi::{c_char, c_void};

use super::boundary::{self, Caller};
use super::context::sd_context;
use super::driver::sd_driver;
use super::error::{SD_OK, sd_error, sd_status};
use super::handle::{self, Opaque};
use super::reader::callback_failed;
use crate::context::Context;
use crate::driver::{Driver, Writer};
use crate::error::{Code, Error, Result};
use crate::lease::Lease;
use crate::queue::SharedWriter;
use crate::stream;

/// An upload. It is open until a commit, a cancel or a close, which are allowed
/// as this table says; everything else is SD_ERR_INVALID_STATE.
///
///              open         broken (a write failed)   committed  cancelled  closed
///   write      yes          no                        no         no         no
///   commit     yes          no                        no         no         no
///   cancel     yes          yes                       no         yes, idle  no
///   close      yes          keeps what is durable     yes, idle  yes, idle  yes, idle
///   free       loses what was not flushed             yes        yes        yes
///
/// A commit, cancel or close that failed may be repeated. sd_writer_free never
/// does any I/O: close what is to be resumed, cancel what is not.
pub struct sd_writer {
    _opaque: [u8; 0],
}

impl Opaque for sd_writer {
    type Value = SharedWriter;
    const TAG: u32 = 0x5d57_5254;
    const NAME: &'static str = "sd_writer";
}

/// sd_writer_open: go on where an earlier upload or committed content ended.
pub const SD_WRITER_APPEND: u32 = 0x1;

pub fn give_writer(writer: Box<dyn Writer>) -> *mut sd_writer {
    let size = writer.size();
    let lease = Lease::new("writer", writer);
    lease.set_note(size);
    handle::give(lease)
}

/// Open an upload.
///
/// Without flags it starts over, and what is committed at `path` stays readable
/// until sd_writer_commit. With SD_WRITER_APPEND it goes on where the last session
/// was closed, in this process or another, or after committed content, and
/// sd_writer_size tells where that is.
///
/// Ownership: `*out` is yours; free it with sd_writer_free. It keeps the driver
///            and `ctx`, which its writes obey, alive.
/// Threads:   shared.
/// Errors:    SD_ERR_PATH_NOT_FOUND  there is nothing to append to
///            SD_ERR_UNSUPPORTED     this driver cannot append to committed
///                                   content that is not empty
///            SD_ERR_IS_DIRECTORY, SD_ERR_NOT_DIRECTORY  as sd_put_content
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_writer_open(
    driver: *const sd_driver,
    ctx: *const sd_context,
    path: *const c_char,
    flags: u32,
    out: *mut *mut sd_writer,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let out = c.out(out, "out")?;
            let append = append(flags)?;
            let driver = &c.share(driver, "driver")?.driver;
            let writer = driver.writer(c.context(ctx)?, c.path(path, "path")?, append)?;
            out.set(give_writer(writer));
            Ok(())
        })
    }
}

/// The meaning of the flags, if all of them are known.
pub fn append(flags: u32) -> Result<bool> {
    if flags & !SD_WRITER_APPEND != 0 {
        return Err(Error::invalid_argument(format!("unknown flags {flags:#x}")));
    }
    Ok(flags & SD_WRITER_APPEND != 0)
}

/// One call on a writer, after which its size is noted.
///
/// # Safety
/// The header's promises.
unsafe fn step(
    writer: *mut sd_writer,
    err: *mut *mut sd_error,
    work: impl FnOnce(&Caller, &mut dyn Writer) -> Result<()>,
) -> sd_status {
    // SAFETY: the same promise.
    unsafe {
        boundary::run(err, |c| {
            let lease = c.share(writer.cast_const(), "writer")?;
            let mut taken = lease.take()?;
            let writer = taken.object()?;
            let outcome = work(c, &mut **writer);
            lease.set_note(writer.size());
            outcome
        })
    }
}

/// Write all of `len` bytes, or fail.
///
/// Small writes are gathered; a large one may go straight to the store. Bytes are
/// a promise only after sd_writer_close or sd_writer_commit. After a failure the
/// writer accepts nothing but cancel, close and free.
///
/// Ownership: `data` is read during the call only. (NULL, 0) does nothing.
/// Threads:   exclusive.
/// Errors:    SD_ERR_NO_SPACE       the store is full
///            SD_ERR_INVALID_STATE  see the table at sd_writer
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_writer_write(
    writer: *mut sd_writer,
    data: *const c_void,
    len: usize,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe { step(writer, err, |c, writer| writer.write(c.bytes(data, len, "data")?)) }
}

/// How many bytes the upload has: those of earlier sessions and all that this one
/// accepted. After sd_writer_close it is what the next append will find.
///
/// Threads:   any; while another call runs, the number before it. 0 for NULL.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_writer_size(writer: *const sd_writer) -> u64 {
    // SAFETY: the header's promises.
    unsafe { boundary::value(0, |c| Ok(c.share(writer, "writer")?.note())) }
}

/// Runs `work` with the context that the call was given, not the opening one.
///
/// # Safety
/// The header's promises.
unsafe fn finish(
    writer: *mut sd_writer,
    ctx: *const sd_context,
    err: *mut *mut sd_error,
    work: impl FnOnce(&mut dyn Writer, &Context) -> Result<()>,
) -> sd_status {
    // SAFETY: the same promise.
    unsafe { step(writer, err, |c, writer| work(writer, c.context(ctx)?)) }
}

/// Make everything written so far readable at the writer's path.
///
/// When it returns SD_OK, the bytes are durable to the extent that SEMANTICS.md
/// states for the driver, and any earlier content of the path is replaced. If it
/// fails, the bytes are kept and the call may be repeated; the path has its earlier
/// content, or, where only the last sync failed, the new one.
///
/// Ownership: the writer stays yours; free it with sd_writer_free.
/// Threads:   exclusive.
/// Errors:    SD_ERR_INVALID_STATE  see the table at sd_writer
///            SD_ERR_CANCELLED, SD_ERR_DEADLINE  from `ctx`; the outcome at the
///                                  store is then unknown: stat the path
///            SD_ERR_CONFLICT       somebody else replaced or removed the upload
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_writer_commit(
    writer: *mut sd_writer,
    ctx: *const sd_context,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe { finish(writer, ctx, err, |writer, ctx| writer.commit(ctx)) }
}

/// Discard what this session wrote.
///
/// A fresh upload is gone altogether. An append goes back to the length it found
/// at its opening, on drivers that can shrink a file; on the others the whole
/// upload is discarded. Committed content that was there before stays.
///
/// Threads:   exclusive.
/// Errors:    SD_ERR_INVALID_STATE  see the table at sd_writer
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_writer_cancel(
    writer: *mut sd_writer,
    ctx: *const sd_context,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe { finish(writer, ctx, err, |writer, ctx| writer.cancel(ctx)) }
}

/// End the session so that an append, in any process, can go on with it.
///
/// Everything written is flushed and durable; it is not committed. After commit or
/// cancel it does nothing.
///
/// Threads:   exclusive.
/// Errors:    SD_ERR_NO_SPACE  and whatever else a flush can meet; may be repeated
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_writer_close(
    writer: *mut sd_writer,
    ctx: *const sd_context,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe { finish(writer, ctx, err, |writer, ctx| writer.close(ctx)) }
}

/// Free a writer, without any I/O: what was not flushed is lost, with a warning
/// in the log. NULL is fine.
///
/// Threads:   any, but not while another thread still uses it.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_writer_free(writer: *mut sd_writer) {
    // SAFETY: the header's promises.
    unsafe { boundary::free(writer) }
}

/// Fills `buf` with up to `cap` bytes and says in `*len` how many, 0 being the
/// end. Answers SD_OK, or a negative value to give up.
pub type sd_source_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        buf: *mut c_void,
        cap: usize,
        len: *mut usize,
    ) -> sd_status,
>;

/// Store what `source` gives as a file, and commit it.
///
/// `flags` are those of sd_writer_open. If anything fails, a fresh upload is
/// cancelled; an append is closed, so that it can be resumed. A negative answer of
/// `source`, an undocumented one, or a length beyond `cap` makes the call fail
/// with SD_ERR_CALLBACK, and sd_error_callback_result gives the answer back.
///
/// Ownership: the buffer is lent to `source` until it returns. `*total`, if not
///            NULL, gets the number of bytes accepted, on failure as well.
/// Threads:   shared. `source` runs on the calling thread, inside this call; it may
///            call the library, and must not throw or longjmp.
/// Errors:    as sd_writer_open, sd_writer_write and sd_writer_commit;
///            SD_ERR_CALLBACK
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_write_stream(
    driver: *const sd_driver,
    ctx: *const sd_context,
    path: *const c_char,
    flags: u32,
    source: sd_source_fn,
    user: *mut c_void,
    total: *mut u64,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let mut total = c.total(total);
            let source = source.ok_or_else(|| Error::invalid_argument("source is null"))?;
            let append = append(flags)?;
            // Our own, in case that `source` frees the caller's.
            let driver = c.share(driver, "driver")?.driver.clone();
            let (ctx, path) = (c.context(ctx)?.clone(), c.path(path, "path")?);
            let mut fill = |buf: &mut [u8]| {
                let mut len = 0;
                match source(user, buf.as_mut_ptr().cast(), buf.len(), &mut len) {
                    SD_OK if len <= buf.len() => Ok(len),
                    SD_OK => {
                        let detail = format!("the callback gave {len} bytes for {}", buf.len());
                        Err(Error::new(Code::Callback, detail))
                    }
                    answer => Err(callback_failed(answer)),
                }
            };
            stream::write(&*driver, &ctx, path, append, &mut fill, &mut total.count)
        })
    }
}
