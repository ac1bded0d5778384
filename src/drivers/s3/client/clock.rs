//! The time that requests are signed for: ours, or the server's where they differ by so
//! much that it refused us.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_smithy_async::time::TimeSource;
use http::header::{DATE, HeaderMap};

/// Clocks that differ by less, in seconds, are no reason for a refusal.
const SKEW: i64 = 60;

/// Shared by its clones.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// The server's minus ours, seconds.
    skew: Arc<AtomicI64>,
}

impl Clock {
    /// Takes the time of an answer; whether that changes much.
    pub fn set(&self, headers: &HeaderMap) -> bool {
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        date.is_some_and(|date| self.set_to(date))
    }

    fn set_to(&self, date: SystemTime) -> bool {
        let skew = seconds(date).saturating_sub(seconds(SystemTime::now()));
        let before = self.skew.swap(skew, Ordering::Relaxed);
        (skew - before).abs() > SKEW
    }
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        let skew = self.skew.load(Ordering::Relaxed);
        let by = Duration::from_secs(skew.unsigned_abs());
        let now = SystemTime::now();
        let moved = if skew < 0 { now.checked_sub(by) } else { now.checked_add(by) };
        moved.unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_time_is_taken_once_where_it_differs_by_much() {
        let clock = Clock::default();
        let hour = Duration::from_secs(3600);
        assert!(!clock.set_to(SystemTime::now()));
        for time in [SystemTime::now() + hour, SystemTime::now() - hour] {
            assert!(clock.set_to(time));
            assert!(!clock.set_to(time));
            assert!(seconds(clock.now()).abs_diff(seconds(time)) < 30);
        }
        assert!(!clock.set(&HeaderMap::new()));
    }
}
