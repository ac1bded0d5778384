//! What a remote driver's callers can count on, with blocking calls and through the
//! queue: each wait ends with its context, what was cut off can be used afterwards, a
//! panic is an error, and the host may be in an asynchronous runtime of its own.

#[path = "common/queue_driver.rs"]
mod queue_driver;
#[path = "common/remote_driver.rs"]
mod remote_driver;

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{env, thread};

use queue_driver::QueueDriver;
use remote_driver::{Control, Settings, delayed};
use storagedriver::base::Base;
use storagedriver::context::Context;
use storagedriver::driver::{Driver, RedirectRequest, WalkOptions};
use storagedriver::error::{Code, Result};
use storagedriver::factory;
use storagedriver::lease::Lease;
use storagedriver::observe::{self, Level};
use storagedriver::params::Params;
use storagedriver::queue::Queue;

/// Longer than any test waits.
const FOR_EVER: Duration = Duration::from_secs(600);
const PROMISED: Duration = Duration::from_millis(50);
const SETTINGS: Settings =
    Settings { delay: Duration::ZERO, chunk: 10, part: 10, max_concurrency: None };

/// The driver for blocking calls, and through the queue.
fn both(driver: Arc<Base>) -> [Arc<dyn Driver>; 2] {
    [driver.clone(), Arc::new(QueueDriver::new(driver))]
}

/// Makes something ready and then a call that does not end by itself.
type Cut = fn(&dyn Driver, &Context, &dyn Fn()) -> Result<()>;

/// Each call that waits; the closure slows the driver down.
const CALLS: &[(&str, Cut)] = &[
    ("get", |driver, ctx, slow| {
        slow();
        driver.get_content(ctx, "/a").map(drop)
    }),
    ("put", |driver, ctx, slow| {
        slow();
        driver.put_content(ctx, "/new", b"x")
    }),
    ("stat", |driver, ctx, slow| {
        slow();
        driver.stat(ctx, "/a").map(drop)
    }),
    ("list", |driver, ctx, slow| {
        slow();
        driver.list(ctx, "/").map(drop)
    }),
    ("list_page", |driver, ctx, slow| {
        slow();
        driver.list_page(ctx, "/", None, 1).map(drop)
    }),
    ("move", |driver, ctx, slow| {
        slow();
        driver.r#move(ctx, "/a", "/new")
    }),
    ("delete", |driver, ctx, slow| {
        slow();
        driver.delete(ctx, "/a")
    }),
    ("redirect_url", |driver, ctx, slow| {
        slow();
        driver.redirect_url(ctx, "/a", &RedirectRequest::default()).map(drop)
    }),
    ("opening a reader", |driver, ctx, slow| {
        slow();
        driver.reader(ctx, "/a", 0).map(drop)
    }),
    ("opening a writer", |driver, ctx, slow| {
        slow();
        driver.writer(ctx, "/new", false).map(drop)
    }),
    ("opening a walker", |driver, ctx, slow| {
        slow();
        driver.walker(ctx, "/", &WalkOptions::default()).map(drop)
    }),
    ("a read in the middle", |driver, ctx, slow| {
        let mut reader = driver.reader(ctx, "/a", 0)?;
        reader.read(&mut [0; 10])?;
        slow();
        reader.read(&mut [0; 10]).map(drop)
    }),
    ("a write without room", |driver, ctx, slow| {
        let mut writer = driver.writer(ctx, "/new", false)?;
        writer.write(b"01234567")?;
        slow();
        writer.write(b"89abcdef")
    }),
    ("a commit", |driver, ctx, slow| {
        let mut writer = driver.writer(&Context::none(), "/new", false)?;
        slow();
        writer.commit(ctx)
    }),
    ("a cancel", |driver, ctx, slow| {
        let mut writer = driver.writer(&Context::none(), "/new", false)?;
        slow();
        writer.cancel(ctx)
    }),
    ("a close", |driver, ctx, slow| {
        let mut writer = driver.writer(&Context::none(), "/new", false)?;
        slow();
        writer.close(ctx)
    }),
    ("a step of a walk", |driver, ctx, slow| {
        let mut walker = driver.walker(ctx, "/", &WalkOptions::default())?.unwrap();
        slow();
        walker.next().map(drop)
    }),
];

/// How a wait is brought to its end, and what it then says.
type End = (fn(&Context), Code);
const CANCEL: End = (Context::cancel, Code::Cancelled);
const TIMEOUT: End = (|ctx| ctx.set_timeout(Duration::from_millis(5)), Code::Deadline);
const DEADLINE: End = (|ctx| ctx.set_deadline(1), Code::Deadline);

/// Runs `work` until the driver holds it, ends its context, and says how long it took
/// from there.
fn cut(
    control: &Control,
    ctx: &Context,
    (end, code): End,
    work: impl FnOnce() -> Result<()> + Send,
) -> Duration {
    thread::scope(|scope| {
        let work = scope.spawn(|| {
            let outcome = work();
            (outcome, Instant::now())
        });
        control.wait_for(1);
        let began = Instant::now();
        end(ctx);
        let (outcome, ended) = work.join().unwrap();
        assert_eq!(outcome.unwrap_err().code(), code);
        ended.duration_since(began)
    })
}

/// A machine may be slow for a moment; one that always is breaks the promise.
fn within_50_ms(name: &str, attempt: impl Fn() -> Duration) {
    let times: Vec<Duration> = (0..5)
        .map(|_| attempt())
        .scan(false, |met, time| (!std::mem::replace(met, time < PROMISED)).then_some(time))
        .collect();
    assert!(times.iter().any(|time| *time < PROMISED), "{name}: {times:?}");
}

#[test]
fn cancellation_and_deadlines_end_each_call_within_50_ms() {
    for end in [CANCEL, TIMEOUT, DEADLINE] {
        for (name, call) in CALLS {
            for (side, through) in ["blocking", "queue"].iter().zip(0..) {
                within_50_ms(&format!("{name}, {side}"), || {
                    let (driver, control) = delayed(SETTINGS);
                    driver_put(&driver, "/a", b"0123456789abcdef");
                    let driver = both(driver).into_iter().nth(through).unwrap();
                    let ctx = Context::new(&Context::none());
                    cut(&control, &ctx, end, || {
                        call(&*driver, &ctx, &|| control.set_delay(FOR_EVER))
                    })
                });
            }
        }
    }
}

fn driver_put(driver: &Base, path: &str, data: &[u8]) {
    Driver::put_content(driver, &Context::none(), path, data).unwrap();
}

#[test]
fn a_parent_ends_the_calls_of_its_children() {
    let (driver, control) = delayed(Settings { delay: FOR_EVER, ..SETTINGS });
    for driver in both(driver) {
        let parent = Context::new(&Context::none());
        let child = Context::new(&parent);
        cut(&control, &parent, CANCEL, || driver.list(&child, "/").map(drop));
    }
}

#[test]
fn waiting_for_a_slot_ends_with_the_context_within_50_ms() {
    for through in 0..2 {
        within_50_ms("a slot", || {
            let settings = Settings { max_concurrency: Some(1), delay: FOR_EVER, ..SETTINGS };
            let (driver, control) = delayed(settings);
            let [first, ctx] = [0; 2].map(|_| Context::new(&Context::none()));
            let [blocking, queue] = both(driver);
            let driver = if through == 0 { &blocking } else { &queue };
            thread::scope(|scope| {
                let inside = scope.spawn(|| blocking.list(&first, "/").unwrap_err());
                control.wait_for(1);
                let waits = scope.spawn(|| {
                    let outcome = driver.stat(&ctx, "/");
                    (outcome.unwrap_err().code(), Instant::now())
                });
                // It has come to stand in line, most likely.
                thread::sleep(Duration::from_millis(10));
                let began = Instant::now();
                ctx.cancel();
                let (code, ended) = waits.join().unwrap();
                assert_eq!(code, Code::Cancelled);
                assert_eq!(control.most_waiting.load(Ordering::SeqCst), 1);
                // The one in front is not disturbed, and makes room when it goes.
                first.cancel();
                inside.join().unwrap();
                control.set_delay(Duration::ZERO);
                driver.stat(&Context::none(), "/").unwrap();
                ended.duration_since(began)
            })
        });
    }
}

#[test]
fn a_reader_goes_on_where_it_was_when_a_read_was_cut_off() {
    let data: Vec<u8> = (0..95).collect();
    let (driver, control) = delayed(SETTINGS);
    driver_put(&driver, "/a", &data);
    for driver in both(driver) {
        let ctx = Context::new(&Context::none());
        control.set_delay(Duration::ZERO);
        let mut reader = driver.reader(&ctx, "/a", 0).unwrap();
        let (mut read, mut buf) = (Vec::new(), [0; 7]);
        loop {
            control.set_delay(FOR_EVER);
            ctx.set_timeout(Duration::ZERO);
            assert_eq!(reader.read(&mut buf).unwrap_err().code(), Code::Deadline);
            ctx.set_timeout(Duration::from_millis(2));
            // It may have something left that needs no wait.
            if let Ok(len) = reader.read(&mut buf) {
                read.extend_from_slice(&buf[..len]);
            }
            control.set_delay(Duration::ZERO);
            ctx.set_timeout(FOR_EVER);
            match reader.read(&mut buf).unwrap() {
                0 => break,
                len => read.extend_from_slice(&buf[..len]),
            }
        }
        assert_eq!(read, data);
    }
}

#[test]
fn a_write_that_was_cut_off_leaves_an_upload_to_cancel_or_close() {
    let (driver, control) = delayed(SETTINGS);
    for driver in both(driver) {
        for resume in [false, true] {
            let (ctx, none) = (Context::new(&Context::none()), Context::none());
            let mut writer = driver.writer(&ctx, "/w", false).unwrap();
            writer.write(b"0123456").unwrap();
            cut(&control, &ctx, TIMEOUT, || {
                control.set_delay(FOR_EVER);
                writer.write(b"789abcdefghijkl")
            });
            ctx.set_timeout(FOR_EVER);
            control.set_delay(Duration::ZERO);
            assert_eq!(writer.write(b"x").unwrap_err().code(), Code::InvalidState);
            assert_eq!(writer.commit(&none).unwrap_err().code(), Code::InvalidState);
            if !resume {
                writer.cancel(&none).unwrap();
                let gone = driver.writer(&none, "/w", true).map(drop);
                assert_eq!(gone.unwrap_err().code(), Code::PathNotFound);
                continue;
            }
            writer.close(&none).unwrap();
            let size = writer.size();
            // What was accepted, in order and nothing else.
            assert!((7..22).contains(&size), "{size}");
            let mut writer = driver.writer(&none, "/w", true).unwrap();
            assert_eq!(writer.size(), size);
            writer.commit(&none).unwrap();
            let whole = b"0123456789abcdefghijkl";
            assert_eq!(driver.get_content(&none, "/w").unwrap(), whole[..size as usize]);
            driver.delete(&none, "/w").unwrap();
        }
    }
}

#[test]
fn a_commit_cancel_or_close_that_was_cut_off_can_be_repeated() {
    type Finish = fn(&mut dyn storagedriver::driver::Writer, &Context) -> Result<()>;
    let all: [Finish; 3] = [|w, c| w.commit(c), |w, c| w.cancel(c), |w, c| w.close(c)];
    let (driver, control) = delayed(SETTINGS);
    for driver in both(driver) {
        for (which, finish) in all.iter().enumerate() {
            let (ctx, none) = (Context::new(&Context::none()), Context::none());
            let mut writer = driver.writer(&none, "/w", false).unwrap();
            writer.write(b"0123456789abc").unwrap();
            cut(&control, &ctx, CANCEL, || {
                control.set_delay(FOR_EVER);
                finish(&mut *writer, &ctx)
            });
            control.set_delay(Duration::ZERO);
            assert_eq!(writer.size(), 13);
            finish(&mut *writer, &none).unwrap();
            match which {
                0 => assert_eq!(driver.get_content(&none, "/w").unwrap(), b"0123456789abc"),
                1 => assert!(driver.writer(&none, "/w", true).is_err()),
                _ => assert_eq!(driver.writer(&none, "/w", true).unwrap().size(), 13),
            }
            let _ = driver.delete(&none, "/w");
        }
    }
}

/// Whoever looks at the context first, the writer learns of it.
#[test]
fn a_commit_that_was_cut_off_in_any_instant_can_be_repeated() {
    let (driver, control) = delayed(Settings { delay: Duration::from_micros(50), ..SETTINGS });
    let none = Context::none();
    for driver in both(driver) {
        for instant in 0..400 {
            let mut writer = driver.writer(&none, "/w", false).unwrap();
            writer.write(b"abc").unwrap();
            let (ctx, begun) = (Context::new(&none), Arc::new(AtomicBool::new(false)));
            let begins = begun.clone();
            control.on_call(move || begins.store(true, Ordering::Release));
            let outcome = thread::scope(|scope| {
                scope.spawn(|| {
                    while !begun.load(Ordering::Acquire) {
                        std::hint::spin_loop();
                    }
                    (0..instant).for_each(|_| std::hint::spin_loop());
                    ctx.cancel();
                });
                writer.commit(&ctx)
            });
            let Err(error) = outcome else { continue };
            assert_eq!((error.code(), error.driver()), (Code::Cancelled, "delayed"), "{instant}");
            writer.commit(&none).unwrap();
        }
    }
}

#[test]
fn a_walk_goes_on_where_a_step_was_cut_off() {
    let (driver, control) = delayed(SETTINGS);
    let paths = ["/d/a", "/d/b/c", "/d/e"];
    paths.iter().for_each(|path| driver_put(&driver, path, b"x"));
    for driver in both(driver) {
        let ctx = Context::new(&Context::none());
        let mut walker = driver.walker(&ctx, "/d", &WalkOptions::default()).unwrap().unwrap();
        let mut seen = Vec::new();
        loop {
            cut(&control, &ctx, TIMEOUT, || {
                control.set_delay(FOR_EVER);
                walker.next().map(drop)
            });
            control.set_delay(Duration::ZERO);
            ctx.set_timeout(FOR_EVER);
            match walker.next().unwrap() {
                None => break,
                Some(info) => seen.push(info.path),
            }
        }
        assert_eq!(seen, ["/d/a", "/d/b", "/d/b/c", "/d/e"]);
    }
}

#[test]
fn a_panic_in_a_remote_driver_is_an_error_and_everything_else_goes_on() {
    let settings = Settings { max_concurrency: Some(1), ..SETTINGS };
    let (driver, _) = delayed(settings);
    let none = Context::none();
    driver_put(&driver, "/panic-in-chunk", b"content");
    for (driver, after) in both(driver).into_iter().zip([Code::Internal, Code::InvalidState]) {
        for path in ["/panic-at-once", "/panic-later"] {
            let error = driver.get_content(&none, path).unwrap_err();
            assert_eq!(error.code(), Code::Internal, "{error}");
        }
        let mut reader = driver.reader(&none, "/panic-in-chunk", 0).unwrap();
        assert_eq!(reader.read(&mut [0; 4]).unwrap_err().code(), Code::Internal);
        assert_eq!(reader.read(&mut [0; 4]).unwrap_err().code(), after);
        // The slot came back each time.
        driver.list(&none, "/").unwrap();
    }
}

/// Room for a read that panics where it is used.
struct Panics;

impl AsMut<[u8]> for Panics {
    fn as_mut(&mut self) -> &mut [u8] {
        panic!("asked to, on the pool")
    }
}

#[test]
fn a_panic_on_the_librarys_own_threads_goes_to_the_log_hook_and_not_to_standard_error() {
    const INSIDE: &str = "SD_TEST_PANICS_INSIDE";
    let name = "a_panic_on_the_librarys_own_threads_goes_to_the_log_hook_and_not_to_standard_error";
    if env::var_os(INSIDE).is_none() {
        let mut again = Command::new(env::current_exe().unwrap());
        let output = again.args(["--exact", name, "--nocapture"]).env(INSIDE, "1").output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        return;
    }
    // Whoever comes from C has this done by the first call.
    // SAFETY: text, and no place for an error.
    unsafe { storagedriver::ffi::sd_check_path(c"/a".as_ptr(), std::ptr::null_mut()) };
    let none = Context::none();
    let records: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let log = records.clone();
    let hook = move |record: &observe::LogRecord<'_>| {
        let thread = thread::current().name().unwrap_or_default().to_string();
        log.lock().unwrap().push((thread, record.message.to_string()));
    };
    observe::set_log_hook(Some(Box::new(hook)), Level::Error as i32).unwrap();
    let expect = |text: &str| {
        // It may come after the error.
        let began = Instant::now();
        while records.lock().unwrap().is_empty() && began.elapsed() < FOR_EVER / 10 {
            thread::yield_now();
        }
        let seen = std::mem::take(&mut *records.lock().unwrap());
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert!(seen[0].0.starts_with("sd-") && seen[0].1.contains(text), "{seen:?}");
    };
    // The workers: tasks of remote drivers.
    let (driver, _) = delayed(SETTINGS);
    for driver in both(driver) {
        driver.get_content(&none, "/panic-later").unwrap_err();
        expect("asked to, panic-later");
    }
    // The pool: queued calls of the others.
    let local = factory::create("inmemory", &none, &Params::new()).unwrap();
    driver_put(&local, "/a", b"content");
    let reader = Lease::new("reader", Driver::reader(&*local, &none, "/a", 0).unwrap());
    let queue = Queue::new().unwrap();
    queue.reader_read(1, &reader, Panics).unwrap();
    let completion = queue.next(Some(FOR_EVER)).unwrap().unwrap();
    assert_eq!(completion.outcome.err().unwrap().code(), Code::Internal);
    expect("asked to, on the pool");
}

/// Each runtime has its own idea of where one may block.
#[test]
fn a_host_on_a_runtime_of_its_own_makes_blocking_calls() {
    let (driver, _) = delayed(SETTINGS);
    driver_put(&driver, "/a", b"content");
    let work = move || {
        for driver in both(driver.clone()) {
            // More than the steps that tokio allows a task between two waits.
            for _ in 0..500 {
                assert_eq!(driver.get_content(&Context::none(), "/a").unwrap(), b"content");
            }
        }
    };
    let current = tokio::runtime::Builder::new_current_thread().build().unwrap();
    current.block_on(async { work() });
    let several = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    several.block_on(async {
        let other = work.clone();
        let tasks = [several.spawn(async move { work() }), several.spawn(async move { other() })];
        for task in tasks {
            task.await.unwrap();
        }
    });
}
