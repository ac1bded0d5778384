//! Drivers that hold a driver and change the URLs it gives; everything else goes
//! through as it is. The names, parameters and messages are Distribution's.

mod redirect;
mod rewrite;
mod wrapped;

use std::sync::Arc;

use http::uri::Scheme;

use crate::driver::Driver;
use crate::error::{Code, Error, Result};
use crate::params::{Params, Reader};
use wrapped::Wrapped;

/// What a middleware makes of the URLs of its driver.
trait Urls: Send + Sync {
    /// Whether it starts from the driver's own URL; else the driver is not asked.
    fn asks_driver(&self) -> bool;

    /// `own`: the driver's URL, if it was asked and has one.
    fn url(&self, path: &str, own: Option<String>) -> Result<Option<String>>;
}

/// Makes the changes from the parameters; the keys it asks for are all there are.
type Constructor = fn(&mut Reader<'_>) -> Result<Box<dyn Urls>>;

const BY_NAME: &[(&str, Constructor)] =
    &[("redirect", redirect::create), ("rewrite", rewrite::create)];

/// Puts the middleware called `name` over `driver`: `InvalidDriver` if there is none.
pub fn wrap(name: &str, driver: Arc<dyn Driver>, params: &Params) -> Result<Arc<dyn Driver>> {
    let found = BY_NAME.iter().find(|(known, _)| *known == name);
    let unknown = || Error::new(Code::InvalidDriver, format!("middleware {name}"));
    let (_, constructor) = found.ok_or_else(unknown)?;
    let mut reader = params.reader();
    let urls = constructor(&mut reader).and_then(|urls| reader.finish().map(|()| urls));
    let urls = urls.map_err(|error| error.with_driver(name))?;
    Ok(Arc::new(Wrapped::new(driver, urls)))
}

/// What a browser or a container engine can follow.
fn web_scheme(scheme: &Scheme) -> bool {
    *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS
}

/// A string; "" is as good as none.
fn text(params: &mut Reader<'_>, key: &'static str) -> Result<Option<String>> {
    let text = params.string(key)?;
    Ok(text.filter(|text| !text.is_empty()))
}
