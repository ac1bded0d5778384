//! Section 12, first part: the completion queue.

use std::ffi::c_int;
use std::time::Duration;

use super::boundary;
use super::error::{SD_EMPTY, SD_OK, sd_error, sd_status};
use super::handle::{self, Opaque};
use crate::queue::Queue;

/// A completion queue: calls that do not block. You submit a call with a tag of
/// your own, go on with your work, and take its completion when the queue's
/// descriptor is readable. For an epoll loop:
///
///   epoll_ctl(ep, EPOLL_CTL_ADD, sd_cq_fd(cq), ...);
///   sd_submit_stat(cq, tag, driver, ctx, path, &err);
///   ... when epoll_wait says that the descriptor is readable:
///   while (sd_cq_next(cq, 0, &completion, NULL) == SD_OK) {
///       switch on sd_completion_tag(completion): sd_completion_take_...
///       sd_completion_free(completion);
///   }
///
/// 1. A submission that returns SD_OK gives exactly one completion, whatever
///    happens: success, failure, cancellation, shutdown. One that fails gives none.
/// 2. The descriptor is readable exactly while a completion waits, so level and
///    edge triggering both work if you take until SD_EMPTY. Poll it; never read,
///    write or close it.
/// 3. Completions come in no particular order. The tag is returned untouched.
/// 4. Memory given to sd_submit_reader_read and sd_submit_writer_write is lent
///    until the completion is taken. Everything else is copied at submission.
/// 5. A reader, writer or walker has one call in flight at most, or the second is
///    SD_ERR_INVALID_STATE; a driver and a queue any number. A handle may be used
///    with and without a queue in turn, and freed while a call on it is in flight.
/// 6. Cancel through the context. Reads, writes and walker steps obey the context
///    that the handle was opened with.
/// 7. Nothing of yours runs on the library's threads but drivers written in C and
///    hooks. They start with the first submission.
///
/// Any thread may submit; one at a time takes.
pub struct sd_cq {
    _opaque: [u8; 0],
}

impl Opaque for sd_cq {
    type Value = Queue;
    const TAG: u32 = 0x5d43_5155;
    const NAME: &'static str = "sd_cq";
}

/// The answer to one submission. What it brings is moved out with the
/// sd_completion_take_ function for it, once; what is not taken is freed with the
/// completion. Taking what is not there gives NULL.
pub struct sd_completion {
    _opaque: [u8; 0],
}

impl Opaque for sd_completion {
    type Value = super::completion::CompletionValue;
    const TAG: u32 = 0x5d43_4f4d;
    const NAME: &'static str = "sd_completion";
}

/// Make a queue.
///
/// Ownership: `*out` is yours; free it with sd_cq_free.
/// Threads:   any.
/// Errors:    SD_ERR_DRIVER  the process has no descriptor left
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_cq_new(out: *mut *mut sd_cq, err: *mut *mut sd_error) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let out = c.out(out, "out")?;
            out.set(handle::give(Queue::new()?));
            Ok(())
        })
    }
}

/// The descriptor that is readable exactly while a completion waits; -1 for NULL.
///
/// Ownership: the queue's; it lives as long as the queue does.
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_cq_fd(cq: *const sd_cq) -> c_int {
    // SAFETY: the header's promises.
    unsafe { boundary::value(-1, |c| Ok(c.share(cq, "cq")?.descriptor())) }
}

/// Take the next completion, waiting for up to `timeout_ms` milliseconds: 0 does
/// not wait, a negative number waits without end.
///
/// Returns SD_EMPTY, and writes nothing, if none came in time.
///
/// Ownership: `*out` is yours; free it with sd_completion_free.
/// Threads:   one at a time.
/// Errors:    SD_ERR_FORKED  the queue is the parent's
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_cq_next(
    cq: *mut sd_cq,
    timeout_ms: i64,
    out: *mut *mut sd_completion,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run_status(err, |c| {
            let out = c.out(out, "out")?;
            let timeout = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
            match c.share(cq.cast_const(), "cq")?.next(timeout)? {
                None => Ok(SD_EMPTY),
                Some(completion) => {
                    out.set(super::completion::give(completion));
                    Ok(SD_OK)
                }
            }
        })
    }
}

/// How many submissions have no completion yet.
///
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_cq_in_flight(cq: *const sd_cq) -> usize {
    // SAFETY: the header's promises.
    unsafe { boundary::value(0, |c| Ok(c.share(cq, "cq")?.in_flight())) }
}

/// Cancel what is in flight, wait for it, and free the queue with the completions
/// that were not taken. NULL is fine.
///
/// Afterwards no memory of yours is in use. It waits as long as a system call or a
/// driver written in C takes.
///
/// Threads:   any, but not while another thread still uses the queue, and not from
///            inside a callback or a hook.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_cq_free(cq: *mut sd_cq) {
    // SAFETY: the header's promises.
    unsafe { boundary::free(cq) }
}
