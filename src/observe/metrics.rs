//! What is counted and timed, and its text form. Counting takes no lock; a child of a
//! fork starts from nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;

use super::{Metric, report};
use crate::error::{Code, Error, Result};
use crate::runtime::PerProcess;

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

/// Prometheus' default buckets, which Distribution's timer has, and one for the rest.
const BUCKETS: [f64; 12] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, f64::MAX];

/// How long things took. (The crate's own type has a lock around it, for every call of
/// every thread.)
#[derive(Clone, Debug, Default)]
struct Histogram(Arc<Times>);

#[derive(Debug, Default)]
struct Times {
    counts: [AtomicU64; BUCKETS.len()],
    /// In nanoseconds: enough for 584 years.
    sum: AtomicU64,
}

impl Histogram {
    fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let mut counts = self.0.counts.iter().zip(BUCKETS);
        if let Some((count, _)) = counts.find(|(_, most)| seconds <= *most) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.0.sum.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let counts = self.0.counts.iter().zip(BUCKETS);
        let buckets = counts.map(|(count, most)| (most, count.load(Ordering::Relaxed)));
        let buckets: Vec<(f64, u64)> = buckets.collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_nanos(self.0.sum.load(Ordering::Relaxed)).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

/// Metrics of one name by their labels, in the labels' order. (The crate's own type
/// has a hash table, whose memory leak checkers take for lost in a static.)
#[derive(Debug)]
struct Family<M>(Arc<Mutex<BTreeMap<Labels, M>>>);

impl<M: Clone + Default> Family<M> {
    fn new() -> Family<M> {
        Family(Arc::default())
    }

    fn share(&self) -> Family<M> {
        Family(self.0.clone())
    }

    fn get(&self, labels: Labels) -> M {
        let mut metrics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        metrics.entry(labels).or_default().clone()
    }
}

impl<M: EncodeMetric + TypedMetric> EncodeMetric for Family<M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
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

static FAMILIES: PerProcess<LazyLock<Families>> = PerProcess::new(LazyLock::new(Families::new));

impl Families {
    fn here() -> &'static Families {
        FAMILIES.get_or(|_| LazyLock::new(Families::new))
    }

    fn new() -> Families {
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
    }
}

/// All metrics of this process in Prometheus' text form.
pub fn metrics_text() -> Result<String> {
    let mut text = String::new();
    encode(&mut text, &Families::here().registry)
        .map_err(|e| Error::new(Code::Internal, format!("metrics cannot be written: {e}")))?;
    Ok(text)
}

/// The metrics of one driver, looked up once in each process.
pub struct DriverMetrics {
    driver: String,
    own: PerProcess<Own>,
}

struct Own {
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
        DriverMetrics { driver: driver.to_string(), own: PerProcess::here(Own::new(driver)) }
    }

    fn own(&self) -> &Own {
        self.own.get_or(|_| Own::new(&self.driver))
    }

    /// Counts a call as running until the guard is dropped.
    pub fn begin(&self) -> InFlight<'_> {
        let in_flight = &self.own().in_flight;
        in_flight.inc();
        InFlight(in_flight)
    }

    /// Counts a finished call and tells the hook.
    pub fn end(&self, verb: Verb, outcome: Option<Code>, duration: Duration, bytes: u64) {
        if let Some(metrics) = self.own().verbs.get(verb as usize) {
            metrics.seconds.observe(duration);
            metrics.bytes.inc_by(bytes);
            match outcome {
                None => metrics.ok.inc(),
                Some(code) => {
                    let labels = outcome_labels(&self.driver, verb, code.name());
                    Families::here().calls.get(labels).inc()
                }
            };
        }
        report(&Metric { driver: &self.driver, verb, outcome, duration, bytes });
    }
}

impl Own {
    fn new(driver: &str) -> Own {
        let families = Families::here();
        let labels =
            |verb: Verb| vec![("driver", driver.to_string()), ("action", verb.name().to_string())];
        let verb_metrics = |&verb: &Verb| VerbMetrics {
            seconds: families.seconds.get(labels(verb)),
            ok: families.calls.get(outcome_labels(driver, verb, "ok")),
            bytes: families.bytes.get(labels(verb)),
        };
        Own {
            in_flight: families.in_flight.get(vec![("driver", driver.to_string())]),
            verbs: Verb::ALL.iter().map(verb_metrics).collect(),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::in_child;

    #[test]
    fn a_child_counts_from_nothing_whatever_locks_are_held_in_the_parent() {
        let old = DriverMetrics::new("old");
        old.end(Verb::Stat, None, Duration::from_millis(7), 0);
        let families = Families::here();
        let held = (families.calls.0.lock(), families.seconds.0.lock());
        let held = (held, families.bytes.0.lock(), families.in_flight.0.lock());
        assert!(in_child(|| {
            for metrics in [&old, &DriverMetrics::new("new")] {
                drop(metrics.begin());
                metrics.end(Verb::Stat, None, Duration::from_millis(7), 0);
                metrics.end(Verb::Stat, Some(Code::PathNotFound), Duration::ZERO, 0);
            }
            let text = metrics_text().unwrap_or_default();
            ["old", "new"].iter().all(|driver| {
                let line = format!("_outcomes_total{{driver=\"{driver}\",action=\"Stat\"");
                text.contains(&format!("{line},outcome=\"ok\"}} 1"))
            })
        }));
        drop(held);
    }

    #[test]
    fn a_time_is_in_the_first_bucket_that_has_room_for_it() {
        let histogram = Histogram::default();
        for millis in [0, 5, 6, 10_000, 10_001] {
            histogram.observe(Duration::from_millis(millis));
        }
        let counts = histogram.0.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        assert_eq!(counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(histogram.0.sum.load(Ordering::Relaxed), 20_012_000_000);
    }
}
