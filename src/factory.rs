//! Drivers by name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, PoisonError, RwLock};

use crate::base::Base;
use crate::child::{self, ChildDriver};
use crate::context::Context;
use crate::driver::Driver;
use crate::error::{Code, Error, Result};
use crate::middleware;
use crate::names::Names;
use crate::params::Params;
use crate::runtime::{self, Busy, PerProcess};

/// Makes a driver from its parameters. It must refuse unknown keys.
pub type Constructor = Arc<dyn Fn(&Context, &Params) -> Result<Arc<dyn Driver>> + Send + Sync>;

/// The drivers that this library was built with.
pub const BUILT_IN: &[&str] = &[
    #[cfg(feature = "filesystem")]
    "filesystem",
    #[cfg(feature = "inmemory")]
    "inmemory",
    #[cfg(feature = "s3")]
    "s3",
    #[cfg(feature = "s3")]
    "s3aws",
];

fn built_in(name: &str) -> Option<Constructor> {
    match name {
        #[cfg(feature = "filesystem")]
        "filesystem" => Some(Arc::new(crate::drivers::filesystem::create)),
        #[cfg(feature = "inmemory")]
        "inmemory" => Some(Arc::new(crate::drivers::inmemory::create)),
        #[cfg(feature = "s3")]
        "s3" | "s3aws" => Some(Arc::new(crate::drivers::s3::create)),
        _ => None,
    }
}

type Added = BTreeMap<String, Constructor>;

static ADDED: PerProcess<RwLock<Added>> = PerProcess::new(RwLock::new(BTreeMap::new()));

/// A child of a fork starts with its parent's; with none, if they were changing then.
fn added() -> &'static RwLock<Added> {
    ADDED.get_or(|before| {
        runtime::at_shutdown("factory", forget_added);
        RwLock::new(runtime::copy(before).unwrap_or_default())
    })
}

/// Asks for a process of its own, also for a driver that the library has.
const PROCESS: &str = "process";

/// Makes the driver called `name`: `InvalidDriver` if there is none, neither here nor
/// as a program.
pub fn create(name: &str, ctx: &Context, params: &Params) -> Result<Arc<Base>> {
    ctx.status()?;
    // Before the constructor, so that it ends after it.
    let _busy = Busy::begin()?;
    let driver = match constructor(name, params)? {
        Some((constructor, params)) => constructor(ctx, &params),
        None => start(name, ctx, params),
    };
    let driver = driver.map_err(|error| match error.driver() {
        // A name that no driver has may be any text, and is in the message already.
        "" if error.code() != Code::InvalidDriver => error.with_driver(name),
        _ => error,
    })?;
    Ok(Arc::new(Base::new(driver)))
}

/// What makes a driver in this process, and of what; `None`: a program.
fn constructor<'p>(
    name: &str,
    params: &'p Params,
) -> Result<Option<(Constructor, Cow<'p, Params>)>> {
    if let Some(constructor) = built_in(name) {
        let mut params = Cow::Borrowed(params);
        if params.reader().boolean(PROCESS, false)? {
            return Ok(None);
        }
        if params.get(PROCESS).is_some() {
            params.to_mut().remove(PROCESS);
        }
        return Ok(Some((constructor, params)));
    }
    let added = added().read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
    Ok(added.map(|constructor| (constructor, Cow::Borrowed(params))))
}

/// A driver that is a program of its own.
fn start(name: &str, ctx: &Context, params: &Params) -> Result<Arc<dyn Driver>> {
    let config = runtime::config();
    let wanted = check_name(name).is_ok() && !config.no_children;
    let program = if wanted { child::find(name, &config) } else { None };
    let program = program.ok_or_else(|| Error::new(Code::InvalidDriver, name))?;
    Ok(Arc::new(ChildDriver::create(name, &program, ctx, params)?))
}

/// What the program `registry-storage-NAME` does: serves a driver to the host that
/// started it, until that host has no more use for it. Without a constructor, the
/// library's own driver called `name`.
pub fn serve(name: &str, constructor: Option<Constructor>) -> Result<()> {
    // No other: a program would start itself again, and so on.
    let constructor = constructor.or_else(|| built_in(name));
    let constructor = constructor.ok_or_else(|| Error::new(Code::InvalidDriver, name))?;
    child::serve_inherited(&|_, ctx, params| Ok(Arc::new(Base::new(constructor(ctx, params)?))))
}

/// The driver under the middleware called `middleware`: `InvalidDriver` if there is
/// none. Both can be used.
pub fn wrap(driver: &Base, middleware: &str, params: &Params) -> Result<Arc<Base>> {
    let wrapped = driver.wrap(|driver| middleware::wrap(middleware, driver, params))?;
    Ok(Arc::new(wrapped))
}

/// The grammar of names: lower-case letters, digits and hyphens.
pub fn check_name(name: &str) -> Result<()> {
    let well_formed = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !well_formed {
        let detail = "a driver's name consists of lower-case letters, digits and hyphens";
        return Err(Error::invalid_argument(detail));
    }
    Ok(())
}

/// Adds a driver, until the next shutdown: `AlreadyRegistered` if the name is
/// taken.
pub fn register(name: &str, constructor: Constructor) -> Result<()> {
    check_name(name)?;
    runtime::at_shutdown("factory", forget_added);
    let mut added = added().write().unwrap_or_else(PoisonError::into_inner);
    match added.entry(name.to_string()) {
        Entry::Vacant(place) if !BUILT_IN.contains(&name) => {
            place.insert(constructor);
            Ok(())
        }
        _ => {
            Err(Error::new(Code::AlreadyRegistered, format!("driver {name} is registered already")))
        }
    }
}

fn forget_added() {
    let all = std::mem::take(&mut *added().write().unwrap_or_else(PoisonError::into_inner));
    // Outside the lock: a constructor may be the last owner of anything.
    drop(all);
}

/// The registered names in byte order.
pub fn names() -> Names {
    let added = added().read().unwrap_or_else(PoisonError::into_inner);
    let mut names: Names =
        added.keys().map(String::as_str).chain(BUILT_IN.iter().copied()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::in_child;

    fn register_and_create(name: &str) -> Result<()> {
        register(name, Arc::new(|_, _| Err(Error::invalid_argument("no driver"))))?;
        match create(name, &Context::none(), &Params::new()) {
            Err(error) if error.code() == Code::InvalidArgument => Ok(()),
            other => other.map(drop),
        }
    }

    #[test]
    fn a_child_has_the_parents_names_and_adds_its_own_whoever_was_adding_one() {
        register_and_create("fork-before").unwrap();
        let known = || names().iter().any(|name| name == "fork-before");
        assert!(in_child(|| known() && register_and_create("fork-child").is_ok()));
        let held = added().write();
        assert!(in_child(|| register_and_create("fork-child").is_ok()));
        drop(held);
        added().write().unwrap().remove("fork-before");
    }
}
