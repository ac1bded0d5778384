//! What a host can see of the library: log records and metrics, each handed to
//! one hook, and a snapshot of the metrics as text.
//!
//! Setting a hook returns only when the one before it is no longer running, so
//! that what it used can be freed. A hook must not call the library; a record
//! that one would cause is dropped.
//!
//! A child of a fork has its parent's hooks, but for one that was being set at that
//! moment, and counts from nothing.

mod metrics;

pub use metrics::{DriverMetrics, InFlight, Verb, metrics_text};

use std::any::Any;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::runtime::{self, PerProcess};

/// As in the C header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Level {
    Error = 1,
    Warn = 2,
    Info = 3,
    Debug = 4,
    Trace = 5,
}

/// One line of the log.
pub struct LogRecord<'r> {
    /// Nanoseconds since 1970.
    pub time_ns: i64,
    pub level: Level,
    /// The part of the library, "base".
    pub target: &'r str,
    pub message: &'r str,
    /// The context's fields and the record's own, as a JSON object.
    pub fields_json: &'r str,
}

/// One finished call.
pub struct Metric<'m> {
    pub driver: &'m str,
    pub verb: Verb,
    pub outcome: Option<Code>,
    pub duration: Duration,
    pub bytes: u64,
}

pub type LogHook = Box<dyn Fn(&LogRecord<'_>) + Send + Sync>;
pub type MetricHook = Box<dyn Fn(&Metric<'_>) + Send + Sync>;

/// A hook holds the lock while it runs.
type Place<H> = RwLock<Option<Arc<H>>>;

static LOG: PerProcess<Place<LogHook>> = PerProcess::new(RwLock::new(None));
/// The most verbose level that the hook wants; 0 without a hook.
static MAX_LEVEL: AtomicI32 = AtomicI32::new(0);
static METRIC: PerProcess<Place<MetricHook>> = PerProcess::new(RwLock::new(None));
static METRIC_WANTED: AtomicBool = AtomicBool::new(false);

fn here<H>(hook: &PerProcess<Place<H>>) -> &Place<H> {
    hook.get_or(|before| RwLock::new(runtime::copy(before).flatten()))
}

thread_local! {
    static IN_HOOK: Cell<bool> = const { Cell::new(false) };
}

/// Sets, replaces or (with `None`) removes the log hook. `max_level` is a number
/// of [`Level`]; records above it are not made.
pub fn set_log_hook(hook: Option<LogHook>, max_level: i32) -> Result<()> {
    refuse_in_hook()?;
    let level = if hook.is_some() { max_level } else { 0 };
    let mut current = here(&LOG).write().unwrap_or_else(PoisonError::into_inner);
    let old = std::mem::replace(&mut *current, hook.map(Arc::new));
    // Under the lock, so that level and hook belong together.
    MAX_LEVEL.store(level, Ordering::Release);
    drop(current);
    drop(old);
    Ok(())
}

/// Sets, replaces or removes the metric hook.
pub fn set_metric_hook(hook: Option<MetricHook>) -> Result<()> {
    refuse_in_hook()?;
    let wanted = hook.is_some();
    let mut current = here(&METRIC).write().unwrap_or_else(PoisonError::into_inner);
    let old = std::mem::replace(&mut *current, hook.map(Arc::new));
    METRIC_WANTED.store(wanted, Ordering::Release);
    drop(current);
    drop(old);
    Ok(())
}

fn refuse_in_hook() -> Result<()> {
    if IN_HOOK.get() {
        return Err(Error::invalid_state("a hook cannot set a hook"));
    }
    Ok(())
}

/// Whether a record of this level would reach anybody.
pub fn logs(level: Level) -> bool {
    level as i32 <= MAX_LEVEL.load(Ordering::Acquire)
}

/// What to say of a panic inside the library.
pub fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| text.to_string())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "of an unknown kind".to_string());
    let text = text.replace(char::is_control, " ");
    format!("a bug in the library, please report it: panic {text}")
}

/// Hands a record to the hook; `message` and `fields` are made only if it wants
/// the level.
pub fn log(
    level: Level,
    target: &str,
    ctx: &Context,
    message: impl FnOnce() -> String,
    fields: &[(&str, &str)],
) {
    if !logs(level) || IN_HOOK.get() {
        return;
    }
    let mut all = ctx.fields();
    all.extend(fields.iter().map(|(k, v)| (k.to_string(), v.to_string())));
    let fields = all.into_iter().map(|(k, v)| (k, v.into()));
    let fields_json = serde_json::Value::Object(fields.collect()).to_string();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let record = LogRecord {
        time_ns: i64::try_from(now.as_nanos()).unwrap_or(i64::MAX),
        level,
        target,
        message: &message(),
        fields_json: &fields_json,
    };
    if let Some(hook) = &*here(&LOG).read().unwrap_or_else(PoisonError::into_inner)
        // It may be another hook than the one that wanted the record.
        && logs(level)
    {
        in_hook(|| hook(&record));
    }
}

fn report(metric: &Metric<'_>) {
    if !METRIC_WANTED.load(Ordering::Acquire) || IN_HOOK.get() {
        return;
    }
    if let Some(hook) = &*here(&METRIC).read().unwrap_or_else(PoisonError::into_inner) {
        in_hook(|| hook(metric));
    }
}

fn in_hook(run: impl FnOnce()) {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            IN_HOOK.set(false);
        }
    }
    IN_HOOK.set(true);
    let _leave = Leave;
    run();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::in_child;

    fn sets_both_hooks() -> bool {
        log(Level::Error, "test", &Context::none(), String::new, &[]);
        set_log_hook(Some(Box::new(|_| ())), 1).is_ok()
            && set_metric_hook(Some(Box::new(|_| ()))).is_ok()
    }

    #[test]
    fn a_child_sets_hooks_whatever_the_parents_threads_did_with_theirs() {
        let running = (here(&LOG).read(), here(&METRIC).read());
        assert!(in_child(sets_both_hooks));
        drop(running);
        let changing = (here(&LOG).write(), here(&METRIC).write());
        assert!(in_child(sets_both_hooks));
        drop(changing);
    }
}
