//! A descriptor that is readable while answers wait: an eventfd.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{read, write};

use super::inbox::Signal;
use crate::error::{Code, Error, Result};

pub struct Descriptor(OwnedFd);

impl Descriptor {
    pub fn new() -> Result<Descriptor> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let fd = eventfd(0, flags);
        fd.map(Descriptor).map_err(|e| Error::new(Code::Driver, format!("no descriptor: {e}")))
    }

    pub fn number(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Signal for Descriptor {
    // Neither can fail: the counter goes from 0 to 1 and back, under the inbox's lock.
    fn raise(&self) {
        let _ = write(&self.0, &1u64.to_ne_bytes());
    }

    fn clear(&self) {
        let _ = read(&self.0, &mut [0; 8]);
    }
}
