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

#![allow(dead_code, unused_imports)] // until the driver uses it

mod client;
mod credentials;
mod keys;
mod parameters;
mod region;
