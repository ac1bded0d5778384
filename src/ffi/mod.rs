//! The boundary to C: one file per numbered section of the header, and what
//! they share; `vtable/` is the one place that calls into C.
//!
//! An exported function is one `boundary::run` (or `boundary::value` where it
//! cannot report): borrow the inputs, make one call of the public Rust API, write
//! the output. `Caller` is handed to that body as the proof that the header's
//! promises hold for the arguments; everything that touches a raw pointer is a
//! method of it, in `handle.rs`, `text.rs` and `sized.rs`.

#![allow(unsafe_code)]
#![deny(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)]
#![allow(non_camel_case_types)]
// The contract of every function is its header text, which is its doc comment.
#![allow(clippy::missing_safety_doc)]

mod boundary;
mod handle;
mod sized;
mod text;
mod vtable;

mod child;
mod completion;
mod conformance;
mod context;
mod custom;
mod driver;
mod error;
mod log;
#[cfg(storagedriver_misread)]
mod misread;
mod operations;
mod params;
mod queue;
mod reader;
mod runtime;
mod submit;
mod value;
mod version;
mod walk;
mod writer;

pub use child::*;
pub use completion::*;
pub use conformance::*;
pub use context::*;
pub use custom::*;
pub use driver::*;
pub use error::*;
pub use log::*;
pub use operations::*;
pub use params::*;
pub use queue::*;
pub use reader::*;
pub use runtime::*;
pub use submit::*;
pub use value::*;
pub use version::*;
pub use walk::*;
pub use writer::*;
