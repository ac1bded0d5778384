//! A driver's process: starting it, what it said last, and how it ended.

use std::collections::VecDeque;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, pidfd_open,
    pidfd_send_signal, waitid, waitpid,
};

use super::link::{Link, socket_error};
use super::{supervisor, sys};
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::observe::{self, Level};

/// For a program that was told to end.
pub const GRACE: Duration = Duration::from_secs(5);
/// For one that closed its connection by itself.
const SHORT_GRACE: Duration = Duration::from_millis(200);
/// To learn how it ended, after that.
const LONGEST_WAKE: Duration = Duration::from_secs(2);
/// What is kept of its output, and quoted.
const LINES: usize = 8;
const LINE: usize = 400;
const LAST_WORDS: usize = 600;
/// Of the socket, in each direction.
const BUFFERED: usize = 1 << 20;

pub struct Process {
    /// For messages and logs.
    driver: String,
    pid: Pid,
    /// `None` where the kernel has none.
    pidfd: Option<OwnedFd>,
    state: Mutex<State>,
    link: OnceLock<Weak<Link>>,
}

#[derive(Default)]
struct State {
    exit: Option<Exit>,
    kill_at: Option<Instant>,
    lines: VecDeque<String>,
    /// The start of a line whose end has not come.
    partial: Vec<u8>,
    waiting: Vec<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Status(i32),
    Signal(i32),
    /// Somebody else has taken the answer, as a host may that reaps every child.
    Unknown,
}

/// Starts a program; gives our end of its connection.
pub fn start(
    driver: &str,
    program: &Path,
    argument: Option<String>,
) -> Result<(OwnedFd, Arc<Process>)> {
    let failed = |errno: Errno| {
        let detail = format!("{} cannot be started: {errno}", program.display());
        Error::new(Code::Driver, detail)
    };
    let family = (AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC);
    let (ours, theirs) = socketpair(family.0, family.1, family.2, None).map_err(socket_error)?;
    // Several frames fit, so that neither side waits for each one of the other's.
    let _ = set_socket_send_buffer_size(&ours, BUFFERED);
    let _ = set_socket_send_buffer_size(&theirs, BUFFERED);
    let (output, their_output) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
    fcntl_setfl(&output, OFlags::NONBLOCK).map_err(failed)?;
    // Out of the way of 0 to 3, which a host may have closed.
    let above = |fd: OwnedFd| fcntl_dupfd_cloexec(fd, 10).map_err(failed);
    let (ours, output) = (above(ours)?, above(output)?);
    let (theirs, their_output) = (above(theirs)?, above(their_output)?);
    let path = CString::new(program.as_os_str().as_bytes()).map_err(|_| failed(Errno::INVAL))?;
    let argument = argument.map(CString::new).transpose().map_err(|_| failed(Errno::INVAL))?;
    let arguments: Vec<CString> = argument.into_iter().collect();
    let pid = sys::spawn(&path, &arguments, their_output.as_fd(), theirs.as_fd());
    let pid = Pid::from_raw(pid.map_err(failed)?).ok_or_else(|| failed(Errno::SRCH))?;
    let process = Arc::new(Process {
        driver: driver.to_string(),
        pid,
        pidfd: pidfd_open(pid, PidfdFlags::empty()).ok(),
        state: Mutex::default(),
        link: OnceLock::new(),
    });
    if let Err(error) = supervisor::watch(process.clone(), output) {
        process.kill();
        let _ = waitpid(Some(pid), WaitOptions::empty());
        return Err(error);
    }
    Ok((ours, process))
}

impl Process {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn pid(&self) -> i32 {
        self.pid.as_raw_pid()
    }

    /// Readable when the process has ended.
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// Whose process it is, for a shutdown.
    pub fn belongs_to(&self, link: &Arc<Link>) {
        let _ = self.link.set(Arc::downgrade(link));
    }

    /// A good-bye through its link, and a grace. No call runs.
    pub fn dismiss(&self) {
        match self.link.get() {
            Some(link) => {
                if let Some(link) = link.upgrade() {
                    link.goodbye();
                    // Both ways: nobody takes what it may be in the middle of sending.
                    let _ = rustix::net::shutdown(&*link, rustix::net::Shutdown::Both);
                }
                self.end_within(GRACE);
            }
            // It has not said hello yet.
            None => self.kill(),
        }
    }

    /// It has been told to end; see that it does.
    pub fn leave(&self) {
        self.end_within(GRACE);
        supervisor::look_again();
    }

    fn end_within(&self, grace: Duration) {
        let at = Instant::now() + grace;
        let mut state = self.lock();
        state.kill_at = Some(state.kill_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// For the supervisor: how long until `kill` is due.
    pub fn patience(&self) -> Option<Duration> {
        self.lock().kill_at.map(|at| at.saturating_duration_since(Instant::now()))
    }

    pub fn kill(&self) {
        let mut state = self.lock();
        state.kill_at = None;
        if state.exit.is_some() {
            return;
        }
        // Not to another process of the same number, where that can be told.
        let _ = match &self.pidfd {
            Some(pidfd) => pidfd_send_signal(pidfd, Signal::KILL),
            None => kill_process(self.pid, Signal::KILL),
        };
    }

    /// For the supervisor: takes the process' status if it has ended.
    pub fn reap(&self) -> Option<Exit> {
        // By its descriptor, since the number may be another process' by now.
        let id = match &self.pidfd {
            Some(pidfd) => WaitId::PidFd(pidfd.as_fd()),
            None => WaitId::Pid(self.pid),
        };
        match waitid(id, WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(None) | Err(Errno::INTR) => None,
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(status), _) => Some(Exit::Status(status)),
                (None, Some(signal)) => Some(Exit::Signal(signal)),
                (None, None) => Some(Exit::Unknown),
            },
            Err(_) => Some(Exit::Unknown),
        }
    }

    pub fn ended(&self, exit: Exit) {
        let mut state = self.lock();
        state.exit = Some(exit);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        let how = || format!("the driver's process {} {}", self.pid(), in_words(exit));
        let level = if exit == Exit::Status(0) { Level::Info } else { Level::Warn };
        observe::log(level, "child", &Context::none(), how, &[("driver", &self.driver)]);
    }

    pub fn has_ended(&self) -> bool {
        self.lock().exit.is_some()
    }

    /// Keeps what the process printed, and logs whole lines.
    pub fn heard(&self, bytes: &[u8]) {
        let mut state = self.lock();
        let mut lines = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                // The rest of a line that is too long is dropped.
                if state.partial.len() < LINE {
                    state.partial.push(*byte);
                }
                continue;
            }
            lines.extend(state.finish_line());
        }
        drop(state);
        for line in lines {
            let fields = [("driver", self.driver.as_str())];
            observe::log(Level::Info, "child", &Context::none(), || line, &fields);
        }
    }

    /// Why calls fail from now on: how it ended and what it said last. `fault`: what it
    /// did to be ended by us.
    pub fn obituary(&self, ctx: &Context, fault: Option<&str>) -> Result<Error> {
        if fault.is_some() {
            self.kill();
        } else {
            self.end_within(SHORT_GRACE);
            supervisor::look_again();
        }
        let patient = Context::new(ctx);
        patient.set_timeout(LONGEST_WAKE);
        let exit = patient.wait(|waker| {
            let mut state = self.lock();
            match state.exit {
                Some(exit) => Poll::Ready(exit),
                None => {
                    state.waiting.push(waker.clone());
                    Poll::Pending
                }
            }
        });
        if exit.is_err() {
            ctx.status()?;
        }
        let mut detail = match (fault, exit) {
            (Some(fault), _) => format!("the driver's process was ended: {fault}"),
            (None, Ok(exit)) => format!("the driver's process {}", in_words(exit)),
            (None, Err(_)) => "the driver's process closed its connection".to_string(),
        };
        let words = self.last_words();
        if !words.is_empty() {
            detail = format!("{detail}; its last words: {words}");
        }
        Ok(Error::new(Code::DriverDied, detail))
    }

    fn last_words(&self) -> String {
        let mut state = self.lock();
        let _ = state.finish_line();
        let all = state.lines.iter().map(String::as_str).collect::<Vec<_>>().join(" | ");
        let count = all.chars().count();
        all.chars().skip(count.saturating_sub(LAST_WORDS)).collect()
    }
}

impl State {
    fn finish_line(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.partial);
        let line = String::from_utf8_lossy(&bytes).replace(char::is_control, " ");
        let line = line.trim_end().to_string();
        if line.is_empty() {
            return None;
        }
        self.lines.push_back(line.clone());
        if self.lines.len() > LINES {
            self.lines.pop_front();
        }
        Some(line)
    }
}

fn in_words(exit: Exit) -> String {
    match exit {
        Exit::Status(status) => format!("ended with status {status}"),
        Exit::Signal(signal) => format!("was killed by signal {signal}"),
        Exit::Unknown => "ended".to_string(),
    }
}
