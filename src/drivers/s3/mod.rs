//! The S3 driver: Distribution's layout in a bucket, of AWS or of whoever speaks its
//! protocol.
//!
//! A file is the object at `rootdirectory` + path; a directory is the prefix of one. An
//! upload that is not committed is a multipart upload on the final key and nothing
//! else: its offset is the sum of its parts.
//!
//! * `parameters`, `region`, `credentials`: what the driver is told.
//! * `keys`: paths to keys and back.
//! * `client`: the requests.
//! * `bucket`: those of uploads and walks, as a trait.
//! * `writer`, `resume`: uploads, and how they are found again.
//! * `walker`: walks.

#![allow(dead_code, unused_imports)] // until the driver uses it

mod bucket;
mod client;
mod credentials;
#[cfg(test)]
mod fake;
mod keys;
mod parameters;
mod region;
mod resume;
mod walker;
mod writer;
