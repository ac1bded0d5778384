//! The suite over the s3 driver and a bucket of yours. It works below a random directory
//! and deletes that alone.
//!
//! STORAGEDRIVER_S3_ENDPOINT, _BUCKET, _REGION, _ACCESS_KEY and _SECRET_KEY say where;
//! STORAGEDRIVER_S3_PARAMS is a JSON object of further parameters. Without them nothing
//! is tested. tests/s3 runs the suite over servers that it starts.
#![cfg(feature = "s3")]

mod common;
#[path = "common/ffi_driver.rs"]
mod ffi_driver;
#[path = "common/queue_driver.rs"]
#[allow(dead_code)]
mod queue_driver;

use std::env;
use std::process::Command;

use ffi_driver::FfiDriver;
use queue_driver::QueueDriver;
use storagedriver::context::Context;
use storagedriver::driver::Driver;
use storagedriver::factory;
use storagedriver::params::Params;

/// As JSON.
fn bucket() -> Option<String> {
    let known = |name: &str| env::var(format!("STORAGEDRIVER_S3_{name}")).ok();
    let Some(bucket) = known("BUCKET") else {
        println!("skipped: STORAGEDRIVER_S3_BUCKET is not set");
        return None;
    };
    let more = known("PARAMS").unwrap_or_else(|| "{}".to_string());
    let mut params: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&more).unwrap();
    params.insert("bucket".to_string(), bucket.into());
    for (name, key) in [
        ("ENDPOINT", "regionendpoint"),
        ("REGION", "region"),
        ("ACCESS_KEY", "accesskey"),
        ("SECRET_KEY", "secretkey"),
    ] {
        if let Some(value) = known(name) {
            params.insert(key.to_string(), value.into());
        }
    }
    Some(serde_json::Value::from(params).to_string())
}

fn create(name: &str, json: &str) -> std::sync::Arc<storagedriver::base::Base> {
    factory::create(name, &Context::none(), &Params::from_json(json).unwrap()).unwrap()
}

#[test]
fn s3_keeps_every_promise() {
    if let Some(params) = bucket() {
        common::run_suite(&*create("s3", &params));
    }
}

/// In a process of its own, where all requests are made by the SDK.
#[test]
fn s3_keeps_every_promise_through_the_sdk_alone() {
    if bucket().is_none() {
        return;
    }
    let mut again = Command::new(env::current_exe().unwrap());
    again.args(["--exact", "s3_keeps_every_promise", "--nocapture"]);
    assert!(again.env("STORAGEDRIVER_S3_DIRECT", "0").status().unwrap().success());
}

#[test]
fn s3_keeps_every_promise_through_the_queue() {
    if let Some(params) = bucket() {
        common::run_suite(&QueueDriver::new(create("s3aws", &params)));
    }
}

#[test]
fn s3_keeps_every_promise_through_c() {
    if let Some(params) = bucket() {
        let capabilities = create("s3", &params).capabilities();
        common::run_suite(&FfiDriver::create("s3", &params, capabilities).unwrap());
    }
}
