//! The suite once more, with every call going through the exported C functions.

mod common;
#[path = "common/ffi_driver.rs"]
mod ffi_driver;

use ffi_driver::FfiDriver;
use storagedriver::context::Context;
use storagedriver::driver::{Capabilities, Driver};
use storagedriver::factory;
use storagedriver::params::Params;

/// What C cannot ask for.
fn capabilities(name: &str, params: &str) -> Capabilities {
    let params = Params::from_json(params).unwrap();
    factory::create(name, &Context::none(), &params).unwrap().capabilities()
}

fn run(name: &str, params: &str) {
    let driver = FfiDriver::create(name, params, capabilities(name, params)).unwrap();
    common::run_suite(&driver);
}

#[test]
fn inmemory_keeps_every_promise_through_c() {
    run("inmemory", "{}");
}

#[test]
fn inmemory_behind_redirect_keeps_every_promise_through_c() {
    let own = capabilities("inmemory", "{}");
    let driver = FfiDriver::create("inmemory", "{}", own).unwrap();
    let baseurl = r#"{"baseurl": "https://example.com/base"}"#;
    let urls = Capabilities { redirect: true, ..own };
    common::run_suite(&driver.wrap("redirect", baseurl, urls));
}

#[test]
#[cfg(feature = "filesystem")]
fn filesystem_keeps_every_promise_through_c() {
    let directory = tempfile::tempdir().unwrap();
    run("filesystem", &format!(r#"{{"rootdirectory":{:?}}}"#, directory.path()));
}
