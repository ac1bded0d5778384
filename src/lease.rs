//! An object that one call at a time may use: a reader, a writer, a walker. A call
//! takes it out and puts it back, also when it ends on another thread or after the
//! owner has gone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Code, Error, Result};
use crate::runtime::Birth;

/// Shared by the owner's handle and the call that is running.
pub struct Lease<T> {
    /// What it is, for messages.
    noun: &'static str,
    birth: Birth,
    place: Mutex<Place<T>>,
    note: AtomicU64,
}

enum Place<T> {
    Free(T),
    Taken,
    /// A call ended in a panic; the object may be half changed. It is kept until the
    /// owner goes: dropped while the panic unwinds, a second panic would abort.
    Lost {
        _object: Option<T>,
    },
}

impl<T> Lease<T> {
    pub fn new(noun: &'static str, object: T) -> Arc<Lease<T>> {
        let place = Mutex::new(Place::Free(object));
        Arc::new(Lease { noun, birth: Birth::now(), place, note: AtomicU64::new(0) })
    }

    /// Takes the object for one call: `InvalidState` if another one has it, `Forked`
    /// in a child, where that other one would have it for ever.
    pub fn take(self: &Arc<Lease<T>>) -> Result<Taken<T>> {
        self.birth.same_process()?;
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *place, Place::Taken) {
            Place::Free(object) => Ok(Taken { object: Some(object), lease: self.clone() }),
            Place::Taken => {
                let detail = format!("the {} is in use by another call", self.noun);
                Err(Error::invalid_state(detail))
            }
            lost @ Place::Lost { .. } => {
                *place = lost;
                let detail =
                    format!("an earlier call on the {} failed inside the library", self.noun);
                Err(Error::invalid_state(detail))
            }
        }
    }

    /// A number that can be read while the object is in use.
    pub fn note(&self) -> u64 {
        self.note.load(Ordering::Acquire)
    }

    pub fn set_note(&self, note: u64) {
        self.note.store(note, Ordering::Release);
    }
}

/// The sole use of an object; dropped, it gives it back.
pub struct Taken<T> {
    /// `None` only while it is being dropped.
    object: Option<T>,
    lease: Arc<Lease<T>>,
}

impl<T> Taken<T> {
    pub fn object(&mut self) -> Result<&mut T> {
        self.object.as_mut().ok_or_else(|| Error::new(Code::Internal, "the object is gone"))
    }

    pub fn lease(&self) -> &Lease<T> {
        &self.lease
    }
}

impl<T> Drop for Taken<T> {
    fn drop(&mut self) {
        let back = match self.object.take() {
            Some(object) if !std::thread::panicking() => Place::Free(object),
            object => Place::Lost { _object: object },
        };
        *self.lease.place.lock().unwrap_or_else(PoisonError::into_inner) = back;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_call_at_a_time() {
        let lease = Lease::new("reader", 1);
        let mut taken = lease.take().unwrap();
        *taken.object().unwrap() += 1;
        assert_eq!(lease.take().err().unwrap().code(), Code::InvalidState);
        drop(taken);
        assert_eq!(*lease.take().unwrap().object().unwrap(), 2);
    }

    #[test]
    fn an_object_whose_call_panicked_is_not_used_again() {
        let lease = Lease::new("reader", 1);
        let inside = lease.clone();
        let _ = std::thread::spawn(move || {
            let _taken = inside.take().unwrap();
            panic!("as it should");
        })
        .join();
        assert_eq!(lease.take().err().unwrap().code(), Code::InvalidState);
    }
}
