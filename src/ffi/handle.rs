//! Objects handed to C and taken back. Each starts with a tag that names its
//! type while it lives, which catches most mix-ups and double frees: a seat
//! belt, not a promise.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::boundary::Caller;
use crate::error::{Error, Result};

/// A type that C sees as an opaque struct.
pub trait Opaque {
    /// What is behind it.
    type Value: 'static;
    /// Distinct for each type, and unlikely as the start of anything else.
    const TAG: u32;
    /// As the header calls it.
    const NAME: &'static str;
}

/// What a freed object's tag is overwritten with.
const FREED: u32 = 0xdead_5d5d;

/// The memory behind an opaque pointer. `repr(C)` so that the tag comes first in
/// every one of them and can be read before the type is known.
#[repr(C)]
struct Handle<T> {
    tag: AtomicU32,
    /// A call that needs the object for itself is running.
    busy: AtomicBool,
    /// A call ended in a panic; the value may be half changed.
    poisoned: AtomicBool,
    /// Still ours: C may use it and not free it.
    lent: bool,
    value: UnsafeCell<T>,
}

/// Makes an object for C, which must free it.
pub fn give<O: Opaque>(value: O::Value) -> *mut O {
    make(value, false)
}

fn make<O: Opaque>(value: O::Value, lent: bool) -> *mut O {
    let handle = Handle {
        tag: AtomicU32::new(O::TAG),
        busy: AtomicBool::new(false),
        poisoned: AtomicBool::new(false),
        lent,
        value: UnsafeCell::new(value),
    };
    Box::into_raw(Box::new(handle)).cast()
}

/// An object that C may use until this is dropped, and cannot free.
pub struct Lent<O: Opaque>(*mut O);

impl<O: Opaque> Lent<O> {
    pub fn new(value: O::Value) -> Lent<O> {
        Lent(make(value, true))
    }

    pub fn as_ptr(&self) -> *const O {
        self.0
    }
}

impl<O: Opaque> Drop for Lent<O> {
    fn drop(&mut self) {
        // SAFETY: `new` boxed it with this type, and nobody else frees it.
        let handle = unsafe { Box::from_raw(self.0.cast::<Handle<O::Value>>()) };
        handle.tag.store(FREED, Ordering::Release);
    }
}

impl Caller {
    /// An object that threads may share, for reading.
    pub fn share<O: Opaque>(&self, object: *const O, parameter: &str) -> Result<&O::Value> {
        let handle = self.handle(object, parameter)?;
        // SAFETY: values behind shared handles are only ever read; those that
        // change are reached through `exclusive` alone.
        Ok(unsafe { &*handle.value.get() })
    }

    /// An object that one call at a time may use, for reading and writing.
    pub fn exclusive<O: Opaque>(
        &self,
        object: *const O,
        parameter: &str,
    ) -> Result<Exclusive<'_, O>> {
        let handle = self.handle(object, parameter)?;
        if handle.busy.swap(true, Ordering::Acquire) {
            let detail = format!("the {} is in use by another call", O::NAME);
            return Err(Error::invalid_state(detail));
        }
        let exclusive = Exclusive(handle);
        if handle.poisoned.load(Ordering::Relaxed) {
            let detail = format!("an earlier call on the {} failed inside the library", O::NAME);
            return Err(Error::invalid_state(detail));
        }
        Ok(exclusive)
    }

    /// Takes an object back to be dropped; `None` for NULL and for what is no
    /// live object of this type.
    pub fn take<O: Opaque>(&self, object: *mut O) -> Option<O::Value> {
        let handle = self.handle(object.cast_const(), "").ok().filter(|handle| !handle.lent)?;
        handle.tag.compare_exchange(O::TAG, FREED, Ordering::AcqRel, Ordering::Relaxed).ok()?;
        // SAFETY: `give` made it from a box of this type, and the exchange of the
        // tag lets one caller through.
        let handle = unsafe { Box::from_raw(object.cast::<Handle<O::Value>>()) };
        Some(handle.value.into_inner())
    }

    fn handle<O: Opaque>(&self, object: *const O, parameter: &str) -> Result<&Handle<O::Value>> {
        if object.is_null() {
            return Err(Error::invalid_argument(format!("{parameter} is null")));
        }
        if !object.cast::<Handle<O::Value>>().is_aligned() {
            return Err(Error::invalid_argument(format!("{parameter} is not a {}", O::NAME)));
        }
        // SAFETY: the caller promises an object of ours, and each starts with a tag.
        let tag = unsafe { &*object.cast::<AtomicU32>() };
        if tag.load(Ordering::Acquire) != O::TAG {
            return Err(Error::invalid_argument(format!("{parameter} is not a live {}", O::NAME)));
        }
        // SAFETY: the tag says that `give` made it with this type.
        Ok(unsafe { &*object.cast::<Handle<O::Value>>() })
    }
}

/// The sole use of an object, until dropped.
pub struct Exclusive<'c, O: Opaque>(&'c Handle<O::Value>);

impl<O: Opaque> Deref for Exclusive<'_, O> {
    type Target = O::Value;
    fn deref(&self) -> &O::Value {
        // SAFETY: `busy` keeps every other call out.
        unsafe { &*self.0.value.get() }
    }
}

impl<O: Opaque> DerefMut for Exclusive<'_, O> {
    fn deref_mut(&mut self) -> &mut O::Value {
        // SAFETY: `busy` keeps every other call out.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<O: Opaque> Drop for Exclusive<'_, O> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poisoned.store(true, Ordering::Relaxed);
        }
        self.0.busy.store(false, Ordering::Release);
    }
}
