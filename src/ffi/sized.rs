//! Structs that start with their size, so that either side may be older.

use std::mem::MaybeUninit;

use super::boundary::Caller;
use crate::error::{Code, Error, Result};

/// A `repr(C)` struct whose first field is `size_t struct_size`.
///
/// # Safety
/// All bytes zero is a valid value.
pub unsafe trait SizedStruct: Copy {
    const NAME: &'static str;
    /// What it measured when it was first released.
    const FIRST_SIZE: usize;
}

/// No struct of ours will ever be larger; a size beyond it is not read.
const LARGEST: usize = 4096;

impl Caller {
    /// A copy of the caller's struct, fields it does not have being zero. `None`
    /// for NULL.
    pub fn sized<T: SizedStruct>(&self, from: *const T) -> Result<Option<T>> {
        if from.is_null() {
            return Ok(None);
        }
        // SAFETY: the caller promises a struct that starts with its size.
        let size = unsafe { from.cast::<usize>().read_unaligned() };
        let ours = size_of::<T>();
        if size < T::FIRST_SIZE {
            let detail = format!("{}: struct_size is {size}, not its sizeof", T::NAME);
            return Err(Error::invalid_argument(detail));
        }
        let newer = || {
            let detail = format!("{} has fields that this library does not know", T::NAME);
            Error::new(Code::StructSize, detail)
        };
        if size > LARGEST {
            return Err(newer());
        }
        let beyond = size.saturating_sub(ours);
        // SAFETY: the caller promises `struct_size` readable bytes.
        let end_of_ours = unsafe { from.cast::<u8>().add(size.min(ours)) };
        // SAFETY: `beyond` is what is left of them after `ours`.
        let tail = unsafe { std::slice::from_raw_parts(end_of_ours, beyond) };
        if tail.iter().any(|byte| *byte != 0) {
            return Err(newer());
        }
        // SAFETY: the size was checked.
        Ok(Some(unsafe { copy(from, size) }))
    }

    /// As much of the caller's struct as this library knows, though it may be newer.
    /// `None` for NULL and for what is shorter than it ever was.
    pub fn known_part<T: SizedStruct>(&self, from: *const T) -> Option<T> {
        if from.is_null() {
            return None;
        }
        // SAFETY: the caller promises a struct that starts with its size.
        let size = unsafe { from.cast::<usize>().read_unaligned() };
        // SAFETY: the size is checked first.
        (size >= T::FIRST_SIZE).then(|| unsafe { copy(from, size) })
    }
}

/// The front of a struct of C, fields beyond `size` being zero.
///
/// # Safety
/// `from` has `size` readable bytes, with all that its type had first.
unsafe fn copy<T: SizedStruct>(from: *const T, size: usize) -> T {
    let mut copy = MaybeUninit::<T>::zeroed();
    // SAFETY: both sides have that many bytes and do not overlap.
    unsafe {
        std::ptr::copy_nonoverlapping(
            from.cast::<u8>(),
            copy.as_mut_ptr().cast::<u8>(),
            size.min(size_of::<T>()),
        )
    };
    // SAFETY: zero is valid for what was not copied, and the caller promises the rest.
    unsafe { copy.assume_init() }
}
