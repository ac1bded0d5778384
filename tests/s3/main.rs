//! Promises of the s3 driver, kept against real servers. `scripts/test.sh s3` starts
//! them and says where they are; without them nothing is tested here.
#![cfg(feature = "s3")]

#[path = "../common/mod.rs"]
#[allow(dead_code)]
mod common;
#[path = "../common/ffi_driver.rs"]
#[allow(dead_code)]
mod ffi_driver;
#[path = "../common/proxy/mod.rs"]
#[allow(dead_code)] // each test that includes it uses some of it
mod proxy;
#[path = "../common/queue_driver.rs"]
#[allow(dead_code)]
mod queue_driver;

mod boto;
mod codes;
mod conformance;
mod content;
mod interchange;
mod kills;
mod large;
mod memory;
mod missing;
mod operations;
mod requests;
mod store;
mod storm;
mod tls;
mod transient;
mod wrong;
