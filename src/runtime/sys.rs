//! What safe Rust does not offer: a handler for forks, a list that needs no lock, and
//! what signals a thread blocks.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// Has `handler` run in the child of every fork from here on. It must not lock,
/// allocate or wait. Threads that come here first at the same time may each have
/// it run.
pub fn on_fork_in_child(handler: extern "C" fn()) {
    // No `Once`: a fork may leave one behind that is never done.
    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.load(Ordering::Acquire) {
        // SAFETY: the handler is a plain function that lives as long as the library,
        // which is never unloaded (-z nodelete).
        unsafe { libc::pthread_atfork(None, None, Some(handler)) };
        DONE.store(true, Ordering::Release);
    }
}

/// Values of which the newest counts. None goes before the list does, and no step
/// waits for another thread, so that a fork leaves it whole.
pub struct Pile<T> {
    top: AtomicPtr<Layer<T>>,
    owns: PhantomData<Box<Layer<T>>>,
}

struct Layer<T> {
    value: T,
    below: *mut Layer<T>,
}

// SAFETY: a layer is changed by nobody once it is in the pile.
unsafe impl<T: Send + Sync> Sync for Pile<T> {}
// SAFETY: as above; the layers go with the pile.
unsafe impl<T: Send + Sync> Send for Pile<T> {}

impl<T> Pile<T> {
    pub const fn new() -> Pile<T> {
        Pile { top: AtomicPtr::new(ptr::null_mut()), owns: PhantomData }
    }

    pub fn top(&self) -> Option<&T> {
        // SAFETY: a layer in the pile lives as long as the pile.
        unsafe { self.top.load(Ordering::Acquire).as_ref() }.map(|layer| &layer.value)
    }

    /// Puts `value` on top, unless what lies there is `enough`, and gives the top.
    pub fn push_unless(&self, value: T, enough: impl Fn(&T) -> bool) -> &T {
        let mut layer = Box::new(Layer { value, below: ptr::null_mut() });
        loop {
            layer.below = self.top.load(Ordering::Acquire);
            // SAFETY: as in `top`.
            if let Some(top) = unsafe { layer.below.as_ref() }.filter(|top| enough(&top.value)) {
                return &top.value;
            }
            let (below, new) = (layer.below, Box::into_raw(layer));
            let put = self.top.compare_exchange(below, new, Ordering::AcqRel, Ordering::Acquire);
            if put.is_ok() {
                // SAFETY: it is in the pile now.
                return unsafe { &(*new).value };
            }
            // SAFETY: made by `into_raw` above, and nobody has seen it.
            layer = unsafe { Box::from_raw(new) };
        }
    }
}

impl<T> Drop for Pile<T> {
    fn drop(&mut self) {
        let mut next = *self.top.get_mut();
        while !next.is_null() {
            // SAFETY: made by `into_raw`, in the pile once, and nobody looks any more.
            let layer = unsafe { Box::from_raw(next) };
            next = layer.below;
        }
    }
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

/// Runs `work` in a child of a fork: whether it came to its end and was true.
#[cfg(test)]
pub fn in_child(work: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child calls only this library and ends with _exit.
    match unsafe { libc::fork() } {
        -1 => false,
        0 => {
            // SAFETY: ends a child that hangs.
            unsafe { libc::alarm(60) };
            let good = work();
            // SAFETY: ends the child at once, as intended.
            unsafe { libc::_exit(i32::from(!good)) }
        }
        child => {
            let mut status = 0;
            // SAFETY: `status` is ours, `child` our child.
            unsafe { libc::waitpid(child, &mut status, 0) };
            status == 0
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    struct Counted<'c>(u32, &'c AtomicUsize);

    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn of_threads_that_pile_up_the_same_one_wins_and_all_see_its_value() {
        let gone = AtomicUsize::new(0);
        let pile = Pile::new();
        assert!(pile.top().is_none());
        for round in 0..100 {
            std::thread::scope(|scope| {
                let push = || {
                    let top = pile.push_unless(Counted(round, &gone), |top| top.0 == round);
                    ptr::from_ref(top) as usize
                };
                let pushed: Vec<_> = (0..4).map(|_| scope.spawn(push)).collect();
                let tops: Vec<_> = pushed.into_iter().map(|one| one.join().unwrap()).collect();
                assert!(tops.iter().all(|top| *top == tops[0]));
            });
            assert_eq!(pile.top().map(|top| top.0), Some(round));
        }
        // All but the winners.
        assert_eq!(gone.load(Ordering::SeqCst), 300);
        drop(pile);
        assert_eq!(gone.load(Ordering::SeqCst), 400);
    }
}
