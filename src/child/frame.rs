//! Frames, as docs/driver-protocol.md section 2 has them: a header of 16 bytes and a
//! body. Both sides use this and nothing else for it.

use std::io::IoSliceMut;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fd::AsFd;
use rustix::io::{Errno, readv};

/// No body is longer.
pub const MAX_BODY: usize = 1 << 20;
/// What we put into one frame of data.
pub const PIECE: usize = 256 << 10;
/// What we take on a stream before we give credit.
pub const WINDOW: u32 = 1 << 20;
/// The same of a driver, which has few uploads and must not be the one that is waited for.
pub const UPLOAD_WINDOW: u32 = 4 << 20;
/// How long a wait for a frame may last before the caller's context is looked at.
pub const GLANCE: Duration = Duration::from_millis(20);
pub const HEADER: usize = 16;
/// The last frame of its stream in this direction.
pub const END: u8 = 1;

macro_rules! kinds {
    ($($variant:ident = $number:literal,)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Kind { $($variant = $number,)+ }

        impl Kind {
            pub fn from_number(number: u8) -> Option<Kind> {
                match number { $($number => Some(Kind::$variant),)+ _ => None }
            }
        }
    };
}

kinds! {
    Hello = 1,
    Request = 2,
    Reply = 3,
    Error = 4,
    Data = 5,
    Credit = 6,
    Cancel = 7,
    Release = 8,
    Broken = 9,
    Ping = 10,
    Pong = 11,
    Goodbye = 12,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub length: u32,
    pub kind: Kind,
    pub end: bool,
    pub stream: u32,
    pub arg: u32,
}

/// What is wrong with a frame, in words for a message.
pub type Fault = String;

impl Header {
    pub fn new(kind: Kind, stream: u32, length: usize) -> Header {
        // Nobody hands over more than fits; the other side would refuse it.
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        Header { length, kind, end: false, stream, arg: 0 }
    }

    #[must_use]
    pub fn ending(mut self, end: bool) -> Header {
        self.end = end;
        self
    }

    #[must_use]
    pub fn with_arg(mut self, arg: u32) -> Header {
        self.arg = arg;
        self
    }

    pub fn encode(&self) -> [u8; HEADER] {
        let [l0, l1, l2, l3] = self.length.to_le_bytes();
        let [s0, s1, s2, s3] = self.stream.to_le_bytes();
        let [a0, a1, a2, a3] = self.arg.to_le_bytes();
        let flags = if self.end { END } else { 0 };
        [l0, l1, l2, l3, self.kind as u8, flags, 0, 0, s0, s1, s2, s3, a0, a1, a2, a3]
    }

    pub fn decode(bytes: &[u8; HEADER]) -> Result<Header, Fault> {
        let [l0, l1, l2, l3, kind, flags, z0, z1, s0, s1, s2, s3, a0, a1, a2, a3] = *bytes;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        if length as usize > MAX_BODY {
            return Err(format!("a frame of {length} bytes"));
        }
        let kind = Kind::from_number(kind).ok_or_else(|| format!("a frame of type {kind}"))?;
        if flags & !END != 0 || z0 != 0 || z1 != 0 {
            return Err("a frame with unknown flags".to_string());
        }
        let stream = u32::from_le_bytes([s0, s1, s2, s3]);
        let arg = u32::from_le_bytes([a0, a1, a2, a3]);
        let header = Header { length, kind, end: flags & END != 0, stream, arg };
        header.check()?;
        Ok(header)
    }

    fn check(&self) -> Result<(), Fault> {
        let Header { kind, stream, length, .. } = *self;
        let of_connection = matches!(kind, Kind::Hello | Kind::Ping | Kind::Pong | Kind::Goodbye);
        let fits = if of_connection { stream == 0 } else { stream != 0 || kind == Kind::Error };
        if !fits {
            return Err(format!("a frame of type {} on stream {stream}", kind as u8));
        }
        let has_body = matches!(
            kind,
            Kind::Hello | Kind::Request | Kind::Reply | Kind::Error | Kind::Data | Kind::Broken
        );
        if !has_body && length > 0 {
            return Err(format!("a frame of type {} with a body", kind as u8));
        }
        Ok(())
    }
}

/// What came when somebody looked at the socket.
#[derive(Debug)]
pub enum Step {
    Frame(Header, Vec<u8>),
    /// Nothing whole for as long as the socket waits, or for a glance.
    Idle,
    /// The other side has closed or gone.
    End,
}

/// Puts frames together from what a socket gives. Large bodies are read to where
/// they stay; one call of the system brings a small frame and what follows it.
pub struct Inlet {
    buf: Vec<u8>,
    start: usize,
    end: usize,
    partial: Option<Partial>,
    spare: Spare,
}

struct Partial {
    header: Header,
    body: Vec<u8>,
    filled: usize,
}

const BUFFER: usize = 32 << 10;
/// How much is read of what follows a body that is not whole yet.
const BEHIND: usize = 4 << 10;
/// Bodies kept for use again.
const SPARE: usize = 16;

/// Large bodies that are done with, so that the next ones need no new memory.
#[derive(Clone, Default)]
pub struct Spare(Arc<Mutex<Vec<Vec<u8>>>>);

impl Spare {
    pub fn put(&self, body: Vec<u8>) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE && body.capacity() >= PIECE {
            spare.push(body);
        }
    }

    fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }
}

impl Default for Inlet {
    fn default() -> Inlet {
        Inlet { buf: vec![0; BUFFER], start: 0, end: 0, partial: None, spare: Spare::default() }
    }
}

impl Inlet {
    pub fn new() -> Inlet {
        Inlet::default()
    }

    /// Where bodies that are done with can go.
    pub fn spare(&self) -> Spare {
        self.spare.clone()
    }

    /// A whole frame that is here already.
    pub fn buffered(&mut self) -> Result<Option<(Header, Vec<u8>)>, Fault> {
        if self.partial.is_none() {
            let have = self.buf.get(self.start..self.end).unwrap_or_default();
            let Some(header) = have.first_chunk::<HEADER>() else { return Ok(None) };
            let header = Header::decode(header)?;
            self.start += HEADER;
            let length = header.length as usize;
            let mut body = match length > BUFFER {
                true => self.spare.take(),
                false => Vec::new(),
            };
            body.resize(length, 0);
            self.partial = Some(Partial { header, body, filled: 0 });
        }
        let Some(partial) = &mut self.partial else { return Ok(None) };
        let have = self.buf.get(self.start..self.end).unwrap_or_default();
        let wanted = partial.body.get_mut(partial.filled..).unwrap_or_default();
        let count = have.len().min(wanted.len());
        if let (Some(to), Some(from)) = (wanted.get_mut(..count), have.get(..count)) {
            to.copy_from_slice(from);
        }
        self.start += count;
        partial.filled += count;
        Ok(self.finished())
    }

    fn finished(&mut self) -> Option<(Header, Vec<u8>)> {
        match self.partial.take() {
            Some(partial) if partial.filled == partial.body.len() => {
                Some((partial.header, partial.body))
            }
            partial => {
                self.partial = partial;
                None
            }
        }
    }

    /// The next frame, after at most one wait for the socket, however slowly the bytes of
    /// it come and however often a signal does.
    pub fn step(&mut self, socket: impl AsFd) -> Result<Step, Fault> {
        let mut since: Option<Instant> = None;
        loop {
            if let Some((header, body)) = self.buffered()? {
                return Ok(Step::Frame(header, body));
            }
            match since {
                Some(since) if since.elapsed() >= GLANCE => return Ok(Step::Idle),
                _ => {}
            }
            match self.fill(&socket) {
                Ok(0) => return Ok(Step::End),
                Ok(_) => {
                    since.get_or_insert_with(Instant::now);
                }
                Err(Errno::AGAIN | Errno::INTR) => return Ok(Step::Idle),
                // What a dead peer leaves behind.
                Err(Errno::CONNRESET | Errno::PIPE) => return Ok(Step::End),
                Err(errno) => return Err(format!("a connection that cannot be read: {errno}")),
            }
        }
    }

    /// One read: into the body that is wanted, then into the buffer.
    fn fill(&mut self, socket: impl AsFd) -> rustix::io::Result<usize> {
        // Without a body there may be a part of a header left.
        self.buf.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let room = self.buf.get_mut(self.end..).unwrap_or_default();
        let Some(partial) = &mut self.partial else {
            let count = readv(socket, &mut [IoSliceMut::new(room)])?;
            self.end += count;
            return Ok(count);
        };
        let wanted = partial.body.get_mut(partial.filled..).unwrap_or_default();
        let missing = wanted.len();
        // Of what follows a large body only a little: it would be copied once more.
        let room = room.get_mut(..room.len().min(BEHIND)).unwrap_or_default();
        let count = readv(socket, &mut [IoSliceMut::new(wanted), IoSliceMut::new(room)])?;
        partial.filled += count.min(missing);
        self.end += count.saturating_sub(missing);
        Ok(count)
    }

    /// For tests and fuzzing: bytes as if a socket had given them.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buf.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        self.buf.truncate(self.end);
        self.buf.extend_from_slice(bytes);
        self.end = self.buf.len();
    }
}
