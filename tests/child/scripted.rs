//! A driver's process that does what a test says, frame by frame, as a thread.

use std::io::Write;
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};
use serde_json::Value;
use storagedriver::child::ChildDriver;
use storagedriver::child::frame::{Header, Kind};
use storagedriver::context::Context;
use storagedriver::error::Result;
use storagedriver::params::Params;

use crate::served;
use crate::wire::{Wire, frame};

pub const HELLO: &str = r#"{"protocol":[1,0],"window":1048576}"#;

/// The script's side of the connection.
pub struct Script(Wire);

impl Script {
    pub fn read(&mut self) -> Option<(Header, Vec<u8>)> {
        self.0.read_if_any()
    }

    /// The next request: its stream and what it says.
    pub fn request(&mut self) -> (u32, Value) {
        loop {
            let (header, body) = self.read().expect("a request");
            if header.kind == Kind::Request {
                return (header.stream, serde_json::from_slice(&body).unwrap());
            }
        }
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        // The host may have had enough already.
        let _ = self.0.0.write_all(bytes);
    }

    pub fn send(&mut self, kind: Kind, stream: u32, end: bool, body: &[u8]) {
        self.raw(&frame(kind, stream, end, body));
    }

    pub fn reply(&mut self, stream: u32, body: &str) {
        self.send(Kind::Reply, stream, true, body.as_bytes());
    }

    /// Until there is something to read.
    pub fn wait_for_input(&self) {
        poll(&mut [PollFd::new(&self.0.0, PollFlags::IN)], None).unwrap();
    }

    pub fn read_no_more(&self) {
        self.0.0.shutdown(std::net::Shutdown::Read).unwrap();
    }

    /// Until the host has closed the connection.
    pub fn drain(&mut self) {
        while self.read().is_some() {}
    }

    pub fn set_timeout(&self, time: std::time::Duration) {
        self.0.0.set_read_timeout(Some(time)).unwrap();
    }
}

/// Says `hello` and goes on with `script`.
pub fn with_hello<T: Send + 'static>(
    hello: &str,
    script: impl FnOnce(&mut Script) -> T + Send + 'static,
) -> (Result<ChildDriver>, JoinHandle<T>) {
    let (ours, theirs) = served::pair();
    let hello = hello.to_string();
    let thread = std::thread::spawn(move || {
        let mut side = Script(Wire(theirs.into()));
        let (header, _) = side.read().unwrap();
        assert_eq!(header.kind, Kind::Hello);
        side.send(Kind::Hello, 0, false, hello.as_bytes());
        script(&mut side)
    });
    (ChildDriver::connect("scripted", ours, &Context::none(), &Params::new()), thread)
}

pub fn script<T: Send + 'static>(
    script: impl FnOnce(&mut Script) -> T + Send + 'static,
) -> (ChildDriver, JoinHandle<T>) {
    let (driver, thread) = with_hello(HELLO, script);
    (driver.unwrap(), thread)
}
