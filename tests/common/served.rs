//! A driver served over a socket pair by a thread of this process, and its client.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use storagedriver::base::Base;
use storagedriver::child::{self, ChildDriver};
use storagedriver::context::Context;
use storagedriver::driver::Driver;
use storagedriver::error::Result;
use storagedriver::params::Params;

pub fn pair() -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap()
}

/// The client, and what the serving thread returns in the end.
pub fn serve(driver: Arc<dyn Driver>) -> (ChildDriver, JoinHandle<Result<()>>) {
    let (ours, theirs) = pair();
    let serving = std::thread::spawn(move || {
        let driver: Arc<dyn Driver> = Arc::new(Base::new(driver));
        child::serve(theirs, &|_, _, _| Ok(driver.clone()))
    });
    let client = ChildDriver::connect("served", ours, &Context::none(), &Params::new());
    (client.unwrap(), serving)
}
