//! Whether something was done although no answer said so.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

/// Of requests that must not be taken for another's, or made twice.
#[derive(Debug, Default)]
pub struct Doubt(AtomicBool);

impl Doubt {
    /// Whether an attempt may have been done that no answer came to.
    pub fn any(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Makes an attempt. One that is dropped on the way leaves a doubt.
    pub async fn attempt<T>(&self, attempt: impl Future<Output = Result<T>>) -> Result<T> {
        let before = self.0.swap(true, Ordering::SeqCst);
        let outcome = attempt.await;
        if !outcome.as_ref().is_err_and(is_ambiguous) {
            self.0.store(before, Ordering::SeqCst);
        }
        outcome
    }
}

/// Whether the service may have done what it was asked for all the same.
pub fn is_ambiguous(error: &Error) -> bool {
    error.is_retryable() || error.http_status() == 0 || error.http_status() >= 500
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn only_what_was_answered_is_certain() {
        let run = |doubt: &Doubt, outcome: Result<()>| {
            drop(block_on(doubt.attempt(async { outcome })));
            doubt.any()
        };
        let error = |code, status| Err(Error::new(code, "told to").with_http_status(status));
        let doubt = Doubt::default();
        assert!(!run(&doubt, Ok(())));
        assert!(!run(&doubt, error(Code::Permission, 403)));
        assert!(run(&doubt, error(Code::Unavailable, 503)));
        // What comes later says nothing of it.
        assert!(run(&doubt, Ok(())));
        assert!(run(&Doubt::default(), error(Code::Unavailable, 0)));
        let dropped = Doubt::default();
        let mut attempt = Box::pin(dropped.attempt(std::future::pending::<Result<()>>()));
        let mut task = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(attempt.as_mut().poll(&mut task).is_pending());
        drop(attempt);
        assert!(dropped.any());
    }

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
    }
}
