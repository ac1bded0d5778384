//! Section 11: drivers written in C.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::boundary;
use super::context::sd_context;
use super::driver::{DriverValue, sd_driver};
use super::error::{sd_error, sd_status};
use super::handle;
use super::operations::sd_redirect_request;
use super::params::sd_params;
use super::sized::SizedStruct;
use super::value::{sd_buffer, sd_file_info, sd_names};
use super::vtable::{self, CustomDriver, CustomFactory};
use crate::base::Base;
use crate::driver::Driver;
use crate::error::Error;
use crate::factory::{self, Constructor};

/// A capability: an emptied directory stays, and a file cannot lie over or below
/// another.
pub const SD_CAP_REAL_DIRECTORIES: u32 = 0x1;
/// A capability: an upload that is not committed can be read and listed.
pub const SD_CAP_VISIBLE_UPLOADS: u32 = 0x2;
/// A capability: an append to committed, non-empty content works.
pub const SD_CAP_EXACT_APPEND: u32 = 0x4;
/// A capability: cancelling an append restores the length that its writer_open
/// found.
pub const SD_CAP_SHRINKABLE: u32 = 0x8;
/// A capability: stat of a directory knows a modification time.
pub const SD_CAP_MTIME_OF_DIRECTORIES: u32 = 0x10;
/// A capability: redirect_url gives URLs. Needs that slot.
pub const SD_CAP_REDIRECT: u32 = 0x20;

/// The functions of a driver written in C, its slots. Set struct_size to
/// sizeof(sd_driver_vtable) and everything else to zero, then fill in every slot;
/// only free and redirect_url may stay NULL. `self` is whatever you gave for it to
/// sd_driver_new, or what your factory's create stored.
///
/// A driver is a tree of files. Directories come with the files below them and
/// nobody makes them; unless SD_CAP_REAL_DIRECTORIES is set they also go with the
/// last of these files. "/" always exists. Put a finished driver through
/// sd_conformance_run: it checks all that is said here.
///
/// ARGUMENTS. Paths follow the grammar of PATHS above; "/" reaches stat and list
/// alone. Offsets are not negative. No pointer is NULL, `err` and `ctx` included,
/// and all of them are lent for the call. The `ctx` of reader_open and writer_open
/// stays valid until reader_free and writer_free. A slot that waits for something
/// should ask sd_context_status(ctx) now and then and return what it says.
///
/// ANSWERS. A slot returns SD_OK or an SD_ERR_ code. With a failure it may store an
/// error of sd_error_new in `*err`. The library takes that over, adds the driver's
/// name, and the path unless sd_error_set_path named another. The code that the
/// slot returns counts, whatever code the error has. Outputs are made with
/// sd_buffer_new, sd_names_new and sd_file_info_new, and with SD_OK they become the
/// library's; with a failure they are not looked at.
///
/// A wrong answer (SD_OK without an output, the info of another path, a name from
/// elsewhere, a number that is no status, a size that cannot be) makes the call
/// fail with SD_ERR_DRIVER and a message that says what was wrong.
///
/// FAILURES. SD_ERR_PATH_NOT_FOUND where nothing is at the path, also if it lies
/// below a file. SD_ERR_NOT_DIRECTORY from list for a file. Where directories are
/// real, SD_ERR_IS_DIRECTORY for a directory in place of a file, and
/// SD_ERR_NOT_DIRECTORY for a file to be made below a file. SD_ERR_NO_SPACE,
/// SD_ERR_PERMISSION, SD_ERR_THROTTLED and SD_ERR_UNAVAILABLE as they are described
/// in section 2. SD_ERR_DRIVER for the rest, always with an error that explains it.
/// What was reported as stored is stored: a slot that changes something returns
/// when the change would survive a loss of power, as far as the store can tell.
///
/// THREADS. Any thread may call a slot, and several at once may call the same one;
/// only the slots of one reader or writer are called one after another. A slot may
/// block, and may call the library, on other drivers as well. It must not throw or
/// longjmp through the library. In a child of a fork no slot of a driver that was
/// made before it is called, not even free; its calls return SD_ERR_FORKED.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct sd_driver_vtable {
    pub struct_size: usize,
    /// SD_CAP_ flags: how this store differs from the simplest one, on which
    /// directories are only prefixes of files and uploads are hidden until commit.
    pub capabilities: u32,
    /// How many calls may run inside the driver at once; further ones wait until
    /// their context ends. 0: any number.
    pub max_concurrency: u32,
    /// Release `self`. Called once, when the last driver handle, reader, writer and
    /// walker is gone, on the thread that freed it. May be NULL.
    pub free: Option<unsafe extern "C" fn(self_: *mut c_void)>,
    /// Give all bytes of the file.
    pub get_content: Option<
        unsafe extern "C" fn(
            self_: *mut c_void,
            ctx: *const sd_context,
            path: *const c_char,
            out: *mut *mut sd_buffer,
            err: *mut *mut sd_error,
        ) -> sd_status,
    >,
    /// Store the file, in place of what was there: all of it or, on failure,
    /// nothing. `len` may be 0.
    pub put_content: Option<
        unsafe extern "C" fn(
            self_: *mut c_void,
            ctx: *const sd_context,
            path: *const c_char,
            data: *const c_void,
            len: usize,
            err: *mut *mut sd_error,
        ) -> sd_status,
    >,
    /// Tell what is at the path, which the info repeats: a file with its size and
    /// the time of its last change, or a directory, of size 0. A time that is not
    /// known is 0; none is negative.
    pub stat: Option<
        unsafe extern "C" fn(
            self_: *mut c_void,
            ctx: *const sd_context,
            path: *const c_char,
            out: *mut *mut sd_file_info,
            err: *mut *mut sd_error,
        ) -> sd_status,
    >,
    /// Give the full paths of the direct children, files and directories, in any
    /// order. Names that the grammar excludes must be left out.
    pub list: Option<
        unsafe extern "C" fn(
            self_: *mut c_void,
            ctx: *const sd_context,
            path: *const c_char,
            out: *mut *mut sd_names,
            err: *mut *mut sd_error,
        ) -> sd_status,
    >,
    /// Move a file, over a file that may be at `dest`. Onto itself it only checks
    /// that the file exists. SD_ERR_IS_DIRECTORY, with the path, if `source` is a
    /// directory, on any store.
    pub r#move: Option<
        unsafe extern "C" fn(
            self_: *mut c_void,
            ctx: *const sd_context,
            source: *const c_char,
            dest: *const c_char,
            err: *mut *mut sd_error,
        ) -> sd_status,
    >,
    /// Delete the file, or the directory with everything below it, and the uploads
    /// at and below the path; but nothing beside it: "/ab" is not below "/a".
    pub remove: Option<
        unsafe extern "C" fn(
            self_: *mut c_void,
            ctx: *const sd_context,
            path: *const c_char,
            err: *mut *mut sd_error,
        ) -> sd_status,
    >,
    /// Give a URL at which a client can fetch the file itself, or leave `*out` as it
    /// is, which is NULL, if there is none. `request` has all its fields; its method
    /// is never NULL. The file need not exist. The slot may be NULL.
    pub redirect_url: Option<
        unsafe extern "C" fn(
            self_: *mut c_void,
            ctx: *const sd_context,
            path: *const c_char,
            request: *const sd_redirect_request,
            out: *mut *mut sd_buffer,
            err: *mut *mut sd_error,
        ) -> sd_status,
    >,
    /// Open a file for reading. At or past its end `offset` is no error. `*reader`
    /// becomes anything but NULL, and is the reader of the next two slots. It goes on
    /// with this content, or fails with SD_ERR_CONFLICT, while the path is replaced.
    pub reader_open: Option<
        unsafe extern "C" fn(
            self_: *mut c_void,
            ctx: *const sd_context,
            path: *const c_char,
            offset: i64,
            reader: *mut *mut c_void,
            err: *mut *mut sd_error,
        ) -> sd_status,
    >,
    /// Fill the front of `buf`, which has `cap` bytes, at least one, and say in
    /// `*len` how many came; 0 is the end of the file and nothing else is. A failed
    /// read leaves the position where it was.
    pub reader_read: Option<
        unsafe extern "C" fn(
            reader: *mut c_void,
            buf: *mut c_void,
            cap: usize,
            len: *mut usize,
            err: *mut *mut sd_error,
        ) -> sd_status,
    >,
    /// Release the reader. Called once, before `self` is freed.
    pub reader_free: Option<unsafe extern "C" fn(reader: *mut c_void)>,
    /// Open an upload. `flags` is 0 or SD_WRITER_APPEND. Without it the upload starts
    /// over at size 0, an earlier one at the path is forgotten, and committed content
    /// stays as it is until writer_commit. With it the upload goes on where the last
    /// one at the path was closed; if there is none, after the committed content, or
    /// fails with SD_ERR_UNSUPPORTED if that is not empty and SD_CAP_EXACT_APPEND is
    /// not set; if there is none either, with SD_ERR_PATH_NOT_FOUND.
    /// `*writer` becomes anything but NULL, and is the writer of the slots below.
    pub writer_open: Option<
        unsafe extern "C" fn(
            self_: *mut c_void,
            ctx: *const sd_context,
            path: *const c_char,
            flags: u32,
            writer: *mut *mut c_void,
            err: *mut *mut sd_error,
        ) -> sd_status,
    >,
    /// Take all `len` bytes, at least one, or fail. Called while the writer is open;
    /// after a failure only writer_cancel or writer_close follow.
    pub writer_write: Option<
        unsafe extern "C" fn(
            writer: *mut c_void,
            data: *const c_void,
            len: usize,
            err: *mut *mut sd_error,
        ) -> sd_status,
    >,
    /// How many bytes the upload has: those of earlier sessions and every one that
    /// was taken, flushed or not. After writer_close: what an append would find.
    pub writer_size: Option<unsafe extern "C" fn(writer: *mut c_void) -> u64>,
    /// Make the upload the content of its path, durably and at once. Called while the
    /// writer is open. On failure nothing has changed at the path and the writer
    /// stays open; on success only writer_free follows.
    pub writer_commit: Option<
        unsafe extern "C" fn(
            writer: *mut c_void,
            ctx: *const sd_context,
            err: *mut *mut sd_error,
        ) -> sd_status,
    >,
    /// Discard a fresh upload; take an append back to the length that writer_open
    /// found, or where the store cannot, discard that upload, too. Committed content
    /// stays. Called while the writer is open or after a failed write; on success
    /// only writer_free follows.
    pub writer_cancel: Option<
        unsafe extern "C" fn(
            writer: *mut c_void,
            ctx: *const sd_context,
            err: *mut *mut sd_error,
        ) -> sd_status,
    >,
    /// Make what was written durable, uncommitted, so that an append can go on with
    /// it in any process. Called while the writer is open or after a failed write,
    /// when it keeps what it can; on success only writer_free follows.
    pub writer_close: Option<
        unsafe extern "C" fn(
            writer: *mut c_void,
            ctx: *const sd_context,
            err: *mut *mut sd_error,
        ) -> sd_status,
    >,
    /// Release the writer, without any I/O that can fail. Called once, before `self`
    /// is freed, in any state: what was not flushed may be lost.
    pub writer_free: Option<unsafe extern "C" fn(writer: *mut c_void)>,
}

// SAFETY: slots that are NULL and numbers that are 0.
unsafe impl SizedStruct for sd_driver_vtable {
    const NAME: &'static str = "sd_driver_vtable";
    /// Its size, two numbers and eighteen slots.
    const FIRST_SIZE: usize = size_of::<usize>() + 8 + 18 * size_of::<*const ()>();
}

/// How drivers of one name are made. Set struct_size to sizeof(sd_factory_vtable)
/// and everything else to zero, then fill in the slots.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct sd_factory_vtable {
    pub struct_size: usize,
    /// Make a driver: `*vtable` becomes its functions, which are copied, and `*self`
    /// what they work on, which may be NULL. `params` is lent for the call; refuse
    /// what you do not know in it, by name, with SD_ERR_INVALID_PARAMETER. Called by
    /// any thread, several at once. What is said at sd_driver_vtable about arguments
    /// and answers holds. If the vtable is one that sd_driver_new would refuse,
    /// sd_factory_create fails with SD_ERR_DRIVER and `*self` goes to its free.
    pub create: Option<
        unsafe extern "C" fn(
            user: *mut c_void,
            ctx: *const sd_context,
            params: *const sd_params,
            vtable: *mut *const sd_driver_vtable,
            self_: *mut *mut c_void,
            err: *mut *mut sd_error,
        ) -> sd_status,
    >,
    /// Release `user`. Called once, by sd_runtime_shutdown, though drivers that were
    /// made may still be there. May be NULL.
    pub free: Option<unsafe extern "C" fn(user: *mut c_void)>,
}

// SAFETY: slots that are NULL and a number that is 0.
unsafe impl SizedStruct for sd_factory_vtable {
    const NAME: &'static str = "sd_factory_vtable";
    const FIRST_SIZE: usize = size_of::<usize>() + 2 * size_of::<*const ()>();
}

/// Make a driver from functions of your own, without registering a name for it.
///
/// It is used like any other: paths are checked, writers keep to their states, and
/// calls are counted, timed and logged under `name`, which consists of lower-case
/// letters, digits and hyphens.
///
/// Ownership: `vtable` is copied. On success `self` is the library's, which gives
///            it to the vtable's free in the end; on failure it stays yours.
///            `*out` is yours: release it with sd_driver_free.
/// Threads:   any.
/// Errors:    SD_ERR_INVALID_ARGUMENT  a slot is NULL that may not be, or a
///                                     capability is unknown: the message names it;
///                                     `name` is no name
///            SD_ERR_STRUCT_SIZE       the vtable has slots that this library has not
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_driver_new(
    name: *const c_char,
    vtable: *const sd_driver_vtable,
    self_: *mut c_void,
    out: *mut *mut sd_driver,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let out = c.out(out, "out")?;
            let name = c.text(name, "name")?;
            factory::check_name(name)?;
            let vtable = vtable::checked(c, vtable)?;
            let driver: Arc<dyn Driver> = Arc::new(CustomDriver::new(name, vtable, self_));
            out.set(handle::give(DriverValue::new(Arc::new(Base::new(driver)))));
            Ok(())
        })
    }
}

/// Add a name that sd_factory_create knows, until sd_runtime_shutdown.
///
/// A program may do so before it does anything else, in a static initialiser too:
/// nothing starts. sd_runtime_shutdown removes every name that was added. A child of
/// a fork has the names as well, but does not call their `free`.
///
/// Ownership: `vtable` is copied. On success `user` is the library's, which gives
///            it to the vtable's free in the end; on failure it stays yours.
/// Threads:   any.
/// Errors:    SD_ERR_ALREADY_REGISTERED  a driver has this name
///            SD_ERR_INVALID_ARGUMENT    create is NULL, or `name` is no name:
///                                       lower-case letters, digits and hyphens
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_factory_register(
    name: *const c_char,
    vtable: *const sd_factory_vtable,
    user: *mut c_void,
    err: *mut *mut sd_error,
) -> sd_status {
    // SAFETY: the header's promises.
    unsafe {
        boundary::run(err, |c| {
            let name = c.text(name, "name")?;
            let vtable = c.sized(vtable)?;
            let vtable = vtable.ok_or_else(|| Error::invalid_argument("vtable is null"))?;
            vtable::slot(vtable.create, "create")?;
            let factory = Arc::new(CustomFactory::new(name, vtable, user));
            let used = factory.clone();
            let constructor: Constructor =
                Arc::new(move |ctx, params| Ok(Arc::new(used.create(ctx, params)?)));
            // A constructor that is refused is dropped, and `user` with it otherwise.
            factory::register(name, constructor).inspect_err(|_| factory.disown())
        })
    }
}
