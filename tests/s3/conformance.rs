//! The whole suite, through Rust and through C.

use std::process::Command;

use storagedriver::driver::Driver;

use crate::common::run_suite_but;
use crate::ffi_driver::FfiDriver;
use crate::queue_driver::QueueDriver;
use crate::store::Store;

/// Cases that SeaweedFS does not pass, whoever asks: a directory whose last file has
/// gone is still listed, by its parent and as an object of its own, until a sweep
/// removes it a minute or two later. SEMANTICS.md says so.
const SEAWEEDFS: &[&str] = &[
    "capabilities/an_emptied_directory_goes_where_they_are_not",
    "delete/directory_goes_with_all_below_it",
    "list/follows_every_change",
    "model/random_operations_agree_with_a_reference",
    "suite/leaves_nothing_behind",
];

fn rust(server: &str, but: &[&str]) {
    let Some(store) = Store::on(server, "suite") else { return };
    run_suite_but(&*store.driver(&[]), but);
}

fn c(server: &str, but: &[&str]) {
    let Some(store) = Store::on(server, "suite-c") else { return };
    let params = store.params(&store.endpoint, &[]);
    let capabilities = store.driver(&[]).capabilities();
    let json: serde_json::Map<_, _> =
        params.keys().map(|key| (key.to_string(), params.get(key).unwrap().clone())).collect();
    let json = serde_json::Value::Object(json).to_string();
    run_suite_but(&FfiDriver::create("s3", &json, capabilities).unwrap(), but);
}

#[test]
fn radosgw_keeps_every_promise() {
    rust("radosgw", &[]);
}

#[test]
fn radosgw_keeps_every_promise_through_c() {
    c("radosgw", &[]);
}

/// In a process of its own, in which the SDK makes all requests.
#[test]
fn radosgw_keeps_every_promise_through_the_sdk_alone() {
    if Store::on("radosgw", "sdk").is_none() {
        return;
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "conformance::radosgw_keeps_every_promise", "--nocapture"]);
    assert!(again.env("STORAGEDRIVER_S3_DIRECT", "0").status().unwrap().success());
}

#[test]
fn radosgw_keeps_every_promise_through_the_queue() {
    let Some(store) = Store::on("radosgw", "suite-queue") else { return };
    run_suite_but(&QueueDriver::new(store.driver(&[])), &[]);
}

#[test]
fn seaweedfs_keeps_every_promise() {
    rust("seaweedfs", SEAWEEDFS);
}

#[test]
fn seaweedfs_keeps_every_promise_through_c() {
    c("seaweedfs", SEAWEEDFS);
}

#[test]
fn moto_keeps_every_promise() {
    rust("moto", &[]);
}
