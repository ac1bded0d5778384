//! The core of the queue: how many answers are owed, and those that have come. It
//! is small and knows nothing else, so that a model checker can try every order of
//! its steps (tests/model builds this file alone).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

#[cfg(loom)]
use loom::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(loom))]
use std::sync::{Condvar, Mutex, MutexGuard};

/// Something that can be seen from outside exactly while answers wait.
pub trait Signal {
    fn raise(&self);
    fn clear(&self);
}

pub struct Inbox<T, S> {
    state: Mutex<State<T>>,
    /// An answer came, or the last one that was owed.
    changed: Condvar,
    signal: S,
}

struct State<T> {
    ready: VecDeque<T>,
    owed: usize,
    /// Nothing is accepted any more.
    closed: bool,
}

impl<T, S: Signal> Inbox<T, S> {
    pub fn new(signal: S) -> Inbox<T, S> {
        let state = State { ready: VecDeque::new(), owed: 0, closed: false };
        Inbox { state: Mutex::new(state), changed: Condvar::new(), signal }
    }

    pub fn signal(&self) -> &S {
        &self.signal
    }

    /// Promises one answer more; false if the inbox is closed.
    pub fn promise(&self) -> bool {
        let mut state = self.lock();
        state.owed += usize::from(!state.closed);
        !state.closed
    }

    /// Keeps a promise.
    pub fn put(&self, answer: T) {
        let mut state = self.lock();
        state.owed = state.owed.saturating_sub(1);
        if state.ready.is_empty() {
            self.signal.raise();
        }
        state.ready.push_back(answer);
        drop(state);
        self.changed.notify_all();
    }

    /// The next answer; `None` if there is none after `timeout`, which is without
    /// end if `None`.
    pub fn next(&self, timeout: Option<Duration>) -> Option<T> {
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.lock();
        loop {
            if let Some(answer) = state.ready.pop_front() {
                if state.ready.is_empty() {
                    self.signal.clear();
                }
                return Some(answer);
            }
            let left = match (timeout, end) {
                (Some(_), Some(end)) => Some(end.saturating_duration_since(Instant::now())),
                _ => None,
            };
            if left == Some(Duration::ZERO) {
                return None;
            }
            state = self.wait(state, left);
        }
    }

    /// How many answers are owed.
    pub fn owed(&self) -> usize {
        self.lock().owed
    }

    /// Accepts nothing from here on and waits until nothing is owed.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        while state.owed > 0 {
            state = self.wait(state, None);
        }
    }

    #[cfg(not(loom))]
    fn wait<'s>(
        &self,
        state: MutexGuard<'s, State<T>>,
        left: Option<Duration>,
    ) -> MutexGuard<'s, State<T>> {
        use std::sync::PoisonError;
        match left {
            Some(left) => {
                let waited = self.changed.wait_timeout(state, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }

    #[cfg(not(loom))]
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    #[cfg(loom)]
    fn wait<'s>(
        &self,
        state: MutexGuard<'s, State<T>>,
        _left: Option<Duration>,
    ) -> MutexGuard<'s, State<T>> {
        self.changed.wait(state).unwrap()
    }

    #[cfg(loom)]
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap()
    }
}
