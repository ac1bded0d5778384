//! The suite over the filesystem driver.

#![cfg(feature = "filesystem")]

mod common;

use storagedriver::context::Context;
use storagedriver::factory;
use storagedriver::params::Params;

#[test]
fn filesystem_keeps_every_promise() {
    let directory = tempfile::tempdir().unwrap();
    let mut params = Params::new();
    params.set("rootdirectory", directory.path().to_str().unwrap());
    let driver = factory::create("filesystem", &Context::none(), &params).unwrap();
    common::run_suite(&*driver);
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    assert!(left.is_empty(), "the suite left {left:?}");
}
