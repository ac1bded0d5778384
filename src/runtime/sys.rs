//! What has no safe wrapper: a handler for forks, and what signals a thread blocks.

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Once;

/// Has `handler` run in the child of every fork from here on. It must not lock,
/// allocate or wait. Only the first call counts.
pub fn on_fork_in_child(handler: extern "C" fn()) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handler is a plain function that lives as long as the library,
        // which is never unloaded (-z nodelete).
        unsafe { libc::pthread_atfork(None, None, Some(handler)) };
    });
}

/// Signals that a thread brings upon itself must reach it.
const SYNCHRONOUS: [i32; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGSYS];

/// Blocks every other signal on this thread, so that the host's handlers run on
/// the host's threads. Gives back what was blocked before.
fn block_signals() -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: fills `set`.
    unsafe { libc::sigfillset(set.as_mut_ptr()) };
    for signal in SYNCHRONOUS {
        // SAFETY: `set` was filled above; the numbers are signals.
        unsafe { libc::sigdelset(set.as_mut_ptr(), signal) };
    }
    // SAFETY: reads `set` and fills `before`; it cannot fail with SIG_SETMASK.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), before.as_mut_ptr()) };
    // SAFETY: filled by the call above.
    unsafe { before.assume_init() }
}

/// For the start of a thread of ours.
pub fn block_signals_for_good() {
    block_signals();
}

/// Runs `start`, which may make threads: they begin with every signal blocked.
pub fn with_signals_blocked<T>(start: impl FnOnce() -> T) -> T {
    struct Restore(libc::sigset_t);
    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: the set is one that `pthread_sigmask` gave.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, ptr::null_mut()) };
        }
    }
    let _restore = Restore(block_signals());
    start()
}
