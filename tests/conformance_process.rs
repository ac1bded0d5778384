//! The suite over drivers in a process of their own: the library's, and one in C.

mod common;
mod support;

use std::path::Path;
use std::sync::Arc;

use storagedriver::base::Base;
use storagedriver::child::ChildDriver;
use storagedriver::context::Context;
use storagedriver::params::Params;
use support::{program, root};

/// The suite over a program.
fn run_suite(name: &str, program: &Path, params: &Params) {
    let driver = ChildDriver::create(name, program, &Context::none(), params).unwrap();
    let driver = Base::new(Arc::new(driver));
    assert_eq!(storagedriver::driver::Driver::name(&driver), name);
    common::run_suite(&driver);
}

#[cfg(feature = "inmemory")]
#[test]
fn inmemory_in_a_process_keeps_every_promise() {
    let folder = program::driver_programs(&["inmemory"]);
    let program = folder.path().join("registry-storage-inmemory");
    run_suite("inmemory", &program, &Params::new());
}

#[cfg(feature = "filesystem")]
#[test]
fn filesystem_in_a_process_keeps_every_promise() {
    let folder = program::driver_programs(&["filesystem"]);
    let store = tempfile::tempdir().unwrap();
    let mut params = Params::new();
    params.set("rootdirectory", store.path().to_str().unwrap());
    let program = folder.path().join("registry-storage-filesystem");
    run_suite("filesystem", &program, &params);
    let left: Vec<_> = std::fs::read_dir(store.path()).unwrap().collect();
    assert!(left.is_empty(), "the suite left {left:?}");
}

#[test]
fn a_driver_in_c_in_a_process_keeps_every_promise() {
    if !Path::new("/usr/include/sqlite3.h").exists() {
        assert!(std::env::var_os("SD_TEST_ALL").is_none(), "libsqlite3-dev is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let sources = ["custom_program.c", "custom_driver.c", "custom_store.c"];
    let sources = sources.map(|name| root().join("examples-c").join(name));
    let flags = ["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-lsqlite3"];
    let program = program::build(&sources, folder.path(), &flags);
    let mut params = Params::new();
    params.set("path", folder.path().join("store.db").to_str().unwrap());
    run_suite("sqlite", &program, &params);
}

#[test]
fn a_driver_in_python_in_a_process_keeps_every_promise() {
    let program = root().join("examples/python-driver/registry-storage-pydir");
    let store = tempfile::tempdir().unwrap();
    let mut params = Params::new();
    params.set("rootdirectory", store.path().to_str().unwrap());
    run_suite("pydir", &program, &params);
    let left: Vec<_> = std::fs::read_dir(store.path()).unwrap().collect();
    assert!(left.is_empty(), "the suite left {left:?}");
}
