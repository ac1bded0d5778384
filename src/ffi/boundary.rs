//! Entering from C and leaving to it: panics stop here, errors become objects.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::{SD_OK, sd_error, sd_status};
use super::handle::{self, Opaque};
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::executor;
use crate::observe::{self, Level};

/// Proof that the header's promises hold for the pointers of this call: each is
/// NULL or points to what its type says, for as long as the header says. Only
/// `run`, `value` and `answered` make one.
pub struct Caller(());

/// Runs the body of an exported function and turns its outcome into a status,
/// and into an error object where the caller wants one.
///
/// # Safety
/// The header's promises hold for `err` and for every pointer that `body` gives
/// to the methods of `Caller`.
pub unsafe fn run(err: *mut *mut sd_error, body: impl FnOnce(&Caller) -> Result<()>) -> sd_status {
    // SAFETY: the same promise.
    unsafe { run_status(err, |caller| body(caller).map(|()| SD_OK)) }
}

/// `run` for the few functions that have more than one good answer.
///
/// # Safety
/// As for `run`.
pub unsafe fn run_status(
    err: *mut *mut sd_error,
    body: impl FnOnce(&Caller) -> Result<sd_status>,
) -> sd_status {
    match guarded(|| body(&Caller(()))).and_then(|outcome| outcome) {
        Ok(status) => status,
        Err(error) => {
            let status = error.code().number();
            if !err.is_null() {
                // SAFETY: the caller promises that a non-NULL `err` can be written.
                unsafe { err.write(handle::give(super::error::ErrorValue::new(error))) };
            }
            status
        }
    }
}

/// Runs the body of a function that cannot report: `neutral` if it fails.
///
/// # Safety
/// As for `run`.
pub unsafe fn value<T>(neutral: T, body: impl FnOnce(&Caller) -> Result<T>) -> T {
    guarded(|| body(&Caller(()))).and_then(|outcome| outcome).unwrap_or(neutral)
}

/// Looks at what C gave as the answer of a call into it.
///
/// # Safety
/// The header's promises hold for every pointer that `body` gives to the methods
/// of `Caller`.
pub unsafe fn answered<T>(body: impl FnOnce(&Caller) -> T) -> T {
    body(&Caller(()))
}

/// Takes back an object and drops it; NULL is fine.
///
/// # Safety
/// As for `run`.
pub unsafe fn free<O: Opaque>(object: *mut O) {
    // SAFETY: the same promise.
    unsafe {
        value((), |caller| {
            drop(caller.take(object));
            Ok(())
        })
    }
}

thread_local! {
    /// How many exported functions this thread is inside of.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

fn guarded<T>(body: impl FnOnce() -> T) -> Result<T> {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            DEPTH.set(DEPTH.get().saturating_sub(1));
        }
    }
    silence_panics();
    DEPTH.set(DEPTH.get() + 1);
    let _leave = Leave;
    panic::catch_unwind(AssertUnwindSafe(body)).map_err(|payload| caught(&*payload))
}

/// A panic is a bug of ours: an error for the caller and a line in the log.
fn caught(payload: &(dyn Any + Send)) -> Error {
    let detail = observe::panic_text(payload);
    let message = || detail.clone();
    let log = || observe::log(Level::Error, "boundary", &Context::none(), message, &[]);
    // A hook set from Rust may itself be what panics.
    drop(panic::catch_unwind(AssertUnwindSafe(log)));
    Error::new(Code::Internal, detail)
}

/// Keeps the host's standard error free of panics inside our functions and threads. Others,
/// of a Rust program that links the crate, go where they went before.
fn silence_panics() {
    static DONE: AtomicBool = AtomicBool::new(false);
    // Nobody waits for it: at a fork, it would be for ever.
    if DONE.load(Ordering::Relaxed) || DONE.swap(true, Ordering::Relaxed) {
        return;
    }
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if DEPTH.get() == 0 && !executor::is_ours() {
            before(info);
        }
    }));
}
