//! What goes out, frame by frame: a frame that has begun is finished before another
//! begins, whoever began it and whether it still waits.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, Shutdown, sendmsg, shutdown};

use crate::context::Context;
use crate::error::{Error, Result};

#[derive(Default)]
pub struct Outlet(Mutex<State>);

#[derive(Default)]
struct State {
    /// Somebody is in the middle of a frame.
    busy: bool,
    /// In the order in which they came.
    waiting: BTreeMap<u64, Waker>,
    tickets: u64,
    /// To be sent before anything else: the rest of a frame, and small ones.
    pending: Vec<u8>,
}

/// `None`: the other side is gone.
type Refusal = Option<Error>;

impl Outlet {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends frames. `wait` waits for room in the socket, or fails when the context has
    /// ended; what has begun by then is left to whoever comes next.
    pub fn send(
        &self,
        socket: &OwnedFd,
        ctx: &Context,
        slices: Vec<IoSlice<'_>>,
        begun: &mut bool,
        wait: impl FnMut() -> Result<()>,
    ) -> std::result::Result<(), Refusal> {
        let turn = self.turn(socket, ctx).map_err(Some)?;
        let outcome = turn.send(slices, begun, wait);
        if matches!(outcome, Err(None)) {
            // With half a frame out nobody may send again. What the other side has sent
            // can still be read; then the connection ends, however this came about.
            let _ = shutdown(socket, Shutdown::Both);
        }
        outcome
    }

    /// Waits until nobody is in the middle of a frame.
    fn turn<'o>(&'o self, socket: &'o OwnedFd, ctx: &Context) -> Result<Turn<'o>> {
        if self.lock().take() {
            return Ok(Turn(self, socket));
        }
        let mut ticket = None;
        let turn = ctx.wait(|waker| {
            let mut state = self.lock();
            if state.take() {
                return Poll::Ready(Turn(self, socket));
            }
            let ticket = *ticket.get_or_insert_with(|| state.new_ticket());
            state.waiting.insert(ticket, waker.clone());
            Poll::Pending
        });
        let mut state = self.lock();
        ticket.map(|ticket| state.waiting.remove(&ticket));
        // It may be the one that was woken.
        let next = if turn.is_err() && !state.busy { state.waiting.pop_first() } else { None };
        drop(state);
        if let Some((_, waker)) = next {
            waker.wake();
        }
        turn
    }

    /// Sends a small frame now if that needs no wait, else with the next one. Gives how
    /// many bytes are left for that.
    pub fn defer(&self, socket: &OwnedFd, frame: &[u8]) -> usize {
        let mut state = self.lock();
        state.pending.extend_from_slice(frame);
        state.try_pending(socket);
        state.pending.len()
    }

    /// Sends what was deferred, as far as the socket takes it.
    pub fn flush(&self, socket: &OwnedFd) {
        self.lock().try_pending(socket);
    }
}

impl State {
    /// Whether the turn was free, and now is the caller's.
    fn take(&mut self) -> bool {
        !std::mem::replace(&mut self.busy, true)
    }

    fn new_ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    fn try_pending(&mut self, socket: &OwnedFd) {
        if !self.busy
            && !self.pending.is_empty()
            && let Ok(sent) = send_now(socket, &[IoSlice::new(&self.pending)])
        {
            self.pending.drain(..sent);
        }
    }
}

/// The right to send; dropped, it goes to the next.
struct Turn<'o>(&'o Outlet, &'o OwnedFd);

impl Turn<'_> {
    fn send(
        &self,
        mut slices: Vec<IoSlice<'_>>,
        begun: &mut bool,
        mut wait: impl FnMut() -> Result<()>,
    ) -> std::result::Result<(), Refusal> {
        loop {
            let first = std::mem::take(&mut self.0.lock().pending);
            if first.is_empty() {
                break;
            }
            let mut rest = first.as_slice();
            let outcome = drain(self.1, &mut [IoSlice::new(rest)], &mut wait, &mut |sent| {
                rest = rest.get(sent..).unwrap_or_default();
            });
            self.put_back(rest);
            outcome?;
        }
        let mut slices = slices.as_mut_slice();
        let left = |slices: &[IoSlice<'_>]| {
            slices.iter().flat_map(|s| s.iter().copied()).collect::<Vec<u8>>()
        };
        loop {
            match send_now(self.1, slices) {
                Ok(sent) => {
                    *begun = true;
                    IoSlice::advance_slices(&mut slices, sent);
                    if slices.is_empty() {
                        return Ok(());
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    if let Err(error) = wait() {
                        if *begun {
                            self.put_back(&left(slices));
                        }
                        return Err(Some(error));
                    }
                }
                Err(_) => return Err(None),
            }
        }
    }

    /// In front of what others have deferred meanwhile.
    fn put_back(&self, rest: &[u8]) {
        if !rest.is_empty() {
            let mut state = self.0.lock();
            let later = std::mem::replace(&mut state.pending, rest.to_vec());
            state.pending.extend_from_slice(&later);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.busy = false;
        state.try_pending(self.1);
        let next = state.waiting.pop_first();
        drop(state);
        if let Some((_, waker)) = next {
            waker.wake();
        }
    }
}

/// Sends all of it, with waits.
fn drain(
    socket: &OwnedFd,
    mut slices: &mut [IoSlice<'_>],
    wait: &mut impl FnMut() -> Result<()>,
    note: &mut impl FnMut(usize),
) -> std::result::Result<(), Refusal> {
    while !slices.is_empty() {
        match send_now(socket, slices) {
            Ok(sent) => {
                note(sent);
                IoSlice::advance_slices(&mut slices, sent);
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait().map_err(Some)?,
            Err(_) => return Err(None),
        }
    }
    Ok(())
}

/// Without a wait, and without SIGPIPE for the host.
fn send_now(socket: impl AsFd, slices: &[IoSlice<'_>]) -> rustix::io::Result<usize> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    sendmsg(socket, slices, &mut SendAncillaryBuffer::default(), flags)
}
