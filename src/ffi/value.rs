//! Section 3: small value objects.

use std::ffi::{c_char, c_void};
use std::ptr;

use super::boundary::{self, Caller};
use super::error::sd_status;
use super::handle::{self, Opaque};
use crate::driver::FileInfo;
use crate::error::Error;
use crate::names::Names;

/// Bytes that you own. One NUL follows the last of them and is not counted, so
/// that text can be printed as it is.
pub struct sd_buffer {
    _opaque: [u8; 0],
}

impl Opaque for sd_buffer {
    /// The bytes and the NUL.
    type Value = Vec<u8>;
    const TAG: u32 = 0x5d42_5546;
    const NAME: &'static str = "sd_buffer";
}

/// A buffer of `bytes`, which has room for the NUL if its maker was kind.
pub fn buffer(mut bytes: Vec<u8>) -> *mut sd_buffer {
    bytes.push(0);
    handle::give(bytes)
}

/// Make a buffer with a copy of `len` bytes.
///
/// Ownership: yours until you hand it over; sd_buffer_free it otherwise. NULL if
///            `data` is NULL and `len` is not 0, or if there is no memory for it.
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_buffer_new(data: *const c_void, len: usize) -> *mut sd_buffer {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value(ptr::null_mut(), |c| {
            let data = c.bytes(data, len, "data")?;
            let mut bytes = Vec::new();
            let no_memory = |_| Error::invalid_argument("data is longer than memory");
            bytes.try_reserve_exact(len.saturating_add(1)).map_err(no_memory)?;
            bytes.extend_from_slice(data);
            Ok(buffer(bytes))
        })
    }
}

/// The bytes of a buffer, never NULL for a live one.
///
/// Ownership: lives as long as `buffer`.
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_buffer_data(buffer: *const sd_buffer) -> *const u8 {
    // SAFETY: the header's promises.
    unsafe { boundary::value(ptr::null(), |c| Ok(c.share(buffer, "buffer")?.as_ptr())) }
}

/// How many bytes a buffer holds, the NUL not counted.
///
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_buffer_len(buffer: *const sd_buffer) -> usize {
    // SAFETY: the header's promises.
    unsafe { boundary::value(0, |c| Ok(c.share(buffer, "buffer")?.len().saturating_sub(1))) }
}

/// Free a buffer. NULL is fine.
///
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_buffer_free(buffer: *mut sd_buffer) {
    // SAFETY: the header's promises.
    unsafe { boundary::free(buffer) }
}

/// An ordered list of strings.
pub struct sd_names {
    _opaque: [u8; 0],
}

impl Opaque for sd_names {
    type Value = Names;
    const TAG: u32 = 0x5d4e_414d;
    const NAME: &'static str = "sd_names";
}

/// Make an empty list, in a driver written in C.
///
/// Ownership: yours until you hand it over; sd_names_free it otherwise.
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub extern "C" fn sd_names_new() -> *mut sd_names {
    handle::give(Names::new())
}

/// Append a copy of `name`.
///
/// Threads:   exclusive. Pointers that sd_names_get gave before are no longer valid.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_names_push(names: *mut sd_names, name: *const c_char) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(ptr::null_mut(), |c| {
            // A copy first: it may be a name of this very list, which moves as it grows.
            let name = c.text(name, "name")?.to_string();
            c.exclusive(names, "names")?.push(&name);
            Ok(())
        })
    }
}

/// How many strings a list has.
///
/// Threads:   shared.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_names_count(names: *const sd_names) -> usize {
    // SAFETY: the header's promises.
    unsafe { boundary::value(0, |c| Ok(c.share(names, "names")?.len())) }
}

/// One string of a list, NULL past its end.
///
/// Ownership: lives as long as `names`, or until the next sd_names_push.
/// Threads:   shared.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_names_get(names: *const sd_names, index: usize) -> *const c_char {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value(ptr::null(), |c| {
            let name = c.share(names, "names")?.get_with_nul(index);
            Ok(name.map_or(ptr::null(), |name| name.as_ptr().cast()))
        })
    }
}

/// Free a list. NULL is fine.
///
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_names_free(names: *mut sd_names) {
    // SAFETY: the header's promises.
    unsafe { boundary::free(names) }
}

/// sd_file_info.flags: the path is a directory.
pub const SD_INFO_DIR: u32 = 0x1;

/// What is known of a path. Made by the library only and read through a pointer:
/// do not copy it by value, it may grow.
#[repr(C)]
pub struct sd_file_info {
    /// Set by the library: fields beyond it are not there.
    pub struct_size: usize,
    /// As it was asked for.
    pub path: *const c_char,
    /// In bytes; 0 for a directory.
    pub size: u64,
    /// Last change, in nanoseconds since 1970-01-01 UTC; 0 when unknown.
    pub mtime_ns: i64,
    /// SD_INFO_ flags.
    pub flags: u32,
}

/// The struct and, behind it, what C does not see.
#[repr(C)]
struct Info {
    info: sd_file_info,
    /// `OWNED` while it is C's to free. Infos have no tag at their start as handles
    /// do; their size stands there.
    owned: u64,
    /// What `info.path` points to.
    path: Vec<u8>,
}

const OWNED: u64 = 0x5d49_4e46_4f5d_494e;

impl Info {
    fn new(info: &FileInfo, mut path: Vec<u8>, owned: u64) -> Info {
        path.push(0);
        let flags = if info.is_dir { SD_INFO_DIR } else { 0 };
        let info = sd_file_info {
            struct_size: size_of::<sd_file_info>(),
            path: path.as_ptr().cast(),
            size: info.size,
            mtime_ns: info.mtime_ns,
            flags,
        };
        Info { info, owned, path }
    }
}

/// An info for C to free.
pub fn give_info(mut info: FileInfo) -> *mut sd_file_info {
    let path = std::mem::take(&mut info.path).into_bytes();
    Box::into_raw(Box::new(Info::new(&info, path, OWNED))).cast()
}

/// Lends an info for one call of `lend`.
pub fn lend_info<T>(info: &FileInfo, lend: impl FnOnce(*const sd_file_info) -> T) -> T {
    let mut path = Vec::with_capacity(info.path.len() + 1);
    path.extend_from_slice(info.path.as_bytes());
    let lent = Info::new(info, path, 0);
    lend((&raw const lent).cast())
}

/// Make an info, in a driver written in C. `flags` are SD_INFO_ flags.
///
/// Ownership: `path` is copied. Yours until you hand it over; sd_file_info_free it
///            otherwise. NULL if `path` is NULL or not UTF-8, or for unknown flags.
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_file_info_new(
    path: *const c_char,
    size: u64,
    mtime_ns: i64,
    flags: u32,
) -> *mut sd_file_info {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value(ptr::null_mut(), |c| {
            let path = c.text(path, "path")?.to_string();
            if flags & !SD_INFO_DIR != 0 {
                return Err(Error::invalid_argument("unknown flags"));
            }
            let is_dir = flags & SD_INFO_DIR != 0;
            Ok(give_info(FileInfo { path, size, mtime_ns, is_dir }))
        })
    }
}

/// Free an info. NULL is fine, and one that is only lent stays as it is.
///
/// Threads:   any.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_file_info_free(info: *mut sd_file_info) {
    // SAFETY: the header's promises.
    unsafe {
        boundary::value((), |c| {
            drop(c.take_info(info));
            Ok(())
        })
    }
}

impl Caller {
    /// Takes an info back; `None` for NULL and for what is not C's to give.
    pub fn take_info(&self, info: *mut sd_file_info) -> Option<FileInfo> {
        if info.is_null() || !info.is_aligned() {
            return None;
        }
        // SAFETY: the caller promises an info of ours, which starts with its size.
        // Handles start with a tag, so that no live one passes for an info.
        let size = unsafe { (&raw const (*info).struct_size).read() };
        if size != size_of::<sd_file_info>() {
            return None;
        }
        let info = info.cast::<Info>();
        // SAFETY: every info that we make is an `Info`.
        if unsafe { (&raw const (*info).owned).read() } != OWNED {
            return None;
        }
        // SAFETY: as above.
        unsafe { (&raw mut (*info).owned).write(0) };
        // SAFETY: `give_info` boxed what is owned.
        let Info { info, mut path, .. } = *unsafe { Box::from_raw(info) };
        path.pop();
        let is_dir = info.flags & SD_INFO_DIR != 0;
        let (size, mtime_ns) = (info.size, info.mtime_ns);
        Some(FileInfo { path: String::from_utf8(path).ok()?, size, mtime_ns, is_dir })
    }
}
