//! What belongs to the executor of one process.

use crate::runtime::Birth;

/// A place for something with connections and tasks. In a child of a fork it is left as
/// it is, and not dropped: locks in it may have been held at the fork.
pub struct Kept<T> {
    value: Option<T>,
    birth: Birth,
}

impl<T> Kept<T> {
    pub fn new(value: T) -> Kept<T> {
        Kept { value: Some(value), birth: Birth::now() }
    }

    pub fn get(&self) -> Option<&T> {
        self.value.as_ref()
    }

    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.as_mut()
    }

    /// Lends it to a task.
    pub fn take(&mut self) -> Option<T> {
        self.value.take()
    }

    pub fn put_back(&mut self, value: T) {
        self.value = Some(value);
    }
}

impl<T> Drop for Kept<T> {
    fn drop(&mut self) {
        if self.birth.same_process().is_err() {
            std::mem::forget(self.value.take());
        }
    }
}
