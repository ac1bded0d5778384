//! The S3 driver: Distribution's layout in a bucket, of AWS or of whoever speaks its
//! protocol.
//!
//! A file is the object at `rootdirectory` + path; a directory is the prefix of one. An
//! upload that is not committed is a multipart upload on the final key and nothing
//! else: its offset is the sum of its parts.
//!
//! * `parameters`, `region`, `credentials`: what the driver is told.
//! * `keys`: paths to keys and back. `client`: the requests.
//! * `driver`, `listing`, `moves`, `delete`, `guess`: the verbs.
//! * `writer`, `resume`: uploads, and how they are found again. `doubt`: whether a request
//!   without an answer may have been carried out. `walker`: walks. `bucket`: the requests
//!   of both, as a trait.

mod bucket;
mod client;
mod credentials;
mod delete;
mod doubt;
mod driver;
#[cfg(test)]
mod fake;
mod guess;
mod keys;
mod listing;
mod moves;
mod parameters;
mod region;
mod resume;
mod store;
mod walker;
mod writer;

use std::sync::Arc;

use crate::context::Context;
use crate::driver::Driver;
use crate::error::Result;
use crate::params::Params;
use crate::remote::Bridge;

/// In errors and metrics.
const NAME: &str = "s3aws";

/// Makes a driver, and no request.
pub fn create(_ctx: &Context, params: &Params) -> Result<Arc<dyn Driver>> {
    let driver = || {
        let mut parameters = parameters::Parameters::read(params)?;
        // For the tests, which run everything both ways.
        parameters.direct = std::env::var_os("STORAGEDRIVER_S3_DIRECT").is_none_or(|v| v != "0");
        driver::S3::new(parameters)
    };
    let driver = driver().map_err(|error| error.with_driver(NAME))?;
    Ok(Arc::new(Bridge::new(Arc::new(driver))))
}
