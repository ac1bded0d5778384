//! libstoragedriver: the storage drivers of a container registry, for C.
//!
//! C programs read `include/storagedriver.h`, which is the manual. This crate is
//! what lies behind it; ARCHITECTURE.md says where to start reading.

#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod base;
pub mod child;
pub mod conformance;
pub mod context;
pub mod driver;
mod drivers;
pub mod error;
mod executor;
pub mod factory;
pub mod ffi;
#[cfg(feature = "http")]
#[cfg_attr(not(feature = "s3"), allow(dead_code, unused_imports))]
mod http;
pub mod lease;
mod middleware;
pub mod names;
pub mod observe;
pub mod params;
pub mod path;
pub mod queue;
pub mod remote;
pub mod runtime;
pub mod stream;
pub mod walk;
