//! Section 13: logs and metrics.

use std::ffi::{c_char, c_void};
use std::ptr;

use super::boundary;
use super::error::{SD_OK, sd_error, sd_status};
use super::text::c_text;
use super::value::{buffer, sd_buffer};
use crate::error::Error;
use crate::observe::{self, LogHook, MetricHook};

pub const SD_LOG_ERROR: i32 = 1;
pub const SD_LOG_WARN: i32 = 2;
pub const SD_LOG_INFO: i32 = 3;
pub const SD_LOG_DEBUG: i32 = 4;
pub const SD_LOG_TRACE: i32 = 5;

/// One line of the log. Made by the library only and read through a pointer: do
/// not copy it by value, it may grow.
#[repr(C)]
pub struct sd_log_record {
    /// Set by the library: fields beyond it are not there.
    pub struct_size: usize,
    /// Nanoseconds since 1970-01-01 UTC.
    pub time_ns: i64,
    /// SD_LOG_ERROR to SD_LOG_TRACE.
    pub level: i32,
    /// The part of the library that speaks.
    pub target: *const c_char,
    /// One line of plain text.
    pub message: *const c_char,
    /// A JSON object: the context's fields and the record's own.
    pub fields_json: *const c_char,
}

/// Takes one record, which is lent until it returns.
pub type sd_log_fn = Option<unsafe extern "C" fn(user: *mut c_void, record: *const sd_log_record)>;

/// A pointer of the host's, given back to its hook on whatever thread that runs.
#[derive(Clone, Copy)]
struct User(*mut c_void);

// SAFETY: the header says that hooks run on any thread, concurrently; what the
// pointer leads to is the host's to protect.
unsafe impl Send for User {}
// SAFETY: as above.
unsafe impl Sync for User {}

impl User {
    fn get(&self) -> *mut c_void {
        self.0
    }
}

/// Send log records up to `max_level` to `hook`; NULL removes the hook.
///
/// The library writes nothing anywhere by itself. When this returns, the hook that
/// was set before is not running and never will again, so that what its `user`
/// points to can be freed.
///
/// Ownership: `user` stays yours and is handed to every call of `hook`.
/// Threads:   any. `hook` is called on any thread, concurrently; it must be quick,
///            must not throw, and must not call the library: a record that it would
///            cause is dropped.
/// Errors:    SD_ERR_INVALID_ARGUMENT  `max_level` is not one of the levels
///            SD_ERR_INVALID_STATE     called from inside a hook
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_log_set_hook(
    hook: sd_log_fn,
    user: *mut c_void,
    max_level: i32,
) -> sd_status {
    let user = User(user);
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(ptr::null_mut(), |_| {
            let Some(hook) = hook else { return observe::set_log_hook(None, 0) };
            if !(SD_LOG_ERROR..=SD_LOG_TRACE).contains(&max_level) {
                return Err(Error::invalid_argument("max_level is not a level"));
            }
            let call: LogHook = Box::new(move |record| {
                let target = c_text(record.target);
                let message = c_text(record.message);
                let fields_json = c_text(record.fields_json);
                let record = sd_log_record {
                    struct_size: size_of::<sd_log_record>(),
                    time_ns: record.time_ns,
                    level: record.level as i32,
                    target: target.as_ptr(),
                    message: message.as_ptr(),
                    fields_json: fields_json.as_ptr(),
                };
                hook(user.get(), &record);
            });
            observe::set_log_hook(Some(call), max_level)
        })
    }
}

/// One finished call. Made by the library only and read through a pointer: do not
/// copy it by value, it may grow.
#[repr(C)]
pub struct sd_metric {
    /// Set by the library: fields beyond it are not there.
    pub struct_size: usize,
    pub driver: *const c_char,
    /// "GetContent", "PutContent", "Stat", "List", "Move", "Delete", "RedirectURL",
    /// "Reader", "Read", "Writer", "Write", "Commit", "Cancel", "Close" or "Walk".
    pub action: *const c_char,
    /// How it ended.
    pub status: sd_status,
    /// Time inside the driver; waiting for a concurrency slot is not counted.
    pub duration_ns: u64,
    /// Bytes read or written.
    pub bytes: u64,
}

/// Takes one metric, which is lent until it returns.
pub type sd_metrics_fn = Option<unsafe extern "C" fn(user: *mut c_void, metric: *const sd_metric)>;

/// Tell `hook` of every finished call; NULL removes the hook. The rules are those
/// of sd_log_set_hook.
///
/// Ownership: `user` stays yours and is handed to every call of `hook`.
/// Threads:   any. `hook` is called on any thread, concurrently; it must be quick,
///            must not throw, and must not call the library.
/// Errors:    SD_ERR_INVALID_STATE  called from inside a hook
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_metrics_set_hook(hook: sd_metrics_fn, user: *mut c_void) -> sd_status {
    let user = User(user);
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(ptr::null_mut(), |_| {
            let Some(hook) = hook else { return observe::set_metric_hook(None) };
            let call: MetricHook = Box::new(move |metric| {
                let (driver, action) = (c_text(metric.driver), c_text(metric.verb.name()));
                let metric = sd_metric {
                    struct_size: size_of::<sd_metric>(),
                    driver: driver.as_ptr(),
                    action: action.as_ptr(),
                    status: metric.outcome.map_or(SD_OK, |code| code.number()),
                    duration_ns: u64::try_from(metric.duration.as_nanos()).unwrap_or(u64::MAX),
                    bytes: metric.bytes,
                };
                hook(user.get(), &metric);
            });
            observe::set_metric_hook(Some(call))
        })
    }
}

/// All metrics of this process in Prometheus' text form, to be served as they are:
/// registry_storage_action_seconds and its kin, with the labels driver and action.
///
/// Ownership: `*out` is yours; free it with sd_buffer_free.
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_metrics_text(
    out: *mut *mut sd_buffer,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let out = c.out(out, "out")?;
            out.set(buffer(observe::metrics_text()?.into_bytes()));
            Ok(())
        })
    }
}
