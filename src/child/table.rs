//! The host's streams: what has come for each and nobody has looked at yet, and what
//! may come.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::task::Waker;

use super::frame::{Fault, Header, Kind};
use super::message;
use crate::error::Error;
use crate::path;

/// What one stream may leave unread, file contents not counted.
const MOST_QUEUED: usize = 64 << 20;
/// Less data than this is not kept by itself.
const SMALL: usize = 4096;
/// Credit above this is as good as any.
const MOST_CREDIT: u64 = 1 << 40;

/// All streams of a connection, and who waits for them.
pub struct Table {
    pub streams: HashMap<u32, Entry>,
    pub next: u32,
    pub leading: bool,
    /// Who waits for what somebody else reads: by stream, and a number of their own.
    pub waiting: BTreeMap<(u32, u64), Waker>,
    pub next_ticket: u64,
    pub abandoned: usize,
    /// Why there is no connection any more.
    pub dead: Option<Error>,
    pub pongs: u32,
}

/// One stream. The fields are the rules of docs/driver-protocol.md section 4.
#[derive(Default)]
pub struct Entry {
    pub queue: VecDeque<Incoming>,
    pub queued: usize,
    /// A request was sent, so that the driver knows of the stream.
    pub sent: bool,
    /// A request is not answered yet.
    pub asked: bool,
    /// A request may have several replies.
    pub many: bool,
    /// Contents may come, and how much of it.
    pub contents: bool,
    pub allowed: u64,
    /// How much we may send.
    pub credit: u64,
    /// Writes fail from here on.
    pub broken: Option<Error>,
    pub ended: bool,
    pub abandoned: bool,
    /// What it may change for as long as the driver has not ended it.
    pub paths: Vec<String>,
    /// Something has come that the one who waits has not looked at.
    pub stir: bool,
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

impl Default for Table {
    fn default() -> Table {
        Table {
            streams: HashMap::new(),
            next: 1,
            leading: false,
            waiting: BTreeMap::new(),
            next_ticket: 0,
            abandoned: 0,
            dead: None,
            pongs: 0,
        }
    }
}

impl Table {
    pub fn new_ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }

    pub fn wake_all_of(&mut self, id: u32) {
        while let Some((&place, _)) = self.waiting.range((id, 0)..=(id, u64::MAX)).next() {
            if let Some(waker) = self.waiting.remove(&place) {
                waker.wake();
            }
        }
    }

    /// Somebody who waits must become the one who reads.
    pub fn wake_one(&mut self) {
        if !self.leading
            && let Some((_, waker)) = self.waiting.pop_first()
        {
            waker.wake();
        }
    }
}

impl Entry {
    /// Why nothing more can be asked for, if the driver has ended the stream.
    pub fn end(&self) -> Option<Error> {
        let last = self.queue.back().filter(|last| last.kind == Kind::Error);
        self.ended.then(|| last.map_or_else(message::no_answer, |l| message::error_from(&l.body)))
    }

    /// Whether it may change one of these, or what is above or below.
    pub fn changes(&self, paths: &[&str]) -> bool {
        let meet =
            |a: &str, b: &str| a == b || path::below(a, b).is_some() || path::below(b, a).is_some();
        self.paths.iter().any(|own| paths.iter().any(|path| meet(own, path)))
    }

    pub fn stirred(&self) -> bool {
        self.stir || !self.queue.is_empty()
    }

    pub fn take(&mut self, header: Header, body: Vec<u8>) -> Result<(), Fault> {
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
        let last = self.queue.back_mut().filter(|last| last.kind == Kind::Data);
        if let Some(last) = last
            && header.kind == Kind::Data
            && last.body.len() + body.len() <= SMALL
        {
            last.body.extend_from_slice(&body);
            last.end = header.end;
            return Ok(());
        }
        if !self.abandoned {
            self.queue.push_back(Incoming { kind: header.kind, body, end: header.end });
        } else {
            self.queued = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_of_small_pieces_takes_little_more_memory_than_it_has_bytes() {
        let mut entry = Entry { sent: true, contents: true, allowed: 100_000, ..Entry::default() };
        let data = Header::new(Kind::Data, 1, 0);
        let mut all = Vec::new();
        for at in 0..100_000u32 {
            entry.take(data, vec![at as u8]).unwrap();
            // These cost no credit, so there may be any number.
            entry.take(data, Vec::new()).unwrap();
            all.push(at as u8);
        }
        entry.take(data.ending(true), Vec::new()).unwrap();
        assert!(entry.queue.len() <= 100_000 / SMALL + 1, "{} pieces", entry.queue.len());
        assert!(entry.ended && entry.queue.back().unwrap().end);
        assert!(entry.queue.iter().rev().skip(1).all(|piece| !piece.end));
        let got: Vec<u8> = entry.queue.iter().flat_map(|piece| piece.body.clone()).collect();
        assert!(got == all);
        assert!(entry.take(data, vec![0]).is_err(), "more than was allowed");
    }
}
