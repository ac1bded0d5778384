//! The drivers. None knows another, nor what wraps it.

#[cfg(feature = "filesystem")]
pub mod filesystem;
#[cfg(feature = "inmemory")]
pub mod inmemory;
#[cfg(feature = "s3")]
pub mod s3;
