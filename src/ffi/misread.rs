//! A fault on purpose, in no build but the sanitizer's: if the sanitizer does not
//! report it, it was not looking at this crate.

/// Reads one byte past an allocation.
#[unsafe(no_mangle)]
pub extern "C" fn storagedriver_misread(len: usize) -> u8 {
    let bytes = vec![7u8; len];
    let past = std::hint::black_box(bytes.as_ptr()).wrapping_add(len);
    // SAFETY: none. The read is out of bounds, which is what has to be noticed.
    unsafe { past.read_volatile() }
}
