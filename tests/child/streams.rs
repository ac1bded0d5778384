//! Many streams side by side, what they may hold in memory, and how failures travel.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use storagedriver::base::Base;
use storagedriver::child::ChildDriver;
use storagedriver::child::frame::{Kind, PIECE, WINDOW};
use storagedriver::context::Context;
use storagedriver::driver::{Capabilities, Driver, FileInfo, Reader, Writer};
use storagedriver::error::{Code, Error, Result};
use storagedriver::factory;
use storagedriver::names::Names;
use storagedriver::params::Params;

use crate::scripted::{HELLO, Script, script, with_hello};
use crate::served;

fn inmemory() -> Arc<Base> {
    factory::create("inmemory", &Context::none(), &Params::new()).unwrap()
}

fn content(seed: usize, size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 31 + seed * 7 + at / 251) as u8).collect()
}

fn read_all(reader: &mut dyn Reader, piece: usize) -> Vec<u8> {
    let (mut all, mut buf) = (Vec::new(), vec![0; piece]);
    loop {
        match reader.read(&mut buf).unwrap() {
            0 => return all,
            count => all.extend_from_slice(&buf[..count]),
        }
    }
}

#[test]
fn thirty_two_streams_at_once_are_each_themselves() {
    let (driver, serving) = served::serve(inmemory());
    std::thread::scope(|scope| {
        for id in 0..32 {
            let driver = &driver;
            scope.spawn(move || {
                let none = Context::none();
                let content = content(id, (1 << 20) + id * 70_001);
                let path = format!("/s/{id}");
                let mut writer = driver.writer(&none, &path, false).unwrap();
                for piece in content.chunks(1 + id * 9_973) {
                    writer.write(piece).unwrap();
                }
                writer.commit(&none).unwrap();
                let mut reader = driver.reader(&none, &path, 0).unwrap();
                assert!(read_all(&mut *reader, 1 + id * 12_345) == content, "stream {id}");
                assert!(driver.get_content(&none, &path).unwrap() == content);
            });
        }
    });
    assert_eq!(driver.list(&Context::none(), "/s").unwrap().len(), 32);
    drop(driver);
    serving.join().unwrap().unwrap();
}

#[test]
fn a_slow_reader_does_not_stall_the_others() {
    let (driver, serving) = served::serve(inmemory());
    let none = Context::none();
    let big = content(1, 16 << 20);
    driver.put_content(&none, "/big", &big).unwrap();
    let mut slow: Vec<_> = (0..8).map(|_| driver.reader(&none, "/big", 0).unwrap()).collect();
    // None of them is read; everything else goes on.
    let ctx = Context::new(&none);
    ctx.set_timeout(Duration::from_secs(60));
    driver.put_content(&ctx, "/other", &big).unwrap();
    let mut quick = driver.reader(&ctx, "/other", 0).unwrap();
    assert!(read_all(&mut *quick, PIECE) == big);
    for _ in 0..100 {
        driver.stat(&ctx, "/big").unwrap();
    }
    for reader in &mut slow {
        assert!(read_all(&mut **reader, PIECE) == big);
    }
    drop((slow, quick, driver));
    serving.join().unwrap().unwrap();
}

#[test]
fn an_idle_reader_holds_one_window_and_no_more() {
    let (quiet, idle) = channel();
    let (driver, thread) = script(move |side| {
        let (stream, _) = side.request();
        side.send(Kind::Reply, stream, false, b"{}");
        for _ in 0..WINDOW as usize / PIECE {
            side.send(Kind::Data, stream, false, &[7; PIECE]);
        }
        // The host reads on for others, but allows this stream nothing.
        let (other, _) = side.request();
        side.reply(other, r#"{"size":0,"mtime_ns":0,"dir":true}"#);
        side.set_timeout(Duration::from_millis(200));
        assert!(side.read().is_none(), "credit for what nobody has read");
        quiet.send(()).unwrap();
        side.set_timeout(Duration::from_secs(20));
        side.send(Kind::Ping, 0, false, b"");
        let mut credit = 0;
        while credit < WINDOW / 2 {
            let (header, _) = side.read().unwrap();
            if header.kind == Kind::Credit {
                assert_eq!(header.stream, stream);
                credit += header.arg;
            }
        }
        assert!(credit <= WINDOW);
        side.send(Kind::Data, stream, true, b"");
    });
    let none = Context::none();
    let mut reader = driver.reader(&none, "/a", 0).unwrap();
    driver.stat(&none, "/").unwrap();
    idle.recv().unwrap();
    assert_eq!(read_all(&mut *reader, PIECE).len(), WINDOW as usize);
    thread.join().unwrap();
}

#[test]
fn a_writer_sends_no_more_than_it_was_allowed() {
    let (driver, thread) = with_hello(r#"{"protocol":[1,0],"window":1000}"#, |side| {
        let (stream, request) = side.request();
        assert_eq!(
            (request["op"].as_str(), request["append"].as_bool()),
            (Some("writer"), Some(false))
        );
        side.send(Kind::Reply, stream, false, br#"{"size":0}"#);
        let mut got = 0;
        while got < 300_000 {
            let mut allowed = 1000;
            while allowed > 0 {
                let (header, body) = side.read().unwrap();
                assert_eq!(header.kind, Kind::Data);
                assert!(body.len() <= allowed, "{} of {allowed}", body.len());
                allowed -= body.len();
                got += body.len();
                if got == 300_000 {
                    break;
                }
            }
            let credit = storagedriver::child::frame::Header::new(Kind::Credit, stream, 0);
            side.raw(&credit.with_arg(1000).encode());
        }
        let (_, request) = side.request();
        assert_eq!(
            (request["op"].as_str(), request["size"].as_u64()),
            (Some("commit"), Some(300_000))
        );
        side.send(Kind::Reply, stream, true, br#"{"size":300000}"#);
    });
    let (driver, none) = (driver.unwrap(), Context::none());
    let mut writer = driver.writer(&none, "/a", false).unwrap();
    for _ in 0..30 {
        writer.write(&[1; 10_000]).unwrap();
    }
    writer.commit(&none).unwrap();
    assert_eq!(writer.size(), 300_000);
    thread.join().unwrap();
}

#[test]
fn what_did_not_get_out_costs_no_credit() {
    const SIZE: usize = 250_000;
    let (go, wait) = channel();
    let (driver, thread) = script(move |side| {
        let mut streams = Vec::new();
        for _ in 0..2 {
            let (stream, _) = side.request();
            side.send(Kind::Reply, stream, false, br#"{"size":0}"#);
            streams.push(stream);
        }
        wait.recv().unwrap();
        // As one that gives credit only when half of its window is used.
        let mut got = 0;
        loop {
            let (header, body) = side.read().unwrap();
            match header.kind {
                Kind::Data if header.stream == streams[0] => got += body.len(),
                Kind::Request if header.stream == streams[0] => break,
                _ => {}
            }
        }
        assert_eq!(got, SIZE);
        side.reply(streams[0], &format!(r#"{{"size":{SIZE}}}"#));
        side.drain();
    });
    let ctx = Context::new(&Context::none());
    let brief = Context::new(&Context::none());
    let mut writer = driver.writer(&ctx, "/a", false).unwrap();
    writer.write(&vec![1; SIZE]).unwrap();
    // Another one fills the socket.
    let mut other = driver.writer(&brief, "/b", false).unwrap();
    brief.set_timeout(Duration::from_millis(300));
    while other.write(&[2; PIECE]).is_ok() {}
    for _ in 0..5 {
        brief.set_timeout(Duration::from_millis(30));
        assert_eq!(writer.commit(&brief).unwrap_err().code(), Code::Deadline);
    }
    go.send(()).unwrap();
    ctx.set_timeout(Duration::from_secs(20));
    writer.commit(&ctx).unwrap();
    drop((writer, other, driver));
    thread.join().unwrap();
}

#[test]
fn small_writes_are_sent_together() {
    let (driver, thread) = script(|side| {
        let (stream, _) = side.request();
        side.send(Kind::Reply, stream, false, br#"{"size":0}"#);
        let (header, body) = side.read().unwrap();
        assert_eq!((header.kind, body.len()), (Kind::Data, 1000));
        side.request();
        side.send(Kind::Reply, stream, true, br#"{"size":1000}"#);
    });
    let none = Context::none();
    let mut writer = driver.writer(&none, "/a", false).unwrap();
    for _ in 0..1000 {
        writer.write(b"x").unwrap();
    }
    writer.close(&none).unwrap();
    thread.join().unwrap();
}

#[test]
fn a_deadline_in_the_middle_of_a_commit_leaves_its_answer_to_the_next_call() {
    let (over, given_up) = channel();
    let (driver, thread) = script(move |side| {
        let (stream, _) = side.request();
        side.send(Kind::Reply, stream, false, br#"{"size":0}"#);
        let (_, request) = side.request();
        assert!(request["timeout_ms"].as_u64().is_some_and(|time| time <= 50));
        given_up.recv().unwrap();
        side.send(Kind::Reply, stream, true, br#"{"size":3}"#);
    });
    let none = Context::none();
    let mut writer = driver.writer(&none, "/a", false).unwrap();
    writer.write(b"abc").unwrap();
    let brief = Context::new(&none);
    brief.set_timeout(Duration::from_millis(50));
    assert_eq!(writer.commit(&brief).unwrap_err().code(), Code::Deadline);
    over.send(()).unwrap();
    writer.commit(&none).unwrap();
    assert_eq!(writer.cancel(&none).unwrap_err().code(), Code::InvalidState);
    thread.join().unwrap();
}

/// An upload of "abc" whose commit the caller gives up; the script answers with what it
/// is told, later.
fn given_up(
    kind: Kind,
    end: bool,
    answer: &'static str,
    then: impl FnOnce(&mut Script, u32) + Send + 'static,
) -> (Box<dyn Writer>, JoinHandle<()>) {
    let (over, given_up) = channel();
    let (driver, thread) = script(move |side| {
        let (stream, _) = side.request();
        side.send(Kind::Reply, stream, false, br#"{"size":0}"#);
        let (_, request) = side.request();
        assert_eq!(request["size"].as_u64(), Some(3));
        given_up.recv().unwrap();
        side.send(kind, stream, end, answer.as_bytes());
        then(side, stream);
        side.drain();
    });
    let ctx = Context::new(&Context::none());
    ctx.set_timeout(Duration::from_secs(20));
    let mut writer = driver.writer(&ctx, "/a", false).unwrap();
    writer.write(b"abc").unwrap();
    let brief = Context::new(&ctx);
    brief.set_timeout(Duration::from_millis(50));
    assert_eq!(writer.commit(&brief).unwrap_err().code(), Code::Deadline);
    over.send(()).unwrap();
    (writer, thread)
}

#[test]
fn a_write_after_a_commit_that_was_given_up_is_refused_or_in_the_next_one() {
    let none = Context::none();
    let (mut writer, thread) = given_up(Kind::Reply, true, r#"{"size":3}"#, |_, _| ());
    assert_eq!(writer.write(b"def").unwrap_err().code(), Code::InvalidState);
    writer.commit(&none).unwrap();
    assert_eq!(writer.size(), 3);
    drop(writer);
    thread.join().unwrap();
    let (mut writer, thread) = given_up(Kind::Error, false, r#"{"code":-113}"#, |side, stream| {
        let (header, body) = side.read().unwrap();
        assert_eq!((header.kind, &body[..]), (Kind::Data, &b"def"[..]));
        let (_, request) = side.request();
        assert_eq!(request["size"].as_u64(), Some(6));
        side.reply(stream, r#"{"size":6}"#);
    });
    writer.write(b"def").unwrap();
    writer.commit(&none).unwrap();
    assert_eq!(writer.size(), 6);
    drop(writer);
    thread.join().unwrap();
}

#[test]
fn a_wrong_answer_to_a_commit_is_wrong_whenever_it_is_asked_for() {
    for answer in [r#"{"size":2}"#, "{}", "?"] {
        let (mut writer, thread) = given_up(Kind::Reply, true, answer, |_, _| ());
        for _ in 0..3 {
            let error = writer.commit(&Context::none()).unwrap_err();
            assert!(error.detail().starts_with("wrong answer"), "{answer}: {error}");
        }
        drop(writer);
        thread.join().unwrap();
    }
}

#[test]
fn what_was_given_up_is_over_before_its_path_is_changed_again() {
    type Call = fn(&dyn Driver, &Context) -> Result<()>;
    let put: Call = |d, ctx| d.put_content(ctx, "/d/link", b"v");
    let r#move: Call = |d, ctx| d.r#move(ctx, "/other", "/d/link");
    let away: Call = |d, ctx| d.r#move(ctx, "/d/link", "/other");
    let delete: Call = |d, ctx| d.delete(ctx, "/d/link");
    let all: Call = |d, ctx| d.delete(ctx, "/d");
    let upload: Call = |d, ctx| d.writer(ctx, "/d/link", false).map(drop);
    for (first, second, other) in [
        (put, put, "/d/linkage"),
        (put, r#move, "/d/linkage"),
        (put, away, "/d/linkage"),
        (put, delete, "/d/linkage"),
        (put, all, "/dd"),
        (put, upload, "/d/linkage"),
        (r#move, put, "/d/linkage"),
        (delete, put, "/d/linkage"),
        (all, put, "/dd"),
        (upload, put, "/d/linkage"),
    ] {
        let (driver, thread) = script(|side| {
            let (late, request) = side.request();
            if request["op"] == "put_content" {
                assert_eq!(side.read().unwrap().0.kind, Kind::Data);
            }
            let forgotten = side.read().unwrap().0;
            assert!(matches!(forgotten.kind, Kind::Cancel | Kind::Release));
            // Others do not wait.
            let (other, request) = side.request();
            assert!(["/d/linkage", "/dd"].contains(&request["path"].as_str().unwrap()));
            assert_eq!(side.read().unwrap().0.kind, Kind::Data);
            side.reply(other, "{}");
            side.set_timeout(Duration::from_millis(100));
            assert!(side.read().is_none(), "something after it");
            side.set_timeout(Duration::from_secs(20));
            side.send(Kind::Error, late, true, br#"{"code":-5}"#);
            let (stream, request) = side.request();
            side.reply(stream, if request["op"] == "writer" { r#"{"size":0}"# } else { "{}" });
            side.drain();
        });
        let ctx = Context::new(&Context::none());
        ctx.set_timeout(Duration::from_secs(20));
        let brief = Context::new(&ctx);
        brief.set_timeout(Duration::from_millis(50));
        assert_eq!(first(&driver, &brief).unwrap_err().code(), Code::Deadline);
        driver.put_content(&ctx, other, b"v").unwrap();
        second(&driver, &ctx).unwrap();
        drop(driver);
        thread.join().unwrap();
    }
}

/// A store whose uploads have room for so much, and whose errors have all there is.
struct Full {
    room: usize,
    taken: Arc<Mutex<Vec<u8>>>,
    dropped: Arc<AtomicUsize>,
}

fn detailed(path: &str) -> Error {
    Error::new(Code::Throttled, "slowly\nplease")
        .with_path(path)
        .with_offset(-5)
        .with_http_status(429)
        .with_retry_after(Duration::from_millis(1500))
        .with_request_id("id-7")
}

struct FullUpload {
    room: usize,
    size: usize,
    taken: Arc<Mutex<Vec<u8>>>,
    dropped: Arc<AtomicUsize>,
}

impl Writer for FullUpload {
    fn write(&mut self, data: &[u8]) -> Result<()> {
        if self.size + data.len() > self.room {
            return Err(Error::new(Code::NoSpace, "the disk is full"));
        }
        self.taken.lock().unwrap().extend_from_slice(data);
        self.size += data.len();
        Ok(())
    }
    fn size(&self) -> u64 {
        self.size as u64
    }
    fn commit(&mut self, _: &Context) -> Result<()> {
        assert!(self.room > 0, "as it should");
        Ok(())
    }
    fn cancel(&mut self, _: &Context) -> Result<()> {
        Ok(())
    }
    fn close(&mut self, _: &Context) -> Result<()> {
        Ok(())
    }
}

impl Drop for FullUpload {
    fn drop(&mut self) {
        // Long enough to be missed by a host that is told too early.
        std::thread::sleep(Duration::from_millis(50));
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// An empty file, whose reader panics when it goes.
struct BadEnd;

impl Reader for BadEnd {
    fn read(&mut self, _: &mut [u8]) -> Result<usize> {
        Ok(0)
    }
}

impl Drop for BadEnd {
    fn drop(&mut self) {
        // Quietly: a panic that is printed comes too late for the test.
        std::panic::resume_unwind(Box::new("as it should"));
    }
}

impl Driver for Full {
    fn name(&self) -> &str {
        "full"
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
    fn get_content(&self, _: &Context, path: &str) -> Result<Vec<u8>> {
        Err(detailed(path))
    }
    fn put_content(&self, _: &Context, _: &str, _: &[u8]) -> Result<()> {
        panic!("as it should");
    }
    fn stat(&self, _: &Context, _: &str) -> Result<FileInfo> {
        Err(detailed("/elsewhere"))
    }
    fn list(&self, _: &Context, _: &str) -> Result<Names> {
        Ok(Names::new())
    }
    fn r#move(&self, _: &Context, _: &str, _: &str) -> Result<()> {
        Ok(())
    }
    fn delete(&self, _: &Context, path: &str) -> Result<()> {
        Err(Error::path_not_found(path))
    }
    fn reader(&self, _: &Context, _: &str, _: i64) -> Result<Box<dyn Reader>> {
        Ok(Box::new(BadEnd))
    }
    fn writer(&self, _: &Context, _: &str, _: bool) -> Result<Box<dyn Writer>> {
        let (taken, dropped) = (self.taken.clone(), self.dropped.clone());
        Ok(Box::new(FullUpload { room: self.room, size: 0, taken, dropped }))
    }
}

/// What the driver has taken, how many uploads were dropped, and the driver.
type Watched = (Arc<Mutex<Vec<u8>>>, Arc<AtomicUsize>, Arc<dyn Driver>);

fn full(room: usize) -> Watched {
    let (taken, dropped): (Arc<Mutex<Vec<u8>>>, Arc<AtomicUsize>) = Default::default();
    let driver = Full { room, taken: taken.clone(), dropped: dropped.clone() };
    (taken, dropped, Arc::new(driver))
}

#[test]
fn a_panic_behind_the_last_frame_of_a_stream_adds_no_other() {
    let ((_, _, driver), none) = (full(1), Context::none());
    let (ours, theirs) = served::pair();
    // Without a wrapper, which would catch the panic.
    let serving = std::thread::spawn(move || {
        storagedriver::child::serve(theirs, &|_, _, _| Ok(driver.clone()))
    });
    let client = ChildDriver::connect("served", ours, &none, &Params::new()).unwrap();
    for _ in 0..10 {
        let mut reader = client.reader(&none, "/a", 0).unwrap();
        assert_eq!(reader.read(&mut [0; 10]).unwrap(), 0);
        drop(reader);
        client.list(&none, "/").unwrap();
    }
    drop(client);
    serving.join().unwrap().unwrap();
}

#[test]
fn a_write_that_fails_in_the_driver_stops_the_upload_and_close_keeps_the_rest() {
    let (taken, _, driver) = full(3 << 20);
    let (client, serving) = served::serve(driver);
    let (client, none) = (Base::new(Arc::new(client)), Context::none());
    let mut writer = client.writer(&none, "/a", false).unwrap();
    let mut failed = None;
    for _ in 0..1000 {
        if let Err(error) = writer.write(&[5; 100_000]) {
            failed = Some(error);
            break;
        }
    }
    assert_eq!(failed.unwrap().code(), Code::NoSpace);
    assert_eq!(writer.commit(&none).unwrap_err().code(), Code::InvalidState);
    writer.close(&none).unwrap();
    assert_eq!(writer.size(), taken.lock().unwrap().len() as u64);
    // A failure that comes to light in the commit.
    drop(writer);
    let mut writer = client.writer(&none, "/a", false).unwrap();
    writer.write(&vec![5; 4 << 20]).unwrap_or(());
    let error = writer.commit(&none).unwrap_err();
    assert!(matches!(error.code(), Code::NoSpace | Code::InvalidState), "{error}");
    writer.cancel(&none).unwrap();
    drop((writer, client));
    serving.join().unwrap().unwrap();
}

#[test]
fn nothing_is_asked_on_a_stream_that_has_ended() {
    let (_, _, driver) = full(0);
    let (client, serving) = served::serve(driver);
    let none = Context::none();
    let mut writer = client.writer(&none, "/a", false).unwrap();
    for end in [Writer::commit, Writer::close, Writer::cancel] {
        let error = end(&mut *writer, &none).unwrap_err();
        assert!(error.detail().contains("panicked"), "{error}");
    }
    assert!(client.list(&none, "/").unwrap().is_empty());
    drop((writer, client));
    serving.join().unwrap().unwrap();
    // Ended before anything was asked: an upload, and a walk.
    let hello = r#"{"protocol":[1,0],"window":1048576,"operations":["walk"]}"#;
    let (driver, thread) = with_hello(hello, |side| {
        let (upload, _) = side.request();
        side.send(Kind::Reply, upload, false, br#"{"size":0}"#);
        side.send(Kind::Error, upload, true, br#"{"code":-111}"#);
        let (walk, _) = side.request();
        side.reply(walk, "{}");
        let (stream, request) = side.request();
        assert_eq!(request["op"], "list");
        side.reply(stream, r#"{"names":[]}"#);
        side.drain();
    });
    let driver = driver.unwrap();
    let mut writer = driver.writer(&none, "/a", false).unwrap();
    let mut walker = driver.walker(&none, "/d", &Default::default()).unwrap().unwrap();
    writer.write(b"x").unwrap();
    for end in [Writer::commit, Writer::close, Writer::cancel] {
        assert_eq!(end(&mut *writer, &none).unwrap_err().code(), Code::NoSpace);
    }
    for _ in 0..2 {
        let error = walker.next().unwrap_err();
        assert!(error.detail().contains("without an answer"), "{error}");
    }
    assert!(driver.list(&none, "/").unwrap().is_empty());
    drop((writer, walker, driver));
    thread.join().unwrap();
}

#[test]
fn an_error_arrives_with_all_it_had() {
    let (_, dropped, driver) = full(1 << 20);
    let (client, serving) = served::serve(driver);
    let none = Context::none();
    let error = client.get_content(&none, "/a").unwrap_err();
    assert_eq!(error.code(), Code::Throttled);
    assert_eq!((error.detail(), error.path()), ("slowly\nplease", "/a"));
    assert_eq!((error.offset(), error.http_status()), (Some(-5), 429));
    assert_eq!(error.retry_after(), Some(Duration::from_millis(1500)));
    assert_eq!((error.request_id(), error.is_retryable()), ("id-7", true));
    assert_eq!(client.stat(&none, "/a").unwrap_err().path(), "/elsewhere");
    // A panic is one call's failure.
    let error = client.put_content(&none, "/a", b"x").unwrap_err();
    assert!(error.detail().contains("panicked"), "{error}");
    assert!(client.list(&none, "/").unwrap().is_empty());
    // An upload that is freed is freed there.
    let writer = client.writer(&none, "/w", false).unwrap();
    drop(writer);
    client.writer(&none, "/w", false).unwrap();
    assert!(dropped.load(Ordering::SeqCst) >= 1);
    drop(client);
    serving.join().unwrap().unwrap();
    assert_eq!(dropped.load(Ordering::SeqCst), 2);
}

#[test]
fn long_lists_come_in_several_answers() {
    let (driver, serving) = served::serve(inmemory());
    let none = Context::none();
    for index in 0..3000 {
        let path = format!("/l/{}-{index}", "n".repeat(100));
        driver.put_content(&none, &path, b"").unwrap();
    }
    assert_eq!(driver.list(&none, "/l").unwrap().len(), 3000);
    assert_eq!(driver.entries(&none, "/l", None).unwrap().len(), 3000);
    assert_eq!(driver.list_page(&none, "/l", None, 2500).unwrap().len(), 2500);
    drop(driver);
    serving.join().unwrap().unwrap();
}

#[test]
fn a_driver_without_the_optional_operations_has_them_all() {
    let (driver, thread) = with_hello(HELLO, |side| {
        for _ in 0..3 {
            let (stream, request) = side.request();
            match request["op"].as_str().unwrap() {
                "list" => side.reply(stream, r#"{"names":["b","a"]}"#),
                "stat" => side.reply(stream, r#"{"size":1,"mtime_ns":5,"dir":false}"#),
                other => panic!("{other}"),
            }
        }
        let (stream, _) = side.request();
        side.reply(stream, r#"{"names":["b","a"]}"#);
    });
    let (driver, none) = (driver.unwrap(), Context::none());
    assert_eq!(driver.entries(&none, "/d", None).unwrap().len(), 2);
    let page = driver.list_page(&none, "/d", Some("/d/a"), 5).unwrap();
    assert_eq!(page.iter().collect::<Vec<_>>(), ["/d/b"]);
    assert!(driver.redirect_url(&none, "/d/a", &Default::default()).unwrap().is_none());
    assert!(driver.walker(&none, "/d", &Default::default()).unwrap().is_none());
    thread.join().unwrap();
}
