pub mod bucket;
pub mod client;
#[cfg(test)]
mod fake;
pub mod resume;
pub mod walker;
pub mod writer;
