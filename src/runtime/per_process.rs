//! State that a child of a fork must not share with its parent's threads: what they
//! were in the middle of at the fork stays so for ever.

use std::sync::{RwLock, TryLockError};

use super::forks;
use super::sys::Pile;

/// A value of which each process has its own.
pub struct PerProcess<T> {
    forks: u32,
    first: T,
    later: Pile<(u32, T)>,
}

impl<T> PerProcess<T> {
    /// For a static: the value of the process that loaded the library.
    pub const fn new(first: T) -> PerProcess<T> {
        PerProcess { forks: 0, first, later: Pile::new() }
    }

    /// The value of the process that this is.
    pub fn here(first: T) -> PerProcess<T> {
        PerProcess { forks: forks(), first, later: Pile::new() }
    }

    /// This process's. `make` makes it in a child, perhaps from that of the nearest
    /// ancestor that had one; it must not wait for a lock of that.
    pub fn get_or(&self, make: impl FnOnce(&T) -> T) -> &T {
        let now = forks();
        if self.forks == now {
            return &self.first;
        }
        let before = match self.later.top() {
            Some((forks, value)) if *forks == now => return value,
            Some((_, value)) => value,
            None => &self.first,
        };
        &self.later.push_unless((now, make(before)), |(forks, _)| *forks == now).1
    }
}

/// What an ancestor's lock guards; `None` if a thread was changing it at the fork.
pub fn copy<T: Clone>(before: &RwLock<T>) -> Option<T> {
    match before.try_read() {
        Ok(value) => Some(value.clone()),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner().clone()),
        Err(TryLockError::WouldBlock) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::in_child;
    use super::*;

    #[test]
    fn a_child_and_its_child_each_have_their_own() {
        static VALUE: PerProcess<Mutex<u32>> = PerProcess::new(Mutex::new(1));
        let add = |before: &Mutex<u32>| Mutex::new(*before.lock().unwrap() + 1);
        let here = || *VALUE.get_or(add).lock().unwrap();
        assert_eq!(here(), 1);
        assert!(in_child(|| {
            let in_child_of_child = || here() == 3 && here() == 3;
            here() == 2 && in_child(in_child_of_child) && here() == 2
        }));
        assert_eq!(here(), 1);
    }

    #[test]
    fn what_was_being_changed_is_not_copied() {
        let lock = RwLock::new(1);
        let reading = lock.read();
        assert_eq!(copy(&lock), Some(1));
        drop(reading);
        let _changing = lock.write();
        assert_eq!(copy(&lock), None);
    }
}
