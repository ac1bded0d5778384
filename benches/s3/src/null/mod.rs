//! A server that answers as S3 and stores sizes only: what a client costs against it
//! is the client's own. Contents come back as zeros.

mod answers;
mod state;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::Result;
use state::State;

#[tokio::main]
pub async fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let state = Arc::new(State::default());
    loop {
        let (connection, _) = listener.accept().await?;
        connection.set_nodelay(true)?;
        let state = state.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(state.clone(), request));
            // A client that goes away is no error of the server's.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(connection), service).await;
        });
    }
}

async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> std::result::Result<Response<Content>, Infallible> {
    let (head, mut body) = request.into_parts();
    // Only what lists the objects to delete, or parts, has to be looked at.
    let keeps = head.method == "POST";
    let (mut kept, mut len) = (Vec::new(), 0);
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            len += data.len() as u64;
            if keeps {
                kept.extend_from_slice(&data);
            }
        }
    }
    // Of a body in chunks with signatures.
    let decoded = head.headers.get("x-amz-decoded-content-length");
    let decoded = decoded.and_then(|value| value.to_str().ok()?.parse().ok());
    Ok(answers::answer(&state, &head, &kept, decoded.unwrap_or(len)))
}

/// What an answer carries.
pub enum Content {
    Text(Bytes),
    Zeros(u64),
}

static ZEROS: [u8; 256 * 1024] = [0; 256 * 1024];

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        let data = match &mut *self {
            Content::Text(text) => std::mem::take(text),
            Content::Zeros(left) => {
                let len = (*left).min(ZEROS.len() as u64);
                *left -= len;
                Bytes::from_static(&ZEROS[..len as usize])
            }
        };
        Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.size_hint().exact() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Content::Text(text) => text.len() as u64,
            Content::Zeros(left) => *left,
        })
    }
}
