//! The threads of the library: one hidden tokio runtime, started by the first remote
//! driver, and a pool for jobs that may block, started by the first of them. Both
//! start afresh in a child of a fork.

mod pool;

use std::any::Any;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context as TaskContext, Poll};
use std::thread::{Builder as Thread, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tokio::task::unconstrained;

use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::observe::{self, Level};
use crate::runtime::{self, PerProcess};

/// More workers than this help no registry.
const MOST_WORKERS: usize = 8;
const BLOCKING_THREADS: usize = 64;
/// Idle threads end in microseconds; a shutdown does not wait for others for ever.
const LONGEST_END: Duration = Duration::from_secs(5);

static CURRENT: PerProcess<Mutex<Threads>> =
    PerProcess::new(Mutex::new(Threads { runtime: None, pool: None }));

#[derive(Default)]
struct Threads {
    runtime: Option<Runtime>,
    pool: Option<pool::Pool>,
}

/// The threads for tasks. What is handed to those that were shut down is dropped.
pub struct Executor(Handle);

/// The executor, started if it is not running.
pub fn current() -> Result<Executor> {
    let mut threads = threads();
    if let Some(runtime) = &threads.runtime {
        return Ok(Executor(runtime.handle().clone()));
    }
    runtime::at_shutdown("executor", end);
    let runtime = runtime::with_signals_blocked(start)?;
    let executor = Executor(runtime.handle().clone());
    threads.runtime = Some(runtime);
    Ok(executor)
}

/// The threads for jobs that may block. The same holds for them.
pub struct Pool(pool::Pool);

/// The pool, with a thread at least, so that it takes every job.
pub fn pool() -> Result<Pool> {
    let mut threads = threads();
    let pool = threads.pool.get_or_insert_with(|| {
        runtime::at_shutdown("executor", end);
        let most = runtime::config().max_blocking_threads;
        pool::Pool::new(if most == 0 { BLOCKING_THREADS } else { most as usize }, start_thread)
    });
    pool.ready().map_err(no_threads)?;
    Ok(Pool(pool.clone()))
}

fn threads() -> MutexGuard<'static, Threads> {
    CURRENT.get_or(|_| Mutex::default()).lock().unwrap_or_else(PoisonError::into_inner)
}

/// The executor, if it is running.
#[cfg(feature = "http")]
pub fn running() -> Option<Executor> {
    threads().runtime.as_ref().map(|runtime| Executor(runtime.handle().clone()))
}

impl Executor {
    /// Runs a task to its end, whoever waits for it.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(async move {
            let mut task = pin!(task);
            poll_fn(|context| {
                let step = AssertUnwindSafe(|| task.as_mut().poll(context));
                catch_unwind(step).unwrap_or_else(|payload| {
                    log_panic(&*payload);
                    Poll::Ready(())
                })
            })
            .await;
        });
    }
}

impl Pool {
    /// Runs a job on one of the threads, when one is free. It calls what it is given
    /// when nothing is left to do but to tell of it.
    pub fn run(&self, job: impl FnOnce(&dyn Fn()) + Send + 'static) {
        self.0.run(Box::new(move |free| {
            let job = AssertUnwindSafe(|| job(free));
            catch_unwind(job).unwrap_or_else(|payload| log_panic(&*payload));
        }));
    }
}

thread_local! {
    static OURS: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is one of the executor's.
pub fn is_ours() -> bool {
    OURS.get()
}

/// A panic is a bug of ours: a line in the log. Whoever waits gets an error.
fn log_panic(payload: &(dyn Any + Send)) {
    let message = || observe::panic_text(payload);
    let log = || observe::log(Level::Error, "executor", &Context::none(), message, &[]);
    // A hook set from Rust may itself be what panics.
    drop(catch_unwind(AssertUnwindSafe(log)));
}

/// The name of our threads, as configured.
fn thread_name() -> String {
    let name = runtime::config().thread_name.unwrap_or_else(|| "sd".to_string());
    format!("{name}-worker")
}

/// What each thread of ours begins with.
fn begin_thread() {
    OURS.set(true);
    runtime::block_signals_for_good();
}

fn start_thread(life: pool::Life) -> io::Result<JoinHandle<()>> {
    let thread = Thread::new().name(thread_name());
    runtime::with_signals_blocked(|| {
        thread.spawn(|| {
            begin_thread();
            life();
        })
    })
}

fn no_threads(error: io::Error) -> Error {
    Error::new(Code::Driver, format!("the library's threads cannot start: {error}"))
}

fn start() -> Result<Runtime> {
    let config = runtime::config();
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get()).min(MOST_WORKERS);
    let workers = if config.worker_threads == 0 { cpus } else { config.worker_threads as usize };
    would_start(workers).map_err(no_threads)?;
    let build = || {
        Builder::new_multi_thread()
            .worker_threads(workers)
            // For tokio's own use: our jobs have a pool of ours.
            .max_blocking_threads(1)
            .thread_name(thread_name())
            .on_thread_start(begin_thread)
            .enable_all()
            .build()
    };
    let built = catch_unwind(build).unwrap_or_else(|_| Err(io::ErrorKind::WouldBlock.into()));
    built.map_err(no_threads)
}

/// Whether the system grants that many threads. tokio panics where it does not, and
/// then waits for those that had started, which do not end.
fn would_start(count: usize) -> io::Result<()> {
    let gate = Mutex::new(());
    let hold = gate.lock().unwrap_or_else(PoisonError::into_inner);
    std::thread::scope(|scope| {
        // All of them are there before the first one may go.
        let wait = || drop(gate.lock());
        let start = |_| Thread::new().name(thread_name()).spawn_scoped(scope, wait);
        let all: io::Result<Vec<_>> = (0..count).map(start).collect();
        drop(hold);
        all.map(drop)
    })
}

/// Runs a task on the executor and parks this thread until it has ended. Whatever
/// the task waits for must end with its own context.
pub fn block<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> Result<T> {
    let (done, result) = oneshot::channel();
    current()?.spawn(async move {
        // Nobody waits any more only if this thread panicked.
        let _ = done.send(task.await);
    });
    // A host's own tokio task, on whose thread this may be, has a budget of steps, after
    // which nothing of tokio's is ready any more until the task yields.
    let mut result = pin!(unconstrained(result));
    let result =
        Context::none().wait(|waker| result.as_mut().poll(&mut TaskContext::from_waker(waker)))?;
    result.map_err(|_| Error::new(Code::Internal, "a task of the library ended in a panic"))
}

/// Ends the threads of this process. No call is running any more; what was only
/// waiting for its turn is dropped.
fn end() {
    let Threads { runtime, pool } = std::mem::take(&mut *threads());
    if let Some(pool) = pool {
        pool.end(LONGEST_END);
    }
    let Some(runtime) = runtime else { return };
    // On a thread of its own: this one may belong to a runtime of the host's, on which
    // tokio refuses to wait.
    let place = Mutex::new(Some(runtime));
    let take = || place.lock().unwrap_or_else(PoisonError::into_inner).take();
    let waited = std::thread::scope(|scope| {
        let end = || take().map(|runtime| runtime.shutdown_timeout(LONGEST_END));
        let builder = Thread::new().name("sd-end".to_string());
        let thread = runtime::with_signals_blocked(|| builder.spawn_scoped(scope, end));
        thread.is_ok_and(|thread| thread.join().is_ok())
    });
    if let (false, Some(runtime)) = (waited, take()) {
        runtime.shutdown_background();
    }
}
