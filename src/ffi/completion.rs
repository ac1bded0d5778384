//! Section 12, last part: completions.

use std::ptr;

use super::boundary;
use super::error::{ErrorValue, SD_ERR_INVALID_ARGUMENT, SD_OK, sd_error, sd_status};
use super::handle;
use super::queue::sd_completion;
use super::reader::{give_reader, sd_reader};
use super::value::{buffer, give_info, sd_buffer, sd_file_info, sd_names};
use super::writer::{give_writer, sd_writer};
use crate::error::Result;
use crate::queue::{Completion, Outcome};

pub struct CompletionValue {
    tag: u64,
    count: u64,
    status: sd_status,
    outcome: Outcome,
    /// Made at once, so that it can be lent.
    error: *mut sd_error,
}

// SAFETY: the error is an object of ours, which may go to another thread.
unsafe impl Send for CompletionValue {}
// SAFETY: through a shared reference it is only read.
unsafe impl Sync for CompletionValue {}

impl Drop for CompletionValue {
    fn drop(&mut self) {
        // SAFETY: NULL or an error that nobody has taken.
        unsafe { super::error::sd_error_free(self.error) };
    }
}

pub fn give(completion: Completion) -> *mut sd_completion {
    let Completion { tag, count, outcome } = completion;
    let (status, outcome, error) = match outcome {
        Ok(outcome) => (SD_OK, outcome, ptr::null_mut()),
        Err(error) => {
            let status = error.code().number();
            (status, Outcome::Done, handle::give(ErrorValue::new(error)))
        }
    };
    handle::give(CompletionValue { tag, count, status, outcome, error })
}

/// The tag of the submission.
///
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_completion_tag(completion: *const sd_completion) -> u64 {
    // SAFETY: the header's promises.
    unsafe { boundary::value(0, |c| Ok(c.share(completion, "completion")?.tag)) }
}

/// What the blocking function would have returned.
///
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_completion_status(completion: *const sd_completion) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        let neutral = SD_ERR_INVALID_ARGUMENT;
        boundary::value(neutral, |c| Ok(c.share(completion, "completion")?.status))
    }
}

/// How many bytes a read or a write moved, 0 for everything else. A read that
/// moved none and succeeded is at the end of the file.
///
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_completion_count(completion: *const sd_completion) -> u64 {
    // SAFETY: the header's promises.
    unsafe { boundary::value(0, |c| Ok(c.share(completion, "completion")?.count)) }
}

/// The error of a call that failed, else NULL.
///
/// Ownership: lives as long as the completion, unless it is taken.
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_completion_error(completion: *const sd_completion) -> *const sd_error {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value(ptr::null(), |c| Ok(c.share(completion, "completion")?.error.cast_const()))
    }
}

/// Take the error of a call that failed.
///
/// Ownership: yours; free it with sd_error_free.
/// Threads:   exclusive.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_completion_take_error(completion: *mut sd_completion) -> *mut sd_error {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value(ptr::null_mut(), |c| {
            let mut value = c.exclusive(completion, "completion")?;
            Ok(std::mem::replace(&mut value.error, ptr::null_mut()))
        })
    }
}

/// Moves out what `pick` recognises.
///
/// # Safety
/// The header's promises.
unsafe fn take<T>(
    completion: *mut sd_completion,
    pick: impl FnOnce(Outcome) -> std::result::Result<*mut T, Outcome>,
) -> *mut T {
    // SAFETY: the same promise.
    unsafe {
        boundary::value(ptr::null_mut(), |c| -> Result<*mut T> {
            let mut value = c.exclusive(completion, "completion")?;
            let outcome = std::mem::replace(&mut value.outcome, Outcome::Done);
            pick(outcome).or_else(|other| {
                value.outcome = other;
                Ok(ptr::null_mut())
            })
        })
    }
}

/// Take the content of sd_submit_get_content, or the URL of
/// sd_submit_redirect_url, for which NULL means that you serve the file yourself.
///
/// Ownership: yours; free it with sd_buffer_free.
/// Threads:   exclusive.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_completion_take_buffer(
    completion: *mut sd_completion,
) -> *mut sd_buffer {
    // SAFETY: the header's promises.
    unsafe {
        take(completion, |outcome| match outcome {
            Outcome::Content(content) => Ok(buffer(content)),
            Outcome::Url(Some(url)) => Ok(buffer(url.into_bytes())),
            other => Err(other),
        })
    }
}

/// Take the info of sd_submit_stat or sd_submit_walker_next, for which NULL with
/// SD_OK is the end of the walk.
///
/// Ownership: yours; free it with sd_file_info_free.
/// Threads:   exclusive.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_completion_take_file_info(
    completion: *mut sd_completion,
) -> *mut sd_file_info {
    // SAFETY: the header's promises.
    unsafe {
        take(completion, |outcome| match outcome {
            Outcome::Info(info) | Outcome::Entry(Some(info)) => Ok(give_info(info)),
            other => Err(other),
        })
    }
}

/// Take the names of sd_submit_list or sd_submit_list_page.
///
/// Ownership: yours; free it with sd_names_free.
/// Threads:   exclusive.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_completion_take_names(completion: *mut sd_completion) -> *mut sd_names {
    // SAFETY: the header's promises.
    unsafe {
        take(completion, |outcome| match outcome {
            Outcome::Names(names) => Ok(handle::give(names)),
            other => Err(other),
        })
    }
}

/// Take the reader of sd_submit_reader_open.
///
/// Ownership: yours; free it with sd_reader_free.
/// Threads:   exclusive.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_completion_take_reader(
    completion: *mut sd_completion,
) -> *mut sd_reader {
    // SAFETY: the header's promises.
    unsafe {
        take(completion, |outcome| match outcome {
            Outcome::Reader(reader) => Ok(give_reader(reader)),
            other => Err(other),
        })
    }
}

/// Take the writer of sd_submit_writer_open.
///
/// Ownership: yours; free it with sd_writer_free.
/// Threads:   exclusive.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_completion_take_writer(
    completion: *mut sd_completion,
) -> *mut sd_writer {
    // SAFETY: the header's promises.
    unsafe {
        take(completion, |outcome| match outcome {
            Outcome::Writer(writer) => Ok(give_writer(writer)),
            other => Err(other),
        })
    }
}

/// Free a completion with what was not taken from it. NULL is fine.
///
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_completion_free(completion: *mut sd_completion) {
    // SAFETY: the header's promises.
    unsafe { boundary::free(completion) }
}
