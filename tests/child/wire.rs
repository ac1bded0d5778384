//! One end of a connection, frame by frame, for tests that play the host.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use storagedriver::child::frame::{HEADER, Header, Kind};

pub struct Wire(pub UnixStream);

impl Wire {
    pub fn new(socket: OwnedFd) -> Wire {
        let socket = UnixStream::from(socket);
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Wire(socket)
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    pub fn send(&mut self, kind: Kind, stream: u32, end: bool, body: &[u8]) {
        let header = Header::new(kind, stream, body.len()).ending(end);
        self.send_bytes(&[&header.encode(), body].concat());
    }

    pub fn read(&mut self) -> (Header, Vec<u8>) {
        let mut header = [0; HEADER];
        self.0.read_exact(&mut header).unwrap();
        let header = Header::decode(&header).unwrap();
        let mut body = vec![0; header.length as usize];
        self.0.read_exact(&mut body).unwrap();
        (header, body)
    }
}
