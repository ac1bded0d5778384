//! A process that answers garbage, too much, too late, twice, or what was not asked.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::json;
use storagedriver::child::ChildDriver;
use storagedriver::child::frame::{Header, Kind, PIECE, WINDOW};
use storagedriver::context::Context;
use storagedriver::driver::{Driver, WalkOptions};
use storagedriver::error::Code;
use storagedriver::params::Params;

use crate::scripted::{HELLO, Script, script, with_hello};
use crate::served;

const INFO: &str = r#"{"size":1,"mtime_ns":0,"dir":false}"#;

/// `answer` to a stat ends the connection, now or with the next call, with these words.
fn breaks(words: &str, answer: impl FnOnce(&mut Script, u32) + Send + 'static) {
    let (driver, thread) = script(move |side| {
        let (stream, _) = side.request();
        answer(side, stream);
        side.drain();
    });
    let ctx = Context::new(&Context::none());
    ctx.set_timeout(Duration::from_secs(20));
    let first = driver.stat(&ctx, "/a");
    for _ in 0..2 {
        let error = driver.stat(&ctx, "/b").unwrap_err();
        assert_eq!(error.code(), Code::DriverDied, "{words}: {error}");
        assert!(error.detail().contains(words), "{error}");
    }
    if let Err(error) = first {
        assert_eq!(error.code(), Code::DriverDied, "{error}");
    }
    thread.join().unwrap();
}

#[test]
fn garbage_ends_the_connection() {
    breaks("it broke the protocol", |side, _| side.raw(&[0xff; 64]));
    breaks("a frame of type 0", |side, _| side.raw(&[0; 16]));
    breaks("a frame of type 77", |side, stream| {
        let mut frame = Header::new(Kind::Reply, stream, 0).encode();
        frame[4] = 77;
        side.raw(&frame);
    });
    breaks("unknown flags", |side, stream| {
        let mut frame = Header::new(Kind::Reply, stream, 0).encode();
        frame[5] = 0x80;
        side.raw(&frame);
    });
    breaks("a frame of 1048577 bytes", |side, stream| {
        side.raw(&Header::new(Kind::Reply, stream, (1 << 20) + 1).encode());
    });
    breaks("out of turn", |side, _| side.send(Kind::Hello, 0, false, HELLO.as_bytes()));
    breaks("out of turn", |side, stream| side.send(Kind::Request, stream, false, b"{}"));
    breaks("out of turn", |side, _| side.send(Kind::Goodbye, 0, false, b""));
}

#[test]
fn pings_without_end_do_not_fill_the_memory() {
    breaks("pings without end", |side, _| {
        let pings = Header::new(Kind::Ping, 0, 0).encode().repeat(4096);
        // Ten times what may wait, and none of the answers is read.
        for _ in 0..640 {
            side.raw(&pings);
        }
    });
}

#[test]
fn a_second_answer_ends_the_connection() {
    breaks("where nothing was asked", |side, stream| {
        side.reply(stream, INFO);
        side.reply(stream, INFO);
    });
    breaks("a second answer", |side, stream| {
        side.send(Kind::Reply, stream, false, INFO.as_bytes());
        side.send(Kind::Reply, stream, false, INFO.as_bytes());
    });
}

#[test]
fn an_answer_that_nobody_asked_for_ends_the_connection() {
    breaks("where nothing was asked", |side, stream| side.reply(stream + 1000, INFO));
    breaks("where nothing was asked", |side, stream| {
        side.send(Kind::Credit, stream + 1000, false, b"");
    });
}

#[test]
fn contents_that_were_not_allowed_end_the_connection() {
    breaks("more data on stream", |side, stream| {
        side.send(Kind::Data, stream, true, b"not what a stat is answered by");
    });
    let (driver, thread) = script(|side| {
        let (stream, request) = side.request();
        assert_eq!(request["op"], "reader");
        side.send(Kind::Reply, stream, false, b"{}");
        for _ in 0..WINDOW as usize / PIECE + 1 {
            side.send(Kind::Data, stream, false, &[1; PIECE]);
        }
        side.drain();
    });
    let mut reader = driver.reader(&Context::none(), "/a", 0).unwrap();
    // Nobody reads; another call meets what came.
    let error = driver.stat(&Context::none(), "/a").unwrap_err();
    assert_eq!(error.code(), Code::DriverDied);
    assert!(error.detail().contains("more data"), "{error}");
    // What had come before the fault is still read; then it ends with the same error.
    let mut buf = vec![0; PIECE];
    let last = loop {
        match reader.read(&mut buf) {
            Ok(count) => assert!(count > 0),
            Err(error) => break error,
        }
    };
    assert_eq!(last.code(), Code::DriverDied);
    thread.join().unwrap();
}

#[test]
fn a_driver_that_goes_with_something_unread_is_dead_to_who_sends_next() {
    let (driver, gone) = script(|side| {
        side.request();
        // What it does not read: that the call was given up.
        side.wait_for_input();
    });
    let (ctx, none) = (Context::new(&Context::none()), Context::none());
    ctx.set_timeout(Duration::from_millis(200));
    assert_eq!(driver.list(&ctx, "/").unwrap_err().code(), Code::Deadline);
    gone.join().unwrap();
    // The socket says that once in another way than later.
    for _ in 0..3 {
        assert_eq!(driver.list(&none, "/").unwrap_err().code(), Code::DriverDied);
    }
}

#[test]
fn an_answer_that_comes_too_late_is_dropped() {
    let (driver, thread) = script(|side| {
        let (late, _) = side.request();
        let (cancel, _) = side.read().unwrap();
        assert_eq!((cancel.kind, cancel.stream), (Kind::Cancel, late));
        side.reply(late, INFO);
        let (stream, _) = side.request();
        side.reply(stream, r#"{"size":2,"mtime_ns":0,"dir":false}"#);
    });
    let ctx = Context::new(&Context::none());
    ctx.set_timeout(Duration::from_millis(30));
    assert_eq!(driver.stat(&ctx, "/a").unwrap_err().code(), Code::Deadline);
    assert_eq!(driver.stat(&Context::none(), "/a").unwrap().size, 2);
    thread.join().unwrap();
}

#[test]
fn a_cancelled_call_returns_at_once_and_the_driver_is_told() {
    const ATTEMPTS: usize = 10;
    let (driver, thread) = script(|side| {
        for _ in 0..ATTEMPTS {
            let (stream, request) = side.request();
            assert!(request["timeout_ms"].is_null());
            let (cancel, _) = side.read().unwrap();
            assert_eq!((cancel.kind, cancel.stream), (Kind::Cancel, stream));
            side.reply(stream, "{}"); // the next call waits for that
        }
    });
    let took = || {
        let ctx = Context::new(&Context::none());
        std::thread::scope(|scope| {
            let canceller = scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(60));
                let at = Instant::now();
                ctx.cancel();
                at
            });
            assert_eq!(driver.delete(&ctx, "/a").unwrap_err().code(), Code::Cancelled);
            let returned = Instant::now();
            returned.saturating_duration_since(canceller.join().unwrap())
        })
    };
    // The best of some: the machine may have something else to do.
    let best = (0..ATTEMPTS).map(|_| took()).min().unwrap();
    assert!(best < Duration::from_millis(50), "{best:?}");
    thread.join().unwrap();
}

#[test]
fn wrong_answers_fail_the_call_and_nothing_else() {
    let answers = [
        "[]",
        "not json",
        "{}",
        r#"{"size":-1,"dir":false}"#,
        r#"{"size":1,"mtime_ns":-1,"dir":false}"#,
        r#"{"size":18446744073709551615,"dir":false}"#,
        r#"{"size":1,"dir":true}"#,
        r#"{"size":1}"#,
    ];
    let (driver, thread) = script(move |side| {
        for answer in answers {
            let (stream, _) = side.request();
            side.reply(stream, answer);
        }
        for names in [r#"["a/b"]"#, r#"[""]"#, r#"[".."]"#, "[1]", "null"] {
            let (stream, _) = side.request();
            side.reply(stream, &format!(r#"{{"names":{names}}}"#));
        }
        let (stream, _) = side.request();
        side.reply(stream, INFO);
    });
    let ctx = Context::none();
    for answer in answers {
        let error = driver.stat(&ctx, "/a").unwrap_err();
        assert_eq!(error.code(), Code::Driver, "{answer}: {error}");
        assert!(error.detail().starts_with("wrong answer"), "{error}");
    }
    for _ in 0..5 {
        assert_eq!(driver.list(&ctx, "/a").unwrap_err().code(), Code::Driver);
    }
    driver.stat(&ctx, "/a").unwrap();
    thread.join().unwrap();
}

#[test]
fn a_walk_out_of_order_or_from_elsewhere_is_refused() {
    for (entries, words) in [
        (r#"["/d/b","/d/a"]"#, "out of order"),
        (r#"["/d/a","/d/a"]"#, "out of order"),
        (r#"["/e"]"#, "from elsewhere"),
    ] {
        let hello = r#"{"protocol":[1,0],"window":1,"operations":["walk"]}"#;
        let (driver, thread) = with_hello(hello, move |side| {
            let (stream, _) = side.request();
            side.send(Kind::Reply, stream, false, b"{}");
            let (_, next) = side.request();
            assert_eq!(next["op"], "next");
            let paths: Vec<String> = serde_json::from_str(entries).unwrap();
            let entry = |path| json!({"path": path, "size": 0, "dir": false});
            let entries: Vec<_> = paths.into_iter().map(entry).collect();
            side.send(
                Kind::Reply,
                stream,
                false,
                json!({ "entries": entries }).to_string().as_bytes(),
            );
            side.drain();
        });
        let driver = driver.unwrap();
        let options = WalkOptions::default();
        let mut walker = driver.walker(&Context::none(), "/d", &options).unwrap().unwrap();
        let error = loop {
            match walker.next() {
                Ok(entry) => assert!(entry.is_some()),
                Err(error) => break error,
            }
        };
        assert!(error.detail().contains(words), "{error}");
        if words == "out of order" {
            let again = walker.next().expect_err("a good end");
            assert_eq!(again.detail(), error.detail());
        }
        drop((walker, driver));
        thread.join().unwrap();
    }
}

#[test]
fn another_protocol_is_refused_by_its_own_code() {
    for (hello, code) in [
        (r#"{"protocol":[2,0],"window":1}"#, Code::DriverVersion),
        (r#"{"protocol":[1,1],"window":1}"#, Code::DriverVersion),
        (r#"{"protocol":[0,9],"window":1}"#, Code::DriverVersion),
        (r#"{"window":1}"#, Code::Driver),
        (r#"{"protocol":[1,0]}"#, Code::Driver),
        (r#"{"protocol":[1,0],"window":0}"#, Code::Driver),
        ("hello", Code::Driver),
    ] {
        let (driver, thread) = with_hello(hello, |side| side.drain());
        let error = driver.err().unwrap();
        assert_eq!(error.code(), code, "{hello}: {error}");
        thread.join().unwrap();
    }
}

#[test]
fn half_a_frame_holds_nobody_longer_than_his_deadline() {
    let ctx = Context::new(&Context::none());
    // In the hello, in its header and in its body.
    let hello = [&Header::new(Kind::Hello, 0, HELLO.len()).encode()[..], HELLO.as_bytes()].concat();
    for half in [8, 30] {
        let (ours, theirs) = served::pair();
        let mut theirs = UnixStream::from(theirs);
        theirs.write_all(&hello[..half]).unwrap();
        ctx.set_timeout(Duration::from_millis(100));
        let error = ChildDriver::connect("half", ours, &ctx, &Params::new()).err().unwrap();
        assert_eq!(error.code(), Code::Deadline, "{error}");
    }
    // And later, with one more byte at every moment.
    let (driver, thread) = script(|side| {
        let (stream, _) = side.request();
        side.raw(&Header::new(Kind::Reply, stream, 1 << 20).encode());
        for _ in 0..600 {
            side.raw(b" ");
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let started = Instant::now();
    ctx.set_timeout(Duration::from_millis(100));
    assert_eq!(driver.stat(&ctx, "/a").unwrap_err().code(), Code::Deadline);
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    drop(driver);
    thread.join().unwrap();
}

#[test]
fn a_process_that_answers_nothing_does_not_fill_the_memory() {
    let (driver, thread) = script(|side| side.drain());
    let brief = Context::new(&Context::none());
    let mut stuck = None;
    // Some do not get out at all.
    for _ in 0..1_000_000 {
        brief.set_timeout(Duration::ZERO);
        let error = driver.stat(&brief, "/a").unwrap_err();
        if error.code() == Code::Unavailable {
            stuck = Some(error);
            break;
        }
    }
    assert!(stuck.unwrap().detail().contains("does not answer"));
    drop(driver);
    thread.join().unwrap();
}
