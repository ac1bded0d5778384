//! One call, or one thing that stays open, on a connection.

use std::sync::Arc;

use super::frame::{Header, Kind, MAX_BODY, PIECE};
use super::link::{Link, lock};
use super::message::Request;
use super::table::{Entry, Expect, Incoming};
use crate::context::Context;
use crate::error::{Code, Error, Result};

/// A stream in use. Dropped before its end, the driver is told to forget it.
pub struct Stream {
    link: Arc<Link>,
    id: u32,
    forget: Kind,
}

impl Stream {
    /// For one call.
    pub fn call(link: &Arc<Link>, expect: Expect) -> Result<Stream> {
        // What is in the middle of sending something waits for credit that never comes.
        let forget = if expect.contents { Kind::Release } else { Kind::Cancel };
        Stream::open(link, expect, forget)
    }

    /// For what stays open.
    pub fn handle(link: &Arc<Link>, expect: Expect) -> Result<Stream> {
        Stream::open(link, expect, Kind::Release)
    }

    fn open(link: &Arc<Link>, expect: Expect, forget: Kind) -> Result<Stream> {
        Ok(Stream { id: link.open(expect)?, link: link.clone(), forget })
    }

    pub fn link(&self) -> &Arc<Link> {
        &self.link
    }

    fn with_entry<T>(&self, change: impl FnOnce(&mut Entry) -> T) -> Result<T> {
        self.link.birth.same_process()?;
        let mut table = lock(&self.link.table);
        let entry = table.streams.get_mut(&self.id);
        entry.map(change).ok_or_else(|| Error::new(Code::Internal, "the stream is gone"))
    }

    /// For a call that changes these paths, after those that were given up.
    pub fn change(link: &Arc<Link>, ctx: &Context, paths: &[&str]) -> Result<Stream> {
        link.settle_paths(ctx, paths)?;
        Stream::call(link, Expect::default())?.changes(paths)
    }

    /// For an upload, after what was given up.
    pub fn upload(link: &Arc<Link>, ctx: &Context, path: &str) -> Result<Stream> {
        link.settle_paths(ctx, &[path])?;
        Stream::handle(link, Expect::default())?.changes(&[path])
    }

    fn changes(self, paths: &[&str]) -> Result<Stream> {
        let paths = paths.iter().map(|path| path.to_string()).collect();
        self.with_entry(|entry| entry.paths = paths)?;
        Ok(self)
    }

    pub fn request(&self, ctx: &Context, request: Request) -> Result<()> {
        self.request_with(ctx, request, None)
    }

    /// A request and the first of its contents, or all of it (`true`), in one go.
    pub fn request_with(
        &self,
        ctx: &Context,
        request: Request,
        contents: Option<(&[u8], bool)>,
    ) -> Result<()> {
        let body = request.finish(ctx)?;
        let header = Header::new(Kind::Request, self.id, body.len()).encode();
        let length = contents.map_or(0, |(data, _)| data.len() as u64);
        // Before it is sent: the answer may be quick.
        let before = self.with_entry(|entry| {
            // The number would mean another stream.
            if let Some(error) = entry.end() {
                return Err(error);
            }
            let before = (entry.sent, entry.asked);
            (entry.sent, entry.asked) = (true, true);
            entry.credit = entry.credit.saturating_sub(length);
            Ok(before)
        })??;
        let mut begun = false;
        let outcome = match contents {
            None => self.link.send(ctx, &[&header, &body], &mut begun),
            Some((data, end)) => {
                let second = Header::new(Kind::Data, self.id, data.len()).ending(end).encode();
                self.link.send(ctx, &[&header, &body, &second, data], &mut begun)
            }
        };
        if outcome.is_err() && !begun {
            self.with_entry(|entry| {
                (entry.sent, entry.asked) = before;
                entry.credit += length;
            })?;
        }
        outcome
    }

    /// The next frame; an error of the driver's as an error. `None`: the stream has
    /// ended.
    pub fn next(&self, ctx: &Context) -> Result<Option<Incoming>> {
        let incoming = self.link.wait(self.id, ctx, |entry| {
            let incoming = entry.queue.pop_front()?;
            entry.queued -= incoming.body.len().min(entry.queued);
            Some(incoming)
        })?;
        Ok(incoming)
    }

    /// How much may be sent, at least a byte; `Err` if there is no use.
    fn credit(&self, ctx: &Context) -> Result<u64> {
        let found = self.link.wait(self.id, ctx, |entry| {
            if let Some(error) = &entry.broken {
                return Some(Err(error.clone()));
            }
            // An answer to what was not finished: the driver wants no more.
            if !entry.queue.is_empty() {
                return Some(Ok(0));
            }
            (entry.credit > 0).then_some(Ok(entry.credit))
        })?;
        found.unwrap_or(Ok(0))
    }

    /// Sends as much of `data` as one frame and the credit allow, and says how much
    /// that was; 0 if the driver has answered already. `end`: nothing follows.
    pub fn send(&self, ctx: &Context, data: &[u8], end: bool) -> Result<usize> {
        let credit = if data.is_empty() { 0 } else { self.credit(ctx)? };
        let count = data.len().min(usize::try_from(credit).unwrap_or(usize::MAX));
        let count = count.min(PIECE).min(MAX_BODY);
        if count == 0 && !data.is_empty() {
            return Ok(0);
        }
        self.with_entry(|entry| entry.credit -= (count as u64).min(entry.credit))?;
        let piece = data.get(..count).unwrap_or_default();
        let header = Header::new(Kind::Data, self.id, count).ending(end && count == data.len());
        let mut begun = false;
        let outcome = self.link.send(ctx, &[&header.encode(), piece], &mut begun);
        if outcome.is_err() && !begun {
            self.with_entry(|entry| entry.credit += count as u64)?;
        }
        outcome.map(|()| count)
    }

    /// Why nothing more can be asked for, if the driver has ended the stream.
    pub fn end(&self) -> Option<Error> {
        self.with_entry(|entry| entry.end()).ok().flatten()
    }

    /// Why writes fail, if the driver has said so.
    pub fn broken(&self) -> Option<Error> {
        self.with_entry(|entry| entry.broken.clone()).ok().flatten()
    }

    /// Allows the driver to send this much more.
    pub fn allow(&self, bytes: u32) {
        let ended = self.with_entry(|entry| {
            entry.allowed += u64::from(bytes);
            entry.ended
        });
        if let Ok(false) = ended {
            self.link.send_soon(Header::new(Kind::Credit, self.id, 0).with_arg(bytes));
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // The locks may be held for ever there.
        if self.link.birth.same_process().is_err() {
            return;
        }
        let mut table = lock(&self.link.table);
        let table_ref = &mut *table;
        let Some(entry) = table_ref.streams.get_mut(&self.id) else { return };
        if entry.ended || !entry.sent || table_ref.dead.is_some() {
            table_ref.streams.remove(&self.id);
            return;
        }
        entry.abandoned = true;
        entry.queue.clear();
        entry.queued = 0;
        table_ref.abandoned += 1;
        drop(table);
        self.link.send_soon(Header::new(self.forget, self.id, 0));
    }
}
