//! Section 12, middle part: the calls that a queue takes. Each has the arguments of
//! its blocking twin, and what the twin returns comes in the completion.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::boundary::{self, Caller};
use super::context::sd_context;
use super::driver::sd_driver;
use super::error::{sd_error, sd_status};
use super::operations::{redirect_request, sd_redirect_request};
use super::queue::sd_cq;
use super::reader::sd_reader;
use super::walk::sd_walker;
use super::writer::{append, sd_writer};
use crate::base::Base;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::queue::Queue;

/// Memory of the caller's, lent to a read until its completion is taken.
struct LentRoom(*mut c_void, usize);

/// Memory of the caller's, lent to a write until its completion is taken.
struct LentLoad(*const c_void, usize);

// SAFETY: the header has the caller leave the memory alone meanwhile, on whatever
// thread it is used.
unsafe impl Send for LentRoom {}
// SAFETY: as above.
unsafe impl Send for LentLoad {}
// SAFETY: as above; it is only read.
unsafe impl Sync for LentLoad {}

impl AsMut<[u8]> for LentRoom {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: the caller promises that many bytes, ours until the completion is
        // taken; the range was checked at submission.
        unsafe { std::slice::from_raw_parts_mut(self.0.cast(), self.1) }
    }
}

impl AsRef<[u8]> for LentLoad {
    fn as_ref(&self) -> &[u8] {
        if self.1 == 0 {
            return &[];
        }
        // SAFETY: the caller promises that many bytes, ours to read until the
        // completion is taken; the range was checked at submission.
        unsafe { std::slice::from_raw_parts(self.0.cast(), self.1) }
    }
}

/// Submits a verb of a driver.
///
/// # Safety
/// The header's promises.
unsafe fn verb(
    cq: *mut sd_cq,
    driver: *const sd_driver,
    ctx: *const sd_context,
    err: *mut *mut sd_error,
    submit: impl FnOnce(&Caller, &Queue, &Arc<Base>, &Context) -> Result<()>,
) -> sd_status {
    // SAFETY: the same promise.
    unsafe {
        boundary::run(err, |c| {
            let queue = c.share(cq.cast_const(), "cq")?;
            submit(c, queue, &c.share(driver, "driver")?.driver, c.context(ctx)?)
        })
    }
}

/// Submit sd_get_content.
/// sd_completion_take_buffer gives the content.
///
/// Threads:   any.
/// Errors:    those of the submission alone; those of the call come in the
///            completion
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_submit_get_content(
    cq: *mut sd_cq,
    tag: u64,
    driver: *const sd_driver,
    ctx: *const sd_context,
    path: *const c_char,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        verb(cq, driver, ctx, err, |c, queue, driver, ctx| {
            queue.get_content(tag, driver, ctx, c.path(path, "path")?)
        })
    }
}

/// Submit sd_put_content.
///
/// Ownership: `data` is copied.
/// Threads:   any.
/// Errors:    those of the submission alone; those of the call come in the
///            completion
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_submit_put_content(
    cq: *mut sd_cq,
    tag: u64,
    driver: *const sd_driver,
    ctx: *const sd_context,
    path: *const c_char,
    data: *const c_void,
    len: usize,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        verb(cq, driver, ctx, err, |c, queue, driver, ctx| {
            let data = c.bytes(data, len, "data")?;
            queue.put_content(tag, driver, ctx, c.path(path, "path")?, data)
        })
    }
}

/// Submit sd_stat.
/// sd_completion_take_file_info gives the info.
///
/// Threads:   any.
/// Errors:    those of the submission alone; those of the call come in the
///            completion
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_submit_stat(
    cq: *mut sd_cq,
    tag: u64,
    driver: *const sd_driver,
    ctx: *const sd_context,
    path: *const c_char,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        verb(cq, driver, ctx, err, |c, queue, driver, ctx| {
            queue.stat(tag, driver, ctx, c.path(path, "path")?)
        })
    }
}

/// Submit sd_list.
/// sd_completion_take_names gives the names.
///
/// Threads:   any.
/// Errors:    those of the submission alone; those of the call come in the
///            completion
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_submit_list(
    cq: *mut sd_cq,
    tag: u64,
    driver: *const sd_driver,
    ctx: *const sd_context,
    path: *const c_char,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        verb(cq, driver, ctx, err, |c, queue, driver, ctx| {
            queue.list(tag, driver, ctx, c.path(path, "path")?)
        })
    }
}

/// Submit sd_list_page.
/// sd_completion_take_names gives the names.
///
/// Threads:   any.
/// Errors:    those of the submission alone; those of the call come in the
///            completion
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_submit_list_page(
    cq: *mut sd_cq,
    tag: u64,
    driver: *const sd_driver,
    ctx: *const sd_context,
    path: *const c_char,
    start_after: *const c_char,
    limit: usize,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        verb(cq, driver, ctx, err, |c, queue, driver, ctx| {
            let path = c.path(path, "path")?;
            let after = (!start_after.is_null()).then(|| c.path(start_after, "start_after"));
            queue.list_page(tag, driver, ctx, path, after.transpose()?, limit)
        })
    }
}

/// Submit sd_move.
///
/// Threads:   any.
/// Errors:    those of the submission alone; those of the call come in the
///            completion
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_submit_move(
    cq: *mut sd_cq,
    tag: u64,
    driver: *const sd_driver,
    ctx: *const sd_context,
    source: *const c_char,
    dest: *const c_char,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        verb(cq, driver, ctx, err, |c, queue, driver, ctx| {
            let (source, dest) = (c.path(source, "source")?, c.path(dest, "dest")?);
            queue.r#move(tag, driver, ctx, source, dest)
        })
    }
}

/// Submit sd_delete.
///
/// Threads:   any.
/// Errors:    those of the submission alone; those of the call come in the
///            completion
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_submit_delete(
    cq: *mut sd_cq,
    tag: u64,
    driver: *const sd_driver,
    ctx: *const sd_context,
    path: *const c_char,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        verb(cq, driver, ctx, err, |c, queue, driver, ctx| {
            queue.delete(tag, driver, ctx, c.path(path, "path")?)
        })
    }
}

/// Submit sd_redirect_url.
/// sd_completion_take_buffer gives the URL, or NULL.
///
/// Ownership: `request` may be NULL and is copied.
/// Threads:   any.
/// Errors:    those of the submission alone; those of the call come in the
///            completion
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_submit_redirect_url(
    cq: *mut sd_cq,
    tag: u64,
    driver: *const sd_driver,
    ctx: *const sd_context,
    path: *const c_char,
    request: *const sd_redirect_request,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        verb(cq, driver, ctx, err, |c, queue, driver, ctx| {
            let wanted = redirect_request(c, request)?;
            queue.redirect_url(tag, driver, ctx, c.path(path, "path")?, &wanted)
        })
    }
}

/// Submit sd_reader_open.
/// sd_completion_take_reader gives the reader.
///
/// Threads:   any.
/// Errors:    those of the submission alone; those of the call come in the
///            completion
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_submit_reader_open(
    cq: *mut sd_cq,
    tag: u64,
    driver: *const sd_driver,
    ctx: *const sd_context,
    path: *const c_char,
    offset: i64,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        verb(cq, driver, ctx, err, |c, queue, driver, ctx| {
            queue.reader_open(tag, driver, ctx, c.path(path, "path")?, offset)
        })
    }
}

/// Submit sd_reader_read.
/// sd_completion_count gives the length; 0 with SD_OK is the end.
///
/// Ownership: `buf` is lent until the completion is taken.
/// Threads:   any.
/// Errors:    those of the submission alone; those of the call come in the
///            completion
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_submit_reader_read(
    cq: *mut sd_cq,
    tag: u64,
    reader: *mut sd_reader,
    buf: *mut c_void,
    cap: usize,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let queue = c.share(cq.cast_const(), "cq")?;
            let reader = c.share(reader.cast_const(), "reader")?;
            if c.bytes_mut(buf, cap, "buf")?.is_empty() {
                return Err(Error::invalid_argument("cap is 0"));
            }
            queue.reader_read(tag, reader, LentRoom(buf, cap))
        })
    }
}

/// Submit sd_writer_open.
/// sd_completion_take_writer gives the writer.
///
/// Threads:   any.
/// Errors:    those of the submission alone; those of the call come in the
///            completion
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_submit_writer_open(
    cq: *mut sd_cq,
    tag: u64,
    driver: *const sd_driver,
    ctx: *const sd_context,
    path: *const c_char,
    flags: u32,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        verb(cq, driver, ctx, err, |c, queue, driver, ctx| {
            queue.writer_open(tag, driver, ctx, c.path(path, "path")?, append(flags)?)
        })
    }
}

/// Submit sd_writer_write.
///
/// Ownership: `data` is lent until the completion is taken.
/// Threads:   any.
/// Errors:    those of the submission alone; those of the call come in the
///            completion
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_submit_writer_write(
    cq: *mut sd_cq,
    tag: u64,
    writer: *mut sd_writer,
    data: *const c_void,
    len: usize,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let queue = c.share(cq.cast_const(), "cq")?;
            let writer = c.share(writer.cast_const(), "writer")?;
            c.bytes(data, len, "data")?;
            queue.writer_write(tag, writer, LentLoad(data, len))
        })
    }
}

/// Submit sd_writer_commit.
///
/// Threads:   any.
/// Errors:    those of the submission alone; those of the call come in the
///            completion
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_submit_writer_commit(
    cq: *mut sd_cq,
    tag: u64,
    writer: *mut sd_writer,
    ctx: *const sd_context,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let queue = c.share(cq.cast_const(), "cq")?;
            let writer = c.share(writer.cast_const(), "writer")?;
            queue.writer_commit(tag, writer, c.context(ctx)?)
        })
    }
}

/// Submit sd_writer_cancel.
///
/// Threads:   any.
/// Errors:    those of the submission alone; those of the call come in the
///            completion
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_submit_writer_cancel(
    cq: *mut sd_cq,
    tag: u64,
    writer: *mut sd_writer,
    ctx: *const sd_context,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let queue = c.share(cq.cast_const(), "cq")?;
            let writer = c.share(writer.cast_const(), "writer")?;
            queue.writer_cancel(tag, writer, c.context(ctx)?)
        })
    }
}

/// Submit sd_writer_close.
///
/// Threads:   any.
/// Errors:    those of the submission alone; those of the call come in the
///            completion
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_submit_writer_close(
    cq: *mut sd_cq,
    tag: u64,
    writer: *mut sd_writer,
    ctx: *const sd_context,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let queue = c.share(cq.cast_const(), "cq")?;
            let writer = c.share(writer.cast_const(), "writer")?;
            queue.writer_close(tag, writer, c.context(ctx)?)
        })
    }
}

/// Submit sd_walker_next.
/// sd_completion_take_file_info gives the entry, or NULL at the end.
///
/// Threads:   any.
/// Errors:    those of the submission alone; those of the call come in the
///            completion
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_submit_walker_next(
    cq: *mut sd_cq,
    tag: u64,
    walker: *mut sd_walker,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let queue = c.share(cq.cast_const(), "cq")?;
            queue.walker_next(tag, c.share(walker.cast_const(), "walker")?)
        })
    }
}
