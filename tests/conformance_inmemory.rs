//! The suite over the inmemory driver.

#![cfg(feature = "inmemory")]

mod common;

use storagedriver::context::Context;
use storagedriver::factory;
use storagedriver::params::Params;

#[test]
fn inmemory_keeps_every_promise() {
    let driver = factory::create("inmemory", &Context::none(), &Params::new()).unwrap();
    common::run_suite(&*driver);
}
