//! Drivers by name.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, LazyLock, Once, PoisonError, RwLock};

use crate::base::Base;
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
    #[cfg(feature = "s3")]
    "s3",
    #[cfg(feature = "s3")]
    "s3aws",
];

static CONSTRUCTORS: LazyLock<RwLock<BTreeMap<String, Constructor>>> = LazyLock::new(|| {
    let built_in = [
        #[cfg(feature = "filesystem")]
        ("filesystem".into(), Arc::new(crate::drivers::filesystem::create) as Constructor),
        #[cfg(feature = "inmemory")]
        ("inmemory".into(), Arc::new(crate::drivers::inmemory::create) as Constructor),
        #[cfg(feature = "s3")]
        ("s3".into(), Arc::new(crate::drivers::s3::create) as Constructor),
        #[cfg(feature = "s3")]
        ("s3aws".into(), Arc::new(crate::drivers::s3::create) as Constructor),
    ];
    RwLock::new(BTreeMap::from(built_in))
});

/// Makes the driver called `name`: `InvalidDriver` if there is none.
pub fn create(name: &str, ctx: &Context, params: &Params) -> Result<Arc<Base>> {
    ctx.status()?;
    // Before the constructor, so that it ends after it.
    let _busy = Busy::begin();
    let constructor = {
        let constructors = CONSTRUCTORS.read().unwrap_or_else(PoisonError::into_inner);
        constructors.get(name).cloned()
    };
    let constructor = constructor.ok_or_else(|| Error::new(Code::InvalidDriver, name))?;
    let driver = constructor(ctx, params).map_err(|error| match error.driver() {
        "" => error.with_driver(name),
        _ => error,
    })?;
    Ok(Arc::new(Base::new(driver)))
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
