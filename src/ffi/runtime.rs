//! Section 15: runtime.

use std::ffi::c_char;
use std::time::Duration;

use super::boundary;
use super::error::{sd_error, sd_status};
use super::sized::SizedStruct;
use crate::error::Error;
use crate::runtime::{self, Config};

/// How the library's threads and driver processes are to be. Set struct_size to
/// sizeof(sd_runtime_options) and everything else to zero, then what you need.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct sd_runtime_options {
    pub struct_size: usize,
    /// Threads for network drivers, at most 1024; 0: one per CPU, at most 8.
    pub worker_threads: u32,
    /// Most threads for queued calls of other drivers; 0: 64. There are never more than
    /// such calls in flight, and those that are idle for 10 seconds end.
    pub max_blocking_threads: u32,
    /// How the names of our threads start; NULL: "sd".
    pub thread_name: *const c_char,
    /// Directories, with colons between, for programs called
    /// registry-storage-NAME; NULL: SD_DRIVER_PATH of the environment, then PATH.
    pub driver_path: *const c_char,
    /// SD_RUNTIME_ flags.
    pub flags: u32,
}

// SAFETY: pointers that are NULL and numbers that are 0.
unsafe impl SizedStruct for sd_runtime_options {
    const NAME: &'static str = "sd_runtime_options";
    const FIRST_SIZE: usize = 40;
}

/// sd_runtime_options.flags: never start a driver process.
pub const SD_RUNTIME_NO_CHILDREN: u32 = 0x1;

/// Configure the library, once and before the first driver is created. A program
/// that is content with the defaults need not call it.
///
/// Ownership: everything is copied.
/// Threads:   any.
/// Errors:    SD_ERR_INVALID_STATE  configured or in use already
///            SD_ERR_STRUCT_SIZE    the options are newer than this library
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_runtime_configure(
    options: *const sd_runtime_options,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let options = c.sized(options)?;
            let options = options.ok_or_else(|| Error::invalid_argument("options is null"))?;
            if options.flags & !SD_RUNTIME_NO_CHILDREN != 0 {
                return Err(Error::invalid_argument(format!("unknown flags {:#x}", options.flags)));
            }
            let text = |text, name| c.optional_text(text, name).map(|t| t.map(str::to_string));
            runtime::configure(Config {
                worker_threads: options.worker_threads,
                max_blocking_threads: options.max_blocking_threads,
                thread_name: text(options.thread_name, "thread_name")?,
                driver_path: text(options.driver_path, "driver_path")?,
                no_children: options.flags & SD_RUNTIME_NO_CHILDREN != 0,
            })
        })
    }
}

/// End all work of the library in this process.
///
/// Calls on drivers, readers, writers and walkers that exist now are refused with
/// SD_ERR_SHUTDOWN from here on, and until this returns new ones cannot be made; calls
/// that are running are waited for, up to `timeout_ms`. Streams and walks with a
/// callback are not: their next step is refused, and what they had begun stays as it
/// is. Then the names that sd_factory_register added are removed and what they own is
/// freed. Objects must still be freed. Afterwards the library may be configured and
/// used anew. A program that just exits need not call it.
///
/// Threads:   any, but not from inside a callback.
/// Errors:    SD_ERR_DEADLINE  calls were still running after `timeout_ms`; call it
///                             again to go on waiting
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_runtime_shutdown(
    timeout_ms: u64,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe { boundary::run(err, |_| runtime::shutdown(Duration::from_millis(timeout_ms))) }
}
