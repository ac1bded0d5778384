//! How many calls may run inside a driver at once. A waiter is a waker, so that
//! a thread and a task can wait alike; first come, first served.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crate::context::Context;
use crate::error::Result;

pub struct Slots(Mutex<State>);

struct State {
    free: usize,
    waiting: VecDeque<(u64, Waker)>,
    next_ticket: u64,
}

impl Slots {
    pub fn new(count: usize) -> Arc<Slots> {
        let state = State { free: count.max(1), waiting: VecDeque::new(), next_ticket: 0 };
        Arc::new(Slots(Mutex::new(state)))
    }

    /// Waits on this thread until a slot is free or the context ends.
    pub fn acquire(self: &Arc<Slots>, ctx: &Context) -> Result<Slot> {
        let mut state = self.lock();
        // As `poll` has it for one who is not in line.
        if state.waiting.len() < state.free {
            state.free -= 1;
            return Ok(Slot(self.clone()));
        }
        drop(state);
        let mut request = self.request();
        ctx.wait(|waker| request.poll(waker))
    }

    /// A place in the line, to be polled.
    pub fn request(self: &Arc<Slots>) -> Request {
        Request { slots: self.clone(), ticket: None }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Wakes as many as can be served. They stay in line until they come.
    fn wakers(&self) -> Vec<Waker> {
        self.waiting.iter().take(self.free).map(|(_, waker)| waker.clone()).collect()
    }
}

/// Dropped unserved, it leaves the line.
pub struct Request {
    slots: Arc<Slots>,
    ticket: Option<u64>,
}

impl Request {
    pub fn poll(&mut self, waker: &Waker) -> Poll<Slot> {
        let mut state = self.slots.lock();
        let place = match self.ticket {
            Some(ticket) => state.waiting.iter().position(|(t, _)| *t == ticket),
            None => None,
        };
        if place.unwrap_or(state.waiting.len()) < state.free {
            if let Some(place) = place {
                state.waiting.remove(place);
            }
            self.ticket = None;
            state.free -= 1;
            return Poll::Ready(Slot(self.slots.clone()));
        }
        match place.and_then(|place| state.waiting.get_mut(place)) {
            Some((_, registered)) => registered.clone_from(waker),
            None => {
                let ticket = state.next_ticket;
                state.next_ticket += 1;
                state.waiting.push_back((ticket, waker.clone()));
                self.ticket = Some(ticket);
            }
        }
        Poll::Pending
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut state = self.slots.lock();
        state.waiting.retain(|(t, _)| *t != ticket);
        let wakers = state.wakers();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// The right to run one call; given back when dropped.
pub struct Slot(Arc<Slots>);

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.free += 1;
        let wakers = state.wakers();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::error::Code;

    #[test]
    fn all_waiters_are_served_and_every_slot_comes_back() {
        const LIMIT: usize = 50;
        let slots = Slots::new(LIMIT);
        let ctx = Context::none();
        for _round in 0..10 {
            let held: Vec<Slot> = (0..LIMIT).map(|_| slots.acquire(&ctx).unwrap()).collect();
            let served = AtomicUsize::new(0);
            thread::scope(|scope| {
                for _ in 0..20 {
                    scope.spawn(|| {
                        drop(slots.acquire(&ctx).unwrap());
                        served.fetch_add(1, Ordering::Relaxed);
                    });
                }
                while slots.lock().waiting.len() < 20 {
                    thread::yield_now();
                }
                assert_eq!(served.load(Ordering::Relaxed), 0);
                drop(held);
            });
            assert_eq!(served.load(Ordering::Relaxed), 20);
            assert_eq!(slots.lock().free, LIMIT);
        }
    }

    #[test]
    fn a_cancelled_waiter_leaves_the_line_and_blocks_nobody() {
        let slots = Slots::new(1);
        let held = slots.acquire(&Context::none()).unwrap();
        let ctx = Context::new(&Context::none());
        ctx.set_timeout(Duration::from_millis(5));
        let error = slots.acquire(&ctx).map(drop).unwrap_err();
        assert_eq!(error.code(), Code::Deadline);
        assert!(slots.lock().waiting.is_empty());
        drop(held);
        drop(slots.acquire(&Context::none()).unwrap());
        assert_eq!(slots.lock().free, 1);
    }

    #[test]
    fn first_come_first_served() {
        let slots = Slots::new(1);
        let held = slots.acquire(&Context::none()).unwrap();
        let (mut first, mut second) = (slots.request(), slots.request());
        assert!(first.poll(Waker::noop()).is_pending());
        assert!(second.poll(Waker::noop()).is_pending());
        drop(held);
        assert!(second.poll(Waker::noop()).is_pending());
        assert!(first.poll(Waker::noop()).is_ready());
    }
}
