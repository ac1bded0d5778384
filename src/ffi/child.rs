//! Section 16: drivers in a process of their own.

use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;

use super::boundary;
use super::custom::sd_factory_vtable;
use super::vtable::{self, CustomFactory};
use crate::error::{Code, Error, Result};
use crate::factory::{self, Constructor};

/// The whole main() of a program registry-storage-NAME.
///
/// Makes the driver with the parameters that the host has sent, as sd_factory_register
/// has it for one in the process, and serves it until the host has no more use for it
/// or has ended. It prints to the standard error, which is the host's log, why it
/// cannot. What is spoken between the two is in docs/driver-protocol.md, so that a
/// program need not use this library at all. `name` is the driver's, in errors and
/// metrics; NULL: what follows "registry-storage-" in argv[0]. `vtable` NULL: the
/// library's own driver of that name.
///
/// The host keeps four parameters for itself: `process`, use a program even if the
/// library has a driver of that name; `processrestart`, start the program again for the
/// next call after it died, at most every 100 ms, later 30 s; `processstarttimeout`, the
/// milliseconds (10000) in which it must be ready; `processargv`, repeat the parameters
/// in argv[1], where others on the machine can read them.
///
/// Ownership: `vtable` is copied. `user` goes to its free before this returns.
/// Threads:   one call in a process. The slots are called by threads of the library.
/// Errors:    returns what main should: 0 when the host is done, 1 after a failure, 2
///            when no host has started the program or an argument is wrong
/// Since:     1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sd_driver_main(
    argc: c_int,
    argv: *mut *mut c_char,
    name: *const c_char,
    vtable: *const sd_factory_vtable,
    user: *mut c_void,
) -> c_int {
    // SAFETY: the header's promises.
    let outcome = unsafe {
        boundary::value(Err(Error::new(Code::Internal, "a bug in the library")), |c| {
            Ok((|| {
                let vtable = c.sized(vtable)?;
                // From here on `user` is freed, whatever is wrong.
                let mut factory = vtable.map(|vtable| CustomFactory::new("", vtable, user));
                let own = c.argument(argc, argv, 0)?.map(name_in);
                let name = c.optional_text(name, "name")?.or(own.flatten());
                let name = name.ok_or_else(|| {
                    Error::invalid_argument("this program must be called registry-storage-NAME")
                })?;
                factory::check_name(name)?;
                if let Some(vtable) = vtable {
                    vtable::slot(vtable.create, "create")?;
                }
                let constructor = factory.take().map(|factory| -> Constructor {
                    let factory = factory.named(name);
                    Arc::new(move |ctx, params| Ok(Arc::new(factory.create(ctx, params)?)))
                });
                factory::serve(name, constructor)
            })())
        })
    };
    exit_code(outcome)
}

/// "sqlite" for ".../registry-storage-sqlite".
fn name_in(program: &str) -> Option<&str> {
    let file = program.rsplit('/').next()?;
    file.strip_prefix("registry-storage-").or_else(|| file.strip_prefix("registry-storagedriver-"))
}

fn exit_code(outcome: Result<()>) -> c_int {
    let Err(error) = outcome else { return 0 };
    // This is the program's own standard error.
    eprintln!("{error}");
    match error.code() {
        Code::InvalidState | Code::InvalidArgument | Code::StructSize => 2,
        _ => 1,
    }
}
