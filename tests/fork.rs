//! What goes on working in a child of a fork, and what answers that it does not.
//! Each child ends itself with `_exit`, as a test harness cannot be forked whole.

#[path = "common/remote_driver.rs"]
mod remote_driver;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use storagedriver::base::Base;
use storagedriver::child::ChildDriver;
use storagedriver::context::Context;
use storagedriver::driver::{Capabilities, Driver, FileInfo, Reader, Writer};
use storagedriver::error::{Code, Error, Result};
use storagedriver::factory;
use storagedriver::lease::Lease;
use storagedriver::names::Names;
use storagedriver::observe::{self, Level};
use storagedriver::params::Params;
use storagedriver::queue::Queue;

fn inmemory() -> Arc<Base> {
    factory::create("inmemory", &Context::none(), &Params::new()).unwrap()
}

/// Runs `work` in a child; its text is what went wrong.
fn in_child(work: impl FnOnce() -> std::result::Result<(), String>) {
    // SAFETY: the child calls only this library and ends with _exit.
    match unsafe { libc::fork() } {
        -1 => panic!("fork failed"),
        0 => {
            // SAFETY: ends a child that hangs.
            unsafe { libc::alarm(120) };
            let code = match work() {
                Ok(()) => 0,
                Err(text) => {
                    eprintln!("in the child: {text}");
                    1
                }
            };
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

fn expect<T>(outcome: Result<T>, code: Code) -> std::result::Result<(), String> {
    match outcome {
        Ok(_) => Err(format!("expected {}, got success", code.name())),
        Err(error) if error.code() == code => Ok(()),
        Err(error) => Err(format!("expected {}, got {error}", code.name())),
    }
}

#[test]
fn a_local_driver_goes_on_and_its_open_handles_do_not() {
    let ctx = Context::none();
    let driver = inmemory();
    driver.put_content(&ctx, "/a", b"abc").unwrap();
    let mut reader = driver.reader(&ctx, "/a", 0).unwrap();
    let mut writer = driver.writer(&ctx, "/b", false).unwrap();
    let mut walker = driver.walker(&ctx, "/", &Default::default()).unwrap().unwrap();
    in_child(|| {
        expect(reader.read(&mut [0; 8]), Code::Forked)?;
        expect(writer.write(b"x"), Code::Forked)?;
        expect(writer.close(&ctx), Code::Forked)?;
        expect(walker.next(), Code::Forked)?;
        driver.put_content(&ctx, "/child", b"c").map_err(|e| e.to_string())?;
        let mut fresh = driver.reader(&ctx, "/a", 1).map_err(|e| e.to_string())?;
        fresh.read(&mut [0; 8]).map_err(|e| e.to_string())?;
        inmemory().put_content(&ctx, "/a", b"new").map_err(|e| e.to_string())
    });
    // The parent has lost nothing.
    assert_eq!(reader.read(&mut [0; 8]).unwrap(), 3);
    writer.write(b"x").unwrap();
    writer.commit(&ctx).unwrap();
    assert!(walker.next().unwrap().is_some());
    assert_eq!(driver.stat(&ctx, "/child").unwrap_err().code(), Code::PathNotFound);
}

/// Answers only when told to.
#[derive(Default)]
struct Slow {
    name: &'static str,
    entered: AtomicBool,
    leave: AtomicBool,
}

impl Driver for Slow {
    fn name(&self) -> &str {
        self.name
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
    fn get_content(&self, _: &Context, _: &str) -> Result<Vec<u8>> {
        self.entered.store(true, Ordering::Release);
        while !self.leave.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        Ok(Vec::new())
    }
    fn put_content(&self, _: &Context, _: &str, _: &[u8]) -> Result<()> {
        Ok(())
    }
    fn stat(&self, _: &Context, path: &str) -> Result<FileInfo> {
        Err(Error::path_not_found(path))
    }
    fn list(&self, _: &Context, _: &str) -> Result<Names> {
        Ok(Names::new())
    }
    fn r#move(&self, _: &Context, _: &str, _: &str) -> Result<()> {
        Ok(())
    }
    fn delete(&self, _: &Context, _: &str) -> Result<()> {
        Ok(())
    }
    fn reader(&self, _: &Context, path: &str, _: i64) -> Result<Box<dyn Reader>> {
        Err(Error::path_not_found(path))
    }
    fn writer(&self, _: &Context, path: &str, _: bool) -> Result<Box<dyn Writer>> {
        Err(Error::path_not_found(path))
    }
}

#[test]
fn a_driver_that_another_thread_was_inside_of_says_so_rather_than_hang() {
    let ctx = Context::none();
    let slow = Arc::new(Slow::default());
    let driver = Base::new(slow.clone());
    let wrapped = factory::wrap(&driver, "rewrite", &Params::new()).unwrap();
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| driver.get_content(&ctx, "/a").unwrap());
        while !slow.entered.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        in_child(|| {
            expect(wrapped.list(&ctx, "/"), Code::Forked)?;
            expect(driver.list(&ctx, "/"), Code::Forked)?;
            expect(driver.list(&ctx, "/"), Code::Forked)?;
            // A driver that nobody was inside of is not concerned.
            inmemory().list(&ctx, "/").map_err(|e| e.to_string()).map(drop)
        });
        slow.leave.store(true, Ordering::Release);
        inside.join().unwrap();
    });
    driver.list(&ctx, "/").unwrap();
}

#[test]
fn a_child_of_a_child_counts_anew() {
    let ctx = Context::none();
    let driver = inmemory();
    driver.put_content(&ctx, "/a", b"abc").unwrap();
    in_child(|| {
        let reader = driver.reader(&ctx, "/a", 0);
        let mut reader = reader.map_err(|e| e.to_string())?;
        in_child(|| {
            expect(reader.read(&mut [0; 8]), Code::Forked)?;
            driver.get_content(&ctx, "/a").map_err(|e| e.to_string()).map(drop)
        });
        reader.read(&mut [0; 8]).map_err(|e| e.to_string()).map(drop)
    });
}

/// One call through a queue: what it came to.
fn submit_list(queue: &Queue, driver: &Arc<Base>) -> Result<()> {
    queue.list(1, driver, &Context::none(), "/")?;
    let completion = queue.next(Some(Duration::from_secs(60)))?;
    completion.map_or(Err(Error::invalid_state("none came")), |c| c.outcome.map(drop))
}

#[test]
fn remote_drivers_and_queues_do_not_outlive_a_fork_and_new_ones_work() {
    let ctx = Context::none();
    let (idle, _) = remote_driver::delayed(Default::default());
    let (remote, control) = remote_driver::delayed(Default::default());
    Driver::put_content(&*remote, &ctx, "/a", b"abc").unwrap();
    let mut reader = Driver::reader(&*remote, &ctx, "/a", 0).unwrap();
    let mut writer = Driver::writer(&*remote, &ctx, "/b", false).unwrap();
    let walker = Driver::walker(&*remote, &ctx, "/", &Default::default()).unwrap();
    let shared = Lease::new("reader", Driver::reader(&*remote, &ctx, "/a", 0).unwrap());
    let (queue, local) = (Queue::new().unwrap(), inmemory());
    submit_list(&queue, &remote).unwrap();
    // A fork in the middle of work: calls in flight, one of them on a handle.
    control.set_delay(Duration::from_millis(300));
    for tag in 0..50 {
        queue.list(tag, &remote, &ctx, "/").unwrap();
    }
    queue.reader_read(50, &shared, vec![0; 8]).unwrap();
    control.wait_for_begun(51);
    in_child(|| {
        expect(Driver::list(&*remote, &ctx, "/"), Code::Forked)?;
        expect(Driver::list(&*idle, &ctx, "/"), Code::Forked)?;
        expect(reader.read(&mut [0; 8]), Code::Forked)?;
        expect(writer.write(b"x"), Code::Forked)?;
        expect(shared.take().map(drop), Code::Forked)?;
        expect(queue.list(1, &local, &ctx, "/"), Code::Forked)?;
        expect(queue.next(None), Code::Forked)?;
        if queue.in_flight() != 0 {
            return Err("the parent's calls are in flight".to_string());
        }
        let fresh = Queue::new().map_err(|e| e.to_string())?;
        expect(submit_list(&fresh, &remote), Code::Forked)?;
        expect(submit_list(&fresh, &idle), Code::Forked)?;
        submit_list(&fresh, &local).map_err(|e| e.to_string())?;
        let (own, _) = remote_driver::delayed(Default::default());
        Driver::list(&*own, &ctx, "/").map_err(|e| e.to_string())?;
        submit_list(&fresh, &own).map_err(|e| e.to_string())?;
        // Waits for nothing and touches nothing that is the parent's.
        drop((queue, reader, writer, walker, shared));
        drop((remote, idle));
        drop(fresh);
        storagedriver::runtime::shutdown(Duration::from_secs(60)).map_err(|e| e.to_string())
    });
}

#[test]
fn the_parents_calls_go_on_after_a_fork() {
    let ctx = Context::none();
    let (remote, control) = remote_driver::delayed(Default::default());
    control.set_delay(Duration::from_millis(100));
    let queue = Queue::new().unwrap();
    for tag in 0..50 {
        queue.list(tag, &remote, &ctx, "/").unwrap();
    }
    in_child(|| Ok(()));
    for _ in 0..50 {
        let completion = queue.next(Some(Duration::from_secs(60))).unwrap().unwrap();
        completion.outcome.map(drop).unwrap();
    }
    Driver::list(&*remote, &ctx, "/").unwrap();
}

/// A server that forks its workers before it does any work, and again from threads.
#[test]
fn workers_of_a_server_have_drivers_and_queues_of_their_own() {
    let work = || {
        let queue = Queue::new().map_err(|e| e.to_string())?;
        let (remote, _) = remote_driver::delayed(Default::default());
        for driver in [remote, inmemory()] {
            submit_list(&queue, &driver).map_err(|e| e.to_string())?;
        }
        Ok(())
    };
    for _ in 0..4 {
        in_child(work);
    }
    work().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| in_child(work));
        }
    });
}

/// A hook holds a lock while it runs, and the metrics have theirs.
#[test]
fn a_child_has_the_parents_hooks_and_sets_its_own_though_each_was_running() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    static LEAVE: AtomicBool = AtomicBool::new(false);
    fn stay() {
        CALLS.fetch_add(1, Ordering::SeqCst);
        while !LEAVE.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
    }
    let on_log = |record: &observe::LogRecord<'_>| {
        if record.fields_json.contains("in-log-hook") {
            stay();
        }
    };
    let on_metric = |metric: &observe::Metric<'_>| {
        if metric.driver == "in-metric-hook" {
            stay();
        }
    };
    observe::set_log_hook(Some(Box::new(on_log)), Level::Debug as i32).unwrap();
    observe::set_metric_hook(Some(Box::new(on_metric))).unwrap();
    let list = |name| {
        let driver = Base::new(Arc::new(Slow { name, ..Slow::default() }));
        driver.list(&Context::none(), "/").map(drop)
    };
    let list_both = || list("in-log-hook").and_then(|()| list("in-metric-hook"));
    std::thread::scope(|scope| {
        for name in ["in-log-hook", "in-metric-hook"] {
            scope.spawn(move || list(name).unwrap());
        }
        while CALLS.load(Ordering::SeqCst) < 2 {
            std::thread::yield_now();
        }
        in_child(|| {
            LEAVE.store(true, Ordering::SeqCst);
            list_both().map_err(|e| e.to_string())?;
            if CALLS.load(Ordering::SeqCst) != 4 {
                return Err("the child has not its parent's hooks".to_string());
            }
            observe::set_log_hook(None, 0).map_err(|e| e.to_string())?;
            observe::set_metric_hook(None).map_err(|e| e.to_string())?;
            list_both().map_err(|e| e.to_string())?;
            let text = observe::metrics_text().map_err(|e| e.to_string())?;
            let count = r#"_outcomes_total{driver="in-log-hook",action="List",outcome="ok"} 2"#;
            if CALLS.load(Ordering::SeqCst) != 4 || !text.contains(count) {
                return Err(format!("hooks that are no more were called, or it is not in {text}"));
            }
            Ok(())
        });
        LEAVE.store(true, Ordering::SeqCst);
    });
    observe::set_log_hook(None, 0).unwrap();
    observe::set_metric_hook(None).unwrap();
}

#[test]
fn a_driver_in_a_process_of_its_own_does_not_outlive_a_fork_and_a_new_one_works() {
    let folder = support::program::driver_programs(&["inmemory"]);
    let program = folder.path().join("registry-storage-inmemory");
    let ctx = Context::none();
    let start = || ChildDriver::create("inmemory", &program, &ctx, &Params::new()).map(Arc::new);
    let apart = start().unwrap();
    let driver = Base::new(apart.clone());
    driver.put_content(&ctx, "/a", b"abc").unwrap();
    let mut reader = driver.reader(&ctx, "/a", 0).unwrap();
    let mut writer = driver.writer(&ctx, "/b", false).unwrap();
    let mut walker = driver.walker(&ctx, "/", &Default::default()).unwrap().unwrap();
    writer.write(b"x").unwrap();
    // The child frees its copies, which the driver's process must not hear of.
    let copies =
        std::mem::ManuallyDrop::new(std::cell::RefCell::new(Some((reader, writer, walker))));
    in_child(|| {
        let (mut reader, mut writer, mut walker) = copies.borrow_mut().take().ok_or("none")?;
        expect(driver.stat(&ctx, "/a"), Code::Forked)?;
        if apart.process_id().is_some() {
            return Err("the process is not this one's to name".to_string());
        }
        expect(driver.writer(&ctx, "/b", true).map(drop), Code::Forked)?;
        expect(reader.read(&mut [0; 8]), Code::Forked)?;
        expect(writer.write(b"x"), Code::Forked)?;
        expect(writer.close(&ctx), Code::Forked)?;
        expect(walker.next(), Code::Forked)?;
        drop((reader, writer, walker));
        let own = Base::new(start().map_err(|e| e.to_string())?);
        own.put_content(&ctx, "/a", b"new").map_err(|e| e.to_string())?;
        drop(own);
        storagedriver::runtime::shutdown(Duration::from_secs(60)).map_err(|e| e.to_string())
    });
    (reader, writer, walker) = copies.borrow_mut().take().unwrap();
    assert!(apart.process_id().is_some());
    assert_eq!(reader.read(&mut [0; 8]).unwrap(), 3);
    writer.commit(&ctx).unwrap();
    assert!(walker.next().unwrap().is_some());
    assert_eq!(driver.get_content(&ctx, "/b").unwrap(), b"x");
}
