//! Peers that are silent, cut things short or talk nonsense.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use http::Request;

use super::server::{Server, Then, answer};
use super::*;
use crate::error::Code;

const FOR_EVER: Duration = Duration::from_secs(120);
const SECRET: &str = "/key?X-Signature=SECRET";

/// What every failure of the way there and back is like.
fn unavailable(error: &crate::error::Error, words: &str) {
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert!(error.detail().contains(words), "{error}");
    assert!(error.detail().contains("127.0.0.1"), "{error}");
    assert!(!error.to_string().contains("SECRET"), "{error}");
    assert!(error.is_retryable(), "{error}");
}

#[test]
fn a_refused_connection_names_the_host_and_no_secret() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://user:SECRET@{address}{SECRET}");
    let error = send(&engine(), get(&url)).unwrap_err();
    unavailable(&error, "cannot connect to");
    assert_eq!(error.detail(), format!("cannot connect to {address}: connection refused"));
}

#[test]
fn a_host_without_an_address_is_unavailable() {
    // Longer than a name can be, so that nobody is asked for it.
    let name = "x".repeat(64);
    let error = send(&engine(), get(&format!("http://{name}.test/"))).unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    let words = format!("cannot connect to {name}.test: ");
    assert!(error.detail().starts_with(&words) && error.is_retryable(), "{error}");
}

#[test]
fn a_connection_that_does_not_come_about_in_time_is_given_up() {
    // Nobody accepts, and the line of those who wait is full.
    let socket = full_listener();
    let options = Options { connect_timeout: SOON, ..Options::default() };
    let began = Instant::now();
    let error = send(&engine_with(options), get(&format!("http://{}/", socket.1))).unwrap_err();
    unavailable(&error, "cannot connect to");
    assert!(began.elapsed() < FOR_EVER / 4);
}

/// A listener whose queue is full, and its address.
fn full_listener() -> (Vec<std::net::TcpStream>, std::net::SocketAddr, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // The kernel keeps some for a listener that does not accept.
    let mut waiting = Vec::new();
    for _ in 0..5000 {
        match std::net::TcpStream::connect_timeout(&address, Duration::from_millis(50)) {
            Ok(stream) => waiting.push(stream),
            Err(_) => break,
        }
    }
    (waiting, address, listener)
}

#[test]
fn a_tls_handshake_that_does_not_end_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let options = Options { connect_timeout: SOON, skip_verify: true, ..Options::default() };
    let error = send(&engine_with(options), get(&url)).unwrap_err();
    unavailable(&error, "it took too long");
}

#[test]
fn a_peer_that_does_not_answer_has_stalled() {
    let server = Server::start(|_, _| {
        thread::sleep(FOR_EVER);
        Then::Close
    });
    let began = Instant::now();
    let error = send(&impatient(), get(&server.url(SECRET))).unwrap_err();
    unavailable(&error, "stopped answering");
    assert!(began.elapsed() >= SOON && began.elapsed() < FOR_EVER / 4);
}

#[test]
fn a_peer_that_stops_in_the_middle_of_its_answer_has_stalled() {
    let server = Server::start(|_, wire| {
        let whole = answer("200 OK", &[], &[0; 1000]);
        wire.write_all(&whole[..500]).unwrap();
        thread::sleep(FOR_EVER);
        Then::Close
    });
    let error = exchange(&impatient(), get(&server.url(SECRET))).unwrap_err();
    unavailable(&error, "stopped answering");
}

#[test]
fn a_peer_that_stops_reading_has_stalled() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}{SECRET}", listener.local_addr().unwrap());
    let holds = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 1000]).unwrap();
        thread::sleep(FOR_EVER);
    });
    let request = Request::put(url).body(Body::from(vec![0; 64 << 20])).unwrap();
    unavailable(&send(&impatient(), request).unwrap_err(), "stopped answering");
    assert!(!holds.is_finished());
}

#[test]
fn a_slow_peer_that_moves_has_not_stalled() {
    // Each pause is shorter than the limit, all of them together are not.
    let text = b"slow but steady";
    let server = Server::start(|_, wire| {
        let whole = answer("200 OK", &[], text);
        let (head, body) = whole.split_at(whole.len() - text.len());
        wire.write_all(head).unwrap();
        for byte in body.chunks(1) {
            thread::sleep(SOON);
            wire.write_all(byte).unwrap();
        }
        Then::Keep
    });
    let engine = engine_with(Options { stall_timeout: 10 * SOON, ..Options::default() });
    assert_eq!(exchange(&engine, get(&server.url("/"))).unwrap().1, "slow but steady");
}

#[test]
fn a_slow_reader_of_a_large_upload_has_not_stalled() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    const LEN: usize = 64 << 20;
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut seen, mut piece) = (0, vec![0; 1 << 20]);
        // Slower than the limit, taken together; what the kernels hold at the end is not.
        while seen < LEN {
            let len = stream.read(&mut piece).unwrap();
            seen += len;
            thread::sleep(Duration::from_millis((60 * len as u64) >> 20));
        }
        stream.write_all(&answer("200 OK", &[], b"")).unwrap();
    });
    let request = Request::put(url).body(Body::from(vec![0; LEN])).unwrap();
    let engine = engine_with(Options { stall_timeout: 8 * SOON, ..Options::default() });
    send(&engine, request).unwrap();
}

#[test]
fn a_caller_that_pauses_is_not_a_peer_that_stalled() {
    let sent = content(8 << 20);
    let server = Server::saying(answer("200 OK", &[], &sent));
    let engine = engine_with(Options { stall_timeout: 5 * SOON, ..Options::default() });
    let mut body = send(&engine, get(&server.url("/"))).unwrap().into_body();
    let mut all = Vec::new();
    run(async move {
        while let Some(chunk) = body.chunk().await.unwrap() {
            if all.len() / (4 << 20) != (all.len() + chunk.len()) / (4 << 20) {
                tokio::time::sleep(8 * SOON).await;
            }
            all.extend_from_slice(&chunk);
        }
        assert!(all == sent);
    });
}

#[test]
fn an_answer_shorter_than_it_says_is_an_error() {
    let whole = answer("200 OK", &[], &[0; 1000]);
    for len in [whole.len() - 1, whole.len() - 999, whole.len() - 1000] {
        let front = whole[..len].to_vec();
        let server = Server::start(move |_, wire| {
            wire.write_all(&front).unwrap();
            Then::Close
        });
        unavailable(&exchange(&engine(), get(&server.url(SECRET))).unwrap_err(), "broke off");
    }
    let server = Server::start(move |_, wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc").unwrap();
        Then::Close
    });
    unavailable(&exchange(&engine(), get(&server.url(SECRET))).unwrap_err(), "broke off");
}

#[test]
fn an_answer_longer_than_it_says_ends_where_it_said() {
    let mut bytes = answer("200 OK", &[], b"right");
    bytes.extend_from_slice(b" and wrong");
    let server = Server::saying(bytes);
    let engine = engine();
    for _ in 0..5 {
        assert_eq!(persist(&engine, &server.url("/")).unwrap().1, "right");
    }
}

#[test]
fn a_head_that_does_not_end_is_an_error() {
    let many = (0..200).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    let long = format!("x: {}\r\n", "y".repeat(1 << 20));
    for headers in [many, long] {
        let server = Server::saying(format!("HTTP/1.1 200 OK\r\n{headers}\r\n"));
        let error = send(&engine(), get(&server.url(SECRET))).unwrap_err();
        assert_eq!(error.code(), Code::Unavailable, "{error}");
        assert!(error.detail().contains("is too large") && !error.is_retryable(), "{error}");
    }
}

#[test]
fn nonsense_is_an_error() {
    let texts = [
        "\0\0\0\0\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
    ];
    for text in texts {
        let server = Server::start(move |_, wire| {
            wire.write_all(text.as_bytes()).unwrap();
            Then::Close
        });
        let error = exchange(&engine(), get(&server.url(SECRET))).unwrap_err();
        unavailable(&error, "127.0.0.1");
    }
}

#[test]
fn a_peer_that_cuts_off_at_any_byte_is_an_error_or_a_whole_answer() {
    let whole = answer("200 OK", &[("x-a", "b")], b"content");
    let last = whole.len();
    let server = Server::start(move |asked, wire| {
        let len = asked.first_line().split(['/', ' ']).nth(2).unwrap().parse().unwrap();
        wire.write_all(&whole[..len]).unwrap();
        Then::Close
    });
    let engine = engine();
    for len in 0..=last {
        match exchange(&engine, get(&server.url(&format!("/{len}")))) {
            Ok((_, body)) => assert_eq!((body.as_ref(), len), (&b"content"[..], last)),
            Err(error) => unavailable(&error, "127.0.0.1"),
        }
    }
}

#[test]
fn an_upload_refused_before_its_end_is_an_answer_or_a_failure_never_a_hang() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1000]);
            let _ = stream.write_all(&answer("403 Forbidden", &[("connection", "close")], b"no"));
        }
    });
    let engine = impatient();
    for _ in 0..10 {
        let request = Request::put(&url).body(Body::from(vec![0; 8 << 20])).unwrap();
        match exchange(&engine, request) {
            Ok((status, _)) => assert_eq!(status.as_u16(), 403),
            Err(error) => unavailable(&error, "127.0.0.1"),
        }
    }
}
