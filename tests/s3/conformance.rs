//! The whole suite, through Rust and through C.

use storagedriver::driver::Driver;

use crate::common::run_suite;
use crate::ffi_driver::FfiDriver;
use crate::store::Store;

fn rust(server: &str, more: &[(&str, &str)]) {
    let Some(store) = Store::on(server, "suite") else { return };
    run_suite(&*store.driver(more));
}

fn c(server: &str) {
    let Some(store) = Store::on(server, "suite-c") else { return };
    let params = store.params(&store.endpoint, &[]);
    let capabilities = store.driver(&[]).capabilities();
    let json: serde_json::Map<_, _> =
        params.keys().map(|key| (key.to_string(), params.get(key).unwrap().clone())).collect();
    let json = serde_json::Value::Object(json).to_string();
    run_suite(&FfiDriver::create("s3", &json, capabilities).unwrap());
}

#[test]
fn radosgw_keeps_every_promise() {
    rust("radosgw", &[]);
}

#[test]
fn radosgw_keeps_every_promise_through_c() {
    c("radosgw");
}

#[test]
fn seaweedfs_keeps_every_promise() {
    rust("seaweedfs", &[]);
}

#[test]
fn seaweedfs_keeps_every_promise_through_c() {
    c("seaweedfs");
}

#[test]
fn moto_keeps_every_promise() {
    rust("moto", &[]);
}
