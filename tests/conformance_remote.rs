//! The suite over a remote driver, once with blocking calls, once through the queue;
//! and over the local drivers through the queue.

mod common;
#[path = "common/queue_driver.rs"]
mod queue_driver;
#[path = "common/remote_driver.rs"]
mod remote_driver;

use queue_driver::QueueDriver;
use storagedriver::context::Context;
use storagedriver::factory;
use storagedriver::params::Params;

/// Without a delay, so that the suite takes seconds: each call still waits once.
const QUICK: &str = r#"{"chunk": 60000, "part": 300000}"#;

#[test]
fn a_remote_driver_keeps_every_promise() {
    common::run_suite(&*remote_driver::create(QUICK));
}

#[test]
fn a_remote_driver_keeps_every_promise_through_the_queue() {
    common::run_suite(&QueueDriver::new(remote_driver::create(QUICK)));
}

#[test]
fn a_remote_driver_with_few_slots_keeps_every_promise_through_the_queue() {
    let params = r#"{"maxconcurrency": 2}"#;
    common::run_suite(&QueueDriver::new(remote_driver::create(params)));
}

#[test]
fn inmemory_keeps_every_promise_through_the_queue() {
    let driver = factory::create("inmemory", &Context::none(), &Params::new()).unwrap();
    common::run_suite(&QueueDriver::new(driver));
}

#[test]
#[cfg(feature = "filesystem")]
fn filesystem_keeps_every_promise_through_the_queue() {
    let directory = tempfile::tempdir().unwrap();
    let params = format!(r#"{{"rootdirectory":{:?}}}"#, directory.path());
    let params = Params::from_json(&params).unwrap();
    let driver = factory::create("filesystem", &Context::none(), &params).unwrap();
    common::run_suite(&QueueDriver::new(driver));
}
