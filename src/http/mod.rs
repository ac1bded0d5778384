//! What network drivers share: connections, retries, ranged reads, buffers. It does
//! not know which service it speaks to.

pub mod budget;
pub mod parts;
pub mod rope;
