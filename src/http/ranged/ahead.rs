//! A whole download: one stream, or several ranges fetched at once and given in order.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::Open;
use super::opened::{Range, Verify, Version};
use super::stream::Stream;
use crate::error::{Error, Result};
use crate::executor;
use crate::http::retry::Policy;
use crate::remote::Chunks;

/// How much to fetch before it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// Requests at once, the one being read included.
    pub ranges: usize,
    /// Bytes of each.
    pub size: u64,
}

/// An object being read. Holds at most `ranges` times `size` bytes that the caller has
/// not taken.
pub struct Download<O> {
    open: Arc<O>,
    policy: Policy,
    ahead: Option<Ahead>,
    version: Version,
    /// What the caller has been given.
    at: u64,
    /// The size of the object; `None`: the end of the only stream is the end.
    total: Option<u64>,
    current: Source<O>,
    /// Behind the current one, in order.
    fetched: VecDeque<Fetch>,
    /// Where the next range to be fetched starts.
    next: u64,
    verify: Option<Box<dyn Verify>>,
    failed: Option<Error>,
}

enum Source<O> {
    Stream(Box<Stream<O>>),
    Fetch(Fetch),
}

/// A range on its way, by a task that ends when this is dropped.
struct Fetch {
    chunks: mpsc::UnboundedReceiver<Result<Bytes>>,
    end: u64,
}

impl<O: Open> Download<O> {
    /// Opens an object at `offset`: one request.
    pub async fn open(
        open: O,
        offset: u64,
        policy: Policy,
        ahead: Option<Ahead>,
    ) -> Result<Download<O>> {
        let open = Arc::new(open);
        let mut ahead = ahead.filter(|ahead| ahead.ranges > 1 && ahead.size > 0);
        let mut end = ahead.map(|ahead| offset.saturating_add(ahead.size));
        let begin = |end| Stream::new(open.clone(), policy, Range { start: offset, end }, None);
        let mut stream = begin(end);
        let mut opened = stream.begin().await?;
        if ahead.is_some() && (opened.total.is_none() || !opened.version.is_known()) {
            // Ranges of what may be different versions do not make an object.
            (ahead, end) = (None, None);
            stream = begin(None);
            opened = stream.begin().await?;
        }
        Ok(Download {
            open,
            policy,
            ahead,
            version: opened.version,
            at: offset,
            total: opened.total,
            current: Source::Stream(Box::new(stream)),
            fetched: VecDeque::new(),
            next: end.unwrap_or(u64::MAX),
            verify: opened.verify.take().filter(|_| offset == 0),
            failed: None,
        })
    }

    /// The size of the object, if the store tells.
    #[cfg(test)]
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Starts as many ranges as may be on their way.
    fn fetch_ahead(&mut self) -> Result<()> {
        let (Some(ahead), Some(total)) = (self.ahead, self.total) else { return Ok(()) };
        while self.fetched.len() + 1 < ahead.ranges && self.next < total {
            let end = self.next.saturating_add(ahead.size).min(total);
            let range = Range { start: self.next, end: Some(end) };
            self.fetched.push_back(fetch(self.stream(range))?);
            self.next = end;
        }
        Ok(())
    }

    fn stream(&self, range: Range) -> Stream<O> {
        let version = Some(self.version.clone());
        Stream::new(self.open.clone(), self.policy, range, version)
    }

    /// From the current source; empty at its end.
    async fn of_current(&mut self) -> Result<Bytes> {
        let fetch = match &mut self.current {
            Source::Stream(stream) => return stream.chunk().await,
            Source::Fetch(fetch) => fetch,
        };
        let range = Range { start: self.at, end: Some(fetch.end) };
        let failure = match fetch.chunks.recv().await {
            Some(Ok(bytes)) => return Ok(bytes),
            None if self.at >= fetch.end => return Ok(Bytes::new()),
            // Its task ended with the threads it ran on, or in a panic.
            None => None,
            Some(Err(error)) => Some(error),
        };
        // Another call goes on from here.
        self.current = Source::Stream(Box::new(self.stream(range)));
        match (failure, &mut self.current) {
            (Some(error), _) => Err(error),
            (None, Source::Stream(stream)) => stream.chunk().await,
            (None, Source::Fetch(_)) => Ok(Bytes::new()),
        }
    }

    /// Past the end of the current source: whether there is another one.
    fn advance(&mut self) -> bool {
        if self.total.is_none_or(|total| self.at >= total) {
            return false;
        }
        self.current = match self.fetched.pop_front() {
            Some(fetch) => Source::Fetch(fetch),
            None => {
                // Without anything ahead the rest is one stream.
                self.next = u64::MAX;
                Source::Stream(Box::new(self.stream(Range { start: self.at, end: None })))
            }
        };
        true
    }

    fn checked(&mut self, bytes: Bytes) -> Result<Bytes> {
        if let Some(verify) = &mut self.verify {
            verify.update(&bytes);
            // The last bytes are given only if all are right.
            let last = self.total.map_or(bytes.is_empty(), |total| self.at >= total);
            if last {
                let outcome = verify.finish();
                self.verify = None;
                self.failed = outcome.clone().err();
                outcome?;
            }
        }
        Ok(bytes)
    }
}

#[async_trait]
impl<O: Open> Chunks for Download<O> {
    async fn chunk(&mut self) -> Result<Bytes> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        loop {
            self.fetch_ahead()?;
            let bytes = self.of_current().await?;
            self.at += bytes.len() as u64;
            if !bytes.is_empty() || !self.advance() {
                return self.checked(bytes);
            }
        }
    }
}

fn fetch<O: Open>(mut stream: Stream<O>) -> Result<Fetch> {
    let (sender, chunks) = mpsc::unbounded_channel();
    let end = stream.bound().unwrap_or(u64::MAX);
    let task = async move {
        let nobody_waits = sender.clone();
        let mut nobody_waits = pin!(nobody_waits.closed());
        let mut work = pin!(async {
            loop {
                let chunk = stream.chunk().await;
                let last = chunk.as_ref().map_or(true, Bytes::is_empty);
                if chunk.as_ref().is_ok_and(Bytes::is_empty) || sender.send(chunk).is_err() || last
                {
                    return;
                }
            }
        });
        poll_fn(|task| match nobody_waits.as_mut().poll(task) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => work.as_mut().poll(task),
        })
        .await;
    };
    executor::current()?.spawn(task);
    Ok(Fetch { chunks, end })
}
