//! The threads of the driver's side. One at a time has the inlet and reads; what a frame
//! makes possible it does itself. While calls come one after another it leaves the inlet
//! until it is back, which wakes nobody; a thread that watches gives the inlet to another
//! one if that takes long. When calls come side by side, it hands the inlet on first.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::super::frame::{Fault, Inlet};
use super::Server;
use super::stream::Stream;
use crate::runtime;

/// More calls than this at once wait for each other.
const MOST_THREADS: usize = 256;
/// After so many calls in a row with no other beside or behind them, none is expected.
const ALONE: u32 = 16;
/// How long the inlet may be left: one to two of these.
const TICK: Duration = Duration::from_millis(1);
/// After so many of them without a call nobody watches until there is one.
const STILL: u32 = 16;
/// For what runs when the host has gone without a good-bye.
const MOMENT: Duration = Duration::from_millis(500);

pub struct Pool {
    state: Mutex<State>,
    /// For threads that have nothing to do, and for who waits for their end.
    changed: Condvar,
    /// For the one that watches.
    bell: Condvar,
}

#[derive(Default)]
struct State {
    /// `None`: somebody reads.
    inlet: Option<Inlet>,
    /// Whoever is free shall read, not just who comes back from a call.
    offered: bool,
    /// How often the inlet was put down by one who means to come back for it.
    put_down: u64,
    watch: Watch,
    threads: usize,
    idle: usize,
    running: usize,
    /// Calls in a row that were alone.
    alone: u32,
    /// Streams that have something to do and no thread.
    ready: VecDeque<Arc<Stream>>,
    /// Nothing more is read, and why.
    over: Option<Over>,
}

#[derive(Default, PartialEq, Eq)]
enum Watch {
    #[default]
    None,
    Asleep,
    Awake,
}

#[derive(Clone)]
pub enum Over {
    /// The host has said good-bye: what runs is finished.
    Goodbye,
    Gone,
    Fault(Fault),
}

/// What a thread of the pool does next.
pub enum Next {
    Read(Inlet),
    Run(Arc<Stream>),
    Leave,
}

impl Pool {
    pub fn new(inlet: Inlet) -> Pool {
        // The one that serves.
        let state = State { inlet: Some(inlet), threads: 1, ..State::default() };
        Pool { state: Mutex::new(state), changed: Condvar::new(), bell: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of a thread.
    pub fn leave(&self) {
        self.lock().threads -= 1;
        self.changed.notify_all();
    }

    /// `ran`: the caller has just run a stream.
    pub fn next(&self, server: &Arc<Server>, ran: bool) -> Next {
        let mut state = self.lock();
        state.running -= usize::from(ran);
        let mut back = true;
        loop {
            if let Some(stream) = state.ready.pop_front() {
                state.running += 1;
                // That one may take long; somebody else for the rest.
                if (state.offered || !state.ready.is_empty()) && state.has_thread(server) {
                    self.changed.notify_one();
                }
                return Next::Run(stream);
            }
            if state.over.is_some() {
                return Next::Leave;
            }
            if (back || state.offered)
                && let Some(inlet) = state.inlet.take()
            {
                state.offered = false;
                return Next::Read(inlet);
            }
            back = false;
            state.idle += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    /// For a stream that the caller, who reads, does not run.
    pub fn queue(&self, stream: Arc<Stream>) {
        let mut state = self.lock();
        state.ready.push_back(stream);
        state.alone = 0;
        drop(state);
        self.changed.notify_one();
    }

    /// Sees that somebody goes on reading, so that the caller can run the stream. If
    /// nobody can, the stream waits for one that runs and the inlet is given back, or
    /// the caller is the only one and reads later. `contended`: it came while another
    /// one ran.
    pub fn go_and_run(
        &self,
        server: &Arc<Server>,
        inlet: Inlet,
        stream: Arc<Stream>,
        contended: bool,
    ) -> Result<Arc<Stream>, Inlet> {
        let mut state = self.lock();
        let alone = !contended && state.running == 0;
        state.alone = if alone { state.alone.saturating_add(1) } else { 0 };
        if state.alone > ALONE && self.watched(&mut state, server) {
            state.put_down += 1;
        } else if state.has_thread(server) {
            state.offered = true;
        } else if state.running > 0 {
            state.ready.push_back(stream);
            return Err(inlet);
        }
        state.inlet = Some(inlet);
        state.running += 1;
        let offered = state.offered;
        drop(state);
        if offered {
            self.changed.notify_one();
        }
        Ok(stream)
    }

    /// Whether somebody watches.
    fn watched(&self, state: &mut State, server: &Arc<Server>) -> bool {
        match state.watch {
            Watch::Awake => return true,
            Watch::Asleep => self.bell.notify_one(),
            Watch::None => {
                let server = server.clone();
                let watch = move || {
                    server.pool.watch(&server);
                    server.leave();
                };
                if runtime::spawn_thread("serve-watch", watch).is_err() {
                    return false;
                }
                state.threads += 1;
            }
        }
        state.watch = Watch::Awake;
        true
    }

    /// The life of the thread that watches.
    fn watch(&self, server: &Arc<Server>) {
        let mut state = self.lock();
        let (mut seen, mut still) = (state.put_down, 0);
        while state.over.is_none() {
            if state.put_down != seen {
                (seen, still) = (state.put_down, 0);
            } else if state.inlet.is_some() && !state.offered {
                state.alone = 0;
                state.offered = state.has_thread(server);
                self.changed.notify_one();
            } else if still < STILL {
                still += 1;
            } else {
                still = 0;
                state.watch = Watch::Asleep;
                state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            drop(state);
            std::thread::sleep(TICK);
            state = self.lock();
        }
    }

    /// Nothing more will be read.
    pub fn end(&self, over: Over) {
        self.lock().over = Some(over);
        self.changed.notify_all();
        self.bell.notify_all();
    }

    /// After the end: waits for what runs if the host has said good-bye; else nobody
    /// needs it, but it gets a moment to notice that it was cancelled.
    pub fn wait_for_end(&self) -> Option<Over> {
        let mut state = self.lock();
        let patient = matches!(state.over, Some(Over::Goodbye));
        let until = Instant::now() + MOMENT;
        while state.threads > 0 {
            if patient {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.over.clone()
    }
}

impl State {
    /// Whether a thread is free, or can be made, to take what is offered.
    fn has_thread(&mut self, server: &Arc<Server>) -> bool {
        if self.idle > self.ready.len() {
            return true;
        }
        let server = server.clone();
        let started = self.threads < MOST_THREADS
            && runtime::spawn_thread("serve", move || server.work()).is_ok();
        self.threads += usize::from(started);
        started
    }
}
