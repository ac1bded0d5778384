//! The end of the library's work in a process: what runs is waited for, what only waits
//! for its turn is refused, every submission has its completion, and no thread is left.

#[path = "common/remote_driver.rs"]
mod remote_driver;
mod support;

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use remote_driver::{Settings, delayed};
use storagedriver::base::Base;
use storagedriver::child::ChildDriver;
use storagedriver::context::Context;
use storagedriver::driver::{Driver, WalkOptions};
use storagedriver::error::Code;
use storagedriver::factory;
use storagedriver::lease::Lease;
use storagedriver::observe::{self, LogRecord};
use storagedriver::params::Params;
use storagedriver::queue::{Outcome, Queue};
use storagedriver::runtime::{self, Config};
use support::{program, threads};

const LONG: Duration = Duration::from_secs(60);

/// The tests share a process, and each ends the library in it.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    runtime::shutdown(LONG).unwrap();
    turn
}

fn inmemory() -> Arc<Base> {
    factory::create("inmemory", &Context::none(), &Params::new()).unwrap()
}

fn slow(
    delay: Duration,
    max_concurrency: Option<usize>,
) -> (Arc<Base>, Arc<remote_driver::Control>) {
    delayed(Settings { delay, max_concurrency, ..Settings::default() })
}

#[test]
fn running_calls_are_waited_for() {
    let _alone = alone();
    let (driver, control) = slow(Duration::from_millis(300), None);
    let (queue, none) = (Queue::new().unwrap(), Context::none());
    for tag in 0..100 {
        queue.list(tag, &driver, &none, "/").unwrap();
    }
    thread::scope(|scope| {
        let blocking = scope.spawn(|| Driver::list(&*driver, &none, "/"));
        control.wait_for_begun(101);
        runtime::shutdown(LONG).unwrap();
        assert_eq!(queue.in_flight(), 0);
        blocking.join().unwrap().unwrap();
    });
    for _ in 0..100 {
        assert!(queue.next(Some(LONG)).unwrap().unwrap().outcome.is_ok());
    }
    assert!(queue.next(Some(Duration::ZERO)).unwrap().is_none());
    assert!(threads::none_left());
}

#[test]
fn what_waits_for_a_slot_is_refused() {
    let _alone = alone();
    let (driver, control) = slow(Duration::from_millis(200), Some(1));
    let (queue, none) = (Queue::new().unwrap(), Context::none());
    for tag in 0..500 {
        queue.list(tag, &driver, &none, "/").unwrap();
    }
    control.wait_for(1);
    let (begun, began) = (control.begun(), Instant::now());
    runtime::shutdown(LONG).unwrap();
    // All of them after each other would take more than a minute.
    assert!(began.elapsed() < Duration::from_secs(20));
    let codes = (0..500).map(|_| queue.next(Some(LONG)).unwrap().unwrap().outcome);
    let (good, bad): (Vec<_>, Vec<_>) = codes.partition(Result::is_ok);
    // Those that had a slot by then, and one that took it just before.
    assert!((1..=begun + 1).contains(&good.len()), "{} of {begun}", good.len());
    assert!(bad.into_iter().all(|outcome| outcome.err().unwrap().code() == Code::Shutdown));
}

#[test]
fn a_thread_that_waits_for_a_slot_is_refused() {
    let _alone = alone();
    let (driver, control) = slow(Duration::from_secs(2), Some(1));
    thread::scope(|scope| {
        let list = || Driver::list(&*driver, &Context::none(), "/");
        let first = scope.spawn(list);
        control.wait_for(1);
        let second = scope.spawn(list);
        thread::sleep(Duration::from_millis(50));
        runtime::shutdown(LONG).unwrap();
        first.join().unwrap().unwrap();
        assert_eq!(second.join().unwrap().unwrap_err().code(), Code::Shutdown);
    });
}

/// Memory whose use takes until the other end is dropped.
struct Sticky(Receiver<()>, [u8; 8]);

impl AsMut<[u8]> for Sticky {
    fn as_mut(&mut self) -> &mut [u8] {
        let _ = self.0.recv();
        &mut self.1
    }
}

#[test]
fn what_has_not_begun_is_answered_with_its_handle_back() {
    let _alone = alone();
    runtime::configure(Config { worker_threads: 1, ..Config::default() }).unwrap();
    let (driver, _) = slow(Duration::ZERO, None);
    let (local, none) = (inmemory(), Context::none());
    Driver::put_content(&*driver, &none, "/a", b"a").unwrap();
    let reader = || Lease::new("reader", Driver::reader(&*driver, &none, "/a", 0).unwrap());
    // Before the thread is taken.
    let readers: Vec<_> = (0..1000).map(|_| reader()).collect();
    let (sticking, queue) = (reader(), Queue::new().unwrap());
    let (release, stuck) = channel();
    // The one thread there is does not come to any of the others.
    queue.reader_read(0, &sticking, Sticky(stuck, [0; 8])).unwrap();
    for (tag, reader) in (1..).zip(&readers) {
        queue.reader_read(tag, reader, vec![0; 8]).unwrap();
    }
    thread::scope(|scope| {
        scope.spawn(|| runtime::shutdown(LONG).unwrap());
        while Driver::list(&*local, &none, "/").is_ok() {
            thread::sleep(Duration::from_millis(1)); // it has not begun
        }
        drop(release);
        for _ in 0..=readers.len() {
            let completion = queue.next(Some(LONG)).unwrap().unwrap();
            assert_eq!(completion.outcome.err().unwrap().code(), Code::Shutdown);
            if let Some(reader) = readers.get(completion.tag.wrapping_sub(1) as usize) {
                reader.take().unwrap();
            }
        }
    });
}

#[test]
fn what_waits_for_a_thread_is_refused() {
    let _alone = alone();
    runtime::configure(Config { max_blocking_threads: 1, ..Config::default() }).unwrap();
    let (driver, queue, none) = (inmemory(), Queue::new().unwrap(), Context::none());
    const CALLS: u64 = 2000;
    let data = vec![7; 1 << 16];
    for tag in 0..CALLS {
        queue.put_content(tag, &driver, &none, &format!("/{tag}"), &data).unwrap();
    }
    runtime::shutdown(LONG).unwrap();
    assert_eq!(queue.in_flight(), 0);
    for _ in 0..CALLS {
        if let Err(error) = queue.next(Some(LONG)).unwrap().unwrap().outcome {
            assert_eq!(error.code(), Code::Shutdown);
        }
    }
    assert!(queue.next(Some(Duration::ZERO)).unwrap().is_none());
}

#[test]
fn a_shutdown_that_was_too_short_can_be_repeated() {
    let _alone = alone();
    let (driver, control) = slow(LONG * 10, None);
    let (queue, ctx) = (Queue::new().unwrap(), Context::new(&Context::none()));
    queue.list(1, &driver, &ctx, "/").unwrap();
    control.wait_for(1);
    let error = runtime::shutdown(Duration::from_millis(20)).unwrap_err();
    assert_eq!(error.code(), Code::Deadline);
    // The call goes on, and can still be cancelled.
    assert_eq!(queue.in_flight(), 1);
    ctx.cancel();
    let outcome = queue.next(Some(LONG)).unwrap().unwrap().outcome;
    assert_eq!(outcome.err().unwrap().code(), Code::Cancelled);
    runtime::shutdown(LONG).unwrap();
    assert!(threads::none_left());
}

#[test]
fn afterwards_the_old_is_refused_and_starts_nothing_and_the_new_works() {
    let _alone = alone();
    let none = Context::none();
    let (driver, _) = slow(Duration::ZERO, None);
    let local = inmemory();
    Driver::put_content(&*driver, &none, "/a", b"a").unwrap();
    let reader = Lease::new("reader", Driver::reader(&*driver, &none, "/a", 0).unwrap());
    let walker = Driver::walker(&*driver, &none, "/", &WalkOptions::default()).unwrap().unwrap();
    let walker = Lease::new("walker", walker);
    let queue = Queue::new().unwrap();
    assert!(threads::count() > 0);

    runtime::shutdown(LONG).unwrap();

    for refused in [
        queue.list(1, &driver, &none, "/"),
        queue.list(1, &local, &none, "/"),
        queue.reader_read(1, &reader, vec![0; 8]),
        queue.walker_next(1, &walker),
        Driver::list(&*driver, &none, "/").map(drop),
        reader.take().unwrap().object().unwrap().read(&mut [0; 8]).map(drop),
        walker.take().unwrap().object().unwrap().next().map(drop),
    ] {
        assert_eq!(refused.unwrap_err().code(), Code::Shutdown);
    }
    assert_eq!(queue.in_flight(), 0);
    assert!(threads::none_left());
    assert!(queue.next(Some(Duration::ZERO)).unwrap().is_none());

    let fresh = Queue::new().unwrap();
    // A driver from before it is refused in the completion.
    fresh.list(1, &local, &none, "/").unwrap();
    let outcome = fresh.next(Some(LONG)).unwrap().unwrap().outcome;
    assert_eq!(outcome.err().unwrap().code(), Code::Shutdown);
    for driver in [slow(Duration::ZERO, None).0, inmemory()] {
        fresh.list(2, &driver, &none, "/").unwrap();
        let outcome = fresh.next(Some(LONG)).unwrap().unwrap().outcome;
        assert!(matches!(outcome, Ok(Outcome::Names(_))));
    }
    assert!(threads::count() > 0);
}

#[test]
fn submissions_that_race_with_a_shutdown_each_have_an_answer() {
    let _alone = alone();
    let none = Context::none();
    for round in 0..30 {
        let (driver, _) = slow(Duration::from_micros(500), None);
        let (local, queue) = (inmemory(), Queue::new().unwrap());
        let mut accepted = 0;
        thread::scope(|scope| {
            let submitter = scope.spawn(|| {
                (0..).find(|&tag| {
                    let driver = if tag % 2 == 0 { &driver } else { &local };
                    queue.list(tag, driver, &none, "/").is_err()
                })
            });
            thread::sleep(Duration::from_micros(300 * round));
            runtime::shutdown(LONG).unwrap();
            accepted = submitter.join().unwrap().unwrap();
        });
        for _ in 0..accepted {
            let completion = queue.next(Some(LONG)).unwrap().unwrap();
            if let Err(error) = completion.outcome {
                assert_eq!(error.code(), Code::Shutdown, "{error}");
            }
        }
        assert!(queue.next(Some(Duration::ZERO)).unwrap().is_none());
        assert_eq!(queue.in_flight(), 0);
        assert!(threads::none_left());
    }
}

/// What is made while a shutdown is in progress is refused as its elders are; it has no
/// share in the threads that are being ended.
#[test]
fn what_is_made_during_a_shutdown_is_refused_or_works() {
    let _alone = alone();
    let none = Context::none();
    let refused = |code| assert_eq!(code, Code::Shutdown);
    let use_the_new = |make: &dyn Fn() -> storagedriver::error::Result<Arc<Base>>| {
        let (driver, queue) = match make().and_then(|driver| Ok((driver, Queue::new()?))) {
            Ok(both) => both,
            Err(error) => return refused(error.code()),
        };
        for tag in 0..20 {
            if let Err(error) = queue.stat(tag, &driver, &none, "/") {
                refused(error.code());
            }
        }
        while queue.in_flight() > 0 {
            let answer = queue.next(Some(LONG)).unwrap().unwrap();
            if let Err(error) = answer.outcome {
                refused(error.code());
            }
        }
    };
    let until = Instant::now() + Duration::from_secs(2);
    thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || {
                let local = || factory::create("inmemory", &Context::none(), &Params::new());
                let remote = || Ok(slow(Duration::ZERO, None).0);
                while Instant::now() < until {
                    use_the_new(if number % 2 == 0 { &local } else { &remote });
                }
            });
        }
        scope.spawn(|| {
            while Instant::now() < until {
                runtime::shutdown(LONG).unwrap();
            }
        });
    });
    runtime::shutdown(LONG).unwrap();
    assert!(threads::none_left());
}

#[test]
fn a_program_in_the_middle_of_a_stream_is_not_killed() {
    let _alone = alone();
    let programs = program::driver_programs(&["inmemory"]);
    let none = Context::none();
    // Its socket takes less than a reader's window, whatever the system's sockets do.
    let script = programs.path().join("small");
    let text = format!(
        "#!/usr/bin/env python3\nimport os, socket\n\
         sock = socket.socket(fileno=3)\n\
         sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)\n\
         os.execv('{0}', ['{0}'])\n",
        programs.path().join("registry-storage-inmemory").display()
    );
    program::script(&script, &text);
    let driver = ChildDriver::create("inmemory", &script, &none, &Params::new()).unwrap();
    driver.put_content(&none, "/a", &vec![1; 8 << 20]).unwrap();
    let mut reader = driver.reader(&none, "/a", 0).unwrap();
    reader.read(&mut [0; 10]).unwrap();
    // Until it can send no more.
    thread::sleep(Duration::from_millis(100));
    let log: Arc<Mutex<Vec<String>>> = Arc::default();
    let lines = log.clone();
    let hook = move |record: &LogRecord<'_>| lines.lock().unwrap().push(record.message.into());
    observe::set_log_hook(Some(Box::new(hook)), 5).unwrap();
    runtime::shutdown(LONG).unwrap();
    observe::set_log_hook(None, 0).unwrap();
    let log = log.lock().unwrap();
    assert!(log.iter().any(|line| line.ends_with("ended with status 0")), "{log:?}");
}

#[test]
fn a_host_on_a_runtime_of_its_own_can_shut_the_library_down() {
    let _alone = alone();
    let host = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let work = || {
        let (driver, _) = slow(Duration::ZERO, None);
        Driver::list(&*driver, &Context::none(), "/").unwrap();
        runtime::shutdown(LONG).unwrap();
        threads::none_left()
    };
    assert!(host.block_on(async { work() }));
    assert!(host.block_on(async { host.spawn(async move { work() }).await }).unwrap());
}
