//! Which directories are known to survive a power loss, so that each entry on
//! the way to a file is synced once in this process and not at every write.
//!
//! A key is a path. It must go when the directory does: our own deletes take it
//! out, and what others removed is noticed when it must be made again.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Above this many directories all are forgotten, which costs one sync each.
const MAX_KNOWN: usize = 16_384;

#[derive(Default)]
pub struct Known(RwLock<Inner>);

#[derive(Default)]
struct Inner {
    directories: BTreeMap<Box<str>, Swept>,
    /// Deletes of directories that are running.
    removals: usize,
    /// Grows when something is forgotten.
    generation: u64,
}

/// Whether stale temporaries were looked for in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swept {
    No,
    Yes,
}

/// A moment: what was synced after it may be recorded if nothing was forgotten
/// since.
#[derive(Clone, Copy)]
pub struct Moment(u64);

impl Known {
    pub fn get(&self, directory: &str) -> Option<Swept> {
        self.read().directories.get(directory).copied()
    }

    pub fn moment(&self) -> Moment {
        Moment(self.read().generation)
    }

    /// Records that the entry of `directory` is durable. Not if a directory was
    /// removed since `moment`, or is being removed: it may be this one.
    pub fn insert(&self, directory: &str, swept: Swept, moment: Moment) {
        let mut inner = self.write();
        if inner.removals > 0 || inner.generation != moment.0 {
            return;
        }
        if inner.directories.len() >= MAX_KNOWN {
            inner.directories.clear();
        }
        let entry = inner.directories.entry(directory.into()).or_insert(swept);
        if swept == Swept::Yes {
            *entry = swept;
        }
    }

    /// Forgets `directory` and all below it.
    pub fn forget(&self, directory: &str) {
        self.write().forget(directory);
    }

    /// Announces that `directory` is being removed, until the guard is dropped.
    pub fn removing<'k>(&'k self, directory: &'k str) -> Removing<'k> {
        let mut inner = self.write();
        inner.removals += 1;
        inner.generation += 1;
        inner.forget(directory);
        Removing { known: self, directory }
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn forget(&mut self, directory: &str) {
        let mut gone = self.directories.remove(directory).is_some();
        // What lies between "a/" and "a0" is below "a": '0' follows '/'.
        let low = format!("{directory}/");
        let high = format!("{directory}0");
        let range = (Bound::Included(low.as_str()), Bound::Excluded(high.as_str()));
        while let Some((path, _)) = self.directories.range::<str, _>(range).next() {
            let path = path.clone();
            self.directories.remove(&path);
            gone = true;
        }
        if gone {
            self.generation += 1;
        }
    }
}

pub struct Removing<'k> {
    known: &'k Known,
    directory: &'k str,
}

impl Drop for Removing<'_> {
    fn drop(&mut self) {
        let mut inner = self.known.write();
        inner.forget(self.directory);
        inner.generation += 1;
        inner.removals -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(known: &Known, directory: &str) {
        known.insert(directory, Swept::Yes, known.moment());
    }

    #[test]
    fn forgetting_takes_the_subtree_and_no_lexical_sibling() {
        let known = Known::default();
        for directory in ["/", "/a", "/a/b", "/a/b/c", "/a-b", "/a.b", "/a0", "/ab"] {
            add(&known, directory);
        }
        known.forget("/a");
        for gone in ["/a", "/a/b", "/a/b/c"] {
            assert_eq!(known.get(gone), None, "{gone}");
        }
        for kept in ["/", "/a-b", "/a.b", "/a0", "/ab"] {
            assert_eq!(known.get(kept), Some(Swept::Yes), "{kept}");
        }
    }

    #[test]
    fn nothing_is_recorded_across_a_removal() {
        let known = Known::default();
        add(&known, "/a/known");
        let before = known.moment();
        let removing = known.removing("/a");
        assert_eq!(known.get("/a/known"), None);
        add(&known, "/a/b");
        assert_eq!(known.get("/a/b"), None);
        drop(removing);
        known.insert("/a/b", Swept::Yes, before);
        assert_eq!(known.get("/a/b"), None);
        add(&known, "/a/b");
        assert_eq!(known.get("/a/b"), Some(Swept::Yes));
    }

    #[test]
    fn memory_is_bounded() {
        let known = Known::default();
        for n in 0..=MAX_KNOWN {
            add(&known, &format!("/{n}"));
        }
        assert!(known.read().directories.len() <= MAX_KNOWN);
    }
}
