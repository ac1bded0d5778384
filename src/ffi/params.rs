//! Section 4: parameters.

use std::collections::BTreeMap;
use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::{Mutex, PoisonError};

use super::boundary::{self, Caller};
use super::error::{sd_error, sd_status};
use super::handle::{self, Opaque};
use super::text::c_text;
use super::value::{buffer, sd_buffer};
use crate::error::Result;
use crate::params::Params;

/// A driver's parameters: keys with text, numbers, truth values or any JSON.
pub struct sd_params {
    _opaque: [u8; 0],
}

impl Opaque for sd_params {
    type Value = ParamsValue;
    const TAG: u32 = 0x5d50_524d;
    const NAME: &'static str = "sd_params";
}

pub struct ParamsValue {
    params: Params,
    /// Lent to a driver written in C, whose secrets have names nobody here knows.
    all_masked: bool,
    /// Texts lent to C, which live as long as the parameters do unchanged.
    lent: Mutex<BTreeMap<String, CString>>,
}

impl ParamsValue {
    fn new(params: Params) -> ParamsValue {
        ParamsValue { params, all_masked: false, lent: Mutex::default() }
    }

    /// For a driver written in C.
    pub fn for_driver(params: &Params) -> ParamsValue {
        ParamsValue { all_masked: true, ..ParamsValue::new(params.clone()) }
    }

    fn to_masked_json(&self) -> String {
        if self.all_masked {
            self.params.to_fully_masked_json()
        } else {
            self.params.to_masked_json()
        }
    }

    pub fn params(&self) -> &Params {
        &self.params
    }

    /// NUL-terminated and kept; a later entry moves the map's node, not the text.
    fn lend(&self, text: &str) -> *const c_char {
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        lent.entry(text.to_string()).or_insert_with(|| c_text(text)).as_ptr()
    }
}

/// Changes one key.
///
/// # Safety
/// The header's promises.
unsafe fn set(
    params: *mut sd_params,
    key: *const c_char,
    change: impl FnOnce(&Caller, &mut Params, &str) -> Result<()>,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the same promise.
    unsafe {
        boundary::run(err, |c| {
            let key = c.text(key, "key")?;
            change(c, &mut c.exclusive(params, "params")?.params, key)
        })
    }
}

/// Make an empty set of parameters.
///
/// Ownership: yours; free it with sd_params_free.
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub extern "C" fn sd_params_new() -> *mut sd_params {
    handle::give(ParamsValue::new(Params::new()))
}

/// Make parameters from a JSON object: {"rootdirectory":"/srv","maxthreads":50}.
///
/// Ownership: `*out` is yours; free it with sd_params_free.
/// Threads:   any.
/// Errors:    SD_ERR_INVALID_PARAMETER  not a JSON object; the message tells the
///                                      place and quotes nothing
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_params_from_json(
    json: *const c_char,
    out: *mut *mut sd_params,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let out = c.out(out, "out")?;
            let params = Params::from_json(c.text(json, "json")?)?;
            out.set(handle::give(ParamsValue::new(params)));
            Ok(())
        })
    }
}

/// Set a key to text.
///
/// Ownership: key and value are copied.
/// Threads:   exclusive.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_params_set_string(
    params: *mut sd_params,
    key: *const c_char,
    value: *const c_char,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        let change = |c: &Caller, params: &mut Params, key: &str| {
            params.set(key, c.text(value, "value")?);
            Ok(())
        };
        set(params, key, change, ptr::null_mut())
    }
}

/// Set a key to a whole number.
///
/// Threads:   exclusive.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_params_set_int(
    params: *mut sd_params,
    key: *const c_char,
    value: i64,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        let change = |_: &Caller, params: &mut Params, key: &str| {
            params.set(key, value);
            Ok(())
        };
        set(params, key, change, ptr::null_mut())
    }
}

/// Set a key to a number. Not a number and infinity become JSON's null, which is
/// as if the key was not set.
///
/// Threads:   exclusive.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_params_set_float(
    params: *mut sd_params,
    key: *const c_char,
    value: f64,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        let change = |_: &Caller, params: &mut Params, key: &str| {
            params.set(key, value);
            Ok(())
        };
        set(params, key, change, ptr::null_mut())
    }
}

/// Set a key to a truth value: false for 0, true for anything else.
///
/// Threads:   exclusive.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_params_set_bool(
    params: *mut sd_params,
    key: *const c_char,
    value: i32,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        let change = |_: &Caller, params: &mut Params, key: &str| {
            params.set(key, value != 0);
            Ok(())
        };
        set(params, key, change, ptr::null_mut())
    }
}

/// Set a key to any JSON value, for parameters that are lists or objects.
///
/// Threads:   exclusive.
/// Errors:    SD_ERR_INVALID_PARAMETER  malformed JSON; the message tells the place
///                                      and quotes nothing
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_params_set_json(
    params: *mut sd_params,
    key: *const c_char,
    json: *const c_char,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        let change = |c: &Caller, params: &mut Params, key: &str| {
            params.set_json(key, c.text(json, "json")?)
        };
        set(params, key, change, err)
    }
}

/// The text under a key; NULL if there is none or it is not text.
///
/// Ownership: lives as long as `params`.
/// Threads:   shared.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_params_get_string(
    params: *const sd_params,
    key: *const c_char,
) -> *const c_char {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value(ptr::null(), |c| {
            let value = c.share(params, "params")?;
            let text = value.params.get(c.text(key, "key")?).and_then(|v| v.as_str());
            Ok(text.map_or(ptr::null(), |text| value.lend(text)))
        })
    }
}

/// The whole number under a key; false, and nothing written, if there is none.
///
/// Threads:   shared.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_params_get_int(
    params: *const sd_params,
    key: *const c_char,
    out: *mut i64,
) -> bool {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value(false, |c| {
            let out = c.out(out, "out")?;
            let value = c.share(params, "params")?.params.get(c.text(key, "key")?);
            Ok(value.and_then(|v| v.as_i64()).map(|value| out.set(value)).is_some())
        })
    }
}

/// The truth value under a key, 0 or 1; false, and nothing written, if there is
/// none.
///
/// Threads:   shared.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_params_get_bool(
    params: *const sd_params,
    key: *const c_char,
    out: *mut i32,
) -> bool {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value(false, |c| {
            let out = c.out(out, "out")?;
            let value = c.share(params, "params")?.params.get(c.text(key, "key")?);
            Ok(value.and_then(|v| v.as_bool()).map(|value| out.set(value.into())).is_some())
        })
    }
}

/// The number under a key; false, and nothing written, if there is none.
///
/// Threads:   shared.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_params_get_float(
    params: *const sd_params,
    key: *const c_char,
    out: *mut f64,
) -> bool {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value(false, |c| {
            let out = c.out(out, "out")?;
            let value = c.share(params, "params")?.params.get(c.text(key, "key")?);
            Ok(value.and_then(|v| v.as_f64()).map(|value| out.set(value)).is_some())
        })
    }
}

/// Whatever is under a key, as JSON, secrets included; NULL if there is nothing.
///
/// Ownership: yours; free it with sd_buffer_free.
/// Threads:   shared.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_params_get_json(
    params: *const sd_params,
    key: *const c_char,
) -> *mut sd_buffer {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value(ptr::null_mut(), |c| {
            let value = c.share(params, "params")?.params.get(c.text(key, "key")?);
            Ok(value.map_or(ptr::null_mut(), |value| buffer(value.to_string().into_bytes())))
        })
    }
}

/// How many keys are set.
///
/// Threads:   shared.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_params_count(params: *const sd_params) -> usize {
    // SAFETY: the header's promises.
    unsafe { boundary::value(0, |c| Ok(c.share(params, "params")?.params.len())) }
}

/// One of the keys, in byte order; NULL past the last.
///
/// Ownership: lives as long as `params`.
/// Threads:   shared.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_params_key(params: *const sd_params, index: usize) -> *const c_char {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value(ptr::null(), |c| {
            let value = c.share(params, "params")?;
            Ok(value.params.keys().nth(index).map_or(ptr::null(), |key| value.lend(key)))
        })
    }
}

/// The parameters as JSON for a log: text is masked unless its key is known to be
/// harmless. In what a driver written in C is given, all text is masked.
///
/// Ownership: yours; free it with sd_buffer_free. NULL only if `params` is.
/// Threads:   shared.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_params_to_json(params: *const sd_params) -> *mut sd_buffer {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value(ptr::null_mut(), |c| {
            Ok(buffer(c.share(params, "params")?.to_masked_json().into_bytes()))
        })
    }
}

/// Free parameters. NULL is fine.
///
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_params_free(params: *mut sd_params) {
    // SAFETY: the header's promises.
    unsafe { boundary::free(params) }
}
