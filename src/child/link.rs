//! The host's end of a connection. Any number of threads have calls on it; whoever
//! waits first reads the socket for all, and hands that on when its own answer has
//! come. So a call alone in its process costs one send and one read, on its own thread.

use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::frame::{Fault, GLANCE, Header, Inlet, Kind, Spare, Step, WINDOW};
use super::outlet::Outlet;
use super::process::Process;
use super::table::{Entry, Expect, Table};
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::runtime::Birth;

/// The same for one who only waits for room while somebody else reads.
const SHORT_GLANCE: Duration = Duration::from_millis(5);
/// Calls that were given up and not answered, before the driver is thought to be stuck.
const MOST_ABANDONED: usize = 10_000;

/// What may wait for room in the socket: the rest of a frame, and small ones.
const MOST_PENDING: usize = 4 << 20;

pub struct Link {
    socket: OwnedFd,
    pub birth: Birth,
    outlet: Outlet,
    pub table: Mutex<Table>,
    lead: Mutex<Lead>,
    spare: Spare,
    process: Option<Arc<Process>>,
    /// What the driver takes before it gives credit.
    window: u32,
}

/// What belongs to the one who reads.
struct Lead {
    inlet: Inlet,
    /// Nothing more can be read, and why.
    over: Option<Option<Fault>>,
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// `inlet` may hold what came after the hello; a read of the socket lasts no longer
    /// than `GLANCE`.
    pub fn new(
        socket: OwnedFd,
        inlet: Inlet,
        process: Option<Arc<Process>>,
        window: u32,
    ) -> Arc<Link> {
        Arc::new(Link {
            socket,
            birth: Birth::now(),
            outlet: Outlet::default(),
            table: Mutex::default(),
            spare: inlet.spare(),
            lead: Mutex::new(Lead { inlet, over: None }),
            process,
            window,
        })
    }

    pub fn process(&self) -> Option<&Arc<Process>> {
        self.process.as_ref()
    }

    /// Why calls fail, if they do.
    pub fn death(&self) -> Option<Error> {
        lock(&self.table).dead.clone()
    }

    /// The same, also if the process has ended and nobody has had to do with it since.
    pub fn death_by_now(&self, ctx: &Context) -> Result<Option<Error>> {
        let ended = self.process.as_ref().is_some_and(|process| process.has_ended());
        match self.death() {
            None if ended => self.wait_for_death(ctx).map(Some),
            death => Ok(death),
        }
    }

    pub fn open(&self, expect: Expect) -> Result<u32> {
        self.birth.same_process()?;
        let mut table = lock(&self.table);
        if let Some(dead) = &table.dead {
            return Err(dead.clone());
        }
        if table.abandoned >= MOST_ABANDONED {
            let detail = "the driver's process does not answer";
            return Err(Error::new(Code::Unavailable, detail));
        }
        let mut id = table.next;
        while id == 0 || table.streams.contains_key(&id) {
            id = id.wrapping_add(1);
        }
        table.next = id.wrapping_add(1);
        let entry = Entry {
            contents: expect.contents,
            many: expect.many,
            allowed: if expect.contents { u64::from(WINDOW) } else { 0 },
            credit: u64::from(self.window),
            ..Entry::default()
        };
        table.streams.insert(id, entry);
        Ok(id)
    }

    /// Waits until what was given up and may still change these paths is over in the
    /// driver as well, so that it cannot come after what is asked for next.
    pub fn settle_paths(&self, ctx: &Context, paths: &[&str]) -> Result<()> {
        self.birth.same_process()?;
        loop {
            let table = lock(&self.table);
            if table.abandoned == 0 {
                return Ok(());
            }
            let changes = |entry: &Entry| entry.abandoned && entry.changes(paths);
            let found = table.streams.iter().find(|(_, entry)| changes(entry)).map(|(id, _)| *id);
            drop(table);
            match found {
                Some(id) => self.wait(id, ctx, |_| None::<()>).map(drop)?,
                None => return Ok(()),
            }
        }
    }

    // ---- reading ----

    /// Waits until `ready` says so of a stream; reads the socket meanwhile if nobody
    /// does. The stream's own end and a death are always enough.
    pub fn wait<T>(
        &self,
        id: u32,
        ctx: &Context,
        mut ready: impl FnMut(&mut Entry) -> Option<T>,
    ) -> Result<Option<T>> {
        self.birth.same_process()?;
        let mut ticket = None;
        loop {
            if let Some(outcome) = self.look(id, &mut ready) {
                return outcome;
            }
            let lead = ctx.wait(|waker| {
                let mut table = lock(&self.table);
                let table = &mut *table;
                let place = (id, *ticket.get_or_insert_with(|| table.new_ticket()));
                let ready = table.dead.is_some()
                    || table.streams.get(&id).is_none_or(|e| e.ended || e.stirred());
                if ready || !table.leading {
                    table.waiting.remove(&place);
                    let lead = !ready;
                    table.leading |= lead;
                    return Poll::Ready(lead);
                }
                table.waiting.insert(place, waker.clone());
                Poll::Pending
            });
            match lead {
                Ok(true) => {
                    let outcome = self.lead(ctx, |link| {
                        let mut table = lock(&link.table);
                        table.dead.is_some()
                            || table.streams.get_mut(&id).is_none_or(|e| e.ended || e.stirred())
                    });
                    self.stop_leading();
                    // What has come counts, even at the last moment.
                    if outcome.is_err()
                        && let Some(come) = self.look(id, &mut ready)
                    {
                        return come;
                    }
                    outcome?;
                }
                Ok(false) => {}
                Err(error) => {
                    let mut table = lock(&self.table);
                    ticket.map(|ticket| table.waiting.remove(&(id, ticket)));
                    table.wake_one();
                    return Err(error);
                }
            }
            self.settle(id);
        }
    }

    fn look<T>(
        &self,
        id: u32,
        ready: &mut impl FnMut(&mut Entry) -> Option<T>,
    ) -> Option<Result<Option<T>>> {
        let mut table = lock(&self.table);
        let table = &mut *table;
        let Some(entry) = table.streams.get_mut(&id) else { return Some(Ok(None)) };
        if let Some(value) = ready(entry) {
            return Some(Ok(Some(value)));
        }
        if entry.ended {
            return Some(Ok(None));
        }
        table.dead.as_ref().map(|dead| Err(dead.clone()))
    }

    /// Marks what has come as seen.
    fn settle(&self, id: u32) {
        if let Some(entry) = lock(&self.table).streams.get_mut(&id) {
            entry.stir = false;
        }
    }

    fn stop_leading(&self) {
        let mut table = lock(&self.table);
        table.leading = false;
        table.wake_one();
    }

    /// Reads until `done`, the context ends, or the connection does. Only who has set
    /// `leading` comes here.
    fn lead(&self, ctx: &Context, mut done: impl FnMut(&Link) -> bool) -> Result<()> {
        let mut lead = lock(&self.lead);
        loop {
            if lead.over.is_some() {
                return self.over(ctx, &lead);
            }
            ctx.status()?;
            if let Err(fault) = self.read_some(&mut lead) {
                lead.over = Some(Some(fault));
                continue;
            }
            if done(self) {
                return Ok(());
            }
        }
    }

    /// One wait for the socket and all that came with it.
    fn read_some(&self, lead: &mut Lead) -> std::result::Result<(), Fault> {
        match lead.inlet.step(&self.socket)? {
            Step::Frame(header, body) => {
                self.take(header, body)?;
                while let Some((header, body)) = lead.inlet.buffered()? {
                    self.take(header, body)?;
                }
            }
            Step::Idle => {
                self.outlet.flush(&self.socket);
                // What it started may hold the socket open, but nobody speaks there now.
                let ended = self.process.as_ref().is_some_and(|process| process.has_ended());
                if ended && self.poll(PollFlags::IN, Duration::ZERO).is_empty() {
                    lead.over = Some(None);
                }
            }
            Step::End => lead.over = Some(None),
        }
        Ok(())
    }

    /// Finds out why the connection ended, and tells everybody.
    fn over(&self, ctx: &Context, lead: &Lead) -> Result<()> {
        let fault = lead.over.as_ref().and_then(Option::as_deref);
        let fault = fault.map(|fault| format!("it broke the protocol: {fault}"));
        let error = match &self.process {
            Some(process) => process.obituary(ctx, fault.as_deref())?,
            None => {
                let why = fault.unwrap_or("it closed the connection".to_string());
                Error::new(Code::DriverDied, format!("the driver is gone: {why}"))
            }
        };
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        let mut table = lock(&self.table);
        table.dead.get_or_insert(error);
        let waiting = std::mem::take(&mut table.waiting);
        drop(table);
        waiting.into_values().for_each(Waker::wake);
        Ok(())
    }

    /// Gives a frame to whom it is for.
    fn take(&self, header: Header, body: Vec<u8>) -> std::result::Result<(), Fault> {
        match header.kind {
            Kind::Ping => {
                let pong = Header::new(Kind::Pong, 0, 0).with_arg(header.arg);
                if self.outlet.defer(&self.socket, &pong.encode()) > MOST_PENDING {
                    return Err("pings without end, and their answers are not read".to_string());
                }
                return Ok(());
            }
            Kind::Pong => {
                let mut table = lock(&self.table);
                table.pongs = table.pongs.wrapping_add(1);
                return Ok(());
            }
            Kind::Hello | Kind::Request | Kind::Cancel | Kind::Release | Kind::Goodbye => {
                return Err(format!("a frame of type {} out of turn", header.kind as u8));
            }
            Kind::Reply | Kind::Error | Kind::Data | Kind::Credit | Kind::Broken => {}
        }
        let mut table = lock(&self.table);
        let table = &mut *table;
        let id = header.stream;
        let entry = table.streams.get_mut(&id).filter(|entry| entry.sent && !entry.ended);
        let Some(entry) = entry else {
            return Err(format!("an answer on stream {id}, where nothing was asked"));
        };
        entry.take(header, body)?;
        if entry.ended && entry.abandoned {
            table.streams.remove(&id);
            table.abandoned -= 1;
        }
        table.wake_all_of(id);
        Ok(())
    }

    /// A buffer that a frame came in, for the next one.
    pub fn recycle(&self, body: Vec<u8>) {
        self.spare.put(body);
    }

    // ---- writing ----

    /// Sends whole frames. If the context ends when a part is out, the rest goes out
    /// later, and that is a success; `begun` becomes whether it came so far.
    pub fn send(&self, ctx: &Context, frames: &[&[u8]], begun: &mut bool) -> Result<()> {
        self.birth.same_process()?;
        let slices: Vec<IoSlice<'_>> = frames.iter().map(|frame| IoSlice::new(frame)).collect();
        match self.outlet.send(&self.socket, ctx, slices, begun, || self.wait_for_room(ctx)) {
            Ok(()) => Ok(()),
            // The rest goes out with whatever is sent next; the answer is another matter.
            Err(Some(_)) if *begun => Ok(()),
            Err(Some(error)) => Err(error),
            Err(None) => Err(self.wait_for_death(ctx).unwrap_or_else(|error| error)),
        }
    }

    /// Until the socket may take more. What comes meanwhile is read, so that a driver
    /// that does one thing at a time is never stuck with us.
    fn wait_for_room(&self, ctx: &Context) -> Result<()> {
        ctx.status()?;
        if !self.try_to_lead() {
            self.poll(PollFlags::OUT, SHORT_GLANCE);
            return lock(&self.table).dead.clone().map_or(Ok(()), Err);
        }
        let outcome = self.read_until_room(ctx);
        self.stop_leading();
        outcome
    }

    fn read_until_room(&self, ctx: &Context) -> Result<()> {
        loop {
            let ready = self.poll(PollFlags::IN | PollFlags::OUT, GLANCE);
            if ready.contains(PollFlags::IN) {
                let mut first = true;
                self.lead(ctx, |_| std::mem::take(&mut first))?;
            }
            // Room for a sliver is not worth a call: the kernel says when there is more.
            if ready != PollFlags::IN {
                return Ok(());
            }
        }
    }

    fn try_to_lead(&self) -> bool {
        !std::mem::replace(&mut lock(&self.table).leading, true)
    }

    fn poll(&self, flags: PollFlags, time: Duration) -> PollFlags {
        let mut fds = [PollFd::new(&self.socket, flags)];
        let time = Timespec::try_from(time).ok();
        let _ = poll(&mut fds, time.as_ref());
        fds.first().map_or(PollFlags::empty(), PollFd::revents)
    }

    /// After a send that found nobody: what became of the driver.
    fn wait_for_death(&self, ctx: &Context) -> Result<Error> {
        self.wait_until(ctx, Link::death)
    }

    /// For what seldom is waited for: reads the socket until then, or looks now and then
    /// while somebody else does.
    fn wait_until<T>(&self, ctx: &Context, come: impl Fn(&Link) -> Option<T>) -> Result<T> {
        loop {
            if let Some(value) = come(self) {
                return Ok(value);
            }
            if self.try_to_lead() {
                let outcome = self.lead(ctx, |link| come(link).is_some());
                self.stop_leading();
                outcome?;
            } else {
                std::thread::sleep(SHORT_GLANCE);
                ctx.status()?;
            }
        }
    }

    /// Sends a frame without a body some time, now if that needs no wait.
    pub fn send_soon(&self, header: Header) {
        if self.birth.same_process().is_ok() {
            self.outlet.defer(&self.socket, &header.encode());
        }
    }

    /// Ends the connection in good order, without waiting for anything.
    pub fn goodbye(&self) {
        self.send_soon(Header::new(Kind::Goodbye, 0, 0));
    }

    /// Whether the driver's process answers.
    pub fn ping(&self, ctx: &Context) -> Result<()> {
        let before = lock(&self.table).pongs;
        self.send(ctx, &[&Header::new(Kind::Ping, 0, 0).encode()], &mut false)?;
        self.wait_until(ctx, |link| {
            let table = lock(&link.table);
            if table.pongs != before { Some(Ok(())) } else { table.dead.clone().map(Err) }
        })?
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // In a child of a fork the socket is the parent's, who still uses it.
        if self.birth.same_process().is_ok() {
            self.goodbye();
            if let Some(process) = &self.process {
                process.leave();
            }
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

pub fn socket_error(errno: rustix::io::Errno) -> Error {
    Error::new(Code::Driver, format!("a driver's process cannot be talked to: {errno}"))
}
