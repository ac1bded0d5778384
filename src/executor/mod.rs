//! The threads of the library: one hidden tokio runtime, started by the first
//! remote driver or queue, and afresh in a child of a fork.

#[allow(unsafe_code)]
mod sys;

use std::any::Any;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Mutex, Once, PoisonError};
use std::task::{Context as TaskContext, Poll};
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

static CURRENT: PerProcess<Mutex<Option<Runtime>>> = PerProcess::new(Mutex::new(None));

/// The threads of this process. What is handed to one that was shut down is
/// dropped.
pub struct Executor(Handle);

/// The executor, started if it is not running.
pub fn current() -> Result<Executor> {
    let mut current = CURRENT.get().lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = &*current {
        return Ok(Executor(runtime.handle().clone()));
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| runtime::at_shutdown(end));
    let runtime = sys::with_signals_blocked(start)?;
    let executor = Executor(runtime.handle().clone());
    *current = Some(runtime);
    Ok(executor)
}

/// The executor, if it is running.
pub fn running() -> Option<Executor> {
    let current = CURRENT.get().lock().unwrap_or_else(PoisonError::into_inner);
    current.as_ref().map(|runtime| Executor(runtime.handle().clone()))
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

    /// Runs a job that may block, on a thread of the bounded pool.
    pub fn run_blocking(&self, job: impl FnOnce() + Send + 'static) {
        let job = move || {
            catch_unwind(AssertUnwindSafe(job)).unwrap_or_else(|payload| log_panic(&*payload));
        };
        sys::with_signals_blocked(|| self.0.spawn_blocking(job));
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

fn start() -> Result<Runtime> {
    let config = runtime::config();
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get()).min(MOST_WORKERS);
    let or = |number: u32, default| if number == 0 { default } else { number as usize };
    let name = config.thread_name.unwrap_or_else(|| "sd".to_string());
    Builder::new_multi_thread()
        .worker_threads(or(config.worker_threads, cpus))
        .max_blocking_threads(or(config.max_blocking_threads, BLOCKING_THREADS))
        .thread_name(format!("{name}-worker"))
        .on_thread_start(|| {
            OURS.set(true);
            sys::block_signals_for_good();
        })
        .enable_all()
        .build()
        .map_err(|e| Error::new(Code::Driver, format!("the library's threads cannot start: {e}")))
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
    let runtime = CURRENT.get().lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(runtime) = runtime else { return };
    // On a thread of its own: this one may belong to a runtime of the host's, on which
    // tokio refuses to wait.
    let end = move || runtime.shutdown_timeout(LONGEST_END);
    let builder = std::thread::Builder::new().name("sd-end".to_string());
    if let Ok(thread) = sys::with_signals_blocked(|| builder.spawn(end)) {
        let _ = thread.join();
    }
}
