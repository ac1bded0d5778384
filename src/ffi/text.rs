//! Text, bytes and results in and out.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::boundary::Caller;
use super::context::sd_context;
use crate::context::Context;
use crate::error::{Error, Result};

impl Caller {
    /// Required text.
    pub fn text(&self, text: *const c_char, parameter: &str) -> Result<&str> {
        self.optional_text(text, parameter)?
            .ok_or_else(|| Error::invalid_argument(format!("{parameter} is null")))
    }

    /// Text that may be NULL.
    pub fn optional_text(&self, text: *const c_char, parameter: &str) -> Result<Option<&str>> {
        if text.is_null() {
            return Ok(None);
        }
        // SAFETY: the caller promises NUL-terminated text.
        let text = unsafe { CStr::from_ptr(text) };
        let not_utf8 = || Error::invalid_argument(format!("{parameter} is not utf-8"));
        text.to_str().map(Some).map_err(|_| not_utf8())
    }

    /// One of main()'s arguments, if there is one.
    pub fn argument(
        &self,
        count: c_int,
        arguments: *const *mut c_char,
        index: u16,
    ) -> Result<Option<&str>> {
        if arguments.is_null() || c_int::from(index) >= count {
            return Ok(None);
        }
        // SAFETY: the caller promises `count` pointers.
        let argument = unsafe { *arguments.add(usize::from(index)) };
        self.optional_text(argument, "argv")
    }

    /// A path; what is not UTF-8 cannot follow the grammar.
    pub fn path(&self, path: *const c_char, parameter: &str) -> Result<&str> {
        if path.is_null() {
            return Err(Error::invalid_argument(format!("{parameter} is null")));
        }
        // SAFETY: the caller promises NUL-terminated text.
        let path = unsafe { CStr::from_ptr(path) };
        path.to_str().map_err(|_| Error::invalid_path(&path.to_string_lossy()))
    }

    /// Bytes to read; `(NULL, 0)` is empty.
    pub fn bytes(&self, data: *const c_void, len: usize, parameter: &str) -> Result<&[u8]> {
        if len == 0 {
            return Ok(&[]);
        }
        check_range(data, len, parameter)?;
        // SAFETY: the caller promises `len` readable bytes.
        Ok(unsafe { std::slice::from_raw_parts(data.cast(), len) })
    }

    /// Bytes to fill; `(NULL, 0)` is empty.
    #[allow(clippy::mut_from_ref)]
    pub fn bytes_mut(&self, data: *mut c_void, len: usize, parameter: &str) -> Result<&mut [u8]> {
        if len == 0 {
            return Ok(&mut []);
        }
        check_range(data, len, parameter)?;
        // SAFETY: the caller promises `len` bytes that can be written and that
        // nobody else uses during the call. Memory from C counts as initialised.
        Ok(unsafe { std::slice::from_raw_parts_mut(data.cast(), len) })
    }

    /// The caller's context, or the one without limits for NULL.
    pub fn context(&self, ctx: *const sd_context) -> Result<&Context> {
        static NONE: Context = Context::none();
        if ctx.is_null() { Ok(&NONE) } else { self.share(ctx, "ctx") }
    }

    /// A required place for a result, checked before any work is done.
    pub fn out<T>(&self, out: *mut T, parameter: &str) -> Result<Out<'_, T>> {
        if out.is_null() {
            return Err(Error::invalid_argument(format!("{parameter} is null")));
        }
        // SAFETY: the caller promises a place for one value. It may hold anything,
        // so it is not read.
        Ok(Out(unsafe { &mut *out.cast() }))
    }

    /// A count for the caller, who may not want it, and who gets it on failure as
    /// well.
    pub fn total(&self, out: *mut u64) -> Total<'_> {
        Total { out, count: 0, caller: PhantomData }
    }
}

fn check_range(data: *const c_void, len: usize, parameter: &str) -> Result<()> {
    if data.is_null() {
        return Err(Error::invalid_argument(format!("{parameter} is null")));
    }
    if isize::try_from(len).is_err() {
        return Err(Error::invalid_argument(format!("{parameter} is longer than memory")));
    }
    Ok(())
}

/// A place for one result.
pub struct Out<'c, T>(&'c mut MaybeUninit<T>);

impl<T> Out<'_, T> {
    pub fn set(self, value: T) {
        self.0.write(value);
    }
}

/// See `Caller::total`. Given to the caller when it is dropped, and not before: the
/// place may lie in what a callback works on.
pub struct Total<'c> {
    out: *mut u64,
    pub count: u64,
    caller: PhantomData<&'c Caller>,
}

impl Drop for Total<'_> {
    fn drop(&mut self) {
        if !self.out.is_null() {
            // SAFETY: the caller promises a place for a number.
            unsafe { self.out.write(self.count) };
        }
    }
}

/// Text for C. It cannot contain a NUL where it comes from us; where it comes
/// from elsewhere, it ends there.
pub fn c_text(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(text.get(..end).unwrap_or_default()).unwrap_or_default()
}
