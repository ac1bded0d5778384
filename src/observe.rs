//! What a host can see of the library: log records and metrics, each handed to
//! one hook, and a snapshot of the metrics as text.
//!
//! Setting a hook returns only when the one before it is no longer running, so
//! that what it used can be freed. A hook must not call the library; a record
//! that one would cause is dropped.

use std::any::Any;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;

use crate::context::Context;
use crate::error::{Code, Error, Result};

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

static LOG: RwLock<Option<LogHook>> = RwLock::new(None);
/// The most verbose level that the hook wants; 0 without a hook.
static MAX_LEVEL: AtomicI32 = AtomicI32::new(0);
static METRIC: RwLock<Option<MetricHook>> = RwLock::new(None);
static METRIC_WANTED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static IN_HOOK: Cell<bool> = const { Cell::new(false) };
}

/// Sets, replaces or (with `None`) removes the log hook. `max_level` is a number
/// of [`Level`]; records above it are not made.
pub fn set_log_hook(hook: Option<LogHook>, max_level: i32) -> Result<()> {
    refuse_in_hook()?;
    let level = if hook.is_some() { max_level } else { 0 };
    let mut current = LOG.write().unwrap_or_else(PoisonError::into_inner);
    let old = std::mem::replace(&mut *current, hook);
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
    let mut current = METRIC.write().unwrap_or_else(PoisonError::into_inner);
    let old = std::mem::replace(&mut *current, hook);
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
    if let Some(hook) = &*LOG.read().unwrap_or_else(PoisonError::into_inner)
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
    if let Some(hook) = &*METRIC.read().unwrap_or_else(PoisonError::into_inner) {
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

macro_rules! verbs {
    ($($variant:ident = $name:literal,)+) => {
        /// What is counted and timed. The names are Distribution's where it has one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Verb { $($variant,)+ }

        impl Verb {
            const ALL: &[Verb] = &[$(Verb::$variant,)+];

            pub fn name(self) -> &'static str {
                match self { $(Verb::$variant => $name,)+ }
            }
        }
    };
}

verbs! {
    GetContent = "GetContent",
    PutContent = "PutContent",
    Stat = "Stat",
    List = "List",
    Move = "Move",
    Delete = "Delete",
    RedirectUrl = "RedirectURL",
    Reader = "Reader",
    Read = "Read",
    Writer = "Writer",
    Write = "Write",
    Commit = "Commit",
    Cancel = "Cancel",
    Close = "Close",
    Walk = "Walk",
}

type Labels = Vec<(&'static str, String)>;

/// Prometheus' default buckets, which Distribution's timer has.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Metrics of one name by their labels, in the labels' order. (The crate's own type
/// has a hash table, whose memory leak checkers take for lost in a static.)
#[derive(Debug)]
struct Family<M>(Arc<Mutex<BTreeMap<Labels, M>>>);

impl<M: Clone> Family<M> {
    fn new() -> Family<M> {
        Family(Arc::default())
    }

    fn share(&self) -> Family<M> {
        Family(self.0.clone())
    }

    fn get(&self, labels: Labels, new: impl FnOnce() -> M) -> M {
        let mut metrics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        metrics.entry(labels).or_insert_with(new).clone()
    }
}

impl<M: EncodeMetric + TypedMetric> EncodeMetric for Family<M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        let metrics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        metrics.iter().try_for_each(|(labels, m)| m.encode(encoder.encode_family(labels)?))
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }
}

struct Families {
    registry: Registry,
    seconds: Family<Histogram>,
    calls: Family<Counter>,
    bytes: Family<Counter>,
    in_flight: Family<Gauge>,
}

static FAMILIES: LazyLock<Families> = LazyLock::new(|| {
    let mut registry = Registry::default();
    let (seconds, calls) = (Family::new(), Family::new());
    let (bytes, in_flight) = (Family::new(), Family::new());
    registry.register(
        "registry_storage_action_seconds",
        "The number of seconds that the storage action takes",
        seconds.share(),
    );
    registry.register(
        "registry_storage_action_outcomes",
        "Storage actions by outcome: ok, or the error's name",
        calls.share(),
    );
    registry.register(
        "registry_storage_action_bytes",
        "Bytes read and written by the storage action",
        bytes.share(),
    );
    registry.register(
        "registry_storage_in_flight",
        "Storage actions running now",
        in_flight.share(),
    );
    Families { registry, seconds, calls, bytes, in_flight }
});

/// All metrics of this process in Prometheus' text form.
pub fn metrics_text() -> Result<String> {
    let mut text = String::new();
    encode(&mut text, &FAMILIES.registry)
        .map_err(|e| Error::new(Code::Internal, format!("metrics cannot be written: {e}")))?;
    Ok(text)
}

/// The metrics of one driver, looked up once.
pub struct DriverMetrics {
    driver: String,
    in_flight: Gauge,
    verbs: Vec<VerbMetrics>,
}

struct VerbMetrics {
    seconds: Histogram,
    ok: Counter,
    bytes: Counter,
}

impl DriverMetrics {
    pub fn new(driver: &str) -> DriverMetrics {
        let families = &*FAMILIES;
        let labels =
            |verb: Verb| vec![("driver", driver.to_string()), ("action", verb.name().to_string())];
        let verb_metrics = |&verb: &Verb| VerbMetrics {
            seconds: families.seconds.get(labels(verb), || Histogram::new(BUCKETS)),
            ok: families.calls.get(outcome_labels(driver, verb, "ok"), Counter::default),
            bytes: families.bytes.get(labels(verb), Counter::default),
        };
        DriverMetrics {
            driver: driver.to_string(),
            in_flight: families.in_flight.get(vec![("driver", driver.to_string())], Gauge::default),
            verbs: Verb::ALL.iter().map(verb_metrics).collect(),
        }
    }

    /// Counts a call as running until the guard is dropped.
    pub fn begin(&self) -> InFlight<'_> {
        self.in_flight.inc();
        InFlight(&self.in_flight)
    }

    /// Counts a finished call and tells the hook.
    pub fn end(&self, verb: Verb, outcome: Option<Code>, duration: Duration, bytes: u64) {
        if let Some(metrics) = self.verbs.get(verb as usize) {
            metrics.seconds.observe(duration.as_secs_f64());
            metrics.bytes.inc_by(bytes);
            match outcome {
                None => metrics.ok.inc(),
                Some(code) => {
                    let labels = outcome_labels(&self.driver, verb, code.name());
                    FAMILIES.calls.get(labels, Counter::default).inc()
                }
            };
        }
        report(&Metric { driver: &self.driver, verb, outcome, duration, bytes });
    }
}

fn outcome_labels(driver: &str, verb: Verb, outcome: &str) -> Labels {
    vec![
        ("driver", driver.to_string()),
        ("action", verb.name().to_string()),
        ("outcome", outcome.to_string()),
    ]
}

/// See [`DriverMetrics::begin`].
pub struct InFlight<'m>(&'m Gauge);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
