//! What a slot answered, made into what the library works with. Nothing here
//! trusts an answer.

use std::ptr;

use super::super::boundary;
use super::super::error::{SD_OK, sd_error, sd_status};
use super::super::handle::Opaque;
use crate::error::{Code, Error, Result};

/// Runs a slot and takes over the error it may have given.
pub fn call(slot: &str, run: impl FnOnce(*mut *mut sd_error) -> sd_status) -> Result<()> {
    let mut err: *mut sd_error = ptr::null_mut();
    let status = run(&mut err);
    // SAFETY: the driver promises that what it left there is an error it owned.
    let given = unsafe { boundary::answered(|c| c.take(err)) };
    if status == SD_OK {
        return Ok(());
    }
    let given = given.map(|given| given.into_error());
    Err(match (Code::from_number(status), given) {
        (Some(code), Some(error)) => error.with_code(code),
        (Some(code), None) => Error::new(code, in_words(code)),
        (None, given) => {
            let mut detail = format!("{slot} answered {status}, which is no status");
            let error = given.unwrap_or_else(|| Error::new(Code::Driver, ""));
            if !error.detail().is_empty() {
                detail = format!("{detail}: {}", error.detail());
            }
            error.with_code(Code::Driver).with_detail(detail)
        }
    })
}

/// The output of a slot that answered SD_OK.
pub fn taken<O: Opaque>(slot: &str, output: *mut O) -> Result<O::Value> {
    if output.is_null() {
        return Err(wrong(slot, "answered success without a result"));
    }
    // SAFETY: the driver promises an object of ours that it owned.
    let value = unsafe { boundary::answered(|c| c.take(output)) };
    value.ok_or_else(|| wrong(slot, format_args!("gave something that is no {}", O::NAME)))
}

/// For an answer against the rules.
pub fn wrong(slot: &str, what: impl std::fmt::Display) -> Error {
    Error::new(Code::Driver, format!("wrong answer of the driver: {slot} {what}"))
}

/// For a failure that came without an error.
fn in_words(code: Code) -> &'static str {
    match code {
        // Made from the path and the offset.
        Code::PathNotFound | Code::InvalidPath | Code::InvalidOffset => "",
        Code::Driver => "the driver failed and did not say why",
        Code::InvalidArgument => "invalid argument",
        Code::InvalidState => "invalid state",
        Code::Internal => "internal error",
        Code::Cancelled => "cancelled",
        Code::Deadline => "deadline exceeded",
        Code::Callback => "a callback failed",
        Code::Forked => "made before a fork",
        Code::Shutdown => "shut down",
        Code::StructSize => "a struct is too new",
        Code::Unsupported => "unsupported method",
        Code::InvalidDriver => "no such driver",
        Code::AlreadyRegistered => "registered already",
        Code::InvalidParameter => "invalid parameter",
        Code::Permission => "permission denied",
        Code::Conformance => "a conformance case failed",
        Code::IsDirectory => "is a directory",
        Code::NotDirectory => "not a directory",
        Code::NoSpace => "no space left",
        Code::Throttled => "asked to slow down",
        Code::Unavailable => "the store cannot be reached",
        Code::Corrupt => "the content is corrupt",
        Code::Conflict => "changed by somebody else meanwhile",
        Code::DriverDied => "the driver's process ended",
        Code::DriverVersion => "the driver's process speaks another version",
    }
}
