//! The library's server with a host that a test plays, frame by frame.

use std::io::Write;
use std::sync::Arc;
use std::thread::JoinHandle;

use serde_json::{Value, json};
use storagedriver::base::Base;
use storagedriver::child;
use storagedriver::child::frame::{Header, Kind, WINDOW};
use storagedriver::context::Context;
use storagedriver::driver::Driver;
use storagedriver::error::{Code, Result};
use storagedriver::factory;
use storagedriver::params::Params;

use crate::served;
use crate::wire::{Wire, frame};

struct Host {
    wire: Wire,
    driver: Arc<Base>,
    serving: Option<JoinHandle<Result<()>>>,
}

impl Host {
    /// Has said nothing yet.
    fn silent() -> Host {
        let (ours, theirs) = served::pair();
        let driver = factory::create("inmemory", &Context::none(), &Params::new()).unwrap();
        let served: Arc<dyn Driver> = driver.clone();
        let serving =
            std::thread::spawn(move || child::serve(theirs, &|_, _, _| Ok(served.clone())));
        Host { wire: Wire::new(ours), driver, serving: Some(serving) }
    }

    fn new() -> Host {
        let mut host = Host::silent();
        let hello = json!({"protocol": [1, 3], "driver": "x", "window": WINDOW, "new": "key"});
        host.wire.send(Kind::Hello, 0, false, hello.to_string().as_bytes());
        let (header, answer) = host.wire.read();
        assert_eq!(header.kind, Kind::Hello);
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer["protocol"], json!([1, 0]), "the lower minor version");
        host
    }

    fn ask(&mut self, stream: u32, request: Value) {
        self.wire.send(Kind::Request, stream, false, request.to_string().as_bytes());
    }

    /// The next frame is the last of a stream, an error with this code.
    fn expect_error(&mut self, stream: u32, code: Code) {
        let (header, body) = self.wire.read();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        assert_eq!((header.kind, header.stream, header.end), (Kind::Error, stream, true));
        assert_eq!(body["code"], code.number(), "{body}");
    }

    /// It is alive, and nothing else was to come.
    fn ping(&mut self) {
        let ping = Header::new(Kind::Ping, 0, 0).with_arg(42);
        self.wire.send_bytes(&ping.encode());
        let (header, _) = self.wire.read();
        assert_eq!((header.kind, header.arg), (Kind::Pong, 42));
    }

    fn goodbye(mut self) {
        self.wire.send(Kind::Goodbye, 0, false, b"");
        self.serving.take().unwrap().join().unwrap().unwrap();
    }
}

#[test]
fn a_put_that_is_cancelled_in_the_middle_does_not_happen() {
    let mut host = Host::new();
    host.ask(1, json!({"op": "put_content", "path": "/a", "length": 10}));
    host.wire.send(Kind::Data, 1, false, b"12345");
    assert_eq!(host.wire.read().0.kind, Kind::Credit);
    host.wire.send(Kind::Cancel, 1, false, b"");
    host.expect_error(1, Code::Cancelled);
    // What was under way is ignored.
    host.wire.send(Kind::Data, 1, true, b"67890");
    host.ping();
    assert_eq!(host.driver.stat(&Context::none(), "/a").unwrap_err().code(), Code::PathNotFound);
    host.goodbye();
}

#[test]
fn what_is_cancelled_before_a_thread_comes_to_it_does_not_happen() {
    let mut host = Host::new();
    let none = Context::none();
    host.driver.put_content(&none, "/b", b"b").unwrap();
    let ask = |stream, request: Value| {
        frame(Kind::Request, stream, false, request.to_string().as_bytes())
    };
    // All in one go, so that they are read together.
    let put = [
        ask(1, json!({"op": "put_content", "path": "/a", "length": 1})),
        frame(Kind::Data, 1, true, b"1"),
        frame(Kind::Cancel, 1, false, b""),
    ];
    host.wire.send_bytes(&put.concat());
    host.expect_error(1, Code::Cancelled);
    let delete =
        [ask(2, json!({"op": "delete", "path": "/b"})), frame(Kind::Cancel, 2, false, b"")];
    host.wire.send_bytes(&delete.concat());
    host.expect_error(2, Code::Cancelled);
    assert_eq!(host.driver.stat(&none, "/a").unwrap_err().code(), Code::PathNotFound);
    host.driver.stat(&none, "/b").unwrap();
    host.goodbye();
}

#[test]
fn a_put_of_another_length_does_not_happen() {
    let mut host = Host::new();
    for (stream, data) in [(1, &b"123"[..]), (2, b"1234567")] {
        host.ask(stream, json!({"op": "put_content", "path": "/a", "length": 5}));
        host.wire.send(Kind::Data, stream, true, data);
        host.expect_error(stream, Code::InvalidArgument);
    }
    assert_eq!(host.driver.stat(&Context::none(), "/a").unwrap_err().code(), Code::PathNotFound);
    host.goodbye();
}

#[test]
fn what_is_released_ends_though_no_credit_comes() {
    let mut host = Host::new();
    let content = vec![1; 3 * WINDOW as usize];
    host.driver.put_content(&Context::none(), "/a", &content).unwrap();
    for (stream, op) in [(1, "get_content"), (2, "reader")] {
        host.ask(stream, json!({"op": op, "path": "/a", "offset": 0}));
        let mut got = 0;
        while got < WINDOW as usize {
            let (header, body) = host.wire.read();
            assert!(!header.end);
            got += body.len() * usize::from(header.kind == Kind::Data);
        }
        assert_eq!(got, WINDOW as usize, "as much as was allowed");
        host.ping();
        host.wire.send(Kind::Release, stream, false, b"");
        host.expect_error(stream, Code::Cancelled);
    }
    for (stream, op) in [(3, "writer"), (4, "walk")] {
        host.ask(stream, json!({"op": op, "path": if op == "walk" { "/" } else { "/w" }}));
        assert_eq!(host.wire.read().0.kind, Kind::Reply);
        host.wire.send(Kind::Release, stream, false, b"");
        host.expect_error(stream, Code::Cancelled);
        // For what is over nothing means anything.
        for kind in [Kind::Release, Kind::Cancel, Kind::Credit] {
            host.wire.send(kind, stream, false, b"");
        }
    }
    host.ping();
    host.goodbye();
}

#[test]
fn an_upload_of_another_size_is_not_committed() {
    let mut host = Host::new();
    host.ask(1, json!({"op": "writer", "path": "/w", "append": false}));
    host.wire.read();
    host.wire.send(Kind::Data, 1, false, b"12345");
    host.ask(1, json!({"op": "commit", "size": 6}));
    let (header, body) = host.wire.read();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((header.kind, header.end), (Kind::Error, false));
    assert_eq!(body["code"], Code::Corrupt.number());
    host.ask(1, json!({"op": "commit", "size": 5}));
    let (header, body) = host.wire.read();
    assert_eq!((header.kind, header.end, &body[..]), (Kind::Reply, true, &b"{\"size\":5}"[..]));
    host.goodbye();
}

#[test]
fn a_host_that_breaks_the_protocol_is_left() {
    for bad in [
        Header::new(Kind::Hello, 0, 0),
        Header::new(Kind::Reply, 1, 0),
        Header::new(Kind::Data, 9, 1 << 21),
    ] {
        let mut host = Host::new();
        host.wire.send_bytes(&bad.encode());
        let error = host.serving.take().unwrap().join().unwrap().unwrap_err();
        assert!(error.detail().contains("broke the protocol"), "{error}");
    }
    // More than it was allowed.
    let mut host = Host::new();
    host.ask(1, json!({"op": "walk", "path": "/"}));
    let piece = frame(Kind::Data, 1, false, &vec![0; 1 << 20]);
    while host.wire.0.write_all(&piece).is_ok() {}
    let error = host.serving.take().unwrap().join().unwrap().unwrap_err();
    assert!(error.detail().contains("more data"), "{error}");
    // Another version: it says which one it speaks.
    let mut host = Host::silent();
    host.wire.send(Kind::Hello, 0, false, br#"{"protocol":[2,0],"window":1}"#);
    let (_, answer) = host.wire.read();
    assert!(String::from_utf8(answer).unwrap().contains(r#""protocol":[1,0]"#));
    let error = host.serving.take().unwrap().join().unwrap().unwrap_err();
    assert_eq!(error.code(), Code::DriverVersion);
}

#[test]
fn bad_requests_are_answered() {
    let mut host = Host::new();
    host.wire.send(Kind::Request, 1, false, b"not json");
    host.expect_error(1, Code::InvalidArgument);
    host.ask(2, json!({"op": "explode", "path": "/a"}));
    host.expect_error(2, Code::Unsupported);
    host.ask(3, json!({"op": "stat", "path": "../etc"}));
    host.expect_error(3, Code::InvalidPath);
    host.ask(4, json!({"op": "stat"}));
    host.expect_error(4, Code::InvalidPath);
    host.ping();
    host.goodbye();
}
