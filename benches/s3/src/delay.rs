//! A proxy that makes a server far away: every byte arrives half a round trip later,
//! and a new connection costs a whole one. It limits no bandwidth.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, sleep_until};

use crate::Result;

/// At most so much at once, and so many on the way.
const PIECE: usize = 64 * 1024;
const PIECES: usize = 4096;

#[tokio::main]
pub async fn serve(target: &str, round_trip: Duration) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (client, _) = listener.accept().await?;
        let server = TcpStream::connect(target).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let ((from_client, to_client), (from_server, to_server)) =
            (client.into_split(), server.into_split());
        let connected = Instant::now() + round_trip;
        carry(from_client, to_server, connected, round_trip / 2);
        carry(from_server, to_client, connected, round_trip / 2);
    }
}

/// Nothing sets out before `start`.
fn carry(from: OwnedReadHalf, to: OwnedWriteHalf, start: Instant, delay: Duration) {
    let (sender, receiver) = channel(PIECES);
    tokio::spawn(depart(from, sender, start, delay));
    tokio::spawn(arrive(to, receiver));
}

async fn depart(
    mut from: OwnedReadHalf,
    sender: Sender<(Instant, Bytes)>,
    start: Instant,
    delay: Duration,
) {
    let mut room = BytesMut::new();
    loop {
        room.reserve(PIECE);
        // A broken connection is an end here; the other side sees it as one.
        if !matches!(from.read_buf(&mut room).await, Ok(1..)) {
            return;
        }
        let due = Instant::now().max(start) + delay;
        if sender.send((due, room.split().freeze())).await.is_err() {
            return;
        }
    }
}

async fn arrive(mut to: OwnedWriteHalf, mut receiver: Receiver<(Instant, Bytes)>) {
    while let Some((due, bytes)) = receiver.recv().await {
        sleep_until(due).await;
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
