//! Section 10: walking.

use std::ffi::{c_char, c_void};
use std::ptr;

use super::boundary::{self, Caller};
use super::context::sd_context;
use super::driver::sd_driver;
use super::error::{SD_OK, SD_SKIP_DIR, SD_STOP, sd_error, sd_status};
use super::handle::{self, Opaque};
use super::reader::callback_failed;
use super::sized::SizedStruct;
use super::value::{give_info, lend_info, sd_file_info};
use crate::driver::{Driver, WalkOptions, Walker};
use crate::error::{Code, Error, Result};
use crate::lease::Lease;
use crate::queue::SharedWalker;
use crate::walk::{self, Step};

/// Where a walk starts. Set struct_size to sizeof(sd_walk_options) and everything
/// else to zero, then what you need.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct sd_walk_options {
    pub struct_size: usize,
    /// Only entries that come after this path; it need not exist. NULL: all.
    pub start_after: *const c_char,
    /// SD_WALK_ flags.
    pub flags: u32,
}

// SAFETY: a pointer that is NULL and numbers that are 0.
unsafe impl SizedStruct for sd_walk_options {
    const NAME: &'static str = "sd_walk_options";
    const FIRST_SIZE: usize = 24;
}

/// sd_walk_options.flags: leave out what is below start_after as well.
pub const SD_WALK_SKIP_START_SUBTREE: u32 = 0x1;

/// Takes one entry. Answers SD_OK to go on, SD_SKIP_DIR not to descend into this
/// directory (for a file: to go on), SD_STOP to end early, or a negative value to
/// give up.
pub type sd_walk_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, info: *const sd_file_info) -> sd_status>;

impl Caller {
    fn walker(
        &self,
        driver: *const sd_driver,
        ctx: *const sd_context,
        path: *const c_char,
        options: *const sd_walk_options,
    ) -> Result<Box<dyn Walker>> {
        let driver = &self.share(driver, "driver")?.driver;
        let path = self.path(path, "path")?;
        let mut wanted = WalkOptions::default();
        if let Some(options) = self.sized(options)? {
            if options.flags & !SD_WALK_SKIP_START_SUBTREE != 0 {
                return Err(Error::invalid_argument(format!("unknown flags {:#x}", options.flags)));
            }
            wanted.skip_start_subtree = options.flags & SD_WALK_SKIP_START_SUBTREE != 0;
            if !options.start_after.is_null() {
                wanted.start_after =
                    Some(self.path(options.start_after, "start_after")?.to_string());
            }
        }
        let walker = driver.walker(self.context(ctx)?, path, &wanted)?;
        walker.ok_or_else(|| Error::new(Code::Internal, "the driver gave no walker"))
    }
}

/// Visit everything below a directory, the directory itself excluded.
///
/// A directory comes before what is below it, and siblings come in byte order of
/// their names, on every driver alike. `fn` may call the library, and may change
/// the tree: what it deletes before it is reached is left out, or reported once
/// more if it was listed already. A negative answer of `fn`, or one that is not
/// documented, makes the call fail with SD_ERR_CALLBACK.
///
/// Ownership: `options` may be NULL. The info is lent to `fn` until it returns.
/// Threads:   shared. `fn` runs on the calling thread, inside this call; it must
///            not throw or longjmp.
/// Errors:    SD_ERR_PATH_NOT_FOUND  nothing is at `path`
///            SD_ERR_NOT_DIRECTORY   `path` is a file
///            SD_ERR_CALLBACK        sd_error_callback_result gives the answer back
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_walk(
    driver: *const sd_driver,
    ctx: *const sd_context,
    path: *const c_char,
    options: *const sd_walk_options,
    r#fn: sd_walk_fn,
    user: *mut c_void,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let visit = r#fn.ok_or_else(|| Error::invalid_argument("fn is null"))?;
            let mut walker = c.walker(driver, ctx, path, options)?;
            walk::drive(&mut *walker, |info| match lend_info(info, |info| visit(user, info)) {
                SD_OK => Ok(Step::Continue),
                SD_SKIP_DIR => Ok(Step::SkipDir),
                SD_STOP => Ok(Step::Stop),
                answer => Err(callback_failed(answer)),
            })
        })
    }
}

/// A walk that is pulled, entry by entry.
pub struct sd_walker {
    _opaque: [u8; 0],
}

impl Opaque for sd_walker {
    type Value = SharedWalker;
    const TAG: u32 = 0x5d57_4c4b;
    const NAME: &'static str = "sd_walker";
}

/// Start a walk whose entries sd_walker_next gives. Order and options are those
/// of sd_walk.
///
/// Ownership: `options` may be NULL and is copied. `*out` is yours; free it with
///            sd_walker_free. It keeps the driver and `ctx`, which its steps obey,
///            alive.
/// Threads:   shared.
/// Errors:    SD_ERR_PATH_NOT_FOUND  nothing is at `path`
///            SD_ERR_NOT_DIRECTORY   `path` is a file
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_walker_open(
    driver: *const sd_driver,
    ctx: *const sd_context,
    path: *const c_char,
    options: *const sd_walk_options,
    out: *mut *mut sd_walker,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let out = c.out(out, "out")?;
            out.set(handle::give(Lease::new("walker", c.walker(driver, ctx, path, options)?)));
            Ok(())
        })
    }
}

/// Give the next entry; SD_OK with `*out` NULL is the end. A step that failed may
/// be repeated.
///
/// Ownership: `*out` is yours; free it with sd_file_info_free.
/// Threads:   exclusive.
/// Errors:    SD_ERR_CANCELLED, SD_ERR_DEADLINE  from the opening context
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_walker_next(
    walker: *mut sd_walker,
    out: *mut *mut sd_file_info,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let out = c.out(out, "out")?;
            let info = c.share(walker.cast_const(), "walker")?.take()?.object()?.next()?;
            out.set(info.map_or(ptr::null_mut(), give_info));
            Ok(())
        })
    }
}

/// Do not descend into the directory that sd_walker_next just gave. After a file
/// it does nothing.
///
/// Threads:   exclusive.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_walker_skip_dir(walker: *mut sd_walker) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(ptr::null_mut(), |c| {
            c.share(walker.cast_const(), "walker")?.take()?.object()?.skip_dir();
            Ok(())
        })
    }
}

/// Free a walker. NULL is fine.
///
/// Threads:   any, but not while another thread still uses it.
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_walker_free(walker: *mut sd_walker) {
    // SAFETY: the header's promises.
    unsafe { boundary::free(walker) }
}
