//! Another try, after a while.

use std::future::Future;
use std::time::Duration;

use crate::error::{Code, Error, Result};

/// What a peer may ask for at most.
const LONGEST_WISH: Duration = Duration::from_secs(30);
/// How much longer than for other failures the pauses are for a peer that asked to
/// slow down.
const SLOWER: u32 = 8;

/// How often, and how long after each failure.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// The first one included.
    pub attempts: u32,
    /// The first pause; each further one is twice as long.
    pub base: Duration,
    /// The longest pause.
    pub cap: Duration,
}

impl Default for Policy {
    fn default() -> Policy {
        let base = Duration::from_millis(50);
        Policy { attempts: 5, base, cap: Duration::from_secs(5) }
    }
}

impl Policy {
    /// Repeats `attempt` until it succeeds, fails in a way that will not change, or has
    /// been tried often enough.
    pub async fn run<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut failures = 0;
        loop {
            let error = match attempt().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            failures += 1;
            if !error.is_retryable() || failures >= self.attempts {
                return Err(error);
            }
            self.pause(&error, failures).await;
        }
    }

    /// Waits as long as the `failures`th failure asks for.
    pub async fn pause(&self, error: &Error, failures: u32) {
        let pause = self.wait(error, failures, fastrand::f64());
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }

    /// The pause after the `failures`th failure. `chance`, from 0 to 1, spreads callers
    /// that failed together: half of a pause is certain, half is up to it.
    pub fn wait(&self, error: &Error, failures: u32, chance: f64) -> Duration {
        let slower = if error.code() == Code::Throttled { SLOWER } else { 1 };
        let doubled = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let longest = self.base.saturating_mul(doubled.saturating_mul(slower)).min(self.cap);
        let chance = chance.clamp(0.0, 1.0);
        match error.retry_after() {
            Some(Duration::ZERO) => Duration::ZERO,
            Some(wish) => wish.min(LONGEST_WISH) + self.base.min(self.cap).mul_f64(chance),
            None => longest.mul_f64(0.5 + chance / 2.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    use std::time::Instant;

    use super::*;
    use crate::executor;

    const POLICY: Policy =
        Policy { attempts: 4, base: Duration::from_millis(100), cap: Duration::from_secs(2) };

    fn failure() -> Error {
        Error::new(Code::Unavailable, "down")
    }

    /// How often a policy tries what always fails with `error`.
    fn attempts(error: Error) -> u32 {
        executor::block(async move {
            let count = AtomicU32::new(0);
            let policy = Policy { base: Duration::from_millis(1), ..POLICY };
            let attempt = || async {
                count.fetch_add(1, SeqCst);
                Err::<(), _>(error.clone())
            };
            policy.run(attempt).await.unwrap_err();
            count.load(SeqCst)
        })
        .unwrap()
    }

    #[test]
    fn pauses_double_up_to_the_cap_and_at_most_half_is_chance() {
        for (failures, longest) in [(1, 100), (2, 200), (3, 400), (5, 1600), (6, 2000), (40, 2000)]
        {
            let longest = Duration::from_millis(longest);
            for chance in [0.0, 0.3, 1.0, 7.0, -1.0] {
                let pause = POLICY.wait(&failure(), failures, chance);
                assert!(pause >= longest / 2 && pause <= longest, "{failures} {chance}: {pause:?}");
            }
            assert_eq!(POLICY.wait(&failure(), failures, 0.0), longest / 2);
            assert_eq!(POLICY.wait(&failure(), failures, 1.0), longest);
        }
    }

    #[test]
    fn whoever_asks_to_slow_down_is_given_longer() {
        let throttled = Error::new(Code::Throttled, "slow down");
        assert_eq!(POLICY.wait(&throttled, 1, 1.0), Duration::from_millis(800));
        assert_eq!(POLICY.wait(&throttled, 9, 1.0), POLICY.cap);
    }

    #[test]
    fn a_wish_of_the_peer_is_kept_within_reason() {
        let wish = |seconds| failure().with_retry_after(Duration::from_secs(seconds));
        assert_eq!(POLICY.wait(&wish(3), 1, 0.0), Duration::from_secs(3));
        assert_eq!(POLICY.wait(&wish(3), 9, 1.0), Duration::from_millis(3100));
        assert_eq!(POLICY.wait(&wish(1 << 40), 1, 0.0), LONGEST_WISH);
        assert_eq!(POLICY.wait(&wish(0), 1, 1.0), Duration::ZERO);
    }

    #[test]
    fn only_what_may_change_is_tried_again_and_only_so_often() {
        assert_eq!(attempts(failure()), 4);
        assert_eq!(attempts(Error::new(Code::Throttled, "")), 4);
        assert_eq!(attempts(Error::new(Code::Permission, "")), 1);
        assert_eq!(attempts(failure().with_retryable(false)), 1);
    }

    #[test]
    fn a_success_after_failures_is_a_success() {
        let outcome = executor::block(async {
            let count = AtomicU32::new(0);
            let attempt = || async {
                if count.fetch_add(1, SeqCst) < 2 {
                    Err(failure().with_retry_after(Duration::ZERO))
                } else {
                    Ok(7)
                }
            };
            POLICY.run(attempt).await
        });
        assert_eq!(outcome.unwrap().unwrap(), 7);
    }

    #[test]
    fn a_pause_ends_when_its_future_is_dropped() {
        let began = Instant::now();
        executor::block(async {
            let patient =
                Policy { attempts: 99, base: Duration::from_secs(600), cap: Duration::MAX };
            let work = patient.run(|| async { Err::<(), _>(failure()) });
            tokio::time::timeout(Duration::from_millis(20), work).await.unwrap_err();
        })
        .unwrap();
        assert!(began.elapsed() < Duration::from_secs(300));
    }
}
