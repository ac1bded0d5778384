//! Drivers by name.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, LazyLock, Once, PoisonError, RwLock};

use crate::base::Base;
use crate::child::{self, ChildDriver};
use crate::context::Context;
use crate::driver::Driver;
use crate::error::{Code, Error, Result};
use crate::names::Names;
use crate::params::Params;
use crate::runtime::{self, Busy};

/// Makes a driver from its parameters. It must refuse unknown keys.
pub type Constructor = Arc<dyn Fn(&Context, &Params) -> Result<Arc<dyn Driver>> + Send + Sync>;

/// The drivers that this library was built with.
pub const BUILT_IN: &[&str] = &[
    #[cfg(feature = "filesystem")]
    "filesystem",
    #[cfg(feature = "inmemory")]
    "inmemory",
];

static CONSTRUCTORS: LazyLock<RwLock<BTreeMap<String, Constructor>>> = LazyLock::new(|| {
    let built_in = [
        #[cfg(feature = "filesystem")]
        ("filesystem".into(), Arc::new(crate::drivers::filesystem::create) as Constructor),
        #[cfg(feature = "inmemory")]
        ("inmemory".into(), Arc::new(crate::drivers::inmemory::create) as Constructor),
    ];
    RwLock::new(BTreeMap::from(built_in))
});

/// Asks for a process of its own, also for a driver that the library has.
const PROCESS: &str = "process";

/// Makes the driver called `name`: `InvalidDriver` if there is none, neither here nor
/// as a program.
pub fn create(name: &str, ctx: &Context, params: &Params) -> Result<Arc<Base>> {
    ctx.status()?;
    // Before the constructor, so that it ends after it.
    let _busy = Busy::begin();
    let mut params = std::borrow::Cow::Borrowed(params);
    let apart = params.reader().boolean(PROCESS, false)?;
    if !apart && params.get(PROCESS).is_some() {
        params.to_mut().remove(PROCESS);
    }
    let constructor = if apart { None } else { constructor(name) };
    let driver = match constructor {
        Some(constructor) => constructor(ctx, &params),
        None => start(name, ctx, &params),
    };
    Ok(Arc::new(Base::new(driver.map_err(|error| error.with_driver(name))?)))
}

fn constructor(name: &str) -> Option<Constructor> {
    CONSTRUCTORS.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
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
    child::serve_inherited(&|_, ctx, params| {
        let Some(constructor) = &constructor else {
            // A program would start itself again, and so on.
            let own =
                self::constructor(name).ok_or_else(|| Error::new(Code::InvalidDriver, name))?;
            return Ok(Arc::new(Base::new(own(ctx, params)?)));
        };
        Ok(Arc::new(Base::new(constructor(ctx, params)?)))
    })
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
    static ONCE: Once = Once::new();
    check_name(name)?;
    ONCE.call_once(|| runtime::at_shutdown(forget_added));
    let mut constructors = CONSTRUCTORS.write().unwrap_or_else(PoisonError::into_inner);
    match constructors.entry(name.to_string()) {
        Entry::Occupied(_) => {
            Err(Error::new(Code::AlreadyRegistered, format!("driver {name} is registered already")))
        }
        Entry::Vacant(place) => {
            place.insert(constructor);
            Ok(())
        }
    }
}

/// Leaves the drivers that the library was built with.
fn forget_added() {
    let mut constructors = CONSTRUCTORS.write().unwrap_or_else(PoisonError::into_inner);
    let all = std::mem::take(&mut *constructors).into_iter();
    let (built_in, added) = all.partition(|(name, _)| BUILT_IN.contains(&name.as_str()));
    *constructors = built_in;
    drop(constructors);
    // Outside the lock: a constructor may be the last owner of anything.
    drop::<BTreeMap<String, Constructor>>(added);
}

/// The registered names in byte order.
pub fn names() -> Names {
    let constructors = CONSTRUCTORS.read().unwrap_or_else(PoisonError::into_inner);
    constructors.keys().map(String::as_str).collect()
}
