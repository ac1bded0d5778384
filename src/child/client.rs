//! A driver in another process as a `Driver`: each verb is one request.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::frame::Kind;
use super::handles::{ChildReader, ChildWalker, ChildWriter};
use super::message::{self, Operations, Request};
use super::restart::{Recipe, Sessions};
use super::session::{Greeting, Session};
use super::stream::Stream;
use super::table::Expect;
use crate::context::Context;
use crate::driver::{
    Capabilities, Driver, FileInfo, Reader, RedirectRequest, WalkOptions, Walker, Writer,
};
use crate::error::{Code, Error, Result};
use crate::names::Names;
use crate::params::Params;
use crate::runtime::Birth;

const PATIENCE_MS: u64 = 10_000;
/// No directory has a listing of so many bytes.
const MOST_LISTED: usize = 1 << 30;
/// A put up to this size goes out with its request.
const SMALL: usize = 64 << 10;

/// The parameters that are for the host, taken from the driver's.
struct Settings {
    restart: bool,
    argument: bool,
    patience: Duration,
}

impl Settings {
    const KEYS: [&str; 4] = ["process", "processrestart", "processargv", "processstarttimeout"];

    fn take(params: &Params) -> Result<(Settings, Params)> {
        let (mut own, mut rest) = (Params::new(), Params::new());
        for key in params.keys() {
            let target = if key.starts_with("process") { &mut own } else { &mut rest };
            target.set(key, params.get(key).cloned().unwrap_or_default());
        }
        let [process, restart, argument, patience] = Settings::KEYS;
        let mut reader = own.reader();
        reader.boolean(process, true)?;
        let settings = Settings {
            restart: reader.boolean(restart, false)?,
            argument: reader.boolean(argument, false)?,
            patience: Duration::from_millis(reader.limit(patience, 1, PATIENCE_MS)?),
        };
        reader.finish()?;
        Ok((settings, rest))
    }
}

/// The historical argument: an object of texts.
fn argument(params: &Params) -> String {
    let texts = params.keys().map(|key| {
        let value = match params.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => String::new(),
        };
        (key.to_string(), Value::from(value))
    });
    Value::Object(texts.collect()).to_string()
}

pub struct ChildDriver {
    name: String,
    birth: Birth,
    capabilities: Capabilities,
    operations: Operations,
    max_concurrency: Option<usize>,
    sessions: Sessions,
}

impl ChildDriver {
    /// Starts `program`, which must say hello before its time is over.
    pub fn create(
        name: &str,
        program: &Path,
        ctx: &Context,
        params: &Params,
    ) -> Result<ChildDriver> {
        let (settings, params) = Settings::take(params)?;
        let recipe = Recipe {
            asked_name: name.to_string(),
            program: program.to_path_buf(),
            argument: settings.argument.then(|| argument(&params)),
            params,
            patience: settings.patience,
        };
        let session = recipe.start()?.finish(ctx)?;
        let recipe = settings.restart.then_some(recipe);
        Ok(ChildDriver::new(name, session, recipe))
    }

    /// A driver over a connection that somebody else made: `socket` is one end of a
    /// stream socket pair.
    pub fn connect(
        name: &str,
        socket: OwnedFd,
        ctx: &Context,
        params: &Params,
    ) -> Result<ChildDriver> {
        let patience = Duration::from_millis(PATIENCE_MS);
        let session = Greeting::over(name, socket, params, patience)?.finish(ctx)?;
        Ok(ChildDriver::new(name, session, None))
    }

    fn new(name: &str, session: Session, recipe: Option<Recipe>) -> ChildDriver {
        let hello = &session.hello;
        let own = hello.driver.as_deref().filter(|own| {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            !own.is_empty() && own.bytes().all(plain)
        });
        ChildDriver {
            name: own.unwrap_or(name).to_string(),
            birth: Birth::now(),
            capabilities: hello.capabilities,
            operations: hello.operations,
            max_concurrency: hello.max_concurrency,
            sessions: Sessions::new(session, recipe),
        }
    }

    /// The number of the process; `None` over a connection that somebody else made, and
    /// in a child of the process that made the driver.
    pub fn process_id(&self) -> Option<i32> {
        self.birth.same_process().ok()?;
        self.sessions.last().link.process().map(|process| process.pid())
    }

    /// Whether the process answers, whatever its store does.
    pub fn ping(&self, ctx: &Context) -> Result<()> {
        self.session(ctx)?.link.ping(ctx)
    }

    fn session(&self, ctx: &Context) -> Result<Arc<Session>> {
        self.birth.same_process()?;
        self.sessions.current(ctx)
    }

    /// One request with one answer.
    fn call(&self, ctx: &Context, path: &str, request: Request) -> Result<message::Object> {
        let session = self.session(ctx)?;
        let stream = Stream::call(&session.link, Expect::default())?;
        ask(&stream, ctx, path, request)
    }

    /// The same, of a request that changes these paths.
    fn change(&self, ctx: &Context, paths: &[&str], request: Request) -> Result<()> {
        let session = self.session(ctx)?;
        let stream = Stream::change(&session.link, ctx, paths)?;
        ask(&stream, ctx, paths.first().copied().unwrap_or_default(), request).map(drop)
    }

    /// One request with many answers.
    fn calls(
        &self,
        ctx: &Context,
        path: &str,
        request: Request,
        mut each: impl FnMut(&message::Object) -> Result<()>,
    ) -> Result<()> {
        let session = self.session(ctx)?;
        let stream = Stream::call(&session.link, Expect { many: true, contents: false })?;
        stream.request(ctx, request)?;
        let mut listed = 0;
        loop {
            let incoming = stream.next(ctx)?.ok_or_else(message::no_answer)?;
            if incoming.kind == Kind::Error {
                return Err(message::error_from(&incoming.body).or_path(path));
            }
            listed += incoming.body.len();
            if listed > MOST_LISTED {
                return Err(message::wrong("a list without end").with_path(path));
            }
            let object = message::parse(&incoming.body);
            object.and_then(|object| each(&object)).map_err(|error| error.with_path(path))?;
            if incoming.end {
                return Ok(());
            }
        }
    }
}

fn ask(stream: &Stream, ctx: &Context, path: &str, request: Request) -> Result<message::Object> {
    stream.request(ctx, request)?;
    answer(stream, ctx).map_err(|error| error.or_path(path))
}

/// The object of the next answer on a stream.
pub fn answer(stream: &Stream, ctx: &Context) -> Result<message::Object> {
    let incoming = stream.next(ctx)?.ok_or_else(message::no_answer)?;
    match incoming.kind {
        Kind::Reply => message::parse(&incoming.body),
        Kind::Error => Err(message::error_from(&incoming.body)),
        _ => Err(message::wrong("contents where an answer belongs")),
    }
}

fn request(op: &str, path: &str) -> Request {
    Request::new(op).text("path", path)
}

impl Driver for ChildDriver {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn max_concurrency(&self) -> Option<usize> {
        self.max_concurrency
    }

    fn get_content(&self, ctx: &Context, path: &str) -> Result<Vec<u8>> {
        let session = self.session(ctx)?;
        let stream = Stream::call(&session.link, Expect { contents: true, many: false })?;
        stream.request(ctx, request("get_content", path))?;
        let mut content = Vec::new();
        loop {
            let incoming = stream.next(ctx)?.ok_or_else(message::no_answer)?;
            match incoming.kind {
                Kind::Data if incoming.end && content.is_empty() => {
                    content = incoming.body;
                    content.reserve_exact(1);
                    return Ok(content);
                }
                Kind::Data => {
                    let more = incoming.body.len();
                    content.try_reserve(more + 1).map_err(|_| {
                        Error::new(Code::Driver, "no memory for the content").with_path(path)
                    })?;
                    content.extend_from_slice(&incoming.body);
                    session.link.recycle(incoming.body);
                    if incoming.end {
                        return Ok(content);
                    }
                    stream.allow(u32::try_from(more).unwrap_or(u32::MAX));
                }
                Kind::Error => return Err(message::error_from(&incoming.body).or_path(path)),
                _ => return Err(message::wrong("a reply where content belongs").with_path(path)),
            }
        }
    }

    fn put_content(&self, ctx: &Context, path: &str, data: &[u8]) -> Result<()> {
        let session = self.session(ctx)?;
        let stream = Stream::change(&session.link, ctx, &[path])?;
        let request = request("put_content", path).number("length", data.len() as u64);
        if data.len() <= SMALL.min(session.hello.window as usize) {
            stream.request_with(ctx, request, Some((data, true)))?;
        } else {
            stream.request(ctx, request)?;
            let mut rest = data;
            while !rest.is_empty() {
                match stream.send(ctx, rest, true)? {
                    // It has answered; that cannot be good.
                    0 => break,
                    count => rest = rest.get(count..).unwrap_or_default(),
                }
            }
            if !rest.is_empty() {
                return match answer(&stream, ctx) {
                    Err(error) => Err(error.or_path(path)),
                    Ok(_) => Err(message::wrong("a put that ended early").with_path(path)),
                };
            }
        }
        answer(&stream, ctx).map(drop).map_err(|error| error.or_path(path))
    }

    fn stat(&self, ctx: &Context, path: &str) -> Result<FileInfo> {
        let object = self.call(ctx, path, request("stat", path))?;
        message::info_from(&object, path).map_err(|error| error.with_path(path))
    }

    fn list(&self, ctx: &Context, path: &str) -> Result<Names> {
        let mut names = Names::new();
        self.calls(ctx, path, request("list", path), |object| {
            message::names_from(object, path, &mut names)
        })?;
        Ok(names)
    }

    fn list_page(
        &self,
        ctx: &Context,
        path: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<Names> {
        if !self.operations.list_page {
            let mut all = self.list(ctx, path)?;
            all.sort();
            return Ok(all.page(start_after, limit));
        }
        let request = request("list_page", path)
            .optional("start_after", start_after)
            .number("limit", limit as u64);
        let mut names = Names::new();
        self.calls(ctx, path, request, |object| message::names_from(object, path, &mut names))?;
        let in_order = names.iter().zip(names.iter().skip(1)).all(|(a, b)| a < b);
        let after = start_after.is_none_or(|start| names.iter().all(|name| name > start));
        if !in_order || !after || names.len() > limit {
            return Err(message::wrong("a page out of order").with_path(path));
        }
        Ok(names)
    }

    fn entries(&self, ctx: &Context, path: &str, after: Option<&str>) -> Result<Vec<FileInfo>> {
        if !self.operations.entries {
            return crate::walk::entries_by_stat(self, ctx, path, after);
        }
        let mut entries = Vec::new();
        let request = request("entries", path).optional("after", after);
        self.calls(ctx, path, request, |object| message::entries_from(object, path, &mut entries))?;
        if let Some(after) = after {
            entries.retain(|info: &FileInfo| crate::path::name(&info.path) > after);
        }
        Ok(entries)
    }

    fn r#move(&self, ctx: &Context, source: &str, dest: &str) -> Result<()> {
        self.change(ctx, &[source, dest], request("move", source).text("dest", dest))
    }

    fn delete(&self, ctx: &Context, path: &str) -> Result<()> {
        self.change(ctx, &[path], request("delete", path))
    }

    fn redirect_url(
        &self,
        ctx: &Context,
        path: &str,
        asked: &RedirectRequest,
    ) -> Result<Option<String>> {
        if !self.operations.redirect_url {
            return Ok(None);
        }
        let method = if asked.method.is_empty() { "GET" } else { &asked.method };
        let mut request = request("redirect_url", path).text("method", method);
        if !asked.remote_addr.is_empty() {
            request = request.text("remote_addr", &asked.remote_addr);
        }
        if asked.expires_s > 0 {
            request = request.number("expires_s", u64::from(asked.expires_s));
        }
        let object = self.call(ctx, path, request)?;
        match message::text(&object, "url") {
            None => Ok(None),
            Some(url) if !url.is_empty() && !url.contains(char::is_control) => {
                Ok(Some(url.to_string()))
            }
            Some(_) => Err(message::wrong("something that is no url").with_path(path)),
        }
    }

    fn reader(&self, ctx: &Context, path: &str, offset: i64) -> Result<Box<dyn Reader>> {
        let session = self.session(ctx)?;
        let offset = u64::try_from(offset).map_err(|_| Error::invalid_offset(path, offset))?;
        let stream = Stream::handle(&session.link, Expect { contents: true, many: false })?;
        stream.request(ctx, request("reader", path).number("offset", offset))?;
        answer(&stream, ctx).map_err(|error| error.or_path(path))?;
        Ok(Box::new(ChildReader::new(stream, ctx)))
    }

    fn writer(&self, ctx: &Context, path: &str, append: bool) -> Result<Box<dyn Writer>> {
        let session = self.session(ctx)?;
        let stream = Stream::upload(&session.link, ctx, path)?;
        stream.request(ctx, request("writer", path).truth("append", append))?;
        let object = answer(&stream, ctx).map_err(|error| error.or_path(path))?;
        let size = message::number(&object, "size").filter(|size| append || *size == 0);
        let size = size.ok_or_else(|| message::wrong("an upload without its size"));
        Ok(Box::new(ChildWriter::new(stream, ctx, size.map_err(|error| error.with_path(path))?)))
    }

    fn walker(
        &self,
        ctx: &Context,
        path: &str,
        options: &WalkOptions,
    ) -> Result<Option<Box<dyn Walker>>> {
        if !self.operations.walk {
            return Ok(None);
        }
        let session = self.session(ctx)?;
        let stream = Stream::handle(&session.link, Expect::default())?;
        let mut request =
            request("walk", path).optional("start_after", options.start_after.as_deref());
        if options.skip_start_subtree {
            request = request.truth("skip_start_subtree", true);
        }
        stream.request(ctx, request)?;
        answer(&stream, ctx).map_err(|error| error.or_path(path))?;
        Ok(Some(Box::new(ChildWalker::new(stream, ctx, path))))
    }
}
