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

pub struct Session {
    pub link: Arc<Link>,
    pub hello: DriverHello,
}

impl Session {
    /// Starts the program and waits for its hello.
    pub fn start(
        name: &str,
        program: &Path,
        argument: Option<String>,
        ctx: &Context,
        params: &Params,
        patience: Duration,
    ) -> Result<Session> {
        let (socket, process) = process::start(name, program, argument)?;
        let greeted = Session::greet(name, socket, Some(process.clone()), ctx, params, patience);
        if greeted.is_err() {
            process.kill();
        }
        greeted
    }

    /// Says hello over a connection that exists.
    pub fn greet(
        name: &str,
        socket: OwnedFd,
        process: Option<Arc<Process>>,
        ctx: &Context,
        params: &Params,
        patience: Duration,
    ) -> Result<Session> {
        let body = message::host_hello(name, params);
        if body.len() > super::frame::MAX_BODY {
            let detail = "the parameters are too large for a driver's process";
            return Err(Error::new(Code::InvalidParameter, detail));
        }
        let mut frame = Header::new(Kind::Hello, 0, body.len()).encode().to_vec();
        frame.extend_from_slice(&body);
        let mut greeting = Greeting {
            socket: &socket,
            process: process.as_deref(),
            ctx,
            until: Instant::now() + patience,
            patience,
        };
        set_socket_timeout(&socket, Timeout::Recv, Some(GLANCE)).map_err(socket_error)?;
        let mut inlet = Inlet::new();
        greeting.say(&frame)?;
        let hello = greeting.answer(&mut inlet)?;
        let link = Link::new(socket, inlet, process.clone(), hello.window);
        if let Some(process) = process {
            process.belongs_to(&link);
        }
        Ok(Session { link, hello })
    }
}

struct Greeting<'g> {
    socket: &'g OwnedFd,
    process: Option<&'g Process>,
    ctx: &'g Context,
    until: Instant,
    patience: Duration,
}

impl Greeting<'_> {
    fn say(&mut self, mut rest: &[u8]) -> Result<()> {
        while !rest.is_empty() {
            self.wait(PollFlags::OUT)?;
            match send(self.socket, rest, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => {
                    return Err(self.gone(None));
                }
                Err(errno) => return Err(socket_error(errno)),
            }
        }
        Ok(())
    }

    fn answer(&mut self, inlet: &mut Inlet) -> Result<DriverHello> {
        loop {
            self.wait(PollFlags::IN)?;
            match inlet.step(self.socket) {
                Ok(Step::Frame(header, body)) => match header.kind {
                    Kind::Hello => return message::driver_hello_from(&body),
                    Kind::Error if header.stream == 0 => return Err(message::error_from(&body)),
                    other => {
                        let fault = format!("a frame of type {} before hello", other as u8);
                        return Err(self.gone(Some(&fault)));
                    }
                },
                Ok(Step::Idle) => {}
                Ok(Step::End) => return Err(self.gone(None)),
                Err(fault) => return Err(self.gone(Some(&fault))),
            }
        }
    }

    fn wait(&mut self, flags: PollFlags) -> Result<()> {
        loop {
            // First: there may always be something ready, but never a whole frame.
            self.ctx.status()?;
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

    fn gone(&self, fault: Option<&str>) -> Error {
        let broke = fault.map(|fault| format!("it broke the protocol: {fault}"));
        match self.process {
            Some(process) => {
                process.obituary(self.ctx, broke.as_deref()).unwrap_or_else(|error| error)
            }
            None => {
                let why = broke.unwrap_or("it closed the connection".to_string());
                Error::new(Code::DriverDied, format!("the driver is gone: {why}"))
            }
        }
    }
}
