//! The life of a driver's process: how it starts, what it inherits, how it dies, and
//! what callers hear of that.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use storagedriver::child::ChildDriver;
use storagedriver::context::Context;
use storagedriver::driver::{Driver, RedirectRequest, WalkOptions};
use storagedriver::error::{Code, Error, Result};
use storagedriver::observe;
use storagedriver::params::Params;
use tempfile::TempDir;

use crate::scripted::script as script_of;
use crate::served;
use crate::support::program;

/// A driver over a program of the library's, with the folder it lies in.
fn start(params: &str) -> (ChildDriver, TempDir) {
    let folder = program::driver_programs(&["inmemory"]);
    let program = folder.path().join("registry-storage-inmemory");
    let params = Params::from_json(params).unwrap();
    (ChildDriver::create("inmemory", &program, &Context::none(), &params).unwrap(), folder)
}

fn shell_program(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("registry-storage-script");
    program::script(&path, &format!("#!/bin/sh\n{text}\n"));
    path
}

/// What becomes of a program that is a shell script.
fn create_script(text: &str, params: &str) -> Result<ChildDriver> {
    let folder = tempfile::tempdir().unwrap();
    let program = shell_program(folder.path(), text);
    let params = Params::from_json(params).unwrap();
    ChildDriver::create("script", &program, &Context::none(), &params)
}

fn signal(driver: &ChildDriver, signal: Signal) {
    let pid = Pid::from_raw(driver.process_id().unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Stops every thread of it.
fn stop(driver: &ChildDriver) {
    signal(driver, Signal::STOP);
    let tasks = format!("/proc/{}/task", driver.process_id().unwrap());
    wait_for("a stop", || {
        fs::read_dir(&tasks).unwrap().all(|task| {
            let stat = fs::read_to_string(task.unwrap().path().join("stat")).unwrap_or_default();
            stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T"))
        })
    });
}

fn timeout(millis: u64) -> Context {
    let ctx = Context::new(&Context::none());
    ctx.set_timeout(Duration::from_millis(millis));
    ctx
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < end, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_gone(pid: i32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

type Operation = Box<dyn FnOnce(&Context) -> Result<()> + Send>;

/// Every operation on a store that has `/d/a`, the open ones in the middle of their work;
/// what was open before obeys the context that comes with them.
fn operations(driver: &Arc<ChildDriver>) -> (Context, Vec<(&'static str, Operation)>) {
    let none = Context::none();
    let big = vec![1; 4 << 20];
    driver.put_content(&none, "/d/a", &big).unwrap();
    let opened = timeout(60_000);
    let mut reader = driver.reader(&opened, "/d/a", 0).unwrap();
    let mut writer = driver.writer(&opened, "/d/w", false).unwrap();
    let open_writer = |path: &str| {
        let mut writer = driver.writer(&none, path, false).unwrap();
        writer.write(b"abc").unwrap();
        writer
    };
    let (mut commit, mut cancel, mut close) =
        (open_writer("/d/x"), open_writer("/d/y"), open_writer("/d/z"));
    let mut walker = driver.walker(&opened, "/d", &WalkOptions::default()).unwrap().unwrap();
    let mut all: Vec<(&'static str, Operation)> = Vec::new();
    macro_rules! add {
        ($name:literal, $call:expr) => {
            let d = driver.clone();
            let call: Box<dyn FnOnce(&ChildDriver, &Context) -> Result<()> + Send> =
                Box::new($call);
            all.push(($name, Box::new(move |ctx| call(&d, ctx))));
        };
    }
    add!("get_content", |d, ctx| d.get_content(ctx, "/d/a").map(drop));
    add!("put_content", |d, ctx| d.put_content(ctx, "/d/b", &vec![2; 4 << 20]));
    add!("put_content, small", |d, ctx| d.put_content(ctx, "/d/c", b"c"));
    add!("stat", |d, ctx| d.stat(ctx, "/d/a").map(drop));
    add!("list", |d, ctx| d.list(ctx, "/d").map(drop));
    add!("list_page", |d, ctx| d.list_page(ctx, "/d", None, 10).map(drop));
    add!("entries", |d, ctx| d.entries(ctx, "/d", None).map(drop));
    add!("move", |d, ctx| d.r#move(ctx, "/d/a", "/d/m"));
    add!("delete", |d, ctx| d.delete(ctx, "/d/q"));
    add!("redirect_url", |d, ctx| {
        d.redirect_url(ctx, "/d/a", &RedirectRequest::default()).map(drop)
    });
    add!("reader", |d, ctx| d.reader(ctx, "/d/a", 0).map(drop));
    add!("writer", |d, ctx| d.writer(ctx, "/d/n", false).map(drop));
    add!("walker", |d, ctx| d.walker(ctx, "/d", &WalkOptions::default()).map(drop));
    add!("read", move |_, _| {
        let mut buf = vec![0; 1 << 20];
        while reader.read(&mut buf)? > 0 {}
        Ok(())
    });
    add!("write", move |_, _| {
        let piece = vec![3; 1 << 20];
        (0..8).try_for_each(|_| writer.write(&piece))
    });
    add!("commit", move |_, ctx| commit.commit(ctx));
    add!("cancel", move |_, ctx| cancel.cancel(ctx));
    add!("close", move |_, ctx| close.close(ctx));
    add!("next", move |_, _| {
        while walker.next()?.is_some() {}
        Ok(())
    });
    add!("ping", |d, ctx| d.ping(ctx));
    (opened, all)
}

#[test]
fn a_process_that_is_killed_fails_every_call_that_runs_and_every_later_one() {
    let count = {
        let (driver, _folder) = start("{}");
        operations(&Arc::new(driver)).1.len()
    };
    for index in 0..count {
        let (driver, _folder) = start("{}");
        let driver = Arc::new(driver);
        let (name, operation) = operations(&driver).1.swap_remove(index);
        // Stopped, it is in the middle of the call when it dies.
        stop(&driver);
        let running = std::thread::spawn(move || operation(&timeout(20_000)));
        std::thread::sleep(Duration::from_millis(20));
        signal(&driver, Signal::KILL);
        let error = running.join().unwrap().expect_err(name);
        assert_eq!(error.code(), Code::DriverDied, "{name}: {error}");
        assert!(error.detail().contains("killed by signal 9"), "{name}: {error}");
        let later = driver.stat(&Context::none(), "/d/a").unwrap_err();
        assert_eq!((later.code(), later.detail()), (error.code(), error.detail()), "{name}");
    }
}

#[test]
fn a_process_that_is_stopped_holds_nobody_longer_than_his_deadline() {
    let (driver, _folder) = start("{}");
    let driver = Arc::new(driver);
    let (opened, operations) = operations(&driver);
    stop(&driver);
    for (name, operation) in operations {
        let started = Instant::now();
        let error = match name {
            "read" | "write" | "next" => {
                opened.set_timeout(Duration::from_millis(100));
                operation(&Context::none())
            }
            _ => operation(&timeout(50)),
        };
        let error = error.expect_err(name);
        assert_eq!(error.code(), Code::Deadline, "{name}: {error}");
        assert!(started.elapsed() < Duration::from_secs(8), "{name}: {:?}", started.elapsed());
    }
    signal(&driver, Signal::CONT);
    // What was left behind is in order.
    let ctx = timeout(20_000);
    driver.ping(&ctx).unwrap();
    driver.put_content(&ctx, "/d/after", b"after").unwrap();
    assert_eq!(driver.get_content(&ctx, "/d/after").unwrap(), b"after");
}

#[test]
fn an_upload_that_its_deadline_cut_off_keeps_a_whole_prefix() {
    let (driver, _folder) = start("{}");
    let none = Context::none();
    let all: Vec<u8> = (0..4u32 << 20).map(|at| (at * 7 + at / 997) as u8).collect();
    let brief = timeout(60_000);
    let mut writer = driver.writer(&brief, "/w", false).unwrap();
    stop(&driver);
    brief.set_timeout(Duration::from_millis(100));
    let error = all.chunks(100_000).try_for_each(|piece| writer.write(piece)).unwrap_err();
    assert_eq!(error.code(), Code::Deadline);
    // A commit that does not get out either, and is not repeated.
    assert_eq!(writer.close(&timeout(50)).unwrap_err().code(), Code::Deadline);
    signal(&driver, Signal::CONT);
    writer.close(&none).unwrap();
    let size = writer.size() as usize;
    assert!(size > 0 && size < all.len(), "{size}");
    drop(writer);
    let mut writer = driver.writer(&none, "/w", true).unwrap();
    assert_eq!(writer.size() as usize, size);
    writer.commit(&none).unwrap();
    assert!(driver.get_content(&none, "/w").unwrap() == all[..size]);
}

#[test]
fn a_death_quotes_the_status_and_the_last_words() {
    let error =
        create_script("echo starting; echo 'no disk here' >&2; exit 3", "{}").err().unwrap();
    assert_eq!(error.code(), Code::DriverDied);
    let detail = error.detail();
    assert!(detail.contains("ended with status 3"), "{detail}");
    assert!(detail.contains("starting | no disk here"), "{detail}");
}

#[test]
fn the_last_words_of_one_that_said_much_are_its_last_ones() {
    // As much as a pipe holds, at once: much of it is read after the death.
    let text = "yes 'this is not it' | head -c 60000 >&2; echo 'this is it' >&2; exit 1";
    for _ in 0..10 {
        let error = create_script(text, "{}").err().unwrap();
        assert!(error.detail().ends_with("this is it"), "{error}");
    }
}

#[test]
fn a_death_that_the_socket_does_not_show_is_noticed() {
    // Something that it started keeps the socket open.
    let hello = r#"{"protocol":[1,0],"window":1048576}"#;
    assert_eq!(hello.len(), 0o43);
    let script = format!(
        r#"env printf '\043\0\0\0\001\0\0\0\0\0\0\0\0\0\0\0%s' '{hello}' >&3
           sleep 30 &
           sleep 0.5; exit 3"#
    );
    let driver = create_script(&script, "{}").unwrap();
    for _ in 0..2 {
        let error = driver.stat(&timeout(20_000), "/a").unwrap_err();
        assert_eq!(error.code(), Code::DriverDied, "{error}");
        assert!(error.detail().contains("ended with status 3"), "{error}");
    }
    // One that reads no more, but neither ends nor closes anything.
    let (driver, thread) = script_of(|side| {
        side.read_no_more();
        side.drain();
        std::thread::sleep(Duration::from_millis(500));
    });
    let ctx = timeout(20_000);
    let error = loop {
        if let Err(error) = driver.put_content(&ctx, "/a", b"x") {
            break error;
        }
    };
    assert_eq!(error.code(), Code::DriverDied, "{error}");
    thread.join().unwrap();
}

#[test]
fn a_program_that_does_not_say_hello_in_time_is_refused_and_ended() {
    let started = Instant::now();
    let error = create_script("sleep 1000 & echo $! >&2; wait", r#"{"processstarttimeout":300}"#);
    let error = error.err().unwrap();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.detail().contains("did not say hello within 300 ms"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(10));
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("no such program");
    let error = ChildDriver::create("x", &program, &Context::none(), &Params::new());
    assert!(error.err().unwrap().detail().contains("cannot be started"));
    let error = create_script("sleep 1000", r#"{"processtypo":1}"#).err().unwrap();
    assert_eq!(error.code(), Code::InvalidParameter);
    assert!(error.detail().contains("processtypo"), "{error}");
}

#[test]
fn the_program_gets_four_descriptors_and_no_arguments() {
    // Descriptors that a careless host leaves open.
    let careless: Vec<_> = (0..20).map(|_| rustix::io::dup(std::io::stdin()).unwrap()).collect();
    // Without a pipe, whose ends the shell would have open meanwhile.
    let script = "ls /proc/$$/fd >$0.fds; grep -v '^1[0-9]$' $0.fds; readlink /proc/$$/fd/0; \
                  echo $# arguments; exit 1";
    let error = create_script(script, r#"{"secret":"sesame"}"#).err().unwrap();
    // A shell keeps its script open above 9.
    let expected = "0 | 1 | 2 | 3 | /dev/null | 0 arguments";
    assert!(error.detail().contains(expected), "{error}");
    drop(careless);
    let error = create_script("echo \"$1\"; exit 1", r#"{"processargv":true,"n":5,"s":"t"}"#);
    assert!(error.err().unwrap().detail().contains(r#"{"n":"5","s":"t"}"#));
}

#[test]
fn the_program_blocks_no_signal_and_is_in_a_group_of_its_own() {
    let script = "while read -r line; do case $line in SigBlk*) echo \"$line\";; esac; done \
                  </proc/$$/status; [ \"$(cut -d' ' -f5 /proc/$$/stat)\" = $$ ] && echo own group; exit 1";
    let error = create_script(script, "{}").err().unwrap();
    assert!(error.detail().contains("0000000000000000"), "{error}");
    assert!(error.detail().contains("own group"), "{error}");
}

#[test]
fn the_process_ends_with_its_last_user_and_is_no_zombie() {
    let (driver, _folder) = start("{}");
    let pid = driver.process_id().unwrap();
    driver.put_content(&Context::none(), "/a", b"abc").unwrap();
    let mut reader = driver.reader(&Context::none(), "/a", 0).unwrap();
    drop(driver);
    assert_eq!(reader.read(&mut [0; 8]).unwrap(), 3, "a reader keeps its driver alive");
    drop(reader);
    wait_for("the end of the process", || is_gone(pid));
}

#[test]
fn a_process_that_does_not_want_to_end_is_killed() {
    let (driver, _folder) = start("{}");
    let pid = driver.process_id().unwrap();
    stop(&driver);
    let started = Instant::now();
    drop(driver);
    assert!(started.elapsed() < Duration::from_secs(2), "to free a driver took a wait");
    wait_for("the end of the process", || is_gone(pid));
}

#[test]
fn the_end_of_the_host_ends_the_server() {
    let (ours, theirs) = served::pair();
    let serving = std::thread::spawn(move || {
        storagedriver::child::serve(theirs, &|_, _, _| panic!("nobody said hello"))
    });
    drop(ours);
    serving.join().unwrap().unwrap();
    let folder = program::driver_programs(&["inmemory"]);
    // Without a host, the program says so.
    let output = std::process::Command::new(folder.path().join("registry-storage-inmemory"))
        .env("LD_LIBRARY_PATH", folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("descriptor 3"));
}

#[test]
fn a_process_is_started_again_for_the_next_call_where_that_is_wanted() {
    let (driver, _folder) = start(r#"{"processrestart":"true"}"#);
    let none = Context::none();
    let first = driver.process_id().unwrap();
    let mut writer = driver.writer(&none, "/w", false).unwrap();
    writer.write(b"lost").unwrap();
    signal(&driver, Signal::KILL);
    wait_for("a new process", || driver.list(&none, "/").is_ok());
    assert_ne!(driver.process_id().unwrap(), first);
    driver.put_content(&none, "/a", b"new").unwrap();
    assert_eq!(driver.get_content(&none, "/a").unwrap(), b"new");
    // An open upload does not go on.
    assert_eq!(writer.commit(&none).unwrap_err().code(), Code::DriverDied);
    // At once again: not before a pause is over. One that a slow machine has slept
    // through is followed by one of twice the length.
    let (mut refused, mut longest) = (None, Duration::from_millis(50));
    while refused.is_none() && longest < Duration::from_secs(10) {
        longest *= 2;
        signal(&driver, Signal::KILL);
        wait_for("another process", || match driver.list(&none, "/") {
            Ok(_) => true,
            Err(error) => {
                refused = error.retry_after().or(refused);
                false
            }
        });
    }
    assert!(refused.is_some_and(|pause| pause <= longest), "{refused:?} of {longest:?}");
}

/// A driver whose program has just been killed, and runs this in a shell when it is
/// started for the second time, in the folder that comes with it.
fn killed_once(second: &str) -> (ChildDriver, [TempDir; 2]) {
    let programs = program::driver_programs(&["inmemory"]);
    let real = programs.path().join("registry-storage-inmemory");
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "cd {}; echo >>starts; [ -e again ] && {{ {second}; }}; touch again\nexec {}",
        folder.path().display(),
        real.display()
    );
    let script = shell_program(folder.path(), &text);
    let params = Params::from_json(r#"{"processrestart":true}"#).unwrap();
    let driver = ChildDriver::create("inmemory", &script, &Context::none(), &params).unwrap();
    signal(&driver, Signal::KILL);
    (driver, [folder, programs])
}

#[test]
fn who_waits_for_a_new_process_waits_no_longer_than_his_deadline() {
    let (driver, [folder, _programs]) =
        killed_once("touch begun; while [ ! -e go ]; do sleep 0.05; done");
    let is_there = |name: &str| folder.path().join(name).exists();
    std::thread::scope(|scope| {
        let patient = || wait_for("an answer", || driver.list(&Context::none(), "/").is_ok());
        scope.spawn(patient);
        wait_for("the second process", || is_there("begun"));
        for _ in 0..4 {
            let error = driver.list(&timeout(100), "/").unwrap_err();
            assert_eq!(error.code(), Code::Deadline, "{error}");
        }
        scope.spawn(patient);
        fs::write(folder.path().join("go"), "").unwrap();
    });
}

#[test]
fn callers_in_a_hurry_wait_for_the_same_new_process_one_after_another() {
    let (driver, [folder, _programs]) = killed_once("sleep 1");
    wait_for("an answer", || driver.list(&timeout(50), "/").is_ok());
    assert_eq!(fs::read(folder.path().join("starts")).unwrap(), b"\n\n");
}

#[test]
fn what_it_prints_goes_to_the_log() {
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = lines.clone();
    let hook = move |record: &observe::LogRecord<'_>| {
        if record.target == "child" {
            log.lock().unwrap().push(format!("{} {}", record.message, record.fields_json));
        }
    };
    observe::set_log_hook(Some(Box::new(hook)), 5).unwrap();
    let _ = create_script("echo to the log; exit 1", "{}");
    observe::set_log_hook(None, 0).unwrap();
    let lines = lines.lock().unwrap();
    let line = r#"to the log {"driver":"script"}"#;
    assert!(lines.iter().any(|l| l == line), "{lines:?}");
}

#[test]
fn an_error_of_the_parameters_is_the_drivers_own() {
    let folder = program::driver_programs(&["inmemory"]);
    let program = folder.path().join("registry-storage-inmemory");
    let mut params = Params::new();
    params.set("typo", 1);
    let error: Error =
        ChildDriver::create("inmemory", &program, &Context::none(), &params).err().unwrap();
    assert_eq!(error.code(), Code::InvalidParameter);
    assert!(error.detail().contains("typo"), "{error}");
}
