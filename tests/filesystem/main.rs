//! Promises of the filesystem driver that show only from outside: what system
//! calls it makes and in which order, and how it fares in processes with another
//! umask, other rights, few descriptors, or on a file system that is full,
//! read-only or one of two. What needs root says so and is left out without it.

mod calls;
mod disks;
mod faults;
mod host;
mod jobs;

use std::path::Path;
use std::sync::Arc;

use storagedriver::base::Base;
use storagedriver::context::Context;
use storagedriver::params::Params;

/// The body of the processes that the tests start: see `host`.
#[test]
fn helper() {
    if let (Ok(job), Ok(root)) = (std::env::var("SD_JOB"), std::env::var("SD_ROOT")) {
        jobs::run(&job, Path::new(&root));
    }
}

fn driver(root: &Path) -> Arc<Base> {
    let mut params = Params::new();
    params.set("rootdirectory", root.to_str().unwrap());
    storagedriver::factory::create("filesystem", &Context::none(), &params).unwrap()
}
