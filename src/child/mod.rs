//! Drivers in a process of their own. docs/driver-protocol.md says what is spoken;
//! `frame.rs` and `message.rs` are that page as code, for both sides.
//!
//! The host's side: `lookup` finds the program, `process` starts it, `supervisor`
//! watches it, `link` shares its connection between the threads that call, each with
//! a `stream` in its `table`, `client` and `handles` make a `Driver` of it. The driver's
//! side: `server`.

mod client;
pub mod frame;
mod handles;
mod link;
mod lookup;
pub mod message;
mod outlet;
mod process;
mod restart;
mod server;
mod session;
mod stream;
mod supervisor;
#[allow(unsafe_code)]
mod sys;
mod table;

pub use client::ChildDriver;
pub use lookup::find;
pub use server::{Make, serve, serve_inherited};
