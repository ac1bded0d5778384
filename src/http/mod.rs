//! What network drivers share: connections, retries, ranged reads, buffers. It does
//! not know which service it speaks to.
//!
//! An [`Engine`] sends one request and gives the head of its answer; [`collect`]
//! reads an answer whole; [`retry::Policy`] repeats what may be repeated;
//! [`ranged::Download`] reads an object through broken connections. All of it runs on
//! the executor, and every future may be dropped at any await.

// Each driver uses a part of it.
#![allow(dead_code)]

mod body;
pub mod budget;
mod connector;
mod engine;
mod fault;
pub mod hash;
mod incoming;
pub mod join;
pub mod parts;
mod proxy;
pub mod ranged;
pub mod retry;
pub mod rope;
mod stall;
mod status;
mod tls;
pub mod xml;

pub use body::Body;
pub use engine::{Engine, Options};
pub use incoming::{Incoming, collect, collect_vec, front};
pub use status::status_error;

#[cfg(test)]
mod tests;
