//! The whole suite, through Rust and through C.

use std::process::Command;

use storagedriver::driver::Driver;

use crate::common::run_suite_but;
use crate::ffi_driver::FfiDriver;
use crate::queue_driver::QueueDriver;
use crate::store::Store;

/// Cases that SeaweedFS does not pass, whoever asks: a directory whose last file has
/// gone is still listed, by its parent and as an object of its own, until a sweep
/// removes it a minute or two later. SEMANTICS.md says so.
const SEAWEEDFS: &[&str] = &[
    "capabilities/an_emptied_directory_goes_where_they_are_not",
    "delete/directory_goes_with_all_below_it",
    "list/follows_every_change",
    "model/random_operations_agree_with_a_reference",
    "suite/leaves_nothing_behind",
];

/// Cases that go on with an upload: moto calls the list of its parts by another name
/// than S3 does (`ListPartsResponse`), which the SDK takes for no answer.
const MOTO: &[&str] = &[
    "writer/committed_content_stays_until_commit",
    "writer/close_when_open_keeps_the_upload",
    "writer/close_after_a_failed_write_keeps_what_is_durable",
    "writer/write_after_close_is_invalid_state",
    "writer/commit_after_close_is_invalid_state",
    "writer/cancel_after_close_is_invalid_state",
    "writer/close_after_close_does_nothing",
    "writer/size_after_close_is_what_an_append_finds",
    "writer/drop_after_close_releases",
    "writer/close_that_failed_may_be_repeated",
    "resume/small_sessions_join",
    "resume/large_sessions_join",
    "resume/many_sessions_of_uneven_sizes_join",
    "resume/another_thread_goes_on",
    "resume/size_after_close_is_what_an_append_finds",
    "resume/a_session_without_a_write_changes_nothing",
    "resume/an_upload_closed_empty_goes_on",
    "resume/an_upload_closed_empty_over_content_goes_on",
    "resume/append_to_committed_content_goes_on_after_close",
    "resume/a_fresh_session_forgets_an_earlier_upload",
    "resume/commit_ends_the_upload",
    "resume/cancel_of_an_append_discards_an_upload_that_cannot_shrink",
    "resume/what_a_drop_leaves_is_a_prefix",
    "resume/uploads_with_longer_names_do_not_interfere",
    "resume/an_upload_survives_changes_beside_it",
    "resume/uploads_end_with_their_directory",
    "context/cancelled_between_two_writes_keeps_the_upload",
];

fn rust(server: &str, but: &[&str]) {
    let Some(store) = Store::on(server, "suite") else { return };
    run_suite_but(&*store.driver(&[]), but);
}

fn c(server: &str, but: &[&str]) {
    let Some(store) = Store::on(server, "suite-c") else { return };
    let params = store.params(&store.endpoint, &[]);
    let capabilities = store.driver(&[]).capabilities();
    let json: serde_json::Map<_, _> =
        params.keys().map(|key| (key.to_string(), params.get(key).unwrap().clone())).collect();
    let json = serde_json::Value::Object(json).to_string();
    run_suite_but(&FfiDriver::create("s3", &json, capabilities).unwrap(), but);
}

#[test]
fn radosgw_keeps_every_promise() {
    rust("radosgw", &[]);
}

#[test]
fn radosgw_keeps_every_promise_through_c() {
    c("radosgw", &[]);
}

/// In a process of its own, in which the SDK makes all requests.
#[test]
fn radosgw_keeps_every_promise_through_the_sdk_alone() {
    if Store::on("radosgw", "sdk").is_none() {
        return;
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "conformance::radosgw_keeps_every_promise", "--nocapture"]);
    assert!(again.env("STORAGEDRIVER_S3_DIRECT", "0").status().unwrap().success());
}

#[test]
fn radosgw_keeps_every_promise_through_the_queue() {
    let Some(store) = Store::on("radosgw", "suite-queue") else { return };
    run_suite_but(&QueueDriver::new(store.driver(&[])), &[]);
}

#[test]
fn seaweedfs_keeps_every_promise() {
    rust("seaweedfs", SEAWEEDFS);
}

#[test]
fn seaweedfs_keeps_every_promise_through_c() {
    c("seaweedfs", SEAWEEDFS);
}

#[test]
fn moto_keeps_every_promise() {
    rust("moto", MOTO);
}
