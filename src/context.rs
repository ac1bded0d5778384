//! What a caller says about one piece of work: until when, whether it is still
//! wanted, and what to write beside it in the log. Also the one place where the
//! library makes a thread wait, so that every wait ends with its context.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::{Poll, Wake, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::error::{Code, Error, Result};
use crate::runtime::{self, PerProcess};

/// "No limit", in both clocks.
const NEVER: i64 = i64::MAX;

/// A wait under a wall-clock deadline looks at that clock again at least this
/// often, since setting the clock wakes nobody.
const WALL_CLOCK_GLANCE: Duration = Duration::from_millis(20);

/// A deadline, a cancellation and log fields, shared by its clones. The default
/// context has no limit, cannot be cancelled and costs nothing.
#[derive(Clone, Default)]
pub struct Context(Option<Arc<Inner>>);

struct Inner {
    parent: Context,
    cancelled: AtomicBool,
    /// Nanoseconds of that clock.
    monotonic: AtomicI64,
    /// Nanoseconds after the Unix epoch.
    wall: AtomicI64,
    fields: PerProcess<RwLock<BTreeMap<String, String>>>,
    waiters: PerProcess<Mutex<BTreeMap<u64, Waker>>>,
    next_waiter: AtomicU64,
}

impl Context {
    /// The context without limits.
    pub const fn none() -> Context {
        Context(None)
    }

    /// A context that ends on its own or with `parent`, whichever is first.
    pub fn new(parent: &Context) -> Context {
        Context(Some(Arc::new(Inner {
            parent: parent.clone(),
            cancelled: AtomicBool::new(false),
            monotonic: AtomicI64::new(NEVER),
            wall: AtomicI64::new(NEVER),
            fields: PerProcess::here(RwLock::default()),
            waiters: PerProcess::here(Mutex::default()),
            next_waiter: AtomicU64::new(0),
        })))
    }

    /// Ends the context `after` from now, by the monotonic clock. Replaces an
    /// earlier timeout, also for calls that are running.
    pub fn set_timeout(&self, after: Duration) {
        let Some(inner) = &self.0 else { return };
        inner.monotonic.store(nanos(now().saturating_add(after)), Ordering::Release);
        inner.wake();
    }

    /// Ends the context at a time of the wall clock, in nanoseconds since 1970.
    pub fn set_deadline(&self, unix_ns: i64) {
        let Some(inner) = &self.0 else { return };
        inner.wall.store(unix_ns, Ordering::Release);
        inner.wake();
    }

    /// A field for every log record of calls made with this context.
    pub fn set_field(&self, key: &str, value: &str) {
        if let Some(inner) = &self.0 {
            let mut fields = inner.fields().write().unwrap_or_else(PoisonError::into_inner);
            fields.insert(key.to_string(), value.to_string());
        }
    }

    /// The fields, the parent's included; the nearer one wins.
    pub fn fields(&self) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        let mut next = self;
        while let Some(inner) = &next.0 {
            let own = inner.fields().read().unwrap_or_else(PoisonError::into_inner);
            for (key, value) in own.iter() {
                fields.entry(key.clone()).or_insert_with(|| value.clone());
            }
            next = &inner.parent;
        }
        fields
    }

    /// Ends the context now, and with it every wait under it and its children.
    pub fn cancel(&self) {
        let Some(inner) = &self.0 else { return };
        inner.cancelled.store(true, Ordering::Release);
        inner.wake();
    }

    /// Whether work may go on: `Cancelled` or `Deadline` if not.
    pub fn status(&self) -> Result<()> {
        let mut next = self;
        while let Some(inner) = &next.0 {
            if inner.cancelled.load(Ordering::Acquire) {
                return Err(Error::new(Code::Cancelled, "cancelled by the caller"));
            }
            next = &inner.parent;
        }
        match self.remaining() {
            Some(Duration::ZERO) => {
                Err(Error::new(Code::Deadline, "the caller's deadline has passed"))
            }
            _ => Ok(()),
        }
    }

    /// Time left; `None` without a limit.
    pub fn remaining(&self) -> Option<Duration> {
        let mut least = None;
        let mut next = self;
        while let Some(inner) = &next.0 {
            for left in [inner.monotonic_left(), inner.wall_left()].into_iter().flatten() {
                least = Some(least.map_or(left, |l: Duration| l.min(left)));
            }
            next = &inner.parent;
        }
        least
    }

    /// Wakes `waker` when the context is cancelled or its limits change, until
    /// the subscription is dropped.
    pub fn subscribe(&self, waker: &Waker) -> Subscription {
        let mut entries = Vec::new();
        let mut next = self;
        while let Some(inner) = &next.0 {
            let id = inner.next_waiter.fetch_add(1, Ordering::Relaxed);
            inner.waiters().insert(id, waker.clone());
            entries.push((inner.clone(), id));
            next = &inner.parent;
        }
        Subscription(entries)
    }

    /// Parks this thread until `poll` is ready or the context ends. `poll` must
    /// see to it that the waker it is given is woken.
    pub fn wait<T>(&self, mut poll: impl FnMut(&Waker) -> Poll<T>) -> Result<T> {
        let parker = Arc::new(Parker::default());
        let waker = Waker::from(parker.clone());
        let _subscription = self.subscribe(&waker);
        loop {
            if let Poll::Ready(value) = poll(&waker) {
                return Ok(value);
            }
            self.status()?;
            parker.park(self.longest_sleep());
        }
    }

    /// How long a wait may sleep before it looks at the context again; `None`: until
    /// it is woken.
    pub fn longest_sleep(&self) -> Option<Duration> {
        let mut sleep = self.remaining()?;
        let mut next = self;
        while let Some(inner) = &next.0 {
            if inner.wall_left().is_some() {
                sleep = sleep.min(WALL_CLOCK_GLANCE);
            }
            next = &inner.parent;
        }
        Some(sleep)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("remaining", &self.remaining()).finish_non_exhaustive()
    }
}

impl Inner {
    /// A child of a fork starts with its parent's; with none, if they were changing then.
    fn fields(&self) -> &RwLock<BTreeMap<String, String>> {
        let copy = |before: &_| RwLock::new(runtime::copy(before).unwrap_or_default());
        self.fields.get_or(copy)
    }

    /// Nobody of the parent's waits in a child.
    fn waiters(&self) -> MutexGuard<'_, BTreeMap<u64, Waker>> {
        lock(self.waiters.get_or(|_| Mutex::default()))
    }

    fn monotonic_left(&self) -> Option<Duration> {
        let end = self.monotonic.load(Ordering::Acquire);
        if end == NEVER {
            return None;
        }
        Some(left(end, nanos(now())))
    }

    fn wall_left(&self) -> Option<Duration> {
        let end = self.wall.load(Ordering::Acquire);
        if end == NEVER {
            return None;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, nanos);
        Some(left(end, now))
    }

    fn wake(&self) {
        // Outside the lock: a waker may run anything.
        let wakers: Vec<Waker> = self.waiters().values().cloned().collect();
        for waker in wakers {
            waker.wake();
        }
    }
}

impl Drop for Inner {
    /// Without recursion: a chain of contexts may be longer than a stack is deep.
    fn drop(&mut self) {
        let mut next = self.parent.0.take();
        while let Some(mut parent) = next.and_then(Arc::into_inner) {
            next = parent.parent.0.take();
        }
    }
}

/// See [`Context::subscribe`].
pub struct Subscription(Vec<(Arc<Inner>, u64)>);

impl Drop for Subscription {
    fn drop(&mut self) {
        for (inner, id) in &self.0 {
            inner.waiters().remove(id);
        }
    }
}

/// What a waiting thread sleeps on. Not the standard library's parking: that is also
/// the host's, if it is written in Rust, and leaves memory behind on the first thread.
#[derive(Default)]
struct Parker {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Parker {
    /// Until it is woken, or was since the last time, but no longer than `time`.
    fn park(&self, time: Option<Duration>) {
        let woken = lock(&self.woken);
        let mut woken = match time {
            Some(time) => {
                let waited = self.changed.wait_timeout_while(woken, time, |woken| !*woken);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let waited = self.changed.wait_while(woken, |woken| !*woken);
                waited.unwrap_or_else(PoisonError::into_inner)
            }
        };
        *woken = false;
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        *lock(&self.woken) = true;
        self.changed.notify_one();
    }
}

/// By the monotonic clock.
fn now() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(NEVER)
}

fn left(end: i64, now: i64) -> Duration {
    Duration::from_nanos(u64::try_from(end.saturating_sub(now)).unwrap_or(0))
}

/// None of our locks guards a state that a panic can leave half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Instant;

    use super::*;

    fn pending(ctx: &Context) -> Result<()> {
        ctx.wait(|_| Poll::<()>::Pending)
    }

    #[test]
    fn cancelling_a_parent_ends_a_wait_under_the_child_within_50_ms() {
        let took = || {
            let parent = Context::new(&Context::none());
            let child = Context::new(&parent);
            thread::scope(|scope| {
                let canceller = scope.spawn(|| {
                    thread::sleep(Duration::from_millis(30));
                    let at = Instant::now();
                    parent.cancel();
                    at
                });
                assert_eq!(pending(&child).unwrap_err().code(), Code::Cancelled);
                let woken = Instant::now();
                woken.saturating_duration_since(canceller.join().unwrap())
            })
        };
        // The best of some: the machine may have something else to do.
        let best = (0..10).map(|_| took()).min().unwrap();
        assert!(best < Duration::from_millis(50), "{best:?}");
    }

    #[test]
    fn a_timeout_ends_a_wait_and_may_be_set_anew() {
        let ctx = Context::new(&Context::none());
        ctx.set_timeout(Duration::from_millis(5));
        assert_eq!(pending(&ctx).unwrap_err().code(), Code::Deadline);
        ctx.set_timeout(Duration::from_secs(60));
        assert!(ctx.status().is_ok());
        assert!(ctx.remaining().unwrap() > Duration::from_secs(50));
    }

    #[test]
    fn a_deadline_of_the_wall_clock_in_the_past_ends_the_context() {
        let ctx = Context::new(&Context::none());
        ctx.set_deadline(1);
        assert_eq!(ctx.status().unwrap_err().code(), Code::Deadline);
    }

    #[test]
    fn a_child_sees_its_parents_fields_and_may_replace_them() {
        let parent = Context::new(&Context::none());
        parent.set_field("a", "1");
        parent.set_field("b", "2");
        let child = Context::new(&parent);
        child.set_field("b", "3");
        let fields = child.fields();
        assert_eq!(fields.get("a").map(String::as_str), Some("1"));
        assert_eq!(fields.get("b").map(String::as_str), Some("3"));
    }

    #[test]
    fn in_a_child_a_context_works_whatever_the_parents_threads_did_with_it() {
        let ctx = Context::new(&Context::none());
        ctx.set_field("a", "1");
        let held = ctx.0.as_ref().unwrap().waiters();
        assert!(runtime::in_child(|| {
            let kept = ctx.fields().contains_key("a");
            ctx.cancel();
            kept && pending(&ctx).is_err_and(|error| error.code() == Code::Cancelled)
        }));
        drop(held);
        let _held = ctx.0.as_ref().unwrap().fields().write();
        assert!(runtime::in_child(|| {
            ctx.set_field("b", "2");
            ctx.fields().contains_key("b")
        }));
    }

    #[test]
    fn the_default_context_has_no_limit() {
        assert!(Context::none().status().is_ok());
        assert_eq!(Context::none().remaining(), None);
    }
}
