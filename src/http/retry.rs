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
