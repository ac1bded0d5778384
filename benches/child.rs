//! What a driver in a process of its own costs beside the same driver in this one, and
//! beside a bare socket to another process: CPU of both sides together for small calls,
//! GiB/s for streams of 256 KiB pieces. They go to a driver that keeps nothing as well:
//! what a store in memory costs is mostly the kernel's clearing of its pages. `cargo
//! bench --bench child` prints the rows of README's table.

#[path = "../tests/support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use storagedriver::base::Base;
use storagedriver::child::ChildDriver;
use storagedriver::context::Context;
use storagedriver::driver::{Capabilities, Driver, FileInfo, Reader, Writer};
use storagedriver::error::{Error, Result};
use storagedriver::factory;
use storagedriver::names::Names;
use storagedriver::params::Params;

const CALLS: u32 = 20_000;
const ROUNDS: usize = 5;
const PIECE: usize = 256 << 10;
const STREAM: usize = 1 << 30;

/// What is measured.
type Work<'w> = &'w dyn Fn(&dyn Driver);

fn main() {
    if let Some(answer) = std::env::args().find_map(|a| a.strip_prefix("--floor=")?.parse().ok()) {
        return other_side(answer);
    }
    if std::env::args().next().is_some_and(|name| name.ends_with("/registry-storage-null")) {
        return storagedriver::child::serve_inherited(&|_, _, _| Ok(null())).unwrap();
    }
    // `cargo test --benches` only wants to know that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let folder = support::program::driver_programs(&["inmemory"]);
    let program = folder.path().join("registry-storage-inmemory");
    let ctx = Context::none();
    // A call goes to and fro, so that one CPU is all it can use; on two, most of what it
    // costs is waking one that sleeps.
    let all = sched_getaffinity(None).unwrap();
    let mut first = CpuSet::new();
    first.set((0..CpuSet::MAX_CPU).find(|cpu| all.is_set(*cpu)).unwrap());
    let (here, pid_here) = on(&first, || start(&program));
    let (child, pid) = start(&program);
    let own = factory::create("inmemory", &ctx, &Params::new()).unwrap();
    println!("| work | CPU of both, on one CPU | on all | wall, on all | here: CPU |");
    println!("|---|---|---|---|---|");
    let each = |time: Duration| format!("{:.1} us", time.as_secs_f64() * 1e6 / f64::from(CALLS));
    let row = |name, one: Cost, all: Cost, own: String| {
        println!("| {name} | {} | {} | {} | {own} |", each(one.cpu), each(all.cpu), each(all.wall));
    };
    let one = on(&first, ping_pong);
    row("a bare socket, 100 bytes to and fro", one, ping_pong(), String::new());
    let content = vec![7; 4096];
    for driver in [&here as &dyn Driver, &child, &*own] {
        driver.put_content(&ctx, "/a/b", &content).unwrap();
    }
    let small: [(&str, Work); 3] = [
        ("stat", &|d| drop(d.stat(&Context::none(), "/a/b").unwrap())),
        ("get of 4 KiB", &|d| drop(d.get_content(&Context::none(), "/a/b").unwrap())),
        ("put of 4 KiB", &|d| d.put_content(&Context::none(), "/a/b", &[7; 4096]).unwrap()),
    ];
    for (name, work) in small {
        let run = |driver: &dyn Driver, pid| best(pid, || (0..CALLS).for_each(|_| work(driver)));
        let one = on(&first, || run(&here, pid_here));
        row(name, one, run(&child, pid), each(run(&*own, pid).cpu));
    }
    println!("\n| work | CPU of both | GiB/s | here: CPU |\n|---|---|---|---|");
    let row = |name: &str, cost: Cost, own: String| {
        let rate = STREAM as f64 / cost.wall.as_secs_f64() / (1u64 << 30) as f64;
        println!("| {name} | {:.2} s | {rate:.1} | {own} |", cost.cpu.as_secs_f64());
    };
    row("1 GiB through a bare socket in 256 KiB", flow(), String::new());
    let program = folder.path().join("registry-storage-null");
    symlink(std::env::current_exe().unwrap(), &program).unwrap();
    let (nothing, its_pid) = start(&program);
    let drivers = [("keeps nothing", nothing, its_pid, null()), ("inmemory", child, pid, own)];
    let streams: [(&str, Work); 2] = [("write", &|d| write(d)), ("read", &|d| read(d))];
    for (driver, child, pid, own) in drivers {
        for (name, work) in streams {
            let own = best(pid, || work(&*own)).cpu;
            let cost = best(pid, || work(&child));
            row(&format!("{name}, {driver}"), cost, format!("{:.2} s", own.as_secs_f64()));
        }
    }
}

/// With this thread on these CPUs, and whatever it starts.
fn on<T>(cpus: &CpuSet, work: impl FnOnce() -> T) -> T {
    let before = sched_getaffinity(None).unwrap();
    sched_setaffinity(None, cpus).unwrap();
    let done = work();
    sched_setaffinity(None, &before).unwrap();
    done
}

// ---- the floor: a socket and nothing else ----

/// The size of a message to and fro.
const WORD: usize = 100;

/// Takes `every` bytes and answers with a word, until nothing more comes.
fn other_side(every: usize) {
    let socket = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
    let mut socket = UnixStream::from(socket);
    let mut buf = vec![0; PIECE.min(every)];
    let mut taken = 0;
    while let Ok(count @ 1..) = socket.read(&mut buf) {
        taken += count;
        if taken >= every {
            taken -= every;
            socket.write_all(&[7; WORD]).unwrap();
        }
    }
}

/// A process on the other side of a socket with the buffers that a driver's has.
fn bare(every: usize) -> (UnixStream, Child) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    set_socket_send_buffer_size(&ours, 1 << 20).unwrap();
    let program = std::env::current_exe().unwrap();
    let child = Command::new(program)
        .arg(format!("--floor={every}"))
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn();
    (ours, child.unwrap())
}

fn bare_cost(every: usize, work: impl Fn(&mut &UnixStream)) -> Cost {
    let (socket, mut child) = bare(every);
    let cost = best(child.id() as i32, || {
        work(&mut &socket);
    });
    drop(socket);
    child.wait().unwrap();
    cost
}

fn ping_pong() -> Cost {
    bare_cost(WORD, |socket| {
        let mut word = [7; WORD];
        for _ in 0..CALLS {
            socket.write_all(&word).unwrap();
            socket.read_exact(&mut word).unwrap();
        }
    })
}

fn flow() -> Cost {
    let piece = vec![7; PIECE];
    bare_cost(STREAM, |socket| {
        (0..STREAM / PIECE).for_each(|_| socket.write_all(&piece).unwrap());
        socket.read_exact(&mut [0; WORD]).unwrap();
    })
}

// ---- a driver that keeps nothing ----

struct Null(usize);

fn null() -> Arc<dyn Driver> {
    Arc::new(Base::new(Arc::new(Null(0))))
}

impl Driver for Null {
    fn name(&self) -> &str {
        "null"
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
    fn get_content(&self, _: &Context, path: &str) -> Result<Vec<u8>> {
        Err(Error::path_not_found(path))
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
    fn reader(&self, _: &Context, _: &str, _: i64) -> Result<Box<dyn Reader>> {
        Ok(Box::new(Null(STREAM)))
    }
    fn writer(&self, _: &Context, _: &str, _: bool) -> Result<Box<dyn Writer>> {
        Ok(Box::new(Null(0)))
    }
}

impl Reader for Null {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let count = buf.len().min(self.0);
        buf[..count].fill(7);
        self.0 -= count;
        Ok(count)
    }
}

impl Writer for Null {
    fn write(&mut self, data: &[u8]) -> Result<()> {
        self.0 += data.len();
        Ok(())
    }
    fn size(&self) -> u64 {
        self.0 as u64
    }
    fn commit(&mut self, _: &Context) -> Result<()> {
        Ok(())
    }
    fn cancel(&mut self, _: &Context) -> Result<()> {
        Ok(())
    }
    fn close(&mut self, _: &Context) -> Result<()> {
        Ok(())
    }
}

// ---- a driver in a process of its own ----

fn start(program: &Path) -> (Base, i32) {
    let child = ChildDriver::create("bench", program, &Context::none(), &Params::new());
    let child = child.unwrap();
    let pid = child.process_id().unwrap();
    (Base::new(Arc::new(child)), pid)
}

fn write(driver: &dyn Driver) {
    let ctx = Context::none();
    let piece = vec![7; PIECE];
    let mut writer = driver.writer(&ctx, "/big", false).unwrap();
    for _ in 0..STREAM / PIECE {
        writer.write(&piece).unwrap();
    }
    writer.commit(&ctx).unwrap();
    writer.close(&ctx).unwrap();
}

fn read(driver: &dyn Driver) {
    let mut reader = driver.reader(&Context::none(), "/big", 0).unwrap();
    let mut buf = vec![0; PIECE];
    let mut total = 0;
    loop {
        match reader.read(&mut buf).unwrap() {
            0 => break,
            count => total += count,
        }
    }
    assert_eq!(total, STREAM);
}

struct Cost {
    wall: Duration,
    /// Of this process and the other one.
    cpu: Duration,
}

/// The cheapest of some rounds.
fn best(pid: i32, work: impl Fn()) -> Cost {
    let rounds = (0..ROUNDS).map(|_| {
        let (started, before) = (Instant::now(), cpu(pid));
        work();
        Cost { wall: started.elapsed(), cpu: cpu(pid) - before }
    });
    rounds.min_by_key(|cost| cost.cpu).unwrap()
}

fn cpu(pid: i32) -> Duration {
    let own = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    // The kernel's exact number, in nanoseconds, of each of its threads.
    let tasks = Path::new("/proc").join(pid.to_string()).join("task");
    let of_thread = |task: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    let theirs: u64 = std::fs::read_dir(tasks).unwrap().filter_map(of_thread).sum();
    Duration::new(own.tv_sec as u64, own.tv_nsec as u32) + Duration::from_nanos(theirs)
}
