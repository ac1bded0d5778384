//! What lies under a middleware is the same driver in all but its URLs, on both its
//! sides; and what the URLs lead to is the file.

mod common;
#[path = "common/queue_driver.rs"]
mod queue_driver;
#[path = "common/remote_driver.rs"]
mod remote_driver;
mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use queue_driver::QueueDriver;
use remote_driver::{Settings, delayed};
use storagedriver::base::Base;
use storagedriver::context::Context;
use storagedriver::driver::{Driver, RedirectRequest, WalkOptions};
use storagedriver::error::Code;
use storagedriver::factory;
use storagedriver::params::Params;
use storagedriver::queue::Queue;

const REDIRECT: (&str, &str) = ("redirect", r#"{"baseurl": "https://example.com/base"}"#);
const REWRITE: (&str, &str) = ("rewrite", r#"{"scheme": "https", "host": "example.com"}"#);

fn inmemory() -> Arc<Base> {
    factory::create("inmemory", &Context::none(), &Params::new()).unwrap()
}

fn wrap(driver: &Base, (name, params): (&str, &str)) -> Arc<Base> {
    factory::wrap(driver, name, &Params::from_json(params).unwrap()).unwrap()
}

fn url_of(driver: &dyn Driver, path: &str) -> Option<String> {
    driver.redirect_url(&Context::none(), path, &RedirectRequest::default()).unwrap()
}

#[test]
fn inmemory_behind_redirect_keeps_every_promise() {
    let driver = wrap(&inmemory(), REDIRECT);
    assert!(driver.capabilities().redirect);
    common::run_suite(&*driver);
}

#[test]
fn a_remote_driver_behind_both_keeps_every_promise_through_the_queue() {
    let driver = remote_driver::create(r#"{"chunk": 60000, "part": 300000}"#);
    common::run_suite(&QueueDriver::new(wrap(&wrap(&driver, REDIRECT), REWRITE)));
}

#[test]
fn urls_are_a_capability_of_redirect_and_of_whatever_rewrite_holds() {
    let (local, remote) = (inmemory(), delayed(Settings::default()).0);
    for (driver, given) in [(wrap(&local, REWRITE), false), (wrap(&remote, REWRITE), true)] {
        assert_eq!(driver.capabilities().redirect, given);
        assert_eq!(url_of(&*driver, "/a").is_some(), given);
    }
    assert!(url_of(&*wrap(&local, REDIRECT), "/a").is_some());
}

#[test]
fn no_verb_of_a_driver_is_left_out() {
    // A verb with a default would be lost in silence.
    let wrapped = support::read("src/middleware/wrapped.rs");
    for (file, name) in [("src/driver.rs", "Driver"), ("src/remote/mod.rs", "RemoteDriver")] {
        let source = support::read(file);
        let body = |text: &str, head: &str| text.split_once(head).unwrap().1.to_string();
        let declared = verbs(&body(&source, &format!("pub trait {name}:")));
        let passed_on = verbs(&body(&wrapped, &format!("\nimpl {name} for Wrapped")));
        assert!(declared.len() >= 14, "{declared:?}");
        assert_eq!(declared, passed_on, "{name}");
    }
}

/// The functions up to the first `}` at the start of a line.
fn verbs(body: &str) -> BTreeSet<String> {
    let body = body.split("\n}").next().unwrap();
    let heads = body.split("fn ").skip(1).map(|rest| rest.split('(').next().unwrap());
    heads.map(str::to_string).collect()
}

#[test]
fn a_remote_driver_stays_remote_and_a_local_one_local() {
    let ctx = Context::none();
    assert!(Driver::remote(&*wrap(&inmemory(), REDIRECT)).is_none());
    let driver = wrap(&wrap(&delayed(Settings::default()).0, REWRITE), REDIRECT);
    assert!(Driver::remote(&*driver).is_some());
    Driver::put_content(&*driver, &ctx, "/a", b"abc").unwrap();
    assert!(Driver::reader(&*driver, &ctx, "/a", 0).unwrap().remote().is_some());
    assert!(Driver::writer(&*driver, &ctx, "/a", false).unwrap().remote().is_some());
    let walker = Driver::walker(&*driver, &ctx, "/", &WalkOptions::default()).unwrap();
    assert!(walker.unwrap().remote().is_some());
}

#[test]
fn the_queue_spawns_what_it_asks_of_a_wrapped_remote_driver() {
    // More than any pool of threads has.
    const CALLS: usize = 1000;
    let (driver, control) = delayed(Settings::default());
    let wrapped = wrap(&driver, REWRITE);
    assert!(Driver::remote(&*wrapped).is_some());
    let queue = Queue::new().unwrap();
    control.set_delay(Duration::from_secs(600));
    let ctx = Context::new(&Context::none());
    for tag in 0..CALLS {
        queue.stat(tag as u64, &wrapped, &ctx, "/none").unwrap();
    }
    control.wait_for(CALLS);
    ctx.cancel();
    for _ in 0..CALLS {
        let completion = queue.next(Some(Duration::from_secs(60))).unwrap().unwrap();
        assert_eq!(completion.outcome.err().unwrap().code(), Code::Cancelled);
    }
}

#[test]
fn the_limit_of_calls_holds_for_both_together() {
    const SLOTS: usize = 3;
    let settings = Settings { max_concurrency: Some(SLOTS), ..Settings::default() };
    let (driver, control) = delayed(settings);
    let wrapped = wrap(&driver, REDIRECT);
    control.set_delay(Duration::from_millis(5));
    thread::scope(|scope| {
        for driver in [&driver, &wrapped] {
            for _ in 0..2 * SLOTS {
                scope.spawn(|| Driver::stat(&**driver, &Context::none(), "/").unwrap());
            }
        }
    });
    assert_eq!(control.most_waiting.load(Ordering::SeqCst), SLOTS);
}

#[test]
fn the_driver_is_not_asked_where_its_url_is_of_no_use() {
    let (driver, control) = delayed(Settings::default());
    let wrapped = wrap(&driver, REDIRECT);
    control.set_delay(Duration::from_secs(600));
    assert_eq!(url_of(&*wrapped, "/a/b").unwrap(), "https://example.com/base/a/b");
}

#[test]
fn an_unknown_middleware_and_an_unknown_key_are_refused_by_name() {
    let driver = inmemory();
    let error = factory::wrap(&driver, "cloudback", &Params::new()).err().unwrap();
    assert_eq!(error.code(), Code::InvalidDriver);
    assert_eq!(error.to_string(), "no storage middleware registered with name: cloudback");
    for name in ["redirect", "rewrite"] {
        let params = Params::from_json(r#"{"baseurl": "http://h", "hots": "S3CRET"}"#).unwrap();
        let error = factory::wrap(&driver, name, &params).err().unwrap();
        assert_eq!(error.code(), Code::InvalidParameter);
        let unknown = if name == "redirect" { "hots" } else { "baseurl" };
        assert!(error.to_string().contains(&format!("parameter {unknown}: ")), "{error}");
    }
}

/// A web server for the files of `driver`, below `prefix` of its URLs; its address.
fn serve(driver: Arc<Base>, prefix: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for connection in listener.incoming() {
            answer(connection.unwrap(), &driver, prefix);
        }
    });
    address
}

fn answer(mut connection: TcpStream, driver: &Base, prefix: &str) {
    let mut lines = BufReader::new(&connection).lines().map(Result::unwrap);
    let request = lines.next().unwrap();
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let target = request.split(' ').nth(1).unwrap();
    let path = target.split('?').next().unwrap().strip_prefix(prefix);
    let found = path.map(|path| driver.get_content(&Context::none(), path));
    let (status, body) = match found {
        Some(Ok(content)) => ("200 OK", content),
        _ => ("404 Not Found", Vec::new()),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
    connection.write_all(head.as_bytes()).unwrap();
    connection.write_all(&body).unwrap();
}

/// What a plain client gets for a URL: the status and the body.
fn fetch(url: &str) -> (String, Vec<u8>) {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut connection = TcpStream::connect(host).unwrap();
    write!(connection, "GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    let mut reader = BufReader::new(connection);
    let mut status = String::new();
    reader.read_line(&mut status).unwrap();
    reader.by_ref().lines().map(Result::unwrap).take_while(|l| !l.is_empty()).for_each(drop);
    let mut body = Vec::new();
    reader.read_to_end(&mut body).unwrap();
    (status.trim_end().to_string(), body)
}

#[test]
fn the_urls_of_redirect_and_rewrite_lead_to_the_file() {
    let (store, path) = (inmemory(), "/docker/registry/v2/blobs/a--b_1/data");
    let content: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
    store.put_content(&Context::none(), path, &content).unwrap();
    let ok = ("HTTP/1.1 200 OK".to_string(), content);

    let origin = serve(store.clone(), "/my%20bucket/root");
    let base = format!(r#"{{"baseurl": "http://{origin}//my%20bucket/./root/"}}"#);
    let redirected = wrap(&store, ("redirect", &base));
    assert_eq!(fetch(&url_of(&*redirected, path).unwrap()), ok);

    let cache = serve(store.clone(), "/root");
    let params = format!(r#"{{"host": "{cache}", "trimpathprefix": "/my bucket"}}"#);
    let rewritten = wrap(&redirected, ("rewrite", &params));
    let url = url_of(&*rewritten, path).unwrap();
    assert_eq!(url, format!("http://{cache}/root{path}"));
    assert_eq!(fetch(&url), ok);
}
