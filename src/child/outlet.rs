//! What goes out, frame by frame: a frame that has begun is finished before another
//! begins, whoever began it and whether it still waits.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, Shutdown, sendmsg, shutdown};

use crate::context::Context;
use crate::error::{Error, Result};

/// Whoever comes may send before one who has waited less than this and is only waking
/// up; to wait for him each time would cost more than it gives.
const WAKING: Duration = Duration::from_millis(1);

#[derive(Default)]
pub struct Outlet(Mutex<State>);

#[derive(Default)]
struct State {
    /// Somebody is in the middle of a frame.
    busy: bool,
    /// In the order in which they came.
    waiting: BTreeMap<u64, Waiting>,
    tickets: u64,
    /// To be sent before anything else: the rest of a frame, and small ones.
    pending: Vec<u8>,
}

struct Waiting {
    since: Instant,
    waker: Waker,
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
        let mut state = self.lock();
        if state.take(None) {
            return Ok(Turn(self, socket));
        }
        let ticket = state.new_ticket();
        drop(state);
        let turn = ctx.wait(|waker| {
            let mut state = self.lock();
            if state.take(Some(ticket)) {
                return Poll::Ready(Turn(self, socket));
            }
            let new = || Waiting { since: Instant::now(), waker: waker.clone() };
            state.waiting.entry(ticket).or_insert_with(new).waker.clone_from(waker);
            Poll::Pending
        });
        let mut state = self.lock();
        state.waiting.remove(&ticket);
        // It may be the one that was woken.
        let next = state.next();
        drop(state);
        if let Some(waker) = next {
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
    /// Whether it is the caller's turn from now on. `ticket`: of one that waits.
    fn take(&mut self, ticket: Option<u64>) -> bool {
        let before = self.waiting.first_key_value().is_some_and(|(first, waiting)| {
            Some(*first) != ticket && waiting.since.elapsed() > WAKING
        });
        let free = !self.busy && !before;
        self.busy |= free;
        free
    }

    /// Who is to be woken: he stays the first until he has come.
    fn next(&self) -> Option<Waker> {
        let first = self.waiting.values().next().filter(|_| !self.busy);
        first.map(|waiting| waiting.waker.clone())
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
            let mut first = [IoSlice::new(&first)];
            let (left, outcome) = drain(self.1, &mut first, &mut wait);
            self.put_back(left);
            outcome?;
        }
        let whole = length(&slices);
        let (left, outcome) = drain(self.1, &mut slices, wait);
        *begun = length(left) < whole;
        if *begun {
            self.put_back(left);
        }
        outcome
    }

    /// In front of what others have deferred meanwhile.
    fn put_back(&self, left: &[IoSlice<'_>]) {
        if !left.is_empty() {
            let mut state = self.0.lock();
            let later = std::mem::take(&mut state.pending);
            state.pending = left.iter().flat_map(|slice| slice.iter().copied()).collect();
            state.pending.extend_from_slice(&later);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.busy = false;
        state.try_pending(self.1);
        let next = state.next();
        drop(state);
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

/// Sends all of it, with waits; gives what is left, and why.
fn drain<'s, 'b>(
    socket: &OwnedFd,
    mut slices: &'s mut [IoSlice<'b>],
    mut wait: impl FnMut() -> Result<()>,
) -> (&'s mut [IoSlice<'b>], std::result::Result<(), Refusal>) {
    while !slices.is_empty() {
        match send_now(socket, slices) {
            Ok(sent) => IoSlice::advance_slices(&mut slices, sent),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                if let Err(error) = wait() {
                    return (slices, Err(Some(error)));
                }
            }
            Err(_) => return (slices, Err(None)),
        }
    }
    (slices, Ok(()))
}

fn length(slices: &[IoSlice<'_>]) -> usize {
    slices.iter().map(|slice| slice.len()).sum()
}

/// Without a wait, and without SIGPIPE for the host.
fn send_now(socket: impl AsFd, slices: &[IoSlice<'_>]) -> rustix::io::Result<usize> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    sendmsg(socket, slices, &mut SendAncillaryBuffer::default(), flags)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::read;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    #[test]
    fn nobody_sends_before_one_who_has_waited_longer_than_a_moment() {
        let mut state = State::default();
        let since = Instant::now();
        state.waiting.insert(1, Waiting { since, waker: Waker::noop().clone() });
        thread::sleep(2 * WAKING);
        assert!(!state.take(None) && !state.take(Some(2)));
        assert!(state.take(Some(1)) && !state.take(Some(1)));
    }

    #[test]
    fn who_waits_to_send_has_his_turn() {
        let (family, kind) = (AddressFamily::UNIX, SocketType::STREAM);
        let (ours, theirs) = socketpair(family, kind, SocketFlags::CLOEXEC, None).unwrap();
        let (outlet, stop) = (Outlet::default(), AtomicBool::new(false));
        let send = |ctx: &Context, frame: &[u8]| {
            let wait = || {
                poll(&mut [PollFd::new(&ours, PollFlags::OUT)], None).unwrap();
                Ok(())
            };
            outlet.send(&ours, ctx, vec![IoSlice::new(frame)], &mut false, wait)
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                while read(&theirs, &mut [0; 1 << 16]).unwrap() > 0 {
                    thread::sleep(Duration::from_millis(1));
                }
            });
            let flood = scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    assert!(send(&Context::none(), &[0; 1 << 18]).is_ok());
                }
            });
            for _ in 0..20 {
                thread::sleep(Duration::from_millis(20));
                let ctx = Context::new(&Context::none());
                ctx.set_timeout(Duration::from_secs(5));
                assert!(send(&ctx, b"small").is_ok());
            }
            stop.store(true, Ordering::Relaxed);
            flood.join().unwrap();
            shutdown(&ours, Shutdown::Both).unwrap();
        });
    }
}
