//! A bound on the bytes that all uploads of the process hold together.
//!
//! Nobody ever waits for the budget. A writer that is refused sends what it has,
//! and what it may always hold beyond the budget, one part, is enough for it to
//! go on: it waits for its own parts on the wire, never for another writer. So
//! no order of writers can be a deadlock, and the budget needs no queue.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::runtime::PerProcess;

/// What the uploads of a process share. Five uploads run at full speed in it with
/// the usual 10 MiB parts; more of them have fewer parts under way each.
const SHARED: usize = 256 << 20;

/// A number of bytes that many writers draw on.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    used: AtomicUsize,
}

impl Budget {
    pub fn new(limit: usize) -> Arc<Budget> {
        Arc::new(Budget { limit, used: AtomicUsize::new(0) })
    }

    /// The one of the process.
    pub fn shared() -> Arc<Budget> {
        // A child of a fork holds nothing of what its parent's uploads do.
        static BUDGET: PerProcess<OnceLock<Arc<Budget>>> = PerProcess::new(OnceLock::new());
        BUDGET.get_or(|_| OnceLock::new()).get_or_init(|| Budget::new(SHARED)).clone()
    }

    /// The view of one writer.
    pub fn account(self: &Arc<Budget>) -> Account {
        Account { budget: self.clone(), beyond: Arc::default() }
    }

    #[cfg(test)]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }
}

/// Adds `bytes` unless the sum would exceed `most`.
fn add_within(counter: &AtomicUsize, bytes: usize, most: usize) -> bool {
    let add = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= most);
    counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, add).is_ok()
}

/// What one writer holds, within the budget and beyond it.
#[derive(Clone, Debug)]
pub struct Account {
    budget: Arc<Budget>,
    beyond: Arc<AtomicUsize>,
}

impl Account {
    /// Room for `bytes` more out of the budget, while there is some.
    pub fn take(&self, bytes: usize) -> Option<Hold> {
        let taken = add_within(&self.budget.used, bytes, self.budget.limit);
        taken.then(|| self.hold(bytes, 0))
    }

    /// Room for `bytes` more whatever others hold, as long as what this writer has
    /// beyond the budget stays within `part`.
    pub fn take_beyond(&self, bytes: usize, part: usize) -> Option<Hold> {
        add_within(&self.beyond, bytes, part).then(|| self.hold(0, bytes))
    }

    /// Nothing yet, to be joined with what is taken.
    pub fn nothing(&self) -> Hold {
        self.hold(0, 0)
    }

    fn hold(&self, within: usize, beyond: usize) -> Hold {
        Hold { account: self.clone(), within, beyond }
    }
}

/// Bytes of an account in use; given back when dropped, from wherever that is.
#[derive(Debug)]
pub struct Hold {
    account: Account,
    within: usize,
    beyond: usize,
}

impl Hold {
    /// Makes one of two holds of the same account.
    pub fn join(&mut self, mut other: Hold) {
        self.within += std::mem::take(&mut other.within);
        self.beyond += std::mem::take(&mut other.beyond);
    }

    /// Gives back what exceeds `bytes`, first what is beyond the budget.
    pub fn keep(&mut self, bytes: usize) {
        let excess = self.bytes().saturating_sub(bytes);
        let beyond = excess.min(self.beyond);
        let within = excess - beyond;
        self.beyond -= beyond;
        self.within -= within;
        drop(self.account.hold(within, beyond));
    }

    pub fn bytes(&self) -> usize {
        self.within + self.beyond
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.account.budget.used.fetch_sub(self.within, Ordering::AcqRel);
        self.account.beyond.fetch_sub(self.beyond, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_given_back() {
        let budget = Budget::new(10);
        let account = budget.account();
        let mut hold = account.nothing();
        hold.join(account.take(6).unwrap());
        hold.join(account.take(4).unwrap());
        assert!(account.take(1).is_none());
        hold.join(account.take_beyond(5, 5).unwrap());
        assert!(account.take_beyond(1, 5).is_none());
        assert_eq!((hold.bytes(), budget.used()), (15, 10));
        drop(hold);
        assert_eq!(budget.used(), 0);
        assert!(account.take_beyond(5, 5).is_some());
    }

    #[test]
    fn what_one_writer_has_beyond_the_budget_is_its_own() {
        let budget = Budget::new(0);
        let (one, other) = (budget.account(), budget.account());
        let _first = one.take_beyond(5, 5).unwrap();
        assert!(one.take_beyond(1, 5).is_none());
        assert!(other.take_beyond(5, 5).is_some());
        assert!(other.take(1).is_none());
    }

    #[test]
    fn many_threads_never_exceed_the_budget() {
        let budget = Budget::new(64);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let account = budget.account();
                    for n in 0..20_000 {
                        let hold = account.take(1 + n % 7);
                        assert!(budget.used() <= 64);
                        drop(hold);
                    }
                });
            }
        });
        assert_eq!(budget.used(), 0);
    }
}
