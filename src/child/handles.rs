//! Open readers, writers and walkers of a driver in another process: each is a stream
//! that stays open.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::frame::{Kind, PIECE, WINDOW};
use super::message::{self, Request};
use super::stream::Stream;
use crate::context::Context;
use crate::driver::{FileInfo, Reader, Walker, Writer};
use crate::error::{Error, Result};
use crate::path;

/// Credit is given back in pieces of this size.
const CREDIT: usize = WINDOW as usize / 4;
/// Entries in one answer.
const PAGE: u64 = 1000;

pub struct ChildReader {
    stream: Stream,
    ctx: Context,
    chunk: Vec<u8>,
    at: usize,
    /// Read, and not given back as credit yet.
    owed: usize,
    ended: bool,
    failed: Option<Error>,
}

impl ChildReader {
    pub fn new(stream: Stream, ctx: &Context) -> ChildReader {
        let ctx = ctx.clone();
        ChildReader { stream, ctx, chunk: Vec::new(), at: 0, owed: 0, ended: false, failed: None }
    }

    /// Waits for the next piece; false at the end.
    fn fetch(&mut self) -> Result<bool> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        while !self.ended {
            let Some(incoming) = self.stream.next(&self.ctx)? else {
                return Err(message::no_answer());
            };
            self.ended = incoming.end;
            match incoming.kind {
                Kind::Data if incoming.body.is_empty() => {}
                Kind::Data => {
                    let old = std::mem::replace(&mut self.chunk, incoming.body);
                    self.stream.link().recycle(old);
                    self.at = 0;
                    return Ok(true);
                }
                Kind::Error => {
                    let error = message::error_from(&incoming.body);
                    self.failed = Some(error.clone());
                    return Err(error);
                }
                _ => return Err(message::wrong("a reply where content belongs")),
            }
        }
        Ok(false)
    }
}

impl Reader for ChildReader {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        if self.at == self.chunk.len() && !self.fetch()? {
            return Ok(0);
        }
        let left = self.chunk.get(self.at..).unwrap_or_default();
        let count = left.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..count), left.get(..count)) {
            to.copy_from_slice(from);
        }
        self.at += count;
        self.owed += count;
        if self.owed >= CREDIT && !self.ended {
            self.stream.allow(u32::try_from(self.owed).unwrap_or(u32::MAX));
            self.owed = 0;
        }
        Ok(count)
    }
}

pub struct ChildWriter {
    stream: Stream,
    ctx: Context,
    /// Taken, and not sent yet.
    buffer: Vec<u8>,
    size: u64,
    /// What the driver has been sent, earlier sessions included.
    sent: u64,
    failed: Option<Error>,
    /// A request whose answer the caller did not wait for.
    unanswered: Option<&'static str>,
    /// The request that ended the upload, and what came of it.
    over: Option<(&'static str, Result<()>)>,
}

impl ChildWriter {
    pub fn new(stream: Stream, ctx: &Context, size: u64) -> ChildWriter {
        ChildWriter {
            stream,
            ctx: ctx.clone(),
            buffer: Vec::new(),
            size,
            sent: size,
            failed: None,
            unanswered: None,
            over: None,
        }
    }

    /// Sends what is in the buffer; what has gone out is no longer in it.
    fn flush(&mut self, ctx: &Context) -> Result<()> {
        let mut done = 0;
        let mut outcome = Ok(());
        while done < self.buffer.len() {
            let rest = self.buffer.get(done..).unwrap_or_default();
            match self.stream.send(ctx, rest, false) {
                Ok(0) => {
                    outcome = Err(self.interrupted());
                    break;
                }
                Ok(count) => done += count,
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        self.sent += done as u64;
        self.buffer.drain(..done);
        outcome
    }

    fn interrupted(&self) -> Error {
        let early = || message::wrong("an answer in the middle of an upload");
        self.stream.end().unwrap_or_else(early)
    }

    fn send(&mut self, data: &[u8]) -> Result<()> {
        let ctx = self.ctx.clone();
        self.flush(&ctx)?;
        let mut rest = data;
        while rest.len() >= PIECE {
            match self.stream.send(&ctx, rest, false)? {
                0 => return Err(self.interrupted()),
                count => {
                    self.sent += count as u64;
                    rest = rest.get(count..).unwrap_or_default();
                }
            }
        }
        self.buffer.extend_from_slice(rest);
        Ok(())
    }

    /// The answer to the last request, if one is to come. If the context ends first, it
    /// may still come.
    fn settle(&mut self, ctx: &Context) -> Result<()> {
        let Some(op) = self.unanswered else { return Ok(()) };
        let incoming = self.stream.next(ctx)?.ok_or_else(message::no_answer)?;
        self.unanswered = None;
        if incoming.kind == Kind::Error {
            let error = message::error_from(&incoming.body);
            if incoming.end {
                self.over = Some((op, Err(error.clone())));
            }
            return Err(error);
        }
        let outcome = self.check(op, &incoming.body);
        self.over = Some((op, outcome.clone()));
        outcome
    }

    /// Whether the answer to a request that ended the upload is right.
    fn check(&mut self, op: &str, body: &[u8]) -> Result<()> {
        let size = message::number(&message::parse(body)?, "size");
        let size = size.ok_or_else(|| message::wrong("an upload without its size"))?;
        let broken = self.failed.is_some() || self.stream.broken().is_some();
        let fits = match op {
            "commit" => size == self.sent,
            "close" => size == self.sent || (broken && size < self.sent),
            _ => true,
        };
        if !fits {
            let detail = format!("a size of {size} after a {op} at {}", self.sent);
            return Err(message::wrong(&detail));
        }
        if op != "cancel" {
            self.size = size;
        }
        Ok(())
    }

    fn finish(&mut self, op: &'static str, ctx: &Context) -> Result<()> {
        let earlier = self.unanswered;
        if let Err(error) = self.settle(ctx)
            && (self.unanswered.is_some() || earlier == Some(op))
        {
            return Err(error);
        }
        match &self.over {
            Some((done, Ok(()))) if *done != op => return Err(carried_out(done)),
            Some((_, outcome)) => return outcome.clone(),
            None => {}
        }
        if op == "cancel" {
            self.buffer.clear();
        } else if let Err(error) = self.flush(ctx) {
            if self.stream.broken().is_none() || op != "close" {
                return Err(error);
            }
            // It takes no more, but may keep what it has.
            self.buffer.clear();
        }
        self.stream.request(ctx, Request::new(op).number("size", self.sent))?;
        self.unanswered = Some(op);
        self.settle(ctx)
    }
}

fn carried_out(op: &str) -> Error {
    Error::invalid_state(format!("the driver has carried out an earlier {op}"))
}

impl Writer for ChildWriter {
    fn write(&mut self, data: &[u8]) -> Result<()> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        // Of a commit that the caller gave up it must be known whether it was carried out.
        let ctx = self.ctx.clone();
        if let Err(error) = self.settle(&ctx)
            && self.unanswered.is_some()
        {
            return Err(error);
        }
        match &self.over {
            Some((done, Ok(()))) => return Err(carried_out(done)),
            Some((_, Err(error))) => return Err(error.clone()),
            None => {}
        }
        if self.buffer.len() + data.len() < PIECE {
            self.buffer.extend_from_slice(data);
        } else if let Err(error) = self.send(data) {
            self.failed = Some(error.clone());
            return Err(error);
        }
        self.size += data.len() as u64;
        Ok(())
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn commit(&mut self, ctx: &Context) -> Result<()> {
        self.finish("commit", ctx)
    }

    fn cancel(&mut self, ctx: &Context) -> Result<()> {
        self.finish("cancel", ctx)
    }

    fn close(&mut self, ctx: &Context) -> Result<()> {
        self.finish("close", ctx)
    }
}

pub struct ChildWalker {
    stream: Stream,
    ctx: Context,
    start: String,
    page: VecDeque<FileInfo>,
    last: Option<FileInfo>,
    skip: Option<String>,
    asked: bool,
    ended: bool,
    failed: Option<Error>,
}

impl ChildWalker {
    pub fn new(stream: Stream, ctx: &Context, start: &str) -> ChildWalker {
        ChildWalker {
            stream,
            ctx: ctx.clone(),
            start: start.to_string(),
            page: VecDeque::new(),
            last: None,
            skip: None,
            asked: false,
            ended: false,
            failed: None,
        }
    }

    fn fetch(&mut self) -> Result<()> {
        if !self.asked {
            let request =
                Request::new("next").number("limit", PAGE).optional("skip", self.skip.as_deref());
            self.stream.request(&self.ctx, request)?;
            self.asked = true;
        }
        let incoming = self.stream.next(&self.ctx)?.ok_or_else(message::no_answer)?;
        self.asked = false;
        self.ended = incoming.end;
        match incoming.kind {
            Kind::Reply => {
                let entries = message::walked_from(&message::parse(&incoming.body)?, &self.start)?;
                if entries.is_empty() && !self.ended {
                    return Err(message::wrong("a page of a walk without entries"));
                }
                self.page = entries.into();
                Ok(())
            }
            _ => {
                let error = message::error_from(&incoming.body);
                self.failed = self.ended.then(|| error.clone());
                Err(error)
            }
        }
    }
}

impl Walker for ChildWalker {
    fn next(&mut self) -> Result<Option<FileInfo>> {
        loop {
            let Some(info) = self.page.pop_front() else {
                if self.ended {
                    return self.failed.clone().map_or(Ok(None), Err);
                }
                self.fetch()?;
                continue;
            };
            let in_order =
                |last: &FileInfo| path::compare(&last.path, &info.path) == Ordering::Less;
            if !self.last.as_ref().is_none_or(in_order) {
                self.page.clear();
                self.ended = true;
                let error = message::wrong("a walk out of order");
                self.failed = Some(error.clone());
                return Err(error);
            }
            self.last = Some(info.clone());
            if self.skip.as_deref().is_some_and(|skip| path::below(&info.path, skip).is_some()) {
                continue;
            }
            self.skip = None;
            return Ok(Some(info));
        }
    }

    fn skip_dir(&mut self) {
        self.skip = self.last.as_ref().filter(|info| info.is_dir).map(|info| info.path.clone());
    }
}
