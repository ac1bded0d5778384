//! The one thread `sd-child` for all drivers' processes: it keeps what they print,
//! notices that they end, and ends those that do not when they should. It lives as long
//! as there is one.

use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{Errno, read, write};

use super::process::Process;
use crate::error::{Code, Error, Result};
use crate::runtime::{self, PerProcess};

/// How often to look at a process that the kernel gives no descriptor for.
const GLANCE: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Supervisor {
    watched: Vec<Watched>,
    /// Wakes the thread; `None`: there is none.
    bell: Option<Arc<OwnedFd>>,
    thread: Option<JoinHandle<()>>,
}

struct Watched {
    process: Arc<Process>,
    output: Option<Arc<OwnedFd>>,
}

static CURRENT: PerProcess<Mutex<Supervisor>> =
    PerProcess::new(Mutex::new(Supervisor { watched: Vec::new(), bell: None, thread: None }));

fn with<T>(change: impl FnOnce(&mut Supervisor) -> T) -> T {
    change(&mut CURRENT.get_or(|_| Mutex::default()).lock().unwrap_or_else(PoisonError::into_inner))
}

/// Looks after a process from now on; `output` is what it prints.
pub fn watch(process: Arc<Process>, output: OwnedFd) -> Result<()> {
    runtime::at_shutdown("child", end);
    with(|supervisor| {
        supervisor.watched.push(Watched { process, output: Some(Arc::new(output)) });
        if supervisor.bell.is_some() {
            supervisor.ring();
            return Ok(());
        }
        let failed = |e: std::io::Error| {
            Error::new(Code::Driver, format!("the library's threads cannot start: {e}"))
        };
        let started = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| failed(errno.into()))
            .and_then(|bell| {
                let bell = Arc::new(bell);
                supervisor.bell = Some(bell.clone());
                runtime::spawn_thread("child", move || run(&bell)).map_err(failed)
            });
        match started {
            Ok(thread) => {
                supervisor.thread = Some(thread);
                Ok(())
            }
            Err(error) => {
                supervisor.bell = None;
                supervisor.watched.pop();
                Err(error)
            }
        }
    })
}

/// Something is due earlier than it was.
pub fn look_again() {
    with(|supervisor| supervisor.ring());
}

impl Supervisor {
    fn ring(&self) {
        if let Some(bell) = &self.bell {
            let _ = write(bell, &1u64.to_ne_bytes());
        }
    }
}

/// At a shutdown: every process, and the thread.
fn end() {
    let (processes, thread) = with(|supervisor| {
        let processes: Vec<_> = supervisor.watched.iter().map(|w| w.process.clone()).collect();
        (processes, supervisor.thread.take())
    });
    processes.iter().for_each(|process| process.dismiss());
    look_again();
    if let Some(thread) = thread {
        let _ = thread.join();
    }
}

fn run(bell: &OwnedFd) {
    while wait(bell) {
        let _ = read(bell, &mut [0; 8]);
        let processes: Vec<Arc<Process>> =
            with(|supervisor| supervisor.watched.iter().map(|w| w.process.clone()).collect());
        for process in processes {
            // A host's log hook may panic.
            let _ = catch_unwind(AssertUnwindSafe(|| look_after(&process)));
        }
    }
}

fn look_after(process: &Arc<Process>) {
    if process.patience().is_some_and(|left| left.is_zero()) {
        process.kill();
    }
    let exit = process.reap();
    listen(process);
    if let Some(exit) = exit {
        with(|supervisor| supervisor.watched.retain(|w| !Arc::ptr_eq(&w.process, process)));
        process.ended(exit);
    }
}

/// Sleeps until something may have happened; false, and the thread must end, when
/// nothing is left to look after.
fn wait(bell: &OwnedFd) -> bool {
    let looked_after = with(|supervisor| {
        if supervisor.watched.is_empty() {
            supervisor.bell = None;
            return None;
        }
        let each = supervisor.watched.iter().map(|w| (w.process.clone(), w.output.clone()));
        Some(each.collect::<Vec<_>>())
    });
    let Some(looked_after) = looked_after else { return false };
    let mut fds = vec![PollFd::new(bell, PollFlags::IN)];
    let mut sleep: Option<Duration> = None;
    for (process, output) in &looked_after {
        if let Some(output) = output {
            fds.push(PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN));
        }
        let glance = match process.pidfd() {
            Some(pidfd) => {
                fds.push(PollFd::from_borrowed_fd(pidfd, PollFlags::IN));
                None
            }
            None => Some(GLANCE),
        };
        for due in [process.patience(), glance].into_iter().flatten() {
            sleep = Some(sleep.map_or(due, |s| s.min(due)));
        }
    }
    // Rounded up, so as not to come a little too early again and again.
    let sleep = sleep.map(|sleep| sleep + Duration::from_millis(1));
    let _ = poll(&mut fds, sleep.and_then(|s| Timespec::try_from(s).ok()).as_ref());
    true
}

/// Takes what a process has printed.
fn listen(process: &Arc<Process>) {
    let output = with(|supervisor| {
        let watched = supervisor.watched.iter().find(|w| Arc::ptr_eq(&w.process, process));
        watched.and_then(|w| w.output.clone())
    });
    let Some(output) = output else { return };
    let mut buf = [0; 4096];
    let mut ended = false;
    // Not for ever, should it print without a pause.
    for _ in 0..64 {
        match read(output.as_fd(), &mut buf) {
            Ok(0) => {
                ended = true;
                break;
            }
            Ok(count) => process.heard(buf.get(..count).unwrap_or_default()),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return,
            Err(_) => break,
        }
    }
    if ended {
        with(|supervisor| {
            let same = |w: &&mut Watched| Arc::ptr_eq(&w.process, process);
            if let Some(watched) = supervisor.watched.iter_mut().find(same) {
                watched.output = None;
            }
        });
    }
}
