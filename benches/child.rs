//! What a driver in a process of its own costs beside the same driver in this one:
//! CPU of both sides together for small calls, GiB/s for streams of 256 KiB pieces.
//! `cargo bench --bench child` prints the rows of README's table.

#[path = "../tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use storagedriver::base::Base;
use storagedriver::child::ChildDriver;
use storagedriver::context::Context;
use storagedriver::driver::Driver;
use storagedriver::factory;
use storagedriver::params::Params;

const CALLS: u32 = 20_000;
const ROUNDS: usize = 5;
const PIECE: usize = 256 << 10;
const STREAM: usize = 1 << 30;

/// What is measured.
type Work<'w> = &'w dyn Fn(&dyn Driver);

fn main() {
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
    let (here, pid_here) = start(&program, &first);
    let (child, pid) = start(&program, &all);
    let own = factory::create("inmemory", &ctx, &Params::new()).unwrap();
    println!(
        "| work | in a process of its own: CPU of both, on one CPU and on all | wall, on all | here: CPU |"
    );
    println!("|---|---|---|---|");
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
        sched_setaffinity(None, &first).unwrap();
        let (_, one) = run(&here, pid_here);
        sched_setaffinity(None, &all).unwrap();
        let ((wall, cpu), (_, own)) = (run(&child, pid), run(&*own, pid));
        let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(CALLS);
        println!(
            "| {name} | {:.1} us, {:.1} us | {:.1} us | {:.2} us |",
            each(one),
            each(cpu),
            each(wall),
            each(own)
        );
    }
    let streams: [(&str, Work); 2] =
        [("write of 1 GiB in 256 KiB", &|d| write(d)), ("read of 1 GiB in 256 KiB", &|d| read(d))];
    for (name, work) in streams {
        let run = |driver: &dyn Driver| best(pid, || work(driver));
        let ((wall, cpu), (_, own)) = (run(&child), run(&*own));
        let rate = |time: Duration| STREAM as f64 / time.as_secs_f64() / (1u64 << 30) as f64;
        println!(
            "| {name} | {:.2} s | {:.1} GiB/s | {:.2} s |",
            cpu.as_secs_f64(),
            rate(wall),
            own.as_secs_f64()
        );
    }
}

/// A driver in a process of its own, and the process, which stays on these CPUs.
fn start(program: &Path, cpus: &CpuSet) -> (Base, i32) {
    let before = sched_getaffinity(None).unwrap();
    sched_setaffinity(None, cpus).unwrap();
    let child = ChildDriver::create("inmemory", program, &Context::none(), &Params::new());
    sched_setaffinity(None, &before).unwrap();
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

/// The shortest of some rounds: wall, and CPU of this process and the driver's.
fn best(pid: i32, work: impl Fn()) -> (Duration, Duration) {
    let rounds = (0..ROUNDS).map(|_| {
        let (started, cpu) = (Instant::now(), cpu(pid));
        work();
        (started.elapsed(), self::cpu(pid) - cpu)
    });
    rounds.min_by_key(|(_, cpu)| *cpu).unwrap()
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
