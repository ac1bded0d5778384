//! The suite over stores of another nature than the local drivers, once with hidden
//! uploads and once with visible ones. It shows that the cases for them can be passed.

mod common;
#[path = "common/flat.rs"]
mod flat;

use std::sync::Arc;

use flat::Flat;
use storagedriver::base::Base;

#[test]
fn a_flat_store_with_hidden_uploads_keeps_every_promise() {
    common::run_suite(&Base::new(Arc::new(Flat::new(false))));
}

#[test]
fn a_flat_store_with_visible_uploads_keeps_every_promise() {
    common::run_suite(&Base::new(Arc::new(Flat::new(true))));
}
