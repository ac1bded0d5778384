//! How processes and threads end, fork and unload the library: programs in C that live
//! such lives, Python's multiprocessing, and what only Rust can bring, a remote driver.
//! None may hang, crash, or change the host's signals. ctest runs the programs in C on
//! the shipped library, this file on cargo's.

mod support;

#[path = "common/remote_driver.rs"]
mod remote_driver;

use std::collections::BTreeSet;
use std::env;
use std::io::{IoSlice, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, exit};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use remote_driver::delayed;
use storagedriver::context::Context;
use storagedriver::driver::Driver;
use storagedriver::factory;
use storagedriver::params::Params;
use storagedriver::queue::Queue;
use support::{have, read, root};
use tempfile::TempDir;

/// Runs a command, which may take two minutes.
fn run(program: &Path, arguments: &[&str], library: &Path) -> Output {
    let mut command = Command::new("timeout");
    command.args(["-s", "ABRT", "120"]).arg(program).args(arguments);
    command.env("LD_LIBRARY_PATH", library).output().unwrap()
}

#[track_caller]
fn ends_well(output: &Output) {
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

// ---- programs in C ----

struct Built {
    folder: TempDir,
    program: PathBuf,
}

impl Built {
    fn library(&self) -> String {
        self.folder.path().join("libstoragedriver.so.1").to_str().unwrap().to_string()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        run(&self.program, arguments, self.folder.path())
    }
}

fn build(name: &str, libraries: &[&str]) -> Built {
    let folder = TempDir::new().unwrap();
    let library = env::current_exe().unwrap().parent().unwrap().join("libstoragedriver.so");
    for name in ["libstoragedriver.so", "libstoragedriver.so.1"] {
        symlink(&library, folder.path().join(name)).unwrap();
    }
    let program = folder.path().join(name);
    let mut command = Command::new(env::var_os("CC").unwrap_or("cc".into()));
    command
        .args(["-std=gnu99", "-g", "-Wall", "-Wextra", "-Werror"])
        .arg(format!("-I{}", root().join("include").display()))
        .arg(root().join(format!("tests/processes/{name}.c")))
        .arg("-o")
        .arg(&program)
        .arg(format!("-L{}", folder.path().display()))
        .args(libraries);
    support::run(&mut command);
    Built { folder, program }
}

macro_rules! lives {
    ($($name:ident)+) => {
        const LIVES: &[&str] = &[$(stringify!($name)),+];

        $(#[test]
        fn $name() {
            ends_well(&build("lives", &["-lstoragedriver", "-lpthread"]).run(&[stringify!($name)]));
        })+
    };
}

lives! {
    a_thread_ends_while_it_owns_handles_and_another_frees_them
    a_thread_ends_while_it_owns_handles_that_nobody_frees
    return_from_main
    exit_with_a_handler_that_uses_the_library
    exit_from_another_thread
    exit_while_a_thread_waits_for_a_completion
    signals_stay_as_they_were
    a_broken_pipe_of_the_hosts_own_still_ends_it
    workers_of_a_server_that_forks_before_it_works
    workers_of_a_server_whose_master_has_drivers
    workers_of_a_server_that_forks_while_it_works
}

#[test]
fn every_life_is_lived() {
    let source = read("tests/processes/lives.c");
    let told = source.lines().filter_map(|line| line.trim().strip_prefix("STORY("));
    let told: BTreeSet<_> = told.filter_map(|rest| rest.strip_suffix(");")).collect();
    assert_eq!(told, LIVES.iter().copied().collect());
}

#[test]
fn the_library_is_unloaded_with_its_threads_running_and_loaded_again() {
    let built = build("reload", &["-ldl", "-lpthread"]);
    ends_well(&built.run(&[&built.library(), "running"]));
}

#[test]
fn the_library_is_shut_down_unloaded_and_loaded_again() {
    let built = build("reload", &["-ldl", "-lpthread"]);
    ends_well(&built.run(&[&built.library(), "shutdown"]));
}

#[test]
fn pythons_multiprocessing_has_workers_by_fork_forkserver_and_spawn() {
    if !have("python3") {
        return;
    }
    let built = build("lives", &["-lstoragedriver", "-lpthread"]);
    let script = root().join("tests/processes/workers.py");
    let arguments = [script.to_str().unwrap(), &built.library()];
    let output = run(Path::new("python3"), &arguments, built.folder.path());
    assert!(output.status.success(), "{output:?}");
}

// ---- with a remote driver ----

const INSIDE: &str = "SD_TEST_PROCESS";

/// Runs the test again, alone in a process of its own; `None` inside that.
fn in_a_process(test: &str) -> Option<Output> {
    if env::var_os(INSIDE).is_some() {
        return None;
    }
    let mut command = Command::new("timeout");
    command.args(["-s", "ABRT", "120"]).arg(env::current_exe().unwrap());
    Some(command.args(["--exact", test, "--nocapture"]).env(INSIDE, "1").output().unwrap())
}

#[test]
fn exit_with_remote_and_local_work_in_flight_is_at_once() {
    const CODE: i32 = 43;
    let began = Instant::now();
    if let Some(output) = in_a_process("exit_with_remote_and_local_work_in_flight_is_at_once") {
        assert_eq!(output.status.code(), Some(CODE), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
        assert!(began.elapsed() < Duration::from_secs(50));
        return;
    }
    let (driver, control) = delayed(Default::default());
    let (queue, none) = (Queue::new().unwrap(), Context::none());
    Driver::put_content(&*driver, &none, "/a", b"a").unwrap();
    control.set_delay(Duration::from_secs(60));
    for tag in 0..100 {
        queue.list(tag, &driver, &none, "/").unwrap();
    }
    let blocked = driver.clone();
    std::thread::spawn(move || Driver::stat(&*blocked, &Context::none(), "/a"));
    control.wait_for(101);
    exit(CODE);
}

#[test]
fn queued_calls_have_no_more_threads_than_there_are_calls_in_flight() {
    let name = "queued_calls_have_no_more_threads_than_there_are_calls_in_flight";
    if let Some(output) = in_a_process(name) {
        assert!(output.status.success(), "{output:?}");
        return;
    }
    const IN_FLIGHT: u64 = 3;
    let (queue, none) = (Queue::new().unwrap(), Context::none());
    let driver = factory::create("inmemory", &none, &Params::new()).unwrap();
    (0..IN_FLIGHT).for_each(|tag| queue.stat(tag, &driver, &none, "/").unwrap());
    for tag in 0..20_000 {
        queue.next(None).unwrap().unwrap().outcome.map(drop).unwrap();
        queue.stat(tag, &driver, &none, "/").unwrap();
    }
    let ours = support::threads::count() as u64;
    assert!((1..=IN_FLIGHT).contains(&ours), "{ours} threads");
}

/// A vectored write to a socket whose other end is closed: `MSG_NOSIGNAL` cannot be said
/// with it, so that it raises SIGPIPE on the thread that makes it.
fn severed() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    drop(listener.accept().unwrap());
    socket
}

#[test]
fn a_peer_that_closes_raises_no_sigpipe_in_the_host() {
    if let Some(output) = in_a_process("a_peer_that_closes_raises_no_sigpipe_in_the_host") {
        assert!(output.status.success(), "{output:?}");
        return;
    }
    // Programs in C have it so; the test harness ignores it.
    // SAFETY: no handler of ours.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let (driver, control) = delayed(Default::default());
    let socket = Mutex::new(severed());
    let broken = Arc::new(AtomicUsize::new(0));
    let seen = broken.clone();
    control.on_call(move || {
        let pieces = [IoSlice::new(b"GET / "), IoSlice::new(b"HTTP/1.1\r\n")];
        let outcome = socket.lock().unwrap().write_vectored(&pieces);
        if outcome.is_err_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe) {
            seen.fetch_add(1, Ordering::SeqCst);
        }
    });
    let (queue, none) = (Queue::new().unwrap(), Context::none());
    let began = Instant::now();
    while broken.load(Ordering::SeqCst) < 10 && began.elapsed() < Duration::from_secs(60) {
        let _ = Driver::list(&*driver, &none, "/");
        queue.list(1, &driver, &none, "/").unwrap();
        drop(queue.next(None).unwrap());
    }
    assert!(broken.load(Ordering::SeqCst) >= 10, "the peer is not gone");
}
