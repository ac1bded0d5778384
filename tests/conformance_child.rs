//! The suite over drivers in a process of their own.

mod common;
#[path = "common/served.rs"]
mod served;

use storagedriver::base::Base;
use storagedriver::context::Context;
use storagedriver::factory;
use storagedriver::params::Params;

#[test]
fn inmemory_over_a_connection_keeps_every_promise() {
    let inner = factory::create("inmemory", &Context::none(), &Params::new()).unwrap();
    let (client, serving) = served::serve(inner);
    let driver = Base::new(std::sync::Arc::new(client));
    common::run_suite(&driver);
    drop(driver);
    serving.join().unwrap().unwrap();
}
