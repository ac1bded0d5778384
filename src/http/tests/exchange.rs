//! Requests and answers as they should be, and the connections they leave.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};

use super::server::{Server, Then, answer};
use super::*;
use crate::http::{collect_vec, front};

#[test]
fn a_request_is_sent_as_it_is_and_its_answer_read_whole() {
    let server = Server::saying(answer("201 Created", &[("x-a", "b")], b"stored"));
    let rope = Body::from(vec![Bytes::from("one "), Bytes::new(), Bytes::from("two")]);
    assert_eq!(rope.len(), 7);
    let url = server.url("/a%20b?c=d");
    let request = Request::put(url).header("x-one", "1").body(rope).unwrap();
    let response = send(&engine(), request).unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-a"]),
        (201, &"b".parse().unwrap())
    );
    assert_eq!(run(collect(response.into_body(), LIMIT)).unwrap(), "stored");
    let asked = server.asked().pop().unwrap();
    assert_eq!(asked.first_line(), "PUT /a%20b?c=d HTTP/1.1");
    assert_eq!(asked.header("x-one"), Some("1"));
    assert_eq!(asked.header("host"), Some(server.address.to_string().as_str()));
    assert_eq!(asked.header("content-length"), Some("7"));
    assert!(asked.header("user-agent").unwrap().starts_with("libstoragedriver/"));
    assert_eq!(asked.body, b"one two");
}

#[test]
fn large_bodies_go_both_ways_unchanged() {
    let sent = content(5 << 20);
    let expected = sent.clone();
    let server = Server::start(move |asked, wire| {
        assert_eq!(asked.body, expected);
        wire.write_all(&answer("200 OK", &[], &asked.body)).unwrap();
        Then::Keep
    });
    let pieces = sent.chunks((1 << 20) - 1).map(Bytes::copy_from_slice).collect::<Vec<_>>();
    let body = Body::from(pieces);
    let engine = engine();
    for _ in 0..2 {
        // A clone is the whole body again.
        let request = Request::put(server.url("/")).body(body.clone()).unwrap();
        assert_eq!(exchange(&engine, request).unwrap().1, sent);
    }
}

#[test]
fn an_answer_becomes_a_vector_with_room_to_spare() {
    let sent = content(300_000);
    let server = Server::saying(answer("200 OK", &[], &sent));
    let body = send(&engine(), get(&server.url("/"))).unwrap().into_body();
    assert_eq!(body.left(), Some(300_000));
    let all = run(collect_vec(body, LIMIT, 1)).unwrap();
    assert!(all == sent && all.capacity() > all.len());
}

#[test]
fn an_answer_beyond_the_limit_is_an_error() {
    let length = Server::saying(answer("200 OK", &[], &[0; 1001]));
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n3e8\r\n";
    let chunked = Server::saying([chunked.as_bytes(), &[0; 1000], b"\r\n0\r\n\r\n"].concat());
    for server in [length, chunked] {
        let body = || send(&engine(), get(&server.url("/"))).unwrap().into_body();
        let error = run(collect(body(), 1000)).unwrap_err();
        assert!(!error.is_retryable() && error.detail().contains("larger than 1000"), "{error}");
        run(collect_vec(body(), 1000, 1)).unwrap_err();
        run(collect(body(), 1003)).unwrap();
    }
}

#[test]
fn a_connection_is_used_again() {
    let server = Server::saying(answer("200 OK", &[], b"x"));
    let engine = engine();
    for _ in 0..20 {
        exchange(&engine, get(&server.url("/"))).unwrap();
    }
    // A clone shares them.
    exchange(&engine.clone(), get(&server.url("/"))).unwrap();
    assert_eq!((server.asked().len(), server.connections()), (21, 1));
}

#[test]
fn an_answer_to_head_has_no_body_and_keeps_the_connection() {
    let server = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
    let engine = engine();
    for _ in 0..3 {
        let head = Request::builder().method(Method::HEAD).uri(server.url("/"));
        let response = send(&engine, head.body(Body::empty()).unwrap()).unwrap();
        assert_eq!(response.headers()["content-length"], "1000");
        assert_eq!(run(collect(response.into_body(), LIMIT)).unwrap(), "");
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn what_a_peer_sends_unasked_is_not_taken_for_an_answer() {
    let two = [answer("200 OK", &[], b"first"), answer("200 OK", &[], b"smuggled")].concat();
    let server = Server::saying(two);
    let engine = engine();
    for _ in 0..5 {
        assert_eq!(persist(&engine, &server.url("/")).unwrap().1, "first");
    }
}

#[test]
fn interim_answers_are_passed_over() {
    let both =
        [b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n".to_vec(), answer("200 OK", &[], b"y")];
    let server = Server::saying(both.concat());
    assert_eq!(exchange(&engine(), get(&server.url("/"))).unwrap().1, "y");
}

#[test]
fn a_connection_closed_while_idle_costs_no_request() {
    let server = Server::start(|_, wire| {
        wire.write_all(&answer("200 OK", &[], b"x")).unwrap();
        Then::Close
    });
    let engine = engine();
    for _ in 0..10 {
        assert_eq!(persist(&engine, &server.url("/")).unwrap().1, "x");
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(server.asked().len(), 10);
}

#[test]
fn a_connection_that_dies_under_a_request_is_no_reason_to_wait() {
    // Each connection answers once, and dies of the second request.
    let server = Server::start(|asked, wire| {
        static SEEN: AtomicUsize = AtomicUsize::new(usize::MAX);
        if SEEN.swap(asked.connection, Ordering::SeqCst) == asked.connection {
            return Then::Close;
        }
        wire.write_all(&answer("200 OK", &[], b"x")).unwrap();
        Then::Keep
    });
    let engine = engine();
    exchange(&engine, get(&server.url("/"))).unwrap();
    let error = exchange(&engine, get(&server.url("/"))).unwrap_err();
    assert!(error.is_retryable() && error.retry_after() == Some(Duration::ZERO), "{error}");
    // Whoever repeats it gets an answer, on another connection.
    for _ in 0..10 {
        assert_eq!(persist(&engine, &server.url("/")).unwrap().1, "x");
    }
    // A new connection that dies is a reason.
    let dead = Server::start(|_, _| Then::Close);
    let error = exchange(&engine, get(&dead.url("/"))).unwrap_err();
    assert!(error.is_retryable() && error.retry_after().is_none(), "{error}");
}

#[test]
fn after_a_dead_connection_the_others_of_its_age_are_not_tried() {
    // Eight connections are kept; then the server is gone for all of them.
    let gone = Arc::new(AtomicUsize::new(0));
    let (seen, all_are_there) = (gone.clone(), Barrier::new(8));
    let server = Server::start(move |asked, wire| {
        if asked.connection < seen.load(Ordering::SeqCst) {
            return Then::Close;
        }
        if asked.number < 8 {
            all_are_there.wait();
        }
        wire.write_all(&answer("200 OK", &[], b"x")).unwrap();
        Then::Keep
    });
    let engine = engine();
    let all: Vec<_> = (0..8)
        .map(|_| {
            let (engine, url) = (engine.clone(), server.url("/"));
            thread::spawn(move || exchange(&engine, get(&url)).unwrap())
        })
        .collect();
    all.into_iter().for_each(|one| drop(one.join().unwrap()));
    assert_eq!(server.connections(), 8);
    gone.store(8, Ordering::SeqCst);
    persist(&engine, &server.url("/")).unwrap();
    assert_eq!(server.asked().len(), 8 + 2);
}

#[test]
fn a_dropped_request_leaves_the_engine_usable() {
    let server = Server::start(|asked, wire| {
        if asked.number == 0 {
            thread::sleep(Duration::from_secs(60));
        }
        wire.write_all(&answer("200 OK", &[], &[7; 100_000])).unwrap();
        Then::Keep
    });
    let engine = engine();
    let (first, url) = (engine.clone(), server.url("/"));
    run(async move {
        let request = first.send(get(&url));
        assert!(tokio::time::timeout(Duration::from_millis(50), request).await.is_err());
    });
    // An answer of which only the front is wanted.
    for _ in 0..3 {
        let response = send(&engine, get(&server.url("/"))).unwrap();
        run(async move { response.into_body().chunk().await }).unwrap().unwrap();
    }
    assert_eq!(exchange(&engine, get(&server.url("/"))).unwrap().1, vec![7; 100_000]);
}

#[test]
fn many_requests_at_once_share_one_engine() {
    let server = Server::saying(answer("200 OK", &[], &[1; 4096]));
    let engine = engine();
    let url = server.url("/");
    run(async move {
        let all: Vec<_> = (0..200)
            .map(|_| {
                let (engine, url) = (engine.clone(), url.clone());
                tokio::spawn(async move {
                    let response = engine.send(get(&url)).await?;
                    collect(response.into_body(), LIMIT).await
                })
            })
            .collect();
        for one in all {
            assert_eq!(one.await.unwrap().unwrap().len(), 4096);
        }
    });
}

#[test]
fn more_requests_than_there_are_descriptors_stand_in_line() {
    let [now, most] = [0; 2].map(|_| Arc::new(AtomicUsize::new(0)));
    let (inside, seen) = (now.clone(), most.clone());
    let server = Server::start(move |_, wire| {
        seen.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(10));
        inside.fetch_sub(1, Ordering::SeqCst);
        wire.write_all(&answer("200 OK", &[], b"x")).unwrap();
        Then::Keep
    });
    let engine = engine_with(Options { max_requests: 8, ..Options::default() });
    // Bodies that nobody reads do not count.
    let unread: Vec<_> = (0..20).map(|_| send(&engine, get(&server.url("/"))).unwrap()).collect();
    let url = server.url("/");
    run(async move {
        let all: Vec<_> = (0..300)
            .map(|_| {
                let (engine, url) = (engine.clone(), url.clone());
                tokio::spawn(async move {
                    let response = engine.send(get(&url)).await?;
                    collect(response.into_body(), LIMIT).await
                })
            })
            .collect();
        for one in all {
            assert_eq!(one.await.unwrap().unwrap(), "x");
        }
    });
    assert!(most.load(Ordering::SeqCst) <= 8);
    drop(unread);
}

#[test]
fn of_an_answer_without_an_end_the_front_is_enough() {
    let server = Server::start(|_, wire| {
        let _ = wire.write_all(b"HTTP/1.1 500 Oh\r\ntransfer-encoding: chunked\r\n\r\n");
        while wire.write_all(b"5\r\nagain\r\n").is_ok() {}
        Then::Close
    });
    let body = send(&engine(), get(&server.url("/"))).unwrap().into_body();
    let front_of = run(front(body, 10_001));
    assert!(front_of.len() == 10_001 && front_of.starts_with(b"againagain"));
    // What breaks off is taken as far as it came.
    let mut cut = answer("500 Oh", &[], b"because");
    cut.pop();
    let server = Server::start(move |_, wire| {
        wire.write_all(&cut).unwrap();
        Then::Close
    });
    let body = send(&engine(), get(&server.url("/"))).unwrap().into_body();
    assert_eq!(run(front(body, 100)), "becaus");
}
