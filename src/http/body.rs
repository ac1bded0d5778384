//! What is sent: bytes in memory, which can be sent again.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// What is handed to the connection at once: small enough that a slow line shows
/// progress before it counts as stalled.
const PIECE: usize = 256 << 10;

/// The body of a request. A clone is the same bytes, from the start.
#[derive(Clone, Debug, Default)]
pub struct Body {
    pieces: Pieces,
    len: u64,
}

#[derive(Clone, Debug, Default)]
enum Pieces {
    #[default]
    None,
    One(Bytes),
    Rope(Arc<[Bytes]>),
}

impl Body {
    pub fn empty() -> Body {
        Body::default()
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The buffers it is made of, in order.
    pub fn pieces(&self) -> &[Bytes] {
        match &self.pieces {
            Pieces::None => &[],
            Pieces::One(bytes) => std::slice::from_ref(bytes),
            Pieces::Rope(all) => all,
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Body {
        let len = bytes.len() as u64;
        Body { pieces: if len == 0 { Pieces::None } else { Pieces::One(bytes) }, len }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Body {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Body {
        Bytes::from(text).into()
    }
}

impl From<Vec<Bytes>> for Body {
    fn from(mut pieces: Vec<Bytes>) -> Body {
        pieces.retain(|piece| !piece.is_empty());
        let len = pieces.iter().map(|piece| piece.len() as u64).sum();
        let pieces = match pieces.len() {
            0 => Pieces::None,
            1 => pieces.pop().map_or(Pieces::None, Pieces::One),
            _ => Pieces::Rope(pieces.into()),
        };
        Body { pieces, len }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut sending = Sending::new(std::mem::take(&mut *self));
        let piece = sending.next();
        *self = Body::from(Vec::from(sending.left));
        Poll::Ready(piece.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len)
    }
}

/// A body on its way into a connection.
pub struct Sending {
    left: VecDeque<Bytes>,
    len: u64,
    progress: Option<Progress>,
}

/// How many pieces of a body its connection has taken.
#[derive(Clone, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    pub fn pieces(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Sending {
    pub fn new(body: Body) -> Sending {
        let left = match body.pieces {
            Pieces::None => VecDeque::new(),
            Pieces::One(bytes) => VecDeque::from([bytes]),
            Pieces::Rope(all) => all.iter().cloned().collect(),
        };
        Sending { left, len: body.len, progress: None }
    }

    /// Of a body with nothing in it there is none to watch.
    pub fn progress(&mut self) -> Option<Progress> {
        (self.len > 0).then(|| self.progress.get_or_insert_default().clone())
    }

    fn next(&mut self) -> Option<Bytes> {
        let front = self.left.front_mut()?;
        let piece = if front.len() > PIECE {
            front.split_to(PIECE)
        } else {
            self.left.pop_front().unwrap_or_default()
        };
        self.len = self.len.saturating_sub(piece.len() as u64);
        Some(piece)
    }
}

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(progress) = &self.progress {
            progress.0.fetch_add(1, Ordering::Relaxed);
        }
        Poll::Ready(self.next().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.len == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len)
    }
}
