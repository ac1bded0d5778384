//! The suite over a driver at the other end of a connection.

mod common;
#[path = "common/served.rs"]
mod served;

use std::sync::Arc;

use storagedriver::base::Base;
use storagedriver::context::Context;
use storagedriver::factory;
use storagedriver::params::Params;

#[cfg(feature = "inmemory")]
#[test]
fn inmemory_over_a_connection_keeps_every_promise() {
    let inner = factory::create("inmemory", &Context::none(), &Params::new()).unwrap();
    let (client, serving) = served::serve(inner);
    let driver = Base::new(Arc::new(client));
    common::run_suite(&driver);
    drop(driver);
    serving.join().unwrap().unwrap();
}
