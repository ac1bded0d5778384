//! What a host can count on of every driver that speaks to a network: signals, forks,
//! shutdowns and contexts, with the s3 driver as the one at hand.
#![cfg(feature = "s3")]

#[path = "../src/http/tests/server.rs"]
#[allow(dead_code)]
mod server;
mod support;

use std::io::Read;
use std::net::TcpListener;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use server::{Server, Then, answer};
use storagedriver::base::Base;
use storagedriver::context::Context;
use storagedriver::driver::Driver;
use storagedriver::error::Code;
use storagedriver::factory;
use storagedriver::params::Params;
use storagedriver::runtime;

const LONG: Duration = Duration::from_secs(60);

/// The tests share a process, and some end the library in it.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    runtime::shutdown(LONG).unwrap();
    turn
}

fn driver(address: impl std::fmt::Display) -> Arc<Base> {
    let mut params = Params::new();
    for (key, value) in [
        ("region", "us-east-1"),
        ("bucket", "bucket"),
        ("accesskey", "key"),
        ("secretkey", "secret"),
    ] {
        params.set(key, value);
    }
    params.set("regionendpoint", format!("http://{address}"));
    factory::create("s3", &Context::none(), &params).unwrap()
}

/// A store that has a file everywhere, and answers after a while.
fn store(delay: Duration) -> Server {
    Server::start(move |_, wire| {
        thread::sleep(delay);
        let headers = [("etag", "\"x\""), ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")];
        match wire.write_all(&answer("200 OK", &headers, &[7; 5000])) {
            Ok(()) => Then::Keep,
            Err(_) => Then::Close,
        }
    })
}

fn get(driver: &Base) -> storagedriver::error::Result<Vec<u8>> {
    Driver::get_content(driver, &Context::none(), "/a")
}

/// Runs the test of this name in a process of its own, as a C program is: nothing
/// ignores SIGPIPE there.
fn in_own_process(test: &str) -> bool {
    if std::env::var_os("OWN_PROCESS").is_some() {
        // SAFETY: sets a disposition to the default one.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        return true;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--exact", test, "--nocapture"]).env("OWN_PROCESS", "1").output();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{}: {text}", output.status);
    false
}

#[test]
fn a_peer_that_goes_away_sends_the_host_no_signal() {
    if !in_own_process("a_peer_that_goes_away_sends_the_host_no_signal") {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (stream, turn) in listener.incoming().zip(0u32..) {
            let mut stream = stream.unwrap();
            // Closed with bytes unread, which resets the connection.
            let _ = stream.read(&mut vec![0; 1 << (turn % 20)]);
        }
    });
    let driver = driver(address);
    let (ctx, data) = (Context::none(), vec![0; 4 << 20]);
    for _ in 0..10 {
        let error = Driver::put_content(&*driver, &ctx, "/a", &data).unwrap_err();
        assert_eq!(error.code(), Code::Unavailable, "{error}");
    }
}

#[test]
fn a_shutdown_waits_for_requests_and_closes_every_connection() {
    let _alone = alone();
    let server = store(Duration::from_millis(300));
    let driver = driver(server.address);
    thread::scope(|scope| {
        let calls: Vec<_> = (0..20).map(|_| scope.spawn(|| get(&driver).unwrap())).collect();
        while server.asked().len() < 20 {
            thread::sleep(Duration::from_millis(1));
        }
        runtime::shutdown(LONG).unwrap();
        calls.into_iter().for_each(|call| assert_eq!(call.join().unwrap().len(), 5000));
    });
    assert_eq!(get(&driver).unwrap_err().code(), Code::Shutdown);
    assert!(support::threads::none_left());
    // Of the driver's ends no socket is left; the server's close when it sees that.
    let began = Instant::now();
    while sockets_to(server.address.port()) > 0 {
        assert!(began.elapsed() < LONG, "connections are left");
        thread::sleep(Duration::from_millis(5));
    }
    // A new driver has new connections.
    assert_eq!(get(&self::driver(server.address)).unwrap().len(), 5000);
    drop(driver);
}

/// Established connections to this port.
fn sockets_to(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let remote = format!(":{port:04X}");
    let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields.filter(|f| f.len() > 3 && f[2].ends_with(&remote) && f[3] == "01").count()
}

#[test]
fn a_shutdown_says_when_a_peer_keeps_a_call_waiting() {
    let _alone = alone();
    let server = store(Duration::from_secs(5));
    let driver = driver(server.address);
    thread::scope(|scope| {
        let call = scope.spawn(|| get(&driver));
        while server.asked().is_empty() {
            thread::sleep(Duration::from_millis(1));
        }
        let early = runtime::shutdown(Duration::from_millis(50)).unwrap_err();
        assert_eq!(early.code(), Code::Deadline);
        call.join().unwrap().unwrap();
    });
}

#[test]
fn a_context_ends_a_request_and_the_driver_goes_on() {
    let _alone = alone();
    let server = Server::start(|asked, wire| {
        if asked.number < 3 {
            thread::sleep(LONG);
        }
        wire.write_all(&answer("200 OK", &[("etag", "\"x\"")], &[7; 5000])).unwrap();
        Then::Keep
    });
    let driver = driver(server.address);
    for _ in 0..3 {
        let ctx = Context::new(&Context::none());
        ctx.set_timeout(Duration::from_millis(100));
        let began = Instant::now();
        let error = Driver::get_content(&*driver, &ctx, "/a").unwrap_err();
        assert_eq!(error.code(), Code::Deadline);
        assert!(began.elapsed() < LONG / 4);
    }
    assert_eq!(get(&driver).unwrap().len(), 5000);
}

#[test]
fn a_failure_that_does_not_end_is_a_failure() {
    let _alone = alone();
    let server = Server::start(|_, wire| {
        let head = "HTTP/1.1 403 Forbidden\r\ntransfer-encoding: chunked\r\n\r\n";
        let said = "<Error><Code>AccessDenied</Code><Message>No</Message><More>";
        let chunk = format!("{head}{:x}\r\n{said}\r\n", said.len());
        let _ = wire.write_all(chunk.as_bytes());
        while wire.write_all(b"5\r\n more\r\n").is_ok() {}
        Then::Close
    });
    let driver = driver(server.address);
    let none = Context::none();
    let put = Driver::put_content(&*driver, &none, "/a", b"a").unwrap_err();
    let list = Driver::list(&*driver, &none, "/a").map(drop).unwrap_err();
    for error in [get(&driver).unwrap_err(), put, list] {
        assert_eq!(error.code(), Code::Permission, "{error}");
        assert!(error.detail().contains("AccessDenied"), "{error}");
    }
}

#[test]
fn a_child_of_a_fork_neither_uses_nor_waits_for_the_parents_connections() {
    let _alone = alone();
    let server = store(Duration::ZERO);
    let driver = driver(server.address);
    let reader = Driver::reader(&*driver, &Context::none(), "/a", 0).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        // So that locks are held at some of the forks.
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    get(&driver).unwrap();
                }
            });
        }
        let mut reader = Some(reader);
        for _ in 0..30 {
            // SAFETY: the child calls only this library and ends with _exit.
            match unsafe { libc::fork() } {
                0 => {
                    // SAFETY: ends a child that hangs.
                    unsafe { libc::alarm(60) };
                    let code = in_child(&driver, reader.take(), server.address);
                    // SAFETY: ends the child at once, as intended.
                    unsafe { libc::_exit(code) }
                }
                pid => {
                    let mut status = 0;
                    // SAFETY: `status` is ours, `pid` our child.
                    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
                    assert_eq!(status, 0, "the child ended with {status:#x}");
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    // The parent's go on.
    assert_eq!(get(&driver).unwrap().len(), 5000);
}

/// 0 if all is as it should be. Only this thread exists.
fn in_child(
    driver: &Arc<Base>,
    reader: Option<Box<dyn storagedriver::driver::Reader>>,
    address: std::net::SocketAddr,
) -> i32 {
    let refused = |code| code == Some(Code::Forked);
    if !refused(get(driver).err().map(|e| e.code())) {
        return 1;
    }
    if let Some(mut reader) = reader {
        if !refused(reader.read(&mut [0; 8]).err().map(|e| e.code())) {
            return 2;
        }
        drop(reader);
    }
    // SAFETY: the owners are on threads that do not exist here.
    let last = unsafe { Arc::from_raw(Arc::as_ptr(driver)) };
    for _ in 1..Arc::strong_count(&last) {
        // SAFETY: as above; each owner is counted once.
        unsafe { Arc::decrement_strong_count(Arc::as_ptr(&last)) };
    }
    drop(last);
    // One of its own has connections of its own.
    match get(&self::driver(address)) {
        Ok(content) if content.len() == 5000 => 0,
        _ => 3,
    }
}
