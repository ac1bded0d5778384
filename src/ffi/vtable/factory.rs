//! A factory written in C.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::boundary;
use super::super::context::sd_context;
use super::super::custom::sd_factory_vtable;
use super::super::handle::Lent;
use super::super::params::{ParamsValue, sd_params};
use super::answer::{self, wrong};
use super::{CustomDriver, checked, slot};
use crate::context::Context;
use crate::error::Result;
use crate::params::Params;

pub struct CustomFactory {
    name: String,
    vtable: sd_factory_vtable,
    user: *mut c_void,
    /// Whether `user` is ours to free.
    owns: AtomicBool,
}

// SAFETY: the header says that any thread may call `create`, several at once, and
// one of them `free` in the end.
unsafe impl Send for CustomFactory {}
// SAFETY: as above.
unsafe impl Sync for CustomFactory {}

impl CustomFactory {
    pub fn new(name: &str, vtable: sd_factory_vtable, user: *mut c_void) -> CustomFactory {
        CustomFactory { name: name.to_string(), vtable, user, owns: AtomicBool::new(true) }
    }

    pub fn named(mut self, name: &str) -> CustomFactory {
        self.name = name.to_string();
        self
    }

    /// Leaves `user` to the caller.
    pub fn disown(&self) {
        self.owns.store(false, Ordering::Release);
    }

    pub fn create(&self, ctx: &Context, params: &Params) -> Result<CustomDriver> {
        const SLOT: &str = "create";
        let run = slot(self.vtable.create, SLOT)?;
        let ctx = Lent::<sd_context>::new(ctx.clone());
        let params = Lent::<sd_params>::new(ParamsValue::for_driver(params));
        let (mut vtable, mut object) = (ptr::null(), ptr::null_mut());
        answer::call(SLOT, |err| {
            let (ctx, params) = (ctx.as_ptr(), params.as_ptr());
            // SAFETY: the driver keeps the header's promises; so are these arguments.
            unsafe { run(self.user, ctx, params, &mut vtable, &mut object, err) }
        })?;
        if vtable.is_null() {
            return Err(wrong(SLOT, "answered success without a vtable"));
        }
        // SAFETY: the driver promises a vtable that starts with its size.
        let refused = match unsafe { boundary::answered(|c| checked(c, vtable)) } {
            Ok(vtable) => return Ok(CustomDriver::new(&self.name, vtable, object)),
            Err(refused) => refused,
        };
        // SAFETY: the same promise.
        let known = unsafe { boundary::answered(|c| c.known_part(vtable)) };
        if let Some(free) = known.and_then(|vtable| vtable.free) {
            // SAFETY: `create` gave both, and nobody else will use them.
            unsafe { free(object) };
        }
        Err(wrong(SLOT, format_args!("gave a vtable: {}", refused.detail())))
    }
}

impl Drop for CustomFactory {
    fn drop(&mut self) {
        if let Some(free) = self.vtable.free.filter(|_| *self.owns.get_mut()) {
            // SAFETY: `user` was handed over, and no `create` is running.
            unsafe { free(self.user) };
        }
    }
}
