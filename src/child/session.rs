//! One life of a driver's process: from its hello to its death.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{SendFlags, send};

use super::frame::{GLANCE, Header, Inlet, Kind, Step};
use super::link::{Link, socket_error};
use super::message::{self, DriverHello};
use super::process::{self, Process};
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::params::Params;
use crate::runtime::Birth;

pub struct Session {
    pub link: Arc<Link>,
    pub hello: DriverHello,
}

/// A connection whose driver has not said hello yet. Whoever waits for that may give up
/// and leave it to the next; dropped, it is the end of the process.
pub struct Greeting {
    socket: OwnedFd,
    process: Newborn,
    inlet: Inlet,
    /// Of the host's hello, what is not sent.
    unsaid: Vec<u8>,
    until: Instant,
    patience: Duration,
}

/// Why there is no session. The greeting can go on if it was the caller who gave up.
pub struct Unborn {
    pub error: Error,
    pub greeting: Option<Greeting>,
}

/// A process that nobody knows yet; `None` at the other end of somebody else's connection.
struct Newborn(Option<(Arc<Process>, Birth)>);

impl Drop for Newborn {
    fn drop(&mut self) {
        // In a child of a fork it is the parent's.
        if let Some((process, birth)) = &self.0
            && birth.same_process().is_ok()
        {
            process.kill();
        }
    }
}

impl Greeting {
    /// Starts the program.
    pub fn start(
        name: &str,
        program: &Path,
        argument: Option<String>,
        params: &Params,
        patience: Duration,
    ) -> Result<Greeting> {
        let (socket, process) = process::start(name, program, argument)?;
        let newborn = Newborn(Some((process, Birth::now())));
        Greeting::new(name, socket, newborn, params, patience)
    }

    /// Over a connection that exists.
    pub fn over(
        name: &str,
        socket: OwnedFd,
        params: &Params,
        patience: Duration,
    ) -> Result<Greeting> {
        Greeting::new(name, socket, Newborn(None), params, patience)
    }

    fn new(
        name: &str,
        socket: OwnedFd,
        process: Newborn,
        params: &Params,
        patience: Duration,
    ) -> Result<Greeting> {
        let body = message::host_hello(name, params);
        if body.len() > super::frame::MAX_BODY {
            let detail = "the parameters are too large for a driver's process";
            return Err(Error::new(Code::InvalidParameter, detail));
        }
        let mut unsaid = Header::new(Kind::Hello, 0, body.len()).encode().to_vec();
        unsaid.extend_from_slice(&body);
        set_socket_timeout(&socket, Timeout::Recv, Some(GLANCE)).map_err(socket_error)?;
        let (inlet, until) = (Inlet::new(), Instant::now() + patience);
        Ok(Greeting { socket, process, inlet, unsaid, until, patience })
    }

    /// Waits for the driver's hello.
    pub fn finish(mut self, ctx: &Context) -> std::result::Result<Session, Box<Unborn>> {
        // It may have been said while nobody waited.
        self.until = self.until.max(Instant::now() + GLANCE);
        let hello = self.say(ctx).and_then(|()| self.answer(ctx));
        match hello {
            Ok(hello) => Ok(self.session(hello)),
            Err(error) => {
                let greeting = ctx.status().is_err().then_some(self);
                Err(Box::new(Unborn { error, greeting }))
            }
        }
    }

    fn session(mut self, hello: DriverHello) -> Session {
        let process = self.process.0.take().map(|(process, _)| process);
        let link = Link::new(self.socket, self.inlet, process.clone(), hello.window);
        if let Some(process) = process {
            process.belongs_to(&link);
        }
        Session { link, hello }
    }

    fn say(&mut self, ctx: &Context) -> Result<()> {
        while !self.unsaid.is_empty() {
            self.wait(ctx, PollFlags::OUT)?;
            match send(&self.socket, &self.unsaid, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(sent) => drop(self.unsaid.drain(..sent)),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => {
                    return Err(self.gone(ctx, None));
                }
                Err(errno) => return Err(socket_error(errno)),
            }
        }
        Ok(())
    }

    fn answer(&mut self, ctx: &Context) -> Result<DriverHello> {
        loop {
            self.wait(ctx, PollFlags::IN)?;
            match self.inlet.step(&self.socket) {
                Ok(Step::Frame(header, body)) => match header.kind {
                    Kind::Hello => return message::driver_hello_from(&body),
                    Kind::Error if header.stream == 0 => return Err(message::error_from(&body)),
                    other => {
                        let fault = format!("a frame of type {} before hello", other as u8);
                        return Err(self.gone(ctx, Some(&fault)));
                    }
                },
                Ok(Step::Idle) => {}
                Ok(Step::End) => return Err(self.gone(ctx, None)),
                Err(fault) => return Err(self.gone(ctx, Some(&fault))),
            }
        }
    }

    fn wait(&self, ctx: &Context, flags: PollFlags) -> Result<()> {
        loop {
            // First: there may always be something ready, but never a whole frame.
            ctx.status()?;
            if Instant::now() >= self.until {
                let patience = self.patience.as_millis();
                let detail = format!("the driver's process did not say hello within {patience} ms");
                return Err(Error::new(Code::Unavailable, detail));
            }
            let mut fds = [PollFd::from_borrowed_fd(self.socket.as_fd(), flags)];
            let glance = Timespec::try_from(GLANCE).ok();
            if matches!(poll(&mut fds, glance.as_ref()), Ok(ready) if ready > 0) {
                return Ok(());
            }
        }
    }

    fn gone(&self, ctx: &Context, fault: Option<&str>) -> Error {
        let broke = fault.map(|fault| format!("it broke the protocol: {fault}"));
        match &self.process.0 {
            Some((process, _)) => {
                process.obituary(ctx, broke.as_deref()).unwrap_or_else(|error| error)
            }
            None => {
                let why = broke.unwrap_or("it closed the connection".to_string());
                Error::new(Code::DriverDied, format!("the driver is gone: {why}"))
            }
        }
    }
}

impl From<Box<Unborn>> for Error {
    fn from(unborn: Box<Unborn>) -> Error {
        unborn.error
    }
}
