//! The one system interface that has no safe wrapper: a handler for forks.

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
