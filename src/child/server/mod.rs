//! The driver's side: serves a `Driver` over a connection. Which thread reads and which
//! one calls the driver is in `pool`; what has come for a call, in `stream`.

mod open;
mod pool;
mod stream;

use std::collections::HashMap;
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};

use super::frame::{Fault, Header, Inlet, Kind, Spare, Step, UPLOAD_WINDOW};
use super::message::{self, DriverHello, HostHello, MAJOR, MINOR, Operations};
use super::sys;
use crate::context::Context;
use crate::driver::Driver;
use crate::error::{Code, Error, Result};
use crate::params::Params;
use pool::{Next, Over, Pool};
use stream::Stream;

/// Makes the driver when the host has said its name and parameters.
pub type Make<'m> = &'m dyn Fn(&str, &Context, &Params) -> Result<Arc<dyn Driver>>;

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
        pool: Arc::new(Pool::new(inlet)),
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
    pool: Arc<Pool>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    /// The life of a thread; that of the first one lasts until all is over.
    fn work(self: Arc<Server>) {
        let mut ran = None;
        loop {
            let stream = match self.pool.next(&self, ran.is_some()) {
                Next::Read(inlet) => {
                    let before = ran.filter(|_| self.input_waits());
                    self.read(inlet, before)
                }
                Next::Run(stream) => Some(stream),
                Next::Leave => break,
            };
            ran = stream.map(|stream| self.run(&stream));
        }
        self.leave();
    }

    /// The end of a thread. The driver is not its any more when that is known: who waits
    /// for it frees the driver last.
    fn leave(self: Arc<Server>) {
        let pool = self.pool.clone();
        drop(self);
        pool.leave();
    }

    /// Gives the stream's number. A driver that panics fails one call.
    fn run(self: &Arc<Server>, stream: &Stream) -> u32 {
        if catch_unwind(AssertUnwindSafe(|| stream.run(self))).is_err() {
            stream.lost(self);
        }
        stream.id()
    }

    fn input_waits(&self) -> bool {
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Reads until a stream has something to do that this thread is to run. `before`: the
    /// stream that it ran while something came.
    fn read(self: &Arc<Server>, mut inlet: Inlet, mut before: Option<u32>) -> Option<Arc<Stream>> {
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
                        self.pool.queue(stream);
                        self.end(over);
                        return None;
                    }
                    let contended = before.take().is_some_and(|id| id != stream.id());
                    match self.pool.go_and_run(self, inlet, stream, contended) {
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
                self.pool.queue(stream);
            }
        }
        Ok(())
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
        self.pool.end(over);
    }

    /// Sends a frame. If the host is gone, whoever reads finds out.
    fn send(&self, header: Header, body: &[u8]) {
        let _whole = lock(&self.sending);
        let _ = send(&self.socket, header, body);
    }

    fn forget(&self, id: u32) {
        lock(&self.streams).remove(&id);
    }

    fn outcome(&self) -> Result<()> {
        let over = self.pool.wait_for_end();
        // Readers and uploads end before their driver does.
        lock(&self.streams).clear();
        match over {
            Some(Over::Fault(fault)) => Err(broken(fault)),
            Some(Over::Gone) => Err(Error::new(Code::Driver, "the host is gone")),
            Some(Over::Goodbye) | None => Ok(()),
        }
    }
}
