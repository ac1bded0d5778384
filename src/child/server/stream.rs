//! One stream on the driver's side: what has come for it, and what it is in the middle
//! of. At most one thread runs it at a time, until it has nothing to do.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::super::frame::{Fault, Header, Kind, PIECE, UPLOAD_WINDOW};
use super::super::message::{self, Object};
use super::Server;
use super::open::{ANSWER, Upload, Walk};
use crate::context::Context;
use crate::driver::{FileInfo, Reader, RedirectRequest, WalkOptions};
use crate::error::{Code, Error, Result};
use crate::names::Names;
use crate::path;

/// Credit is given back in pieces of this size: seldom, and while the host has some.
const CREDIT: usize = UPLOAD_WINDOW as usize / 4;

pub struct Stream {
    id: u32,
    /// Of the stream: ends with its release.
    ctx: Context,
    inbox: Mutex<Inbox>,
    /// With whoever runs the stream.
    work: Mutex<Work>,
}

#[derive(Default)]
struct Inbox {
    events: VecDeque<Event>,
    running: bool,
    /// Something is to be sent as far as credit goes.
    pumping: bool,
    credit: u64,
    /// How much data may still come.
    allowed: u64,
    /// The context of the request that is running.
    current: Option<Context>,
    ended: bool,
}

enum Event {
    Request(Vec<u8>),
    Data(Vec<u8>, bool),
    Cancel,
    Release,
}

/// What a stream is in the middle of.
enum Work {
    New,
    Put {
        path: String,
        length: usize,
        content: Vec<u8>,
        ctx: Context,
    },
    Content {
        content: Vec<u8>,
        at: usize,
    },
    /// With the buffer of the next piece.
    Read(Box<dyn Reader>, Vec<u8>),
    Write(Upload),
    Walk(Walk),
    Ended,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn asked_wrongly(what: &str) -> Error {
    Error::invalid_argument(format!("the host asked wrongly: {what}"))
}

impl Stream {
    pub fn new(id: u32, credit: u32) -> Arc<Stream> {
        let inbox = Inbox {
            credit: u64::from(credit),
            allowed: u64::from(UPLOAD_WINDOW),
            ..Inbox::default()
        };
        Arc::new(Stream {
            id,
            ctx: Context::new(&Context::none()),
            inbox: Mutex::new(inbox),
            work: Mutex::new(Work::New),
        })
    }

    pub fn id(&self) -> u32 {
        self.id
    }

    /// Takes a frame; whether somebody must run the stream now, who is then the caller.
    pub fn take(&self, header: Header, body: Vec<u8>) -> std::result::Result<bool, Fault> {
        let mut inbox = lock(&self.inbox);
        match header.kind {
            Kind::Request => inbox.events.push_back(Event::Request(body)),
            Kind::Data => {
                let left = inbox.allowed.checked_sub(body.len() as u64);
                inbox.allowed = left
                    .ok_or_else(|| format!("more data on stream {} than was allowed", self.id))?;
                inbox.events.push_back(Event::Data(body, header.end));
            }
            Kind::Credit => inbox.credit = inbox.credit.saturating_add(u64::from(header.arg)),
            Kind::Cancel => {
                if let Some(current) = &inbox.current {
                    current.cancel();
                }
                inbox.events.push_back(Event::Cancel);
            }
            Kind::Release => {
                self.ctx.cancel();
                inbox.events.push_back(Event::Release);
            }
            _ => {}
        }
        let runnable = !inbox.running && inbox.has_work();
        inbox.running |= runnable;
        Ok(runnable)
    }

    pub fn cancel(&self) {
        self.ctx.cancel();
    }

    /// Does what there is to do.
    pub fn run(&self, server: &Arc<Server>) {
        let mut work = lock(&self.work);
        loop {
            let event = {
                let mut inbox = lock(&self.inbox);
                if !inbox.has_work() {
                    inbox.running = false;
                    return;
                }
                inbox.events.pop_front()
            };
            match event {
                Some(Event::Request(body)) => self.request(server, &mut work, &body),
                Some(Event::Data(body, end)) => self.data(server, &mut work, body, end),
                Some(Event::Cancel) => {
                    // Nobody sends or takes the rest.
                    if matches!(*work, Work::Put { .. } | Work::Content { .. }) {
                        *work = Work::Ended;
                        self.fail(server, &Error::new(Code::Cancelled, "cancelled"), true);
                    }
                }
                Some(Event::Release) => {
                    // First closed, then said to be: the host may open the path again.
                    *work = Work::Ended;
                    if !lock(&self.inbox).ended {
                        self.fail(server, &Error::new(Code::Cancelled, "released"), true);
                    }
                }
                None => self.pump(server, &mut work),
            }
        }
    }

    /// After a panic.
    pub fn lost(&self, server: &Server) {
        *lock(&self.work) = Work::Ended;
        if !lock(&self.inbox).ended {
            self.fail(server, &Error::new(Code::Driver, "a bug in the driver: it panicked"), true);
        }
        lock(&self.inbox).running = false;
    }

    // ---- answers ----

    fn reply(&self, server: &Server, body: &Value, end: bool) {
        self.ending(server, end);
        let header = Header::new(Kind::Reply, self.id, 0).ending(end);
        server.send(header, body.to_string().as_bytes());
    }

    fn fail(&self, server: &Server, error: &Error, end: bool) {
        self.ending(server, end);
        let header = Header::new(Kind::Error, self.id, 0).ending(end);
        server.send(header, &message::error_body(error));
    }

    /// Before the last frame: what the host sends for the stream after it has come must
    /// not find it.
    fn ending(&self, server: &Server, end: bool) {
        if end {
            let mut inbox = lock(&self.inbox);
            inbox.ended = true;
            inbox.pumping = false;
            inbox.events.clear();
            drop(inbox);
            server.forget(self.id);
        }
    }

    fn give_credit(&self, server: &Server, bytes: usize) {
        lock(&self.inbox).allowed += bytes as u64;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        server.send(Header::new(Kind::Credit, self.id, 0).with_arg(bytes), &[]);
    }

    // ---- requests ----

    fn request(&self, server: &Arc<Server>, work: &mut Work, body: &[u8]) {
        let object = match message::parse(body) {
            Ok(object) => object,
            Err(_) => return self.fail(server, &asked_wrongly("no json object"), true),
        };
        let ctx = self.begin(&object);
        match work {
            Work::New => self.first(server, work, &object, &ctx),
            Work::Write(_) => self.finish(server, work, &object, &ctx),
            Work::Walk(walk) => {
                let outcome = walk.page(&object, &ctx);
                match outcome {
                    Ok((entries, end)) => {
                        self.reply(server, &json!({ "entries": entries }), end);
                        if end {
                            *work = Work::Ended;
                        }
                    }
                    Err(error) => self.fail(server, &error, false),
                }
            }
            _ => {
                *work = Work::Ended;
                self.fail(server, &asked_wrongly("a second request"), true);
            }
        }
        // A put is not over yet, and may still be cancelled.
        if !matches!(work, Work::Put { .. }) {
            lock(&self.inbox).current = None;
        }
    }

    /// The context of a request: its own time, and the stream's end.
    fn begin(&self, object: &Object) -> Context {
        let ctx = Context::new(&self.ctx);
        if let Some(time) = message::number(object, "timeout_ms") {
            ctx.set_timeout(Duration::from_millis(time));
        }
        let mut inbox = lock(&self.inbox);
        // It may have been given up before a thread came to it.
        let mut until_next = inbox.events.iter().take_while(|e| !matches!(e, Event::Request(_)));
        if until_next.any(|event| matches!(event, Event::Cancel)) {
            ctx.cancel();
        }
        inbox.current = Some(ctx.clone());
        drop(inbox);
        ctx
    }

    fn first(&self, server: &Arc<Server>, work: &mut Work, object: &Object, ctx: &Context) {
        let op = message::text(object, "op").unwrap_or_default();
        let path = message::text(object, "path").unwrap_or_default();
        let driver = &*server.driver;
        if let Err(error) = ctx.status() {
            *work = Work::Ended;
            return self.fail(server, &error, true);
        }
        let outcome = match op {
            "get_content" => driver.get_content(ctx, path).map(|content| {
                *work = Work::Content { content, at: 0 };
                lock(&self.inbox).pumping = true;
                None
            }),
            "put_content" => self.begin_put(object, path, ctx).map(|put| {
                *work = put;
                None
            }),
            "stat" => driver.stat(ctx, path).map(|info| Some(message::info_value(&info).into())),
            "list" => return self.list(server, driver.list(ctx, path), path),
            "list_page" => {
                let limit = message::number(object, "limit").unwrap_or(1);
                let limit = usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
                let after = message::text(object, "start_after");
                return self.list(server, driver.list_page(ctx, path, after, limit), path);
            }
            "entries" => {
                let after = message::text(object, "after");
                return self.entries(server, driver.entries(ctx, path, after));
            }
            "move" => {
                let dest = message::text(object, "dest").unwrap_or_default();
                driver.r#move(ctx, path, dest).map(|()| Some(json!({})))
            }
            "delete" => driver.delete(ctx, path).map(|()| Some(json!({}))),
            "redirect_url" => {
                let text = |key| message::text(object, key).unwrap_or_default().to_string();
                let expires = message::number(object, "expires_s").unwrap_or(0);
                let request = RedirectRequest {
                    method: text("method"),
                    remote_addr: text("remote_addr"),
                    expires_s: u32::try_from(expires).unwrap_or(u32::MAX),
                };
                let url = driver.redirect_url(ctx, path, &request);
                url.map(|url| Some(url.map_or_else(|| json!({}), |url| json!({ "url": url }))))
            }
            "reader" | "writer" | "walk" => return self.open(server, work, op, object, path, ctx),
            _ => Err(Error::unsupported("no such operation")),
        };
        match outcome {
            Ok(Some(answer)) => self.reply(server, &answer, true),
            Ok(None) => return,
            Err(error) => self.fail(server, &error, true),
        }
        *work = Work::Ended;
    }

    fn begin_put(&self, object: &Object, path: &str, ctx: &Context) -> Result<Work> {
        let length = message::number(object, "length").and_then(|l| usize::try_from(l).ok());
        let length = length.ok_or_else(|| asked_wrongly("a put without a length"))?;
        let mut content = Vec::new();
        content
            .try_reserve_exact(length.min(PIECE))
            .map_err(|_| Error::new(Code::Driver, "no memory for the content"))?;
        Ok(Work::Put { path: path.to_string(), length, content, ctx: ctx.clone() })
    }

    /// What stays open. Its own calls run under the stream's context, whose time does
    /// not end with that of the opening.
    fn open(
        &self,
        server: &Arc<Server>,
        work: &mut Work,
        op: &str,
        object: &Object,
        path: &str,
        ctx: &Context,
    ) {
        let driver = &*server.driver;
        let kept = Context::new(&self.ctx);
        if let Some(left) = ctx.remaining() {
            kept.set_timeout(left);
        }
        lock(&self.inbox).current = Some(kept.clone());
        let opened = match op {
            "reader" => {
                let offset = object.get("offset").and_then(Value::as_i64).unwrap_or(0);
                driver
                    .reader(&kept, path, offset)
                    .map(|reader| (Work::Read(reader, Vec::new()), json!({})))
            }
            "writer" => {
                let append = message::truth(object, "append");
                driver.writer(&kept, path, append).map(|writer| {
                    let size = writer.size();
                    (Work::Write(Upload::new(writer)), json!({ "size": size }))
                })
            }
            _ => {
                let options = WalkOptions {
                    start_after: message::text(object, "start_after").map(str::to_string),
                    skip_start_subtree: message::truth(object, "skip_start_subtree"),
                };
                let walker = driver.walker(&kept, path, &options);
                let walker = walker.and_then(|walker| {
                    walker.ok_or_else(|| Error::unsupported("the driver has no walk"))
                });
                walker.map(|walker| (Work::Walk(Walk::new(walker)), json!({})))
            }
        };
        kept.set_timeout(Duration::MAX);
        match opened {
            Ok((opened, answer)) => {
                let pumps = matches!(opened, Work::Read(..));
                *work = opened;
                self.reply(server, &answer, false);
                lock(&self.inbox).pumping = pumps;
            }
            Err(error) => {
                *work = Work::Ended;
                self.fail(server, &error, true);
            }
        }
    }

    fn list(&self, server: &Server, names: Result<Names>, directory: &str) {
        match names {
            Ok(names) => {
                let values = names.iter().map(|name| {
                    let name = path::below(name, directory).unwrap_or(name);
                    (Value::from(name), name.len() + 3)
                });
                self.pages(server, "names", values);
            }
            Err(error) => self.fail(server, &error, true),
        }
    }

    fn entries(&self, server: &Server, entries: Result<Vec<FileInfo>>) {
        match entries {
            Ok(entries) => {
                let values = entries.iter().map(|info| {
                    let mut entry = message::info_value(info);
                    let name = path::name(&info.path);
                    entry.insert("name".to_string(), name.into());
                    (Value::from(entry), name.len() + 80)
                });
                self.pages(server, "entries", values);
            }
            Err(error) => self.fail(server, &error, true),
        }
    }

    /// Several answers, the last one with the end, of values and about their sizes.
    fn pages(&self, server: &Server, key: &str, values: impl Iterator<Item = (Value, usize)>) {
        let (mut page, mut size) = (Vec::new(), 0);
        for (value, more) in values {
            size += more;
            page.push(value);
            if size > ANSWER {
                self.reply(server, &json!({ key: std::mem::take(&mut page) }), false);
                size = 0;
            }
        }
        self.reply(server, &json!({ key: page }), true);
    }

    // ---- contents ----

    fn data(&self, server: &Arc<Server>, work: &mut Work, body: Vec<u8>, end: bool) {
        match work {
            Work::Put { length, content, ctx, .. } => {
                let fits = content.len() + body.len() <= *length && ctx.status().is_ok();
                let room = content.try_reserve(body.len());
                let outcome = match (fits, room) {
                    (true, Ok(())) => Ok(()),
                    (true, Err(_)) => Err(Error::new(Code::Driver, "no memory for the content")),
                    (false, _) => ctx.status().and(Err(asked_wrongly("a put of another length"))),
                };
                if let Err(error) = outcome {
                    *work = Work::Ended;
                    return self.fail(server, &error, true);
                }
                content.extend_from_slice(&body);
                if !end {
                    return self.give_credit(server, body.len());
                }
                self.put(server, work);
            }
            Work::Write(upload) => {
                upload.take(server, self.id, &body);
                if upload.owed >= CREDIT {
                    self.give_credit(server, std::mem::take(&mut upload.owed));
                }
                server.spare.put(body);
            }
            // Sent before the host knew of the end.
            _ => {}
        }
    }

    fn put(&self, server: &Arc<Server>, work: &mut Work) {
        let Work::Put { path, length, content, ctx } = std::mem::replace(work, Work::Ended) else {
            return;
        };
        let outcome = if content.len() == length {
            ctx.status().and_then(|()| server.driver.put_content(&ctx, &path, &content))
        } else {
            Err(asked_wrongly("a put of another length"))
        };
        match outcome {
            Ok(()) => self.reply(server, &json!({}), true),
            Err(error) => self.fail(server, &error, true),
        }
    }

    fn finish(&self, server: &Arc<Server>, work: &mut Work, object: &Object, ctx: &Context) {
        let Work::Write(upload) = work else { return };
        match upload.finish(object, ctx) {
            Ok(size) => {
                *work = Work::Ended;
                self.reply(server, &json!({ "size": size }), true);
            }
            Err(error) => self.fail(server, &error, false),
        }
    }

    /// Sends one piece of what the host reads, as far as credit goes.
    fn pump(&self, server: &Server, work: &mut Work) {
        let credit = lock(&self.inbox).credit;
        let room = PIECE.min(usize::try_from(credit).unwrap_or(PIECE));
        let sent = match work {
            Work::Content { content, at } => {
                let left = content.len() - (*at).min(content.len());
                let piece = content.get(*at..*at + left.min(room)).unwrap_or_default();
                *at += piece.len();
                let end = *at == content.len();
                self.send_data(server, piece, end);
                (piece.len(), end)
            }
            Work::Read(reader, buf) => {
                buf.resize(buf.len().max(room), 0);
                match reader.read(buf.get_mut(..room).unwrap_or_default()) {
                    Ok(count) => {
                        self.send_data(server, buf.get(..count).unwrap_or_default(), count == 0);
                        (count, count == 0)
                    }
                    Err(error) => {
                        self.fail(server, &error, true);
                        (0, true)
                    }
                }
            }
            _ => {
                lock(&self.inbox).pumping = false;
                return;
            }
        };
        let (count, end) = sent;
        lock(&self.inbox).credit -= (count as u64).min(credit);
        if end {
            *work = Work::Ended;
        }
    }

    fn send_data(&self, server: &Server, piece: &[u8], end: bool) {
        self.ending(server, end);
        server.send(Header::new(Kind::Data, self.id, 0).ending(end), piece);
    }
}

impl Inbox {
    fn has_work(&self) -> bool {
        !self.events.is_empty() || (self.pumping && self.credit > 0)
    }
}
