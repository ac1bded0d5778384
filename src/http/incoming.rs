//! What comes back: the body of an answer, piece by piece or whole.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};

use super::fault::{self, Peer};
use super::stall::Watch;
use crate::error::{Code, Error, Result};

/// How much is set aside at once on the word of a peer.
const BELIEVED: u64 = 16 << 20;

/// The body of an answer. It ends well only where the peer said that it would; a peer
/// that is silent for too long while it is waited for is an error.
pub struct Incoming {
    body: hyper::body::Incoming,
    peer: Peer,
    watch: Watch,
    ended: bool,
}

impl Incoming {
    pub(super) fn new(body: hyper::body::Incoming, peer: Peer, stall: Duration) -> Incoming {
        Incoming { body, peer, watch: Watch::new(stall), ended: false }
    }

    /// The next bytes, as they come; `None` at the end. Dropped while it waits, it has
    /// lost nothing.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        self.watch.moved();
        poll_fn(|task| self.poll_chunk(task)).await
    }

    /// How many bytes are still to come, if the peer said so.
    pub fn left(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    fn poll_chunk(&mut self, task: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        if self.ended {
            return Poll::Ready(Ok(None));
        }
        loop {
            let frame = match Pin::new(&mut self.body).poll_frame(task) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    return self.watch.poll_stalled(task, 0).map(|()| {
                        self.ended = true;
                        Err(fault::stalled(&self.peer))
                    });
                }
            };
            self.watch.moved();
            match frame {
                None => {
                    self.ended = true;
                    return Poll::Ready(Ok(None));
                }
                Some(Err(error)) => {
                    self.ended = true;
                    return Poll::Ready(Err(fault::of_body(&self.peer, &error)));
                }
                // What is not data are trailers, of which nobody wants any.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        return Poll::Ready(Ok(Some(data)));
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an answer of {}", self.peer)
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>>>> {
        self.poll_chunk(task).map(|chunk| chunk.transpose().map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Reads an answer whole. One that is larger than `limit` is an error, and is not read
/// to its end.
pub async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes> {
    too_large(&body, body.left(), limit)?;
    let Some(first) = body.chunk().await? else { return Ok(Bytes::new()) };
    too_large(&body, Some(first.len() as u64), limit)?;
    let Some(second) = body.chunk().await? else { return Ok(first) };
    let room = body.left().unwrap_or(0).min(BELIEVED) as usize;
    let mut all = BytesMut::with_capacity(first.len() + second.len() + room);
    all.extend_from_slice(&first);
    all.extend_from_slice(&second);
    loop {
        too_large(&body, Some(all.len() as u64), limit)?;
        match body.chunk().await? {
            Some(chunk) => all.extend_from_slice(&chunk),
            None => return Ok(all.freeze()),
        }
    }
}

/// Up to `limit` bytes of what a failure has to say, as far as it comes.
pub async fn front(mut body: Incoming, limit: usize) -> Bytes {
    let mut all = BytesMut::new();
    while let Ok(Some(chunk)) = body.chunk().await {
        let room = limit.saturating_sub(all.len());
        all.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if all.len() >= limit {
            break;
        }
    }
    all.freeze()
}

/// The same as `collect`, as a vector with room for `spare` bytes more.
pub async fn collect_vec(mut body: Incoming, limit: usize, spare: usize) -> Result<Vec<u8>> {
    too_large(&body, body.left(), limit)?;
    let mut all = Vec::new();
    // No memory is used before there is something in it; more than this needs proof.
    let room = body.left().unwrap_or(0).min(1 << 30) as usize;
    reserve(&mut all, room + spare)?;
    while let Some(chunk) = body.chunk().await? {
        too_large(&body, Some((all.len() + chunk.len()) as u64), limit)?;
        reserve(&mut all, chunk.len() + spare)?;
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

fn reserve(all: &mut Vec<u8>, more: usize) -> Result<()> {
    all.try_reserve(more).map_err(|_| Error::new(Code::Driver, "too large for memory"))
}

fn too_large(body: &Incoming, len: Option<u64>, limit: usize) -> Result<()> {
    if len.is_some_and(|len| len > limit as u64) {
        let text = format!("the answer of {} is larger than {limit} bytes", body.peer);
        return Err(Error::new(Code::Driver, text));
    }
    Ok(())
}
