//! Section 2: results and errors.

use std::ffi::{CString, c_char};
use std::sync::OnceLock;
use std::time::Duration;

use super::boundary;
use super::handle::{self, Opaque};
use super::text::c_text;
use crate::error::{Code, Error};

/// What every fallible function returns: SD_OK, a negative SD_ERR_ code, or,
/// where a function says so, a positive answer. New codes may come with minor
/// releases: have a default branch.
pub type sd_status = i32;

/// Done.
pub const SD_OK: sd_status = 0;
/// A callback's answer: end early, without failure.
pub const SD_STOP: sd_status = 1;
/// A callback's answer: do not descend into this directory.
pub const SD_SKIP_DIR: sd_status = 2;
/// sd_cq_next: nothing was ready in time.
pub const SD_EMPTY: sd_status = 3;

/// A failure inside a backend that has no code of its own; see its message.
pub const SD_ERR_DRIVER: sd_status = -1;
/// An argument that the call can never accept: NULL, a handle of another type,
/// text that is not UTF-8, an unknown flag.
pub const SD_ERR_INVALID_ARGUMENT: sd_status = -2;
/// The object is not in a state in which this call is allowed, or another call
/// is using it right now.
pub const SD_ERR_INVALID_STATE: sd_status = -3;
/// A bug in the library, caught before it could do harm. Please report it.
pub const SD_ERR_INTERNAL: sd_status = -4;
/// Your context was cancelled.
pub const SD_ERR_CANCELLED: sd_status = -5;
/// Your context's deadline passed. A backend that is too slow by itself is
/// SD_ERR_UNAVAILABLE.
pub const SD_ERR_DEADLINE: sd_status = -6;
/// Your callback answered a failure or something undocumented.
pub const SD_ERR_CALLBACK: sd_status = -7;
/// The object was made before a fork and cannot be used in the child.
pub const SD_ERR_FORKED: sd_status = -8;
/// The library was shut down.
pub const SD_ERR_SHUTDOWN: sd_status = -9;
/// A struct is newer than this library and uses a field it does not know.
pub const SD_ERR_STRUCT_SIZE: sd_status = -10;
/// Nothing is stored at the path.
pub const SD_ERR_PATH_NOT_FOUND: sd_status = -100;
/// The path does not follow the grammar; see PATHS above.
pub const SD_ERR_INVALID_PATH: sd_status = -101;
/// The offset is negative.
pub const SD_ERR_INVALID_OFFSET: sd_status = -102;
/// The driver cannot do this.
pub const SD_ERR_UNSUPPORTED: sd_status = -103;
/// No driver has this name.
pub const SD_ERR_INVALID_DRIVER: sd_status = -104;
/// A driver of this name exists already.
pub const SD_ERR_ALREADY_REGISTERED: sd_status = -105;
/// A driver parameter is unknown, missing or malformed.
pub const SD_ERR_INVALID_PARAMETER: sd_status = -106;
/// Credentials were refused, or access was denied.
pub const SD_ERR_PERMISSION: sd_status = -107;
/// A conformance case failed; the report says which.
pub const SD_ERR_CONFORMANCE: sd_status = -108;
/// The path is a directory, and the call wants a file.
pub const SD_ERR_IS_DIRECTORY: sd_status = -109;
/// The path is a file, or lies below one, and the call wants a directory there.
pub const SD_ERR_NOT_DIRECTORY: sd_status = -110;
/// The disk is full or a quota is used up. HTTP 507.
pub const SD_ERR_NO_SPACE: sd_status = -111;
/// The backend asks to slow down. HTTP 429.
pub const SD_ERR_THROTTLED: sd_status = -112;
/// The backend cannot be reached, stalls or is failing. HTTP 503.
pub const SD_ERR_UNAVAILABLE: sd_status = -113;
/// Bytes do not match their checksum.
pub const SD_ERR_CORRUPT: sd_status = -114;
/// Somebody else changed the path meanwhile.
pub const SD_ERR_CONFLICT: sd_status = -115;
/// The driver's process ended.
pub const SD_ERR_DRIVER_DIED: sd_status = -116;
/// The driver's process speaks another protocol version.
pub const SD_ERR_DRIVER_VERSION: sd_status = -117;

/// What went wrong. An error that a function gave you is immutable and may be
/// read and freed on any thread.
pub struct sd_error {
    _opaque: [u8; 0],
}

impl Opaque for sd_error {
    type Value = ErrorValue;
    const TAG: u32 = 0x5d45_5252;
    const NAME: &'static str = "sd_error";
}

pub struct ErrorValue {
    error: Error,
    texts: OnceLock<Texts>,
}

/// Rendered at the first question.
struct Texts {
    message: CString,
    driver: CString,
    path: CString,
    request_id: CString,
    json: CString,
}

impl ErrorValue {
    pub fn new(error: Error) -> ErrorValue {
        ErrorValue { error, texts: OnceLock::new() }
    }

    pub fn error(&self) -> &Error {
        &self.error
    }

    pub fn into_error(self) -> Error {
        self.error
    }

    fn texts(&self) -> &Texts {
        self.texts.get_or_init(|| Texts {
            message: c_text(&self.error.to_string()),
            driver: c_text(self.error.driver()),
            path: c_text(self.error.path()),
            request_id: c_text(self.error.request_id()),
            json: c_text(&self.error.json()),
        })
    }

    fn change(&mut self, change: impl FnOnce(Error) -> Error) {
        *self = ErrorValue::new(change(self.error.clone()));
    }
}

/// The name of a status, "SD_ERR_INVALID_PATH"; "SD_UNKNOWN" for a number that
/// is none.
///
/// Ownership: static; do not free it.
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub extern "C" fn sd_status_name(status: sd_status) -> *const c_char {
    macro_rules! names {
        ($($name:ident)+) => {
            match status {
                $($name => const { c_str(concat!(stringify!($name), "\0")) }.as_ptr(),)+
                _ => c"SD_UNKNOWN".as_ptr(),
            }
        };
    }
    names! {
        SD_OK SD_STOP SD_SKIP_DIR SD_EMPTY
        SD_ERR_DRIVER SD_ERR_INVALID_ARGUMENT SD_ERR_INVALID_STATE SD_ERR_INTERNAL
        SD_ERR_CANCELLED SD_ERR_DEADLINE SD_ERR_CALLBACK SD_ERR_FORKED SD_ERR_SHUTDOWN
        SD_ERR_STRUCT_SIZE SD_ERR_PATH_NOT_FOUND SD_ERR_INVALID_PATH SD_ERR_INVALID_OFFSET
        SD_ERR_UNSUPPORTED SD_ERR_INVALID_DRIVER SD_ERR_ALREADY_REGISTERED
        SD_ERR_INVALID_PARAMETER SD_ERR_PERMISSION SD_ERR_CONFORMANCE SD_ERR_IS_DIRECTORY
        SD_ERR_NOT_DIRECTORY SD_ERR_NO_SPACE SD_ERR_THROTTLED SD_ERR_UNAVAILABLE SD_ERR_CORRUPT
        SD_ERR_CONFLICT SD_ERR_DRIVER_DIED SD_ERR_DRIVER_VERSION
    }
}

const fn c_str(text: &'static str) -> &'static std::ffi::CStr {
    match std::ffi::CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => c"",
    }
}

/// Make an error, in a driver written in C.
///
/// `code` is one of the SD_ERR_ codes; anything else becomes SD_ERR_DRIVER.
/// `message` is one line of plain text without secrets; NULL is "". The texts of
/// SD_ERR_PATH_NOT_FOUND, SD_ERR_INVALID_PATH and SD_ERR_INVALID_OFFSET are made
/// from the path and the offset instead.
///
/// Ownership: the error is yours until you hand it over; sd_error_free it
///            otherwise. NULL only if `message` is not UTF-8.
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_error_new(code: sd_status, message: *const c_char) -> *mut sd_error {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value(std::ptr::null_mut(), |c| {
            let message = c.optional_text(message, "message")?.unwrap_or_default();
            let code = Code::from_number(code).unwrap_or(Code::Driver);
            Ok(handle::give(ErrorValue::new(Error::new(code, message))))
        })
    }
}

/// The code of an error, the same number that the failed function returned.
///
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_error_code(error: *const sd_error) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value(SD_ERR_INVALID_ARGUMENT, |c| {
            Ok(c.share(error, "error")?.error.code().number())
        })
    }
}

/// The message: one line, with the driver's name and the path where they are
/// known, as Distribution words it ("filesystem: Path not found: /a").
///
/// It never contains a secret. Never parse it: the code and the functions below
/// say what a program can use.
///
/// Ownership: lives as long as `error`.
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_error_message(error: *const sd_error) -> *const c_char {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value(c"".as_ptr(), |c| Ok(c.share(error, "error")?.texts().message.as_ptr()))
    }
}

/// The name of the driver that failed, "" when unknown.
///
/// Ownership: lives as long as `error`.
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_error_driver(error: *const sd_error) -> *const c_char {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value(c"".as_ptr(), |c| Ok(c.share(error, "error")?.texts().driver.as_ptr()))
    }
}

/// The path that the failure is about, "" when unknown. For sd_move it tells which
/// of the two.
///
/// Ownership: lives as long as `error`.
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_error_path(error: *const sd_error) -> *const c_char {
    // SAFETY: the header's promises.
    unsafe { boundary::value(c"".as_ptr(), |c| Ok(c.share(error, "error")?.texts().path.as_ptr())) }
}

/// The offset that the failure is about.
///
/// Ownership: `*out` is written only if the answer is true.
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_error_offset(error: *const sd_error, out: *mut i64) -> bool {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value(false, |c| {
            let offset = c.share(error, "error")?.error.offset();
            let out = c.out(out, "out")?;
            Ok(offset.map(|offset| out.set(offset)).is_some())
        })
    }
}

/// The HTTP status of the backend's answer, 0 when unknown.
///
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_error_http_status(error: *const sd_error) -> i32 {
    // SAFETY: the header's promises.
    unsafe { boundary::value(0, |c| Ok(c.share(error, "error")?.error.http_status())) }
}

/// What your callback answered when the code is SD_ERR_CALLBACK, else 0.
///
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_error_callback_result(error: *const sd_error) -> sd_status {
    // SAFETY: the header's promises.
    unsafe { boundary::value(0, |c| Ok(c.share(error, "error")?.error.callback_result())) }
}

/// Whether the same call may succeed later without anything being changed.
///
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_error_is_retryable(error: *const sd_error) -> bool {
    // SAFETY: the header's promises.
    unsafe { boundary::value(false, |c| Ok(c.share(error, "error")?.error.is_retryable())) }
}

/// How long the backend asks to wait, in milliseconds; -1 when unknown.
///
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_error_retry_after_ms(error: *const sd_error) -> i64 {
    // SAFETY: the header's promises.
    unsafe { boundary::value(-1, |c| Ok(millis(c.share(error, "error")?.error.retry_after()))) }
}

/// The backend's name for the request, for its operators; "" when it has none.
///
/// Ownership: lives as long as `error`.
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_error_request_id(error: *const sd_error) -> *const c_char {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value(c"".as_ptr(), |c| Ok(c.share(error, "error")?.texts().request_id.as_ptr()))
    }
}

/// The error as a registry hands it to its clients: {"driver":"s3","detail":"..."},
/// or "details" with a list where one call failed in several ways.
///
/// Ownership: lives as long as `error`.
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_error_json(error: *const sd_error) -> *const c_char {
    // SAFETY: the header's promises.
    unsafe { boundary::value(c"".as_ptr(), |c| Ok(c.share(error, "error")?.texts().json.as_ptr())) }
}

/// Say which path the error is about, in a driver written in C.
///
/// Ownership: the text is copied.
/// Threads:   exclusive, and only before the error is handed over. Texts that the
///            error gave before are no longer valid.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_error_set_path(error: *mut sd_error, path: *const c_char) {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value((), |c| {
            let path = c.text(path, "path")?;
            c.exclusive(error, "error")?.change(|e| e.with_path(path));
            Ok(())
        })
    }
}

/// Say which offset the error is about, in a driver written in C.
///
/// Threads:   exclusive, and only before the error is handed over. Texts that the
///            error gave before are no longer valid.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_error_set_offset(error: *mut sd_error, offset: i64) {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value((), |c| {
            c.exclusive(error, "error")?.change(|e| e.with_offset(offset));
            Ok(())
        })
    }
}

/// Say what HTTP status the backend answered, in a driver written in C.
///
/// Threads:   exclusive, and only before the error is handed over. Texts that the
///            error gave before are no longer valid.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_error_set_http_status(error: *mut sd_error, status: i32) {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value((), |c| {
            c.exclusive(error, "error")?.change(|e| e.with_http_status(status));
            Ok(())
        })
    }
}

/// Say how long the backend asks to wait, in a driver written in C. A negative time
/// is ignored.
///
/// Threads:   exclusive, and only before the error is handed over. Texts that the
///            error gave before are no longer valid.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_error_set_retry_after_ms(error: *mut sd_error, milliseconds: i64) {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value((), |c| {
            let wait = u64::try_from(milliseconds).map(Duration::from_millis);
            let wait = wait.map_err(|_| Error::invalid_argument("a negative time"))?;
            c.exclusive(error, "error")?.change(|e| e.with_retry_after(wait));
            Ok(())
        })
    }
}

/// Say how the backend calls the request, in a driver written in C.
///
/// Ownership: the text is copied.
/// Threads:   exclusive, and only before the error is handed over. Texts that the
///            error gave before are no longer valid.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_error_set_request_id(error: *mut sd_error, id: *const c_char) {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value((), |c| {
            let id = c.text(id, "id")?;
            c.exclusive(error, "error")?.change(|e| e.with_request_id(id));
            Ok(())
        })
    }
}

/// Free an error. NULL is fine.
///
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_error_free(error: *mut sd_error) {
    // SAFETY: the header's promises.
    unsafe { boundary::free(error) }
}

fn millis(time: Option<Duration>) -> i64 {
    time.map_or(-1, |time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}
