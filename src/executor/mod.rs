//! The threads of the library: one hidden tokio runtime, started by the first
//! remote driver or queue, and afresh in a child of a fork.

#[allow(unsafe_code)]
mod sys;

use std::future::Future;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
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

static CURRENT: PerProcess<Mutex<Option<Runtime>>> = PerProcess::new(Mutex::new(None));

/// The executor, started if it is not running.
fn handle() -> Result<Handle> {
    let mut current = CURRENT.get().lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = &*current {
        return Ok(runtime.handle().clone());
    }
    let runtime = sys::with_signals_blocked(start)?;
    let handle = runtime.handle().clone();
    *current = Some(runtime);
    Ok(handle)
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

/// Runs a task to its end, whoever waits for it.
pub fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Result<()> {
    handle()?.spawn(task);
    Ok(())
}

/// Runs a job that may block, on a thread of the bounded pool.
pub fn spawn_blocking(job: impl FnOnce() + Send + 'static) -> Result<()> {
    let handle = handle()?;
    sys::with_signals_blocked(|| handle.spawn_blocking(job));
    Ok(())
}

/// Runs a task on the executor and parks this thread until it has ended. Whatever
/// the task waits for must end with its own context.
pub fn block<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> Result<T> {
    let (done, result) = oneshot::channel();
    spawn(async move {
        // Nobody waits any more only if this thread panicked.
        let _ = done.send(task.await);
    })?;
    let mut result = pin!(result);
    let result =
        Context::none().wait(|waker| result.as_mut().poll(&mut TaskContext::from_waker(waker)))?;
    result.map_err(|_| Error::new(Code::Internal, "a task of the library ended in a panic"))
}

/// Ends the threads of this process: those that still work after `timeout` are
/// left to end by themselves.
pub fn shutdown(timeout: Duration) {
    let runtime = CURRENT.get().lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(runtime) = runtime {
        runtime.shutdown_timeout(timeout);
    }
}
