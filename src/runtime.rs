//! The life of the library in this process: its configuration, its first use and
//! its shutdown.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Code, Error, Result};

/// How the library's own threads and driver processes are to be. Zero and `None`
/// mean the default.
#[derive(Clone, Debug, Default)]
pub struct Config {
    pub worker_threads: u32,
    pub max_blocking_threads: u32,
    pub thread_name: Option<String>,
    /// Directories in which driver programs are looked for.
    pub driver_path: Option<String>,
    /// Never start a driver process.
    pub no_children: bool,
}

static CONFIG: Mutex<Option<Config>> = Mutex::new(None);
static USED: AtomicBool = AtomicBool::new(false);
static GENERATION: AtomicU64 = AtomicU64::new(0);
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// How often a shutdown looks whether the running calls have ended.
const GLANCE: Duration = Duration::from_millis(1);

/// Sets the configuration, once and before the first driver is made.
pub fn configure(config: Config) -> Result<()> {
    let mut current = CONFIG.lock().unwrap_or_else(PoisonError::into_inner);
    if USED.load(Ordering::Acquire) {
        return Err(Error::invalid_state("the library is in use already"));
    }
    if current.is_some() {
        return Err(Error::invalid_state("the library is configured already"));
    }
    *current = Some(config);
    Ok(())
}

/// Refuses new calls on everything that exists now and waits for those that run:
/// `Deadline` if some still do after `timeout`. New drivers may be made
/// afterwards, and the library be configured anew.
pub fn shutdown(timeout: Duration) -> Result<()> {
    let end = Instant::now().checked_add(timeout);
    let mut config = CONFIG.lock().unwrap_or_else(PoisonError::into_inner);
    GENERATION.fetch_add(1, Ordering::SeqCst);
    *config = None;
    USED.store(false, Ordering::Release);
    drop(config);
    while RUNNING.load(Ordering::SeqCst) > 0 {
        if end.is_some_and(|end| Instant::now() >= end) {
            return Err(Error::new(Code::Deadline, "calls are still running"));
        }
        thread::sleep(GLANCE);
    }
    Ok(())
}

/// The time between two shutdowns in which something was made.
#[derive(Clone, Copy, Debug)]
pub struct Generation(u64);

impl Generation {
    /// The present one; from here on the library counts as used.
    pub fn begin() -> Generation {
        USED.store(true, Ordering::Release);
        Generation(GENERATION.load(Ordering::Acquire))
    }

    /// Counts a call as running: `Shutdown` if this time is over.
    pub fn enter(self) -> Result<Running> {
        // Counted before the look, so that a shutdown either is seen or waits.
        let running = Running::new();
        if GENERATION.load(Ordering::SeqCst) != self.0 {
            return Err(Error::new(Code::Shutdown, "the library was shut down"));
        }
        Ok(running)
    }
}

/// A call that a shutdown waits for.
pub struct Running(());

impl Running {
    fn new() -> Running {
        RUNNING.fetch_add(1, Ordering::SeqCst);
        Running(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::Release);
    }
}
