//! The life of the library in this process: its configuration, its first use, its
//! shutdown, and what a fork leaves of it.

mod per_process;
#[allow(unsafe_code)]
mod sys;

pub use per_process::{PerProcess, copy};
#[cfg(test)]
pub use sys::in_child;
pub use sys::{block_signals_for_good, with_signals_blocked};

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
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

static CONFIG: PerProcess<RwLock<Option<Config>>> = PerProcess::new(RwLock::new(None));
static USED: AtomicBool = AtomicBool::new(false);
static GENERATION: AtomicU64 = AtomicU64::new(0);
static RUNNING: AtomicUsize = AtomicUsize::new(0);
/// Shutdowns in progress.
static ENDING: AtomicUsize = AtomicUsize::new(0);
static FORKS: AtomicU32 = AtomicU32::new(0);
static AT_SHUTDOWN: PerProcess<Mutex<Last>> = PerProcess::new(Mutex::new(BTreeMap::new()));

type Last = BTreeMap<&'static str, fn()>;

/// How often a shutdown looks whether the running calls have ended.
const GLANCE: Duration = Duration::from_millis(1);

/// A child starts with its parent's; with none, if that was changing at the fork.
fn current() -> &'static RwLock<Option<Config>> {
    CONFIG.get_or(|before| RwLock::new(copy(before).flatten()))
}

/// More are a mistake, and would not start anyway.
const MOST_WORKERS: u32 = 1024;

/// Sets the configuration, once and before the first driver is made.
pub fn configure(config: Config) -> Result<()> {
    if config.worker_threads > MOST_WORKERS {
        let detail = format!("worker_threads is above {MOST_WORKERS}");
        return Err(Error::invalid_argument(detail));
    }
    let mut current = current().write().unwrap_or_else(PoisonError::into_inner);
    if USED.load(Ordering::Acquire) {
        return Err(Error::invalid_state("the library is in use already"));
    }
    if current.is_some() {
        return Err(Error::invalid_state("the library is configured already"));
    }
    *current = Some(config);
    Ok(())
}

/// Refuses new calls on everything that exists now, and whatever is made meanwhile, and
/// waits for those that run: `Deadline` if some still do after `timeout`. New drivers
/// may be made afterwards, and the library be configured anew. What was left with
/// [`at_shutdown`] runs when nothing else does.
pub fn shutdown(timeout: Duration) -> Result<()> {
    let _ending = Ending::begin();
    let end = Instant::now().checked_add(timeout);
    let mut config = current().write().unwrap_or_else(PoisonError::into_inner);
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
    // Again: what was refused meanwhile may have counted as a use.
    USED.store(false, Ordering::Release);
    let last = AT_SHUTDOWN.get_or(|_| Mutex::default());
    let last = last.lock().unwrap_or_else(PoisonError::into_inner).clone();
    last.values().for_each(|run| run());
    Ok(())
}

/// What is made now could be given threads that are about to end, and cannot be used.
struct Ending {
    forks: u32,
}

impl Ending {
    fn begin() -> Ending {
        // First of all, so that a child that is made from here on counts from none.
        let forks = forks();
        ENDING.fetch_add(1, Ordering::SeqCst);
        Ending { forks }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.forks == forks() {
            ENDING.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

fn was_shut_down() -> Error {
    Error::new(Code::Shutdown, "the library was shut down")
}

/// Has `run`, known by its module, called at the end of every shutdown in this process.
pub fn at_shutdown(module: &'static str, run: fn()) {
    let last = AT_SHUTDOWN.get_or(|_| Mutex::default());
    last.lock().unwrap_or_else(PoisonError::into_inner).insert(module, run);
}

/// Starts a thread of the library's own: named, and without the host's signals.
pub fn spawn_thread(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let prefix = config().thread_name.unwrap_or_else(|| "sd".to_string());
    let builder = thread::Builder::new().name(format!("{prefix}-{name}"));
    with_signals_blocked(|| builder.spawn(run))
}

/// What was configured, or the defaults.
pub fn config() -> Config {
    current().read().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
}

/// Work outside any driver that a shutdown waits for all the same.
pub struct Busy {
    forks: u32,
}

impl Busy {
    /// `Shutdown` while one is in progress, which then need not wait.
    pub fn begin() -> Result<Busy> {
        let forks = forks();
        // Before as well, so that those who are refused again and again are not waited for.
        if ENDING.load(Ordering::SeqCst) > 0 {
            return Err(was_shut_down());
        }
        RUNNING.fetch_add(1, Ordering::SeqCst);
        let busy = Busy { forks };
        if ENDING.load(Ordering::SeqCst) > 0 { Err(was_shut_down()) } else { Ok(busy) }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.forks == forks() {
            RUNNING.fetch_sub(1, Ordering::Release);
        }
    }
}

/// A number for this process: it grows with every fork between the process that loaded
/// the library and this one. From the first time it is asked for, forks are noticed.
fn forks() -> u32 {
    sys::on_fork_in_child(forked);
    FORKS.load(Ordering::Acquire)
}

extern "C" fn forked() {
    FORKS.fetch_add(1, Ordering::AcqRel);
    // The threads that were counted do not exist here.
    RUNNING.store(0, Ordering::Release);
    ENDING.store(0, Ordering::Release);
}

/// Of what was made during a shutdown: none is ever the same.
const NEVER: u64 = u64::MAX;

/// When something was made: in which process, and between which shutdowns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Birth {
    generation: u64,
    forks: u32,
}

impl Birth {
    /// Now; from here on the library counts as used.
    pub fn now() -> Birth {
        // In this order: who sees the generation of a shutdown sees its `ENDING`.
        let generation = GENERATION.load(Ordering::SeqCst);
        if ENDING.load(Ordering::SeqCst) > 0 {
            return Birth { generation: NEVER, forks: forks() };
        }
        USED.store(true, Ordering::Release);
        Birth { generation, forks: forks() }
    }

    /// `Forked` in a child of the process in which this was made.
    pub fn same_process(self) -> Result<()> {
        if self.forks == forks() { Ok(()) } else { Err(after_fork()) }
    }

    /// `Shutdown` if the library was shut down since.
    pub fn same_generation(self) -> Result<()> {
        if self.generation == GENERATION.load(Ordering::SeqCst) {
            return Ok(());
        }
        Err(was_shut_down())
    }
}

fn after_fork() -> Error {
    Error::new(Code::Forked, "made before a fork, and cannot be used in the child")
}

/// Counts the calls inside one driver, so that a shutdown can wait for them and a
/// child of a fork can tell whether one was cut off inside.
#[derive(Debug)]
pub struct Gate {
    birth: Birth,
    /// The process that counts, in the upper half, and its calls, in the lower; one
    /// word, so that the first call after a fork sees both at one moment.
    inside: AtomicU64,
}

/// In place of a count: a fork cut a call off, whatever it held is held for ever.
const CUT_OFF: u32 = u32::MAX;

fn pack(forks: u32, calls: u32) -> u64 {
    u64::from(forks) << 32 | u64::from(calls)
}

fn unpack(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

impl Gate {
    pub fn new() -> Gate {
        let birth = Birth::now();
        Gate { birth, inside: AtomicU64::new(pack(birth.forks, 0)) }
    }

    /// Lets a call in: `Shutdown` if the library was shut down since, `Forked` if
    /// another thread was inside at a fork that made this process.
    pub fn enter(&self) -> Result<Inside<'_>> {
        let forks = forks();
        // Those who are refused again and again are not waited for.
        self.birth.same_generation()?;
        // Counted before another look at the generation, so that a shutdown either is
        // seen or waits.
        RUNNING.fetch_add(1, Ordering::SeqCst);
        let counted = self.inside.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            Some(match unpack(word) {
                (_, CUT_OFF) => pack(forks, CUT_OFF),
                (counter, calls) if counter == forks => pack(forks, calls + 1),
                (_before_the_fork, 0) => pack(forks, 1),
                (_before_the_fork, _) => pack(forks, CUT_OFF),
            })
        });
        let inside = Inside { gate: self, forks };
        match counted.map(unpack) {
            Ok((counter, calls)) if calls == CUT_OFF || (counter != forks && calls > 0) => {
                Err(after_fork())
            }
            _ => self.birth.same_generation().map(|()| inside),
        }
    }
}

impl Gate {
    /// `Shutdown` if the library was shut down since, for a call that is in and has
    /// had to wait.
    pub fn still_open(&self) -> Result<()> {
        self.birth.same_generation()
    }
}

impl Default for Gate {
    fn default() -> Gate {
        Gate::new()
    }
}

/// A call inside a driver.
pub struct Inside<'g> {
    gate: &'g Gate,
    forks: u32,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        // A call that forked counts in its parent only.
        if self.forks != forks() {
            return;
        }
        RUNNING.fetch_sub(1, Ordering::Release);
        let _ =
            self.gate.inside.fetch_update(
                Ordering::AcqRel,
                Ordering::Acquire,
                |word| match unpack(word) {
                    (forks, calls) if forks == self.forks && calls != CUT_OFF => {
                        Some(pack(forks, calls.saturating_sub(1)))
                    }
                    _ => None,
                },
            );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_reads_and_ends_its_configuration_whoever_was_setting_the_parents() {
        let held = current().write().unwrap();
        assert!(in_child(|| {
            config();
            at_shutdown("test", || ());
            shutdown(Duration::ZERO).is_ok() && configure(Config::default()).is_ok()
        }));
        drop(held);
        let held = AT_SHUTDOWN.get_or(|_| Mutex::default()).lock();
        assert!(in_child(|| shutdown(Duration::ZERO).is_ok()));
        drop(held);
    }
}
