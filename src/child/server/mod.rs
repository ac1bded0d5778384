//! The driver's side: serves a `Driver` over a connection. One thread at a time reads
//! frames; what a frame makes possible it does itself, after it has handed the reading
//! to another thread. So calls run side by side, and each costs one wake-up.

mod stream;

use std::collections::HashMap;
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};

use super::frame::{Fault, Header, Inlet, Kind, Spare, Step, UPLOAD_WINDOW};
use super::message::{self, DriverHello, HostHello, MAJOR, MINOR, Operations};
use super::sys;
use crate::context::Context;
use crate::driver::Driver;
use crate::error::{Code, Error, Result};
use crate::params::Params;
use crate::runtime;
use stream::Stream;

/// Makes the driver when the host has said its name and parameters.
pub type Make<'m> = &'m dyn Fn(&str, &Context, &Params) -> Result<Arc<dyn Driver>>;

/// More calls than this at once wait for each other.
const MOST_THREADS: usize = 256;

/// Serves the connection that a host left as descriptor 3, until it ends. `InvalidState`
/// if nobody did.
pub fn serve_inherited(make: Make<'_>) -> Result<()> {
    let socket = sys::inherited_socket().ok_or_else(|| {
        let detail = "there is no connection on descriptor 3; a host that uses \
                      libstoragedriver starts this program";
        Error::invalid_state(detail)
    })?;
    serve(socket, make)
}

/// Serves one end of a stream socket pair until the host ends the connection. An error
/// if it breaks the protocol or dies.
pub fn serve(socket: OwnedFd, make: Make<'_>) -> Result<()> {
    let mut inlet = Inlet::new();
    let Some(hello) = host_hello(&socket, &mut inlet)? else { return Ok(()) };
    if hello.major != MAJOR {
        send(&socket, Header::new(Kind::Hello, 0, 0), &message::version_only())?;
        let detail = format!("the host speaks version {} of the protocol", hello.major);
        return Err(Error::new(Code::DriverVersion, detail));
    }
    let driver = match make(&hello.driver, &Context::none(), &hello.params) {
        Ok(driver) => driver,
        Err(error) => {
            send(
                &socket,
                Header::new(Kind::Error, 0, 0).ending(true),
                &message::error_body(&error),
            )?;
            return Err(error);
        }
    };
    let answer = DriverHello {
        // The lower of the two; there is none below it.
        minor: MINOR,
        driver: Some(driver.name().to_string()),
        window: UPLOAD_WINDOW,
        capabilities: driver.capabilities(),
        operations: Operations { list_page: true, entries: true, walk: true, redirect_url: true },
        max_concurrency: driver.max_concurrency(),
    };
    send(&socket, Header::new(Kind::Hello, 0, 0), &answer.body())?;
    let server = Arc::new(Server {
        socket,
        sending: Mutex::new(()),
        driver,
        window: hello.window,
        streams: Mutex::default(),
        spare: inlet.spare(),
        pool: Mutex::new(Pool { inlet: Some(inlet), ..Pool::default() }),
        changed: Condvar::new(),
    });
    server.clone().work();
    server.outcome()
}

/// `None`: the host went away without a word.
fn host_hello(socket: &OwnedFd, inlet: &mut Inlet) -> Result<Option<HostHello>> {
    loop {
        match inlet.step(socket).map_err(broken)? {
            Step::Frame(header, body) if header.kind == Kind::Hello => {
                return message::host_hello_from(&body).map(Some);
            }
            Step::Frame(header, _) => {
                return Err(broken(format!("a frame of type {} before hello", header.kind as u8)));
            }
            Step::Idle => wait_for_input(socket),
            Step::End => return Ok(None),
        }
    }
}

fn broken(fault: Fault) -> Error {
    Error::new(Code::Driver, format!("the host broke the protocol: {fault}"))
}

fn wait_for_input(socket: &OwnedFd) {
    let _ = poll(&mut [PollFd::new(socket, PollFlags::IN)], None);
}

/// Sends one whole frame; the length is the body's.
fn send(socket: &OwnedFd, header: Header, body: &[u8]) -> Result<()> {
    let whole = Header { length: u32::try_from(body.len()).unwrap_or(u32::MAX), ..header };
    let header = whole.encode();
    let mut slices = [IoSlice::new(&header), IoSlice::new(body)];
    let mut slices = slices.as_mut_slice();
    while !slices.is_empty() {
        let mut nothing = SendAncillaryBuffer::default();
        match sendmsg(socket, slices, &mut nothing, SendFlags::NOSIGNAL) {
            Ok(sent) => IoSlice::advance_slices(&mut slices, sent),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(socket, PollFlags::OUT)], None);
            }
            Err(errno) => {
                return Err(Error::new(Code::Driver, format!("the host is gone: {errno}")));
            }
        }
    }
    Ok(())
}

struct Server {
    socket: OwnedFd,
    /// Held for a whole frame.
    sending: Mutex<()>,
    driver: Arc<dyn Driver>,
    /// What the host takes before it gives credit.
    window: u32,
    streams: Mutex<HashMap<u32, Arc<Stream>>>,
    spare: Spare,
    pool: Mutex<Pool>,
    changed: Condvar,
}

#[derive(Default)]
struct Pool {
    /// With whoever reads; `None`: somebody does.
    inlet: Option<Inlet>,
    threads: usize,
    idle: usize,
    /// Streams that have something to do and no thread.
    ready: Vec<Arc<Stream>>,
    /// Nothing more is read, and why.
    over: Option<Over>,
}

#[derive(Clone)]
enum Over {
    /// The host has said good-bye: what runs is finished.
    Goodbye,
    Gone,
    Fault(Fault),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a thread of the pool does next.
enum Next {
    Read(Inlet),
    Run(Arc<Stream>),
    Leave,
}

impl Server {
    /// The life of a thread; that of the first one lasts until all is over.
    fn work(self: Arc<Server>) {
        lock(&self.pool).threads += 1;
        loop {
            match self.next() {
                Next::Read(inlet) => {
                    if let Some(stream) = self.read(inlet) {
                        self.run(&stream);
                    }
                }
                Next::Run(stream) => self.run(&stream),
                Next::Leave => break,
            }
        }
        lock(&self.pool).threads -= 1;
        self.changed.notify_all();
    }

    /// A driver that panics fails one call.
    fn run(self: &Arc<Server>, stream: &Stream) {
        if catch_unwind(AssertUnwindSafe(|| stream.run(self))).is_err() {
            stream.lost(self);
        }
    }

    fn next(&self) -> Next {
        let mut pool = lock(&self.pool);
        loop {
            if let Some(stream) = pool.ready.pop() {
                return Next::Run(stream);
            }
            if pool.over.is_some() {
                return Next::Leave;
            }
            if let Some(inlet) = pool.inlet.take() {
                return Next::Read(inlet);
            }
            pool.idle += 1;
            pool = self.changed.wait(pool).unwrap_or_else(PoisonError::into_inner);
            pool.idle -= 1;
        }
    }

    /// Reads until a stream has something to do, and hands the reading on.
    fn read(self: &Arc<Server>, mut inlet: Inlet) -> Option<Arc<Stream>> {
        loop {
            let ready = match inlet.step(&self.socket) {
                Ok(Step::Frame(header, body)) => self.take(header, body),
                Ok(Step::Idle) => {
                    wait_for_input(&self.socket);
                    continue;
                }
                Ok(Step::End) => Err(Over::Gone),
                Err(fault) => Err(Over::Fault(fault)),
            };
            match ready {
                Ok(None) => {}
                Ok(Some(stream)) => {
                    // With a small put came its content.
                    if let Err(over) = self.take_buffered(&mut inlet) {
                        self.end(over);
                        return Some(stream);
                    }
                    match self.hand_over(inlet, stream) {
                        Ok(stream) => return Some(stream),
                        Err(back) => inlet = back,
                    }
                }
                Err(over) => {
                    self.end(over);
                    return None;
                }
            }
        }
    }

    /// Deals with the frames that are here already; streams that they make ready wait
    /// for a thread.
    fn take_buffered(&self, inlet: &mut Inlet) -> std::result::Result<(), Over> {
        while let Some((header, body)) = inlet.buffered().map_err(Over::Fault)? {
            if let Some(stream) = self.take(header, body)? {
                lock(&self.pool).ready.push(stream);
                self.changed.notify_one();
            }
        }
        Ok(())
    }

    /// Finds another thread to read, so that this one can run the stream; gives the
    /// inlet back if there is none, and the stream waits.
    fn hand_over(
        self: &Arc<Server>,
        inlet: Inlet,
        stream: Arc<Stream>,
    ) -> std::result::Result<Arc<Stream>, Inlet> {
        let mut pool = lock(&self.pool);
        if pool.idle <= pool.ready.len() {
            let server = self.clone();
            let new = || runtime::spawn_thread("serve", move || server.work());
            if pool.threads >= MOST_THREADS || new().is_err() {
                pool.ready.push(stream);
                return Err(inlet);
            }
        }
        pool.inlet = Some(inlet);
        drop(pool);
        self.changed.notify_one();
        Ok(stream)
    }

    /// Deals with a frame; gives a stream that nobody runs and that has something to do.
    fn take(
        &self,
        header: Header,
        body: Vec<u8>,
    ) -> std::result::Result<Option<Arc<Stream>>, Over> {
        let id = header.stream;
        match header.kind {
            Kind::Ping => {
                self.send(Header::new(Kind::Pong, 0, 0).with_arg(header.arg), &[]);
                return Ok(None);
            }
            Kind::Pong => return Ok(None),
            Kind::Goodbye => return Err(Over::Goodbye),
            Kind::Hello | Kind::Reply | Kind::Error | Kind::Broken => {
                let fault = format!("a frame of type {} out of turn", header.kind as u8);
                return Err(Over::Fault(fault));
            }
            Kind::Request | Kind::Data | Kind::Credit | Kind::Cancel | Kind::Release => {}
        }
        let stream = {
            let mut streams = lock(&self.streams);
            match streams.get(&id) {
                Some(stream) => stream.clone(),
                None if header.kind == Kind::Request => {
                    let stream = Stream::new(id, self.window);
                    streams.insert(id, stream.clone());
                    stream
                }
                None => return Ok(None),
            }
        };
        let runnable = stream.take(header, body).map_err(Over::Fault)?;
        Ok(runnable.then_some(stream))
    }

    /// Nothing more will be read.
    fn end(&self, over: Over) {
        if !matches!(over, Over::Goodbye) {
            lock(&self.streams).values().for_each(|stream| stream.cancel());
        }
        lock(&self.pool).over = Some(over);
        self.changed.notify_all();
    }

    /// Sends a frame. If the host is gone, whoever reads finds out.
    fn send(&self, header: Header, body: &[u8]) {
        let _whole = lock(&self.sending);
        let _ = send(&self.socket, header, body);
    }

    fn forget(&self, id: u32) {
        lock(&self.streams).remove(&id);
    }

    /// After the end: waits for what runs if the host has said good-bye; else nobody
    /// needs it, but it gets a moment to notice that it was cancelled.
    fn outcome(&self) -> Result<()> {
        let mut pool = lock(&self.pool);
        let over = pool.over.clone();
        let patient = matches!(over, Some(Over::Goodbye));
        while pool.threads > 0 {
            if patient {
                pool = self.changed.wait(pool).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let moment = Duration::from_millis(500);
            let waited = self.changed.wait_timeout(pool, moment);
            let (back, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            pool = back;
            if timeout.timed_out() {
                break;
            }
        }
        drop(pool);
        // Readers and uploads end before their driver does.
        lock(&self.streams).clear();
        match over {
            Some(Over::Fault(fault)) => Err(broken(fault)),
            Some(Over::Gone) => Err(Error::new(Code::Driver, "the host is gone")),
            Some(Over::Goodbye) | None => Ok(()),
        }
    }
}
