//! A bounded pool of threads for jobs that may block. tokio has one, but where the
//! system refuses a thread, that one panics and keeps the job: it would have failed
//! and be done later all the same.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Says at its end, before it tells anybody, that its thread is as good as free. What
/// is handed in next then waits for that thread and starts no other, so that there are
/// never more of them than jobs in flight.
pub type Job = Box<dyn FnOnce(&dyn Fn()) + Send>;
/// The life of a thread.
pub type Life = Box<dyn FnOnce() + Send>;
pub type Start = fn(Life) -> io::Result<JoinHandle<()>>;

/// How long a thread waits for a job before it ends. The last one stays.
const IDLE: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub struct Pool(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// A job came, or the end.
    changed: Condvar,
    /// The last thread went.
    empty: Condvar,
    /// Threads that will look for a job with nothing between: they start, wait, or are
    /// at the end of one.
    idle: AtomicUsize,
    most: usize,
    start: Start,
    idle_for: Duration,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// To be joined at the end; those that went earlier are not.
    threads: BTreeMap<u64, JoinHandle<()>>,
    alive: usize,
    started: u64,
    ending: bool,
}

impl Pool {
    /// Of at most `most` threads, and at least one. A job must not panic.
    pub fn new(most: usize, start: Start) -> Pool {
        Pool::with_idle(most, start, IDLE)
    }

    fn with_idle(most: usize, start: Start, idle_for: Duration) -> Pool {
        let (changed, empty) = (Condvar::new(), Condvar::new());
        let (state, most) = (Mutex::default(), most.max(1));
        let idle = AtomicUsize::new(0);
        Pool(Arc::new(Shared { state, changed, empty, idle, most, start, idle_for }))
    }

    /// Makes sure of a thread. From then on every job is run, or dropped at the end.
    pub fn ready(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.alive == 0 && !state.ending { self.grow(&mut state) } else { Ok(()) }
    }

    /// Runs `job` as soon as a thread is free. The pool was `ready` before.
    pub fn run(&self, job: Job) {
        let mut state = self.0.lock();
        if state.ending {
            // Not under the lock: what a job holds may come back here as it goes.
            drop(state);
            return drop(job);
        }
        state.jobs.push_back(job);
        if state.jobs.len() <= self.0.idle.load(Ordering::SeqCst) {
            self.0.changed.notify_one();
        } else if state.alive < self.0.most {
            // Refused, the job waits for one of those that are there.
            let _ = self.grow(&mut state);
        }
    }

    fn grow(&self, state: &mut State) -> io::Result<()> {
        let (shared, number) = (self.0.clone(), state.started);
        let thread = (self.0.start)(Box::new(move || shared.work(number)))?;
        state.threads.insert(number, thread);
        state.started += 1;
        state.alive += 1;
        self.0.idle.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// Drops what has not begun and waits for the threads, but not for ever.
    pub fn end(&self, longest: Duration) {
        let mut state = self.0.lock();
        state.ending = true;
        let jobs = std::mem::take(&mut state.jobs);
        let threads = std::mem::take(&mut state.threads);
        drop(state);
        self.0.changed.notify_all();
        drop(jobs);
        let end = Instant::now() + longest;
        let mut state = self.0.lock();
        while state.alive > 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.0.empty.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        threads.into_values().for_each(|thread| drop(thread.join()));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of one thread.
    fn work(&self, number: u64) {
        let mut state = self.lock();
        loop {
            self.idle.fetch_sub(1, Ordering::SeqCst);
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                self.run(job);
                state = self.lock();
                continue;
            }
            if state.ending {
                break;
            }
            self.idle.fetch_add(1, Ordering::SeqCst);
            let waited = self.changed.wait_timeout(state, self.idle_for);
            let timed_out;
            (state, timed_out) = waited.unwrap_or_else(PoisonError::into_inner);
            let wanted = state.ending || !state.jobs.is_empty() || state.alive == 1;
            if timed_out.timed_out() && !wanted {
                self.idle.fetch_sub(1, Ordering::SeqCst);
                state.threads.remove(&number);
                break;
            }
        }
        state.alive -= 1;
        if state.alive == 0 {
            self.empty.notify_all();
        }
    }

    /// Afterwards the thread is idle, as it was before.
    fn run(&self, job: Job) {
        let free = Cell::new(false);
        let set_free = || {
            if !free.replace(true) {
                self.idle.fetch_add(1, Ordering::SeqCst);
            }
        };
        job(&set_free);
        set_free();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    fn started(life: Life) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().spawn(life)
    }

    fn refused(_: Life) -> io::Result<JoinHandle<()>> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// The first thread that the test's own thread asks for, and no other.
    fn one(life: Life) -> io::Result<JoinHandle<()>> {
        thread_local!(static ASKED: AtomicUsize = const { AtomicUsize::new(0) });
        match ASKED.with(|asked| asked.fetch_add(1, Ordering::Relaxed)) {
            0 => started(life),
            _ => refused(life),
        }
    }

    const LONG: Duration = Duration::from_secs(60);

    fn wait_until(what: impl Fn() -> bool) {
        let begun = Instant::now();
        while !what() {
            assert!(begun.elapsed() < LONG);
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn without_any_thread_it_is_not_ready() {
        let pool = Pool::new(4, refused);
        assert!(pool.ready().is_err());
        assert!(pool.ready().is_err());
        pool.end(LONG);
    }

    #[test]
    fn refused_threads_leave_the_work_to_those_that_are_there() {
        let pool = Pool::new(4, one);
        let (done, count) = mpsc::channel();
        pool.ready().unwrap();
        for number in 0..100 {
            let done = done.clone();
            pool.run(Box::new(move |_| done.send(number).unwrap()));
        }
        let all: Vec<_> = (0..100).map(|_| count.recv_timeout(LONG).unwrap()).collect();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        pool.end(LONG);
    }

    #[test]
    fn never_more_threads_than_allowed_and_all_of_them_for_jobs_that_block() {
        let pool = Pool::new(3, started);
        pool.ready().unwrap();
        let inside = Arc::new(AtomicUsize::new(0));
        let (go, wait) = mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        for _ in 0..10 {
            let (inside, wait) = (inside.clone(), wait.clone());
            pool.run(Box::new(move |_| {
                inside.fetch_add(1, Ordering::SeqCst);
                let _ = wait.lock().unwrap().recv();
            }));
        }
        wait_until(|| inside.load(Ordering::SeqCst) == 3);
        thread::sleep(Duration::from_millis(20));
        assert_eq!(inside.load(Ordering::SeqCst), 3);
        assert_eq!(pool.0.lock().alive, 3);
        drop(go);
        wait_until(|| inside.load(Ordering::SeqCst) == 10);
        pool.end(LONG);
    }

    #[test]
    fn never_more_threads_than_jobs_in_flight() {
        const IN_FLIGHT: usize = 3;
        let pool = Pool::new(64, started);
        pool.ready().unwrap();
        let (answer, answers) = mpsc::channel();
        let hand_in = || {
            let answer = answer.clone();
            pool.run(Box::new(move |free| {
                free();
                answer.send(()).unwrap();
                // Whoever got the answer is quicker than this thread.
                thread::yield_now();
            }));
        };
        (0..IN_FLIGHT).for_each(|_| hand_in());
        for _ in 0..20_000 {
            answers.recv_timeout(LONG).unwrap();
            hand_in();
        }
        assert!(pool.0.lock().started <= IN_FLIGHT as u64, "{}", pool.0.lock().started);
        pool.end(LONG);
        assert_eq!(pool.0.idle.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn idle_threads_end_but_the_last_one() {
        let pool = Pool::with_idle(4, started, Duration::from_millis(20));
        pool.ready().unwrap();
        let barrier = Arc::new(std::sync::Barrier::new(4));
        for _ in 0..4 {
            let barrier = barrier.clone();
            pool.run(Box::new(move |_| {
                barrier.wait();
            }));
        }
        wait_until(|| pool.0.lock().alive == 1);
        thread::sleep(Duration::from_millis(60));
        assert_eq!(pool.0.lock().alive, 1);
        let (done, came) = mpsc::channel();
        pool.run(Box::new(move |_| done.send(()).unwrap()));
        came.recv_timeout(LONG).unwrap();
        pool.end(LONG);
    }

    #[test]
    fn the_end_drops_what_has_not_begun_and_waits_for_what_has() {
        let pool = Pool::new(1, started);
        pool.ready().unwrap();
        let (begun, began) = mpsc::channel();
        let done = Arc::new(AtomicUsize::new(0));
        let first = done.clone();
        pool.run(Box::new(move |_| {
            begun.send(()).unwrap();
            thread::sleep(Duration::from_millis(50));
            first.fetch_add(1, Ordering::SeqCst);
        }));
        began.recv_timeout(LONG).unwrap();
        let (dropped, second) = (Arc::new(()), done.clone());
        let held = dropped.clone();
        pool.run(Box::new(move |_| {
            second.fetch_add(10, Ordering::SeqCst);
            drop(held);
        }));
        pool.end(LONG);
        assert_eq!(done.load(Ordering::SeqCst), 1);
        let held = dropped.clone();
        pool.run(Box::new(move |_| drop(held)));
        assert_eq!(Arc::strong_count(&dropped), 1);
    }
}
