//! Section 1: version.

use std::ffi::{CString, c_char};
use std::sync::LazyLock;

use crate::factory;
use crate::runtime::PerProcess;

/// Version of this header. Compare with sd_version, which tells the version of
/// the library that was loaded.
pub const SD_VERSION_MAJOR: u32 = 1;
pub const SD_VERSION_MINOR: u32 = 0;
pub const SD_VERSION_PATCH: u32 = 0;
/// The number in the soname. Programs built against one number run with every
/// library of the same number.
pub const SD_ABI_VERSION: u32 = 1;

/// The version of the loaded library: MAJOR << 16 | MINOR << 8 | PATCH.
///
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub extern "C" fn sd_version() -> u32 {
    SD_VERSION_MAJOR << 16 | SD_VERSION_MINOR << 8 | SD_VERSION_PATCH
}

/// The version of the loaded library as text, "1.0.0".
///
/// Ownership: static; do not free it.
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub extern "C" fn sd_version_string() -> *const c_char {
    const { concat_version() }.as_ptr()
}

const fn concat_version() -> &'static std::ffi::CStr {
    match std::ffi::CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(text) => text,
        Err(_) => c"",
    }
}

/// The binary interface of the loaded library; equals the number in its soname.
///
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub extern "C" fn sd_abi_version() -> u32 {
    SD_ABI_VERSION
}

/// What the loaded library was built with, as a JSON object: "version", "abi",
/// "drivers" (the built-in names) and "tls" (null where no driver needs it).
/// Put it into bug reports.
///
/// Ownership: static; do not free it.
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub extern "C" fn sd_features() -> *const c_char {
    static FEATURES: PerProcess<LazyLock<CString>> = PerProcess::new(LazyLock::new(features));
    FEATURES.get_or(|_| LazyLock::new(features)).as_ptr()
}

fn features() -> CString {
    let features = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "abi": SD_ABI_VERSION,
        "drivers": factory::BUILT_IN,
        "tls": null,
    });
    CString::new(features.to_string()).unwrap_or_default()
}
