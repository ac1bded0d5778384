//! Whole files through a callback: loops over a reader or a writer.

use crate::context::Context;
use crate::driver::Driver;
use crate::error::Result;

/// How much is moved between two calls of the callback. Large enough that a
/// system call or a checksum is paid rarely, small enough for a cache.
const PIECE: usize = 256 << 10;

/// Whether a sink wants more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Continue,
    Stop,
}

/// Feeds the content from `offset` on to `sink`, piece by piece. `total` counts
/// what the sink accepted, on failure as well.
pub fn read(
    driver: &dyn Driver,
    ctx: &Context,
    path: &str,
    offset: i64,
    sink: &mut dyn FnMut(&[u8]) -> Result<Flow>,
    total: &mut u64,
) -> Result<()> {
    let mut reader = driver.reader(ctx, path, offset)?;
    let mut buf = vec![0; PIECE];
    loop {
        let len = reader.read(&mut buf)?;
        let piece = buf.get(..len).unwrap_or_default();
        if piece.is_empty() {
            return Ok(());
        }
        let flow = sink(piece)?;
        *total += len as u64;
        if flow == Flow::Stop {
            return Ok(());
        }
    }
}

/// Stores what `source` gives until it answers 0, and commits. If anything fails,
/// a fresh upload is cancelled and an append closed, so that what was there before
/// can be resumed. `total` counts the bytes accepted, on failure as well.
pub fn write(
    driver: &dyn Driver,
    ctx: &Context,
    path: &str,
    append: bool,
    source: &mut dyn FnMut(&mut [u8]) -> Result<usize>,
    total: &mut u64,
) -> Result<()> {
    let mut writer = driver.writer(ctx, path, append)?;
    let mut buf = vec![0; PIECE];
    let mut fill = || -> Result<()> {
        loop {
            let len = source(&mut buf)?;
            let Some(piece) = buf.get(..len).filter(|piece| !piece.is_empty()) else {
                return writer.commit(ctx);
            };
            writer.write(piece)?;
            *total += len as u64;
        }
    };
    let outcome = fill();
    // The context may be what ended the upload; tidying up must not fail for it.
    let tidy = Context::none();
    match &outcome {
        Ok(()) => writer.close(ctx).or_else(|_| writer.close(&tidy))?,
        Err(_) if append => drop(writer.close(&tidy)),
        Err(_) => drop(writer.cancel(&tidy)),
    }
    outcome
}
