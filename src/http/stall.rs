//! When a peer has been silent for too long.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A task that waits is woken in time. One that comes this much later was not waiting:
/// its caller took a pause, or the machine slept.
const OVERSLEPT: Duration = Duration::from_secs(2);

/// Ends a wait in which nothing moved for too long.
pub struct Watch {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether something moved since the timer was set.
    moved: bool,
    progress: u64,
}

impl Watch {
    pub fn new(limit: Duration) -> Watch {
        Watch { limit, timer: None, moved: true, progress: 0 }
    }

    /// The peer answered; the next wait begins anew.
    pub fn moved(&mut self) {
        self.moved = true;
    }

    /// Ready when nothing has moved for the whole limit. `progress` is any number that
    /// changes when something does.
    pub fn poll_stalled(&mut self, task: &mut Context<'_>, progress: u64) -> Poll<()> {
        let limit = self.limit;
        let moved = std::mem::take(&mut self.moved);
        let timer = match &mut self.timer {
            Some(timer) => {
                if moved {
                    timer.as_mut().reset(Instant::now() + limit);
                }
                timer
            }
            none => none.insert(Box::pin(sleep_until(Instant::now() + limit))),
        };
        while timer.as_mut().poll(task).is_ready() {
            let unchanged = std::mem::replace(&mut self.progress, progress) == progress;
            let late = Instant::now().saturating_duration_since(timer.deadline());
            if unchanged && late < OVERSLEPT {
                return Poll::Ready(());
            }
            timer.as_mut().reset(Instant::now() + limit);
        }
        Poll::Pending
    }
}
