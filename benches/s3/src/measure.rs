//! One client and one work in this process: what it cost, as JSON on a line.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::Result;
use crate::clients::{self, Target};
use crate::work::Work;

/// What a work cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub wall: Duration,
    /// Of all threads of the client's process.
    pub cpu: Duration,
    /// The largest resident size of the process.
    pub rss_kib: u64,
}

pub fn run(client: &str, work: &str) -> Result<()> {
    let target = Target::from_env(std::env::var_os("S3_SIGNS_PAYLOAD").is_some())?;
    let work: Work = work.parse()?;
    if matches!(work, Work::Prepare(_)) {
        clients::make_bucket(&target)?;
    }
    let client = clients::create(client, &target)?;
    work.warm(&*client)?;
    let (started, cpu) = (Instant::now(), cpu_time());
    work.run(&*client)?;
    let cost = Cost { wall: started.elapsed(), cpu: cpu_time() - cpu, rss_kib: peak_rss()? };
    work.check(&target)?;
    println!("{}", cost.to_json());
    Ok(())
}

/// User and system, of the whole process.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn peak_rss() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()).ok_or("no VmHWM")?;
    Ok(number.parse()?)
}

impl Cost {
    fn to_json(self) -> Value {
        json!({
            "wall_ns": self.wall.as_nanos() as u64,
            "cpu_ns": self.cpu.as_nanos() as u64,
            "rss_kib": self.rss_kib,
        })
    }

    pub fn from_json(line: &str) -> Result<Cost> {
        let value: Value = serde_json::from_str(line)?;
        let number = |key: &str| value[key].as_u64().ok_or("a cost is missing");
        Ok(Cost {
            wall: Duration::from_nanos(number("wall_ns")?),
            cpu: Duration::from_nanos(number("cpu_ns")?),
            rss_kib: number("rss_kib")?,
        })
    }
}
