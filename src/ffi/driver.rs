//! Section 6: factory and driver.

use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::Arc;

use super::boundary;
use super::context::sd_context;
use super::error::{sd_error, sd_status};
use super::handle::{self, Opaque};
use super::params::sd_params;
use super::text::c_text;
use super::value::sd_names;
use crate::base::Base;
use crate::driver::Driver;
use crate::factory;
use crate::params::Params;

/// A store. Any number of threads may use one at the same time.
pub struct sd_driver {
    _opaque: [u8; 0],
}

impl Opaque for sd_driver {
    type Value = DriverValue;
    const TAG: u32 = 0x5d44_5256;
    const NAME: &'static str = "sd_driver";
}

#[derive(Clone)]
pub struct DriverValue {
    pub driver: Arc<Base>,
    name: CString,
}

impl DriverValue {
    pub fn new(driver: Arc<Base>) -> DriverValue {
        DriverValue { name: c_text(driver.name()), driver }
    }
}

/// Create a driver by its registered name.
///
/// Looks the name up among the built-in drivers and those added with
/// sd_factory_register, checks `params`, and opens whatever the driver needs before
/// its first operation. Unknown parameter keys are refused, so that a misspelt key
/// is found here and not in production. For a name that nobody has it starts the
/// program registry-storage-NAME, see section 16.
///
/// Ownership: `params`, which may be NULL, is copied; you may free it at once.
///            `*out` is yours: release it with sd_driver_free. Readers, writers
///            and walkers keep the driver alive, so the order of freeing does not
///            matter.
/// Threads:   any, concurrently.
/// Errors:    SD_ERR_INVALID_DRIVER     no driver has this name, nor a program
///            SD_ERR_INVALID_PARAMETER  a key is unknown, missing or malformed;
///                                      the message names the key, never a secret
///            SD_ERR_DRIVER_VERSION     the program speaks another protocol
///            SD_ERR_DRIVER_DIED        it ended instead of being ready
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_factory_create(
    name: *const c_char,
    ctx: *const sd_context,
    params: *const sd_params,
    out: *mut *mut sd_driver,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let out = c.out(out, "out")?;
            let (name, ctx) = (c.text(name, "name")?, c.context(ctx)?);
            let none = Params::new();
            let params = if params.is_null() { &none } else { c.share(params, "params")?.params() };
            out.set(handle::give(DriverValue::new(factory::create(name, ctx, params)?)));
            Ok(())
        })
    }
}

/// The names that sd_factory_create knows, in byte order.
///
/// Ownership: `*out` is yours; free it with sd_names_free.
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_factory_names(
    out: *mut *mut sd_names,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            c.out(out, "out")?.set(handle::give(factory::names()));
            Ok(())
        })
    }
}

/// Put a middleware over a driver: one that changes the URLs of sd_redirect_url.
/// Every other call goes to the driver as it is.
///
/// "redirect" gives the parameter `baseurl`, a URL with scheme and host and perhaps
/// a path, followed by the path asked for, on any driver; what answers there must
/// serve every file, for nothing is signed and the driver is not asked.
///
/// "rewrite" takes the driver's own URL and sets its `scheme` and `host` and takes
/// `trimpathprefix` off its path, each if given. Where the driver has no URL there is
/// none. A signature that covers what was changed no longer holds.
///
/// What you get has the driver's name and shares its limit of concurrent calls. Both
/// can be used, and a wrapped driver can be wrapped again.
///
/// Ownership: `driver` stays yours; free it when you like. `params`, which may be
///            NULL, is copied. `*out` is yours: release it with sd_driver_free.
/// Threads:   shared.
/// Errors:    SD_ERR_INVALID_DRIVER     no middleware has this name
///            SD_ERR_INVALID_PARAMETER  a key is unknown, missing or malformed
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_driver_wrap(
    driver: *const sd_driver,
    middleware: *const c_char,
    params: *const sd_params,
    out: *mut *mut sd_driver,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let out = c.out(out, "out")?;
            let driver = &c.share(driver, "driver")?.driver;
            let middleware = c.text(middleware, "middleware")?;
            let none = Params::new();
            let params = if params.is_null() { &none } else { c.share(params, "params")?.params() };
            out.set(handle::give(DriverValue::new(factory::wrap(driver, middleware, params)?)));
            Ok(())
        })
    }
}

/// Another handle to the same driver, for another owner. NULL if `driver` is.
///
/// Ownership: yours; release it with sd_driver_free.
/// Threads:   shared.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_driver_ref(driver: *const sd_driver) -> *mut sd_driver {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value(ptr::null_mut(), |c| Ok(handle::give(c.share(driver, "driver")?.clone())))
    }
}

/// The driver's name as errors and metrics have it. It can differ from the name
/// it was created by: one driver may be registered under several.
///
/// Ownership: lives as long as this handle.
/// Threads:   shared.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_driver_name(driver: *const sd_driver) -> *const c_char {
    // SAFETY: the header's promises.
    unsafe { boundary::value(c"".as_ptr(), |c| Ok(c.share(driver, "driver")?.name.as_ptr())) }
}

/// Release a handle. The driver ends with its last handle, reader, writer and
/// walker. NULL is fine.
///
/// Threads:   any, but not while another thread still uses this handle.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_driver_free(driver: *mut sd_driver) {
    // SAFETY: the header's promises.
    unsafe { boundary::free(driver) }
}
