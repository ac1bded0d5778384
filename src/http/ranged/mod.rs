//! Reading an object through connections that break, from one place to its end: what
//! the caller gets is one version of it, whole, or an error.

mod ahead;
mod opened;
mod stream;

pub use ahead::{Ahead, Download};
pub use opened::{Opened, Range, Verify};

use std::future::Future;

use crate::error::Result;

/// Opens an object: the range wanted, and the ETag it must still have. Repeats what is
/// worth repeating by itself.
pub trait Open: Send + Sync + 'static {
    fn open(
        &self,
        range: Range,
        pin: Option<String>,
    ) -> impl Future<Output = Result<Opened>> + Send;
}

impl<F, R> Open for F
where
    F: Fn(Range, Option<String>) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Opened>> + Send,
{
    fn open(
        &self,
        range: Range,
        pin: Option<String>,
    ) -> impl Future<Output = Result<Opened>> + Send {
        self(range, pin)
    }
}
