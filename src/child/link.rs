//! The host's end of a connection. Any number of threads have calls on it; whoever
//! waits first reads the socket for all, and hands that on when its own answer has
//! come. So a call alone in its process costs one send and one read, on its own thread.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{Timeout, set_socket_timeout};

use super::frame::{Fault, Header, Inlet, Kind, MAX_BODY, Spare, Step, WINDOW};
use super::message::{self, Request};
use super::outlet::Outlet;
use super::process::Process;
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::runtime::Birth;

/// How long a wait for the socket may last before its context is looked at.
const GLANCE: Duration = Duration::from_millis(20);
/// The same for one who only waits for room while somebody else reads.
const SHORT_GLANCE: Duration = Duration::from_millis(5);
/// Calls that were given up and not answered, before the driver is thought to be stuck.
const MOST_ABANDONED: usize = 10_000;
/// What one stream may leave unread, file contents not counted.
const MOST_QUEUED: usize = 64 << 20;
/// Credit above this is as good as any.
const MOST_CREDIT: u64 = 1 << 40;

pub struct Link {
    socket: OwnedFd,
    birth: Birth,
    outlet: Outlet,
    table: Mutex<Table>,
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

struct Table {
    streams: HashMap<u32, Entry>,
    next: u32,
    leading: bool,
    /// Who waits for what somebody else reads: by stream, and a number of their own.
    waiting: BTreeMap<(u32, u64), Waker>,
    next_ticket: u64,
    abandoned: usize,
    /// Why there is no connection any more.
    dead: Option<Error>,
    pongs: u32,
}

/// One stream. The fields are the rules of docs/driver-protocol.md section 4.
#[derive(Default)]
pub struct Entry {
    queue: VecDeque<Incoming>,
    queued: usize,
    /// A request was sent, so that the driver knows of the stream.
    sent: bool,
    /// A request is not answered yet.
    asked: bool,
    /// A request may have several replies.
    many: bool,
    /// Contents may come, and how much of it.
    contents: bool,
    allowed: u64,
    /// How much we may send.
    pub credit: u64,
    /// Writes fail from here on.
    pub broken: Option<Error>,
    ended: bool,
    abandoned: bool,
    /// Of an upload, which is not over before the driver says so.
    path: Option<String>,
    /// Something has come that the one who waits has not looked at.
    stir: bool,
}

/// A frame of a stream.
pub struct Incoming {
    pub kind: Kind,
    pub body: Vec<u8>,
    pub end: bool,
}

/// What a request is answered by.
#[derive(Clone, Copy, Default)]
pub struct Expect {
    pub contents: bool,
    pub many: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// `inlet` may hold what came after the hello.
    pub fn new(
        socket: OwnedFd,
        inlet: Inlet,
        process: Option<Arc<Process>>,
        window: u32,
    ) -> Result<Arc<Link>> {
        set_socket_timeout(&socket, Timeout::Recv, Some(GLANCE)).map_err(socket_error)?;
        let table = Table {
            streams: HashMap::new(),
            next: 1,
            leading: false,
            waiting: BTreeMap::new(),
            next_ticket: 0,
            abandoned: 0,
            dead: None,
            pongs: 0,
        };
        Ok(Arc::new(Link {
            socket,
            birth: Birth::now(),
            outlet: Outlet::default(),
            table: Mutex::new(table),
            spare: inlet.spare(),
            lead: Mutex::new(Lead { inlet, over: None }),
            process,
            window,
        }))
    }

    pub fn process(&self) -> Option<&Arc<Process>> {
        self.process.as_ref()
    }

    /// Why calls fail, if they do.
    pub fn death(&self) -> Option<Error> {
        lock(&self.table).dead.clone()
    }

    /// The same, also if the process has ended and nobody has had to do with it since.
    pub fn death_by_now(&self, ctx: &Context) -> Option<Error> {
        let ended = self.process.as_ref().is_some_and(|process| process.has_ended());
        self.death().or_else(|| ended.then(|| self.wait_for_death(ctx)))
    }

    fn open(&self, expect: Expect) -> Result<u32> {
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

    /// Waits until uploads to a path that were freed are over in the driver as well, so
    /// that the next one finds what they left.
    pub fn settle_uploads(&self, ctx: &Context, path: &str) -> Result<()> {
        self.birth.same_process()?;
        loop {
            let table = lock(&self.table);
            if table.abandoned == 0 {
                return Ok(());
            }
            let same = |entry: &Entry| entry.abandoned && entry.path.as_deref() == Some(path);
            let found = table.streams.iter().find(|(_, entry)| same(entry)).map(|(id, _)| *id);
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
    fn wait<T>(
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
            Step::Idle => self.outlet.flush(&self.socket),
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
                self.outlet.defer(&self.socket, &pong.encode());
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
    fn send(&self, ctx: &Context, frames: &[&[u8]], begun: &mut bool) -> Result<()> {
        self.birth.same_process()?;
        let slices: Vec<IoSlice<'_>> = frames.iter().map(|frame| IoSlice::new(frame)).collect();
        match self.outlet.send(&self.socket, ctx, slices, begun, || self.wait_for_room(ctx)) {
            Ok(()) => Ok(()),
            // The rest goes out with whatever is sent next; the answer is another matter.
            Err(Some(_)) if *begun => Ok(()),
            Err(Some(error)) => Err(error),
            Err(None) => Err(self.wait_for_death(ctx)),
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
        let outcome = if self.poll(PollFlags::IN | PollFlags::OUT, GLANCE).contains(PollFlags::IN) {
            let mut first = true;
            self.lead(ctx, |_| std::mem::take(&mut first))
        } else {
            Ok(())
        };
        self.stop_leading();
        outcome
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
    fn wait_for_death(&self, ctx: &Context) -> Error {
        loop {
            if let Some(dead) = self.death() {
                return dead;
            }
            let step = if self.try_to_lead() {
                let outcome = self.lead(ctx, |link| link.death().is_some());
                self.stop_leading();
                outcome
            } else {
                std::thread::sleep(SHORT_GLANCE);
                ctx.status()
            };
            if let Err(error) = step {
                return error;
            }
        }
    }

    /// Sends a frame without a body some time, now if that needs no wait.
    fn send_soon(&self, header: Header) {
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
        loop {
            if lock(&self.table).pongs != before {
                return Ok(());
            }
            if let Some(dead) = self.death() {
                return Err(dead);
            }
            if self.try_to_lead() {
                let come = |link: &Link| {
                    let table = lock(&link.table);
                    table.pongs != before || table.dead.is_some()
                };
                let outcome = self.lead(ctx, come);
                self.stop_leading();
                outcome?;
            } else {
                std::thread::sleep(SHORT_GLANCE);
                ctx.status()?;
            }
        }
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

impl Table {
    fn new_ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }

    fn wake_all_of(&mut self, id: u32) {
        while let Some((&place, _)) = self.waiting.range((id, 0)..=(id, u64::MAX)).next() {
            if let Some(waker) = self.waiting.remove(&place) {
                waker.wake();
            }
        }
    }

    /// Somebody who waits must become the one who reads.
    fn wake_one(&mut self) {
        if !self.leading
            && let Some((_, waker)) = self.waiting.pop_first()
        {
            waker.wake();
        }
    }
}

impl Entry {
    fn stirred(&self) -> bool {
        self.stir || !self.queue.is_empty()
    }

    fn take(&mut self, header: Header, body: Vec<u8>) -> std::result::Result<(), Fault> {
        let id = header.stream;
        self.stir = true;
        match header.kind {
            Kind::Credit => {
                self.credit = (self.credit + u64::from(header.arg)).min(MOST_CREDIT);
                return Ok(());
            }
            Kind::Broken => {
                self.broken = Some(message::error_from(&body));
                return Ok(());
            }
            Kind::Data => {
                let length = body.len() as u64;
                let allowed = self.allowed.checked_sub(length).filter(|_| self.contents);
                self.allowed =
                    allowed.ok_or_else(|| format!("more data on stream {id} than was allowed"))?;
            }
            _ => {
                let fits = self.asked || (header.kind == Kind::Error && header.end);
                if !fits {
                    return Err(format!("a second answer on stream {id}"));
                }
                self.asked = self.many && !header.end;
                self.queued += body.len();
                if self.queued > MOST_QUEUED {
                    return Err(format!("an answer without end on stream {id}"));
                }
            }
        }
        self.ended = header.end;
        if !self.abandoned {
            self.queue.push_back(Incoming { kind: header.kind, body, end: header.end });
        } else {
            self.queued = 0;
        }
        Ok(())
    }
}

/// A stream in use. Dropped before its end, the driver is told to forget it.
pub struct Stream {
    link: Arc<Link>,
    id: u32,
    forget: Kind,
}

impl Stream {
    /// For one call.
    pub fn call(link: &Arc<Link>, expect: Expect) -> Result<Stream> {
        // What is in the middle of sending something waits for credit that never comes.
        let forget = if expect.contents { Kind::Release } else { Kind::Cancel };
        Stream::open(link, expect, forget)
    }

    /// For what stays open.
    pub fn handle(link: &Arc<Link>, expect: Expect) -> Result<Stream> {
        Stream::open(link, expect, Kind::Release)
    }

    fn open(link: &Arc<Link>, expect: Expect, forget: Kind) -> Result<Stream> {
        Ok(Stream { id: link.open(expect)?, link: link.clone(), forget })
    }

    pub fn link(&self) -> &Arc<Link> {
        &self.link
    }

    fn with_entry<T>(&self, change: impl FnOnce(&mut Entry) -> T) -> Result<T> {
        self.link.birth.same_process()?;
        let mut table = lock(&self.link.table);
        let entry = table.streams.get_mut(&self.id);
        entry.map(change).ok_or_else(|| Error::new(Code::Internal, "the stream is gone"))
    }

    /// Says that the stream is an upload to a path.
    pub fn uploads_to(&self, path: &str) -> Result<()> {
        self.with_entry(|entry| entry.path = Some(path.to_string()))
    }

    pub fn request(&self, ctx: &Context, request: Request) -> Result<()> {
        self.request_with(ctx, request, None)
    }

    /// A request and the first of its contents, or all of it (`true`), in one go.
    pub fn request_with(
        &self,
        ctx: &Context,
        request: Request,
        contents: Option<(&[u8], bool)>,
    ) -> Result<()> {
        let body = request.finish(ctx)?;
        let header = Header::new(Kind::Request, self.id, body.len()).encode();
        // Before it is sent: the answer may be quick.
        let before = self.with_entry(|entry| {
            let before = (entry.sent, entry.asked);
            (entry.sent, entry.asked) = (true, true);
            if let Some((data, _)) = contents {
                entry.credit = entry.credit.saturating_sub(data.len() as u64);
            }
            before
        })?;
        let mut begun = false;
        let outcome = match contents {
            None => self.link.send(ctx, &[&header, &body], &mut begun),
            Some((data, end)) => {
                let second = Header::new(Kind::Data, self.id, data.len()).ending(end).encode();
                self.link.send(ctx, &[&header, &body, &second, data], &mut begun)
            }
        };
        if outcome.is_err() && !begun {
            self.with_entry(|entry| (entry.sent, entry.asked) = before)?;
        }
        outcome
    }

    /// The next frame; an error of the driver's as an error. `None`: the stream has
    /// ended.
    pub fn next(&self, ctx: &Context) -> Result<Option<Incoming>> {
        let incoming = self.link.wait(self.id, ctx, |entry| {
            let incoming = entry.queue.pop_front()?;
            entry.queued -= incoming.body.len().min(entry.queued);
            Some(incoming)
        })?;
        Ok(incoming)
    }

    /// How much may be sent, at least a byte; `Err` if there is no use.
    fn credit(&self, ctx: &Context) -> Result<u64> {
        let found = self.link.wait(self.id, ctx, |entry| {
            if let Some(error) = &entry.broken {
                return Some(Err(error.clone()));
            }
            // An answer to what was not finished: the driver wants no more.
            if !entry.queue.is_empty() {
                return Some(Ok(0));
            }
            (entry.credit > 0).then_some(Ok(entry.credit))
        })?;
        found.unwrap_or(Ok(0))
    }

    /// Sends as much of `data` as one frame and the credit allow, and says how much
    /// that was; 0 if the driver has answered already. `end`: nothing follows.
    pub fn send(&self, ctx: &Context, data: &[u8], end: bool) -> Result<usize> {
        let credit = if data.is_empty() { 0 } else { self.credit(ctx)? };
        let count = data.len().min(usize::try_from(credit).unwrap_or(usize::MAX));
        let count = count.min(super::frame::PIECE).min(MAX_BODY);
        if count == 0 && !data.is_empty() {
            return Ok(0);
        }
        self.with_entry(|entry| entry.credit -= (count as u64).min(entry.credit))?;
        let piece = data.get(..count).unwrap_or_default();
        let header = Header::new(Kind::Data, self.id, count).ending(end && count == data.len());
        self.link.send(ctx, &[&header.encode(), piece], &mut false)?;
        Ok(count)
    }

    /// Why writes fail, if the driver has said so.
    pub fn broken(&self) -> Option<Error> {
        self.with_entry(|entry| entry.broken.clone()).ok().flatten()
    }

    /// Allows the driver to send this much more.
    pub fn allow(&self, bytes: u32) {
        let ended = self.with_entry(|entry| {
            entry.allowed += u64::from(bytes);
            entry.ended
        });
        if let Ok(false) = ended {
            self.link.send_soon(Header::new(Kind::Credit, self.id, 0).with_arg(bytes));
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // The locks may be held for ever there.
        if self.link.birth.same_process().is_err() {
            return;
        }
        let mut table = lock(&self.link.table);
        let table_ref = &mut *table;
        let Some(entry) = table_ref.streams.get_mut(&self.id) else { return };
        if entry.ended || !entry.sent || table_ref.dead.is_some() {
            table_ref.streams.remove(&self.id);
            return;
        }
        entry.abandoned = true;
        entry.queue.clear();
        entry.queued = 0;
        table_ref.abandoned += 1;
        drop(table);
        self.link.send_soon(Header::new(self.forget, self.id, 0));
    }
}

pub fn socket_error(errno: rustix::io::Errno) -> Error {
    Error::new(Code::Driver, format!("a driver's process cannot be talked to: {errno}"))
}
