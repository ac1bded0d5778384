//! One range of an object as a stream that goes on when its connection breaks.

use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::Open;
use super::opened::{Opened, Range, Version};
use crate::error::{Code, Error, Result};
use crate::http::incoming::Incoming;
use crate::http::retry::Policy;

pub struct Stream<O> {
    open: Arc<O>,
    policy: Policy,
    /// What is read next.
    at: u64,
    /// One after the last byte wanted.
    bound: Option<u64>,
    /// One after the last byte there is, once that is known.
    end: Option<u64>,
    version: Option<Version>,
    body: Option<Incoming>,
    /// Bytes of the body that lie before the range.
    skip: u64,
    /// Breaks since the last byte.
    failures: u32,
}

impl<O: Open> Stream<O> {
    pub fn new(open: Arc<O>, policy: Policy, range: Range, version: Option<Version>) -> Stream<O> {
        Stream {
            open,
            policy,
            at: range.start,
            bound: range.end,
            end: None,
            version,
            body: None,
            skip: 0,
            failures: 0,
        }
    }

    /// Opens the range for the first time.
    pub async fn begin(&mut self) -> Result<Opened> {
        let range = Range { start: self.at, end: self.bound };
        let mut opened = self.open.open(range, None).await?;
        self.version = Some(opened.version.clone());
        self.take(&mut opened)?;
        Ok(opened)
    }

    pub fn bound(&self) -> Option<u64> {
        self.bound
    }

    /// The next bytes; empty at the end of the range. Dropped while it waits, it has
    /// lost nothing, and after an error it may be called again.
    pub async fn chunk(&mut self) -> Result<Bytes> {
        loop {
            if self.end.is_some_and(|end| self.at >= end) {
                return Ok(Bytes::new());
            }
            let Some(body) = &mut self.body else {
                self.reopen().await?;
                continue;
            };
            match body.chunk().await {
                Ok(Some(bytes)) => {
                    if let Some(bytes) = self.wanted(bytes)? {
                        return Ok(bytes);
                    }
                }
                // Only its end could tell.
                Ok(None) if self.end.is_none() => self.end = Some(self.at),
                Ok(None) => {
                    let short = "the answer ended before the range it holds";
                    self.broken(Error::new(Code::Unavailable, short)).await?;
                }
                Err(error) => self.broken(error).await?,
            }
        }
    }

    /// Without what lies before or after the range.
    fn wanted(&mut self, mut bytes: Bytes) -> Result<Option<Bytes>> {
        let before = self.skip.min(bytes.len() as u64);
        bytes.advance(usize::try_from(before).unwrap_or(usize::MAX));
        self.skip -= before;
        let left = self.end.map_or(u64::MAX, |end| end - self.at);
        bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        if bytes.is_empty() {
            return Ok(None);
        }
        self.at += bytes.len() as u64;
        self.failures = 0;
        Ok(Some(bytes))
    }

    async fn broken(&mut self, error: Error) -> Result<()> {
        self.body = None;
        self.failures += 1;
        let pinned = self.version.as_ref().is_some_and(Version::is_known);
        if !pinned || !error.is_retryable() || self.failures >= self.policy.attempts {
            self.failures = 0;
            return Err(error);
        }
        if self.failures > 1 {
            self.policy.pause(&error, self.failures - 1).await;
        }
        Ok(())
    }

    /// Opens the rest, which must be of the same version.
    async fn reopen(&mut self) -> Result<()> {
        let range = Range { start: self.at, end: self.bound };
        let version = self.version.clone().unwrap_or_default();
        let opened = self.open.open(range, version.pin()).await;
        let mut opened = opened.map_err(|error| match error.code() {
            Code::PathNotFound => changed("removed").with_path(error.path()),
            Code::Conflict => {
                changed("replaced").with_path(error.path()).with_http_status(error.http_status())
            }
            _ => error,
        })?;
        if opened.body.is_none() || !opened.version.is(&version) {
            return Err(changed("replaced"));
        }
        self.take(&mut opened)
    }

    fn take(&mut self, opened: &mut Opened) -> Result<()> {
        // A part of the range is an answer too; the rest is asked for when it ends.
        let end = opened.total.or(opened.end);
        let end = end.map(|end| end.min(self.bound.unwrap_or(u64::MAX)));
        if self.end.is_some() && self.end != end {
            return Err(changed("replaced"));
        }
        self.end = end;
        self.skip = self.at.saturating_sub(opened.start);
        self.body = opened.body.take();
        Ok(())
    }
}

fn changed(how: &str) -> Error {
    Error::new(Code::Conflict, format!("the object was {how} while it was read"))
}
