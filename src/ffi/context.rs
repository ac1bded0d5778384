//! Section 5: contexts.

use std::ffi::c_char;
use std::ptr;
use std::time::Duration;

use super::boundary;
use super::error::{SD_ERR_INVALID_ARGUMENT, SD_OK, sd_status};
use super::handle::{self, Opaque};
use crate::context::Context;

/// Until when a piece of work may take, whether it is still wanted, and what to
/// write beside it in the log. NULL, where a function takes one, means no limit.
/// A call, an open reader, writer or walker keeps its context alive: freeing a
/// context does not cancel it.
pub struct sd_context {
    _opaque: [u8; 0],
}

impl Opaque for sd_context {
    type Value = Context;
    const TAG: u32 = 0x5d43_5458;
    const NAME: &'static str = "sd_context";
}

/// Make a context. It ends with `parent`, which may be NULL, or on its own,
/// whichever is first.
///
/// Ownership: yours; free it with sd_context_free, in any order with the parent.
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_context_new(parent: *const sd_context) -> *mut sd_context {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value(ptr::null_mut(), |c| Ok(handle::give(Context::new(c.context(parent)?))))
    }
}

/// End the context `milliseconds` from now, by the monotonic clock.
///
/// Replaces an earlier timeout, also for calls that are running already.
///
/// Threads:   any, at any time.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_context_set_timeout_ms(ctx: *mut sd_context, milliseconds: u64) {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value((), |c| {
            c.share(ctx.cast_const(), "ctx")?.set_timeout(Duration::from_millis(milliseconds));
            Ok(())
        })
    }
}

/// End the context at a time of the wall clock, in nanoseconds since 1970-01-01
/// UTC. It may have a timeout as well; the first of the two counts.
///
/// Threads:   any, at any time.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_context_set_deadline_ns(ctx: *mut sd_context, unix_ns: i64) {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value((), |c| {
            c.share(ctx.cast_const(), "ctx")?.set_deadline(unix_ns);
            Ok(())
        })
    }
}

/// Add a field to every log record of calls made with this context or a child of
/// it, such as a request's id. Replaces a field of the same key.
///
/// Ownership: both texts are copied.
/// Threads:   any, at any time.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_context_set_field(
    ctx: *mut sd_context,
    key: *const c_char,
    value: *const c_char,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(ptr::null_mut(), |c| {
            let (key, value) = (c.text(key, "key")?, c.text(value, "value")?);
            c.share(ctx.cast_const(), "ctx")?.set_field(key, value);
            Ok(())
        })
    }
}

/// End the context and its children now. Calls that wait inside the library
/// return SD_ERR_CANCELLED. Cancelling twice is fine.
///
/// Not safe in a signal handler.
///
/// Threads:   any, at any time.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_context_cancel(ctx: *const sd_context) {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value((), |c| {
            c.share(ctx, "ctx")?.cancel();
            Ok(())
        })
    }
}

/// Whether work may go on: SD_OK, SD_ERR_CANCELLED or SD_ERR_DEADLINE. NULL is
/// SD_OK.
///
/// Threads:   any, at any time.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_context_status(ctx: *const sd_context) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value(SD_ERR_INVALID_ARGUMENT, |c| {
            Ok(c.context(ctx)?.status().map_or_else(|e| e.code().number(), |()| SD_OK))
        })
    }
}

/// Milliseconds left, rounded up; 0 when it has ended, -1 without a limit.
///
/// Threads:   any, at any time.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_context_remaining_ms(ctx: *const sd_context) -> i64 {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value(0, |c| {
            let ctx = c.context(ctx)?;
            if ctx.status().is_err() {
                return Ok(0);
            }
            // Rounded up: 0 is for what has ended.
            let millis = |left: Duration| left.as_nanos().div_ceil(1_000_000);
            let millis = |left| i64::try_from(millis(left)).unwrap_or(i64::MAX);
            Ok(ctx.remaining().map_or(-1, millis))
        })
    }
}

/// Free a context, without cancelling it. NULL is fine.
///
/// Threads:   any, but not while another thread still uses this pointer.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_context_free(ctx: *mut sd_context) {
    // SAFETY: the header's promises.
    unsafe { boundary::free(ctx) }
}
