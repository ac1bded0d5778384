//! One end of a connection, frame by frame, for tests that play the host or the driver.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use storagedriver::child::frame::{HEADER, Header, Kind};

pub struct Wire(pub UnixStream);

pub fn frame(kind: Kind, stream: u32, end: bool, body: &[u8]) -> Vec<u8> {
    [&Header::new(kind, stream, body.len()).ending(end).encode()[..], body].concat()
}

impl Wire {
    pub fn new(socket: OwnedFd) -> Wire {
        let socket = UnixStream::from(socket);
        socket.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
        Wire(socket)
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    pub fn send(&mut self, kind: Kind, stream: u32, end: bool, body: &[u8]) {
        self.send_bytes(&frame(kind, stream, end, body));
    }

    pub fn read(&mut self) -> (Header, Vec<u8>) {
        self.read_if_any().expect("a frame")
    }

    /// `None`: the other side is gone.
    pub fn read_if_any(&mut self) -> Option<(Header, Vec<u8>)> {
        let mut header = [0; HEADER];
        self.0.read_exact(&mut header).ok()?;
        let header = Header::decode(&header).unwrap();
        let mut body = vec![0; header.length as usize];
        self.0.read_exact(&mut body).ok()?;
        Some((header, body))
    }
}
