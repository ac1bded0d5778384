//! The threads of the library: one hidden tokio runtime, started by the first
//! remote driver or queue, and afresh in a child of a fork.

#[allow(unsafe_code)]
mod sys;

use std::future::Future;
use std::pin::pin;
use std::sync::{Mutex, Once, PoisonError};
use std::task::Context as TaskContext;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

use crate::context::Context;
use crate::error::{Code, Error, Result};
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

impl Executor {
    /// Runs a task to its end, whoever waits for it.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task);
    }

    /// Runs a job that may block, on a thread of the bounded pool.
    pub fn run_blocking(&self, job: impl FnOnce() + Send + 'static) {
        sys::with_signals_blocked(|| self.0.spawn_blocking(job));
    }
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
        .on_thread_start(sys::block_signals_for_good)
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
    let mut result = pin!(result);
    let result =
        Context::none().wait(|waker| result.as_mut().poll(&mut TaskContext::from_waker(waker)))?;
    result.map_err(|_| Error::new(Code::Internal, "a task of the library ended in a panic"))
}

/// Ends the threads of this process. No call is running any more; what was only
/// waiting for its turn is dropped.
fn end() {
    let runtime = CURRENT.get().lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(runtime) = runtime {
        runtime.shutdown_timeout(LONGEST_END);
    }
}
