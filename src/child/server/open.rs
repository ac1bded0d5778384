//! What stays open on a stream: uploads and walks.

use serde_json::Value;

use super::super::frame::{Header, Kind};
use super::super::message::{self, Object};
use super::Server;
use crate::context::Context;
use crate::driver::{FileInfo, Walker, Writer};
use crate::error::{Code, Error, Result};
use crate::path;

/// A list is cut into answers of about this size.
pub const ANSWER: usize = 128 << 10;
const MOST_ENTRIES: u64 = 10_000;

pub struct Upload {
    writer: Box<dyn Writer>,
    /// What came and was not given back as credit.
    pub owed: usize,
    failed: Option<Error>,
    /// What the host thinks the upload has.
    received: u64,
}

impl Upload {
    pub fn new(writer: Box<dyn Writer>) -> Upload {
        let received = writer.size();
        Upload { writer, owed: 0, failed: None, received }
    }

    pub fn take(&mut self, server: &Server, stream: u32, body: &[u8]) {
        self.received += body.len() as u64;
        self.owed += body.len();
        if self.failed.is_some() || body.is_empty() {
            return;
        }
        if let Err(error) = self.writer.write(body) {
            server.send(Header::new(Kind::Broken, stream, 0), &message::error_body(&error));
            self.failed = Some(error);
        }
    }

    pub fn finish(&mut self, object: &Object, ctx: &Context) -> Result<u64> {
        let op = message::text(object, "op").unwrap_or_default();
        let size = message::number(object, "size");
        if op != "cancel" && size.is_some_and(|size| size != self.received) {
            return Err(Error::new(Code::Corrupt, "the upload has another size than it should"));
        }
        match (op, &self.failed) {
            ("commit", Some(failed)) => return Err(failed.clone()),
            ("commit", None) => self.writer.commit(ctx)?,
            ("cancel", _) => self.writer.cancel(ctx)?,
            ("close", _) => self.writer.close(ctx)?,
            _ => return Err(Error::unsupported("no such operation")),
        }
        Ok(self.writer.size())
    }
}

pub struct Walk {
    walker: Box<dyn Walker>,
    last: Option<String>,
    /// Met after a part of a page, which comes first.
    failed: Option<Error>,
}

impl Walk {
    pub fn new(walker: Box<dyn Walker>) -> Walk {
        Walk { walker, last: None, failed: None }
    }

    pub fn page(&mut self, object: &Object, ctx: &Context) -> Result<(Vec<Value>, bool)> {
        if message::text(object, "op") != Some("next") {
            return Err(Error::unsupported("no such operation"));
        }
        let limit = message::number(object, "limit").unwrap_or(1).clamp(1, MOST_ENTRIES);
        let skip = message::text(object, "skip");
        if skip.is_some() && self.last.as_deref() == skip {
            self.walker.skip_dir();
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut page = Vec::new();
        let mut size = 0;
        while (page.len() as u64) < limit && size < ANSWER {
            if !page.is_empty() && ctx.status().is_err() {
                break;
            }
            let info = match self.step(skip) {
                Ok(Some(info)) => info,
                Ok(None) => return Ok((page, true)),
                Err(error) if page.is_empty() => return Err(error),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            };
            let mut entry = message::info_value(&info);
            entry.insert("path".to_string(), info.path.as_str().into());
            size += info.path.len() + 80;
            page.push(Value::from(entry));
            self.last = Some(info.path);
        }
        Ok((page, false))
    }

    /// The next entry that is not to be left out.
    fn step(&mut self, skip: Option<&str>) -> Result<Option<FileInfo>> {
        loop {
            let info = self.walker.next()?;
            match (&info, skip) {
                (Some(info), Some(skip)) if path::below(&info.path, skip).is_some() => {
                    // No need to look what is further below.
                    self.walker.skip_dir();
                }
                _ => return Ok(info),
            }
        }
    }
}
