//! 10,000 calls in flight on a remote driver that answers after 50 ms: how long
//! they take together, what they cost, and how many threads there are.
//! `cargo bench --bench queue_latency` prints a row of a Markdown table a round.

#[path = "../tests/common/remote_driver.rs"]
mod remote_driver;

use std::time::{Duration, Instant};

use storagedriver::context::Context;
use storagedriver::driver::Driver;
use storagedriver::queue::Queue;

const CALLS: u64 = 10_000;
const LATENCY: Duration = Duration::from_millis(50);
const ROUNDS: usize = 5;

fn main() {
    let settings = remote_driver::Settings { delay: LATENCY, ..Default::default() };
    let (driver, control) = remote_driver::delayed(settings);
    let ctx = Context::none();
    control.set_delay(Duration::ZERO);
    driver.put_content(&ctx, "/a/b", &[7; 4096]).unwrap();
    control.set_delay(LATENCY);
    let queue = Queue::new().unwrap();
    println!("| calls in flight | latency | all done after | CPU per call | threads |");
    println!("|---|---|---|---|---|");
    for _ in 0..ROUNDS {
        let (started, cpu) = (Instant::now(), cpu_time());
        for tag in 0..CALLS {
            queue.stat(tag, &driver, &ctx, "/a/b").unwrap();
        }
        let threads = threads();
        for _ in 0..CALLS {
            queue.next(None).unwrap().unwrap().outcome.map(drop).unwrap();
        }
        let (wall, cpu) = (started.elapsed(), cpu_time() - cpu);
        println!(
            "| {CALLS} | {} ms | {} ms | {:.1} us | {threads} |",
            LATENCY.as_millis(),
            wall.as_millis(),
            cpu.as_secs_f64() * 1e6 / CALLS as f64
        );
    }
}

/// Of the whole process, its driver included.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}
