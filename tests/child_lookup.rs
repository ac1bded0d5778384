//! Drivers that are programs, by name: where they are looked for, and when they are not.
//! One test: the library is configured once in a process, and has one environment.

mod support;

use std::time::Duration;

use storagedriver::context::Context;
use storagedriver::driver::Driver;
use storagedriver::error::Code;
use storagedriver::factory;
use storagedriver::params::Params;
use storagedriver::runtime::{self, Config};

fn params(json: &str) -> Params {
    Params::from_json(json).unwrap()
}

fn code_of(name: &str, json: &str) -> Option<Code> {
    factory::create(name, &Context::none(), &params(json)).err().map(|error| error.code())
}

#[test]
fn a_name_that_nobody_has_is_looked_for_as_a_program() {
    let none = Context::none();
    // Names of drivers that exist, so that the program knows what to serve.
    let folder = support::program::driver_programs(&["inmemory", "nobody"]);
    let path = folder.path().to_str().unwrap();
    let configure = |driver_path: Option<&str>, no_children| {
        runtime::shutdown(Duration::from_secs(60)).unwrap();
        let driver_path = driver_path.map(str::to_string);
        runtime::configure(Config { driver_path, no_children, ..Config::default() }).unwrap();
    };
    let apart = r#"{"process":true}"#;
    assert_eq!(code_of("inmemory", "{}"), None);
    assert_eq!(code_of("inmemory", r#"{"process":"false"}"#), None);
    assert_eq!(code_of("inmemory", r#"{"process":"perhaps"}"#), Some(Code::InvalidParameter));
    assert_eq!(code_of("inmemory", apart), Some(Code::InvalidDriver), "found without a path");
    configure(Some(path), false);
    let driver = factory::create("inmemory", &none, &params(apart)).unwrap();
    driver.put_content(&none, "/a", b"abc").unwrap();
    assert_eq!(driver.name(), "inmemory");
    assert_eq!(driver.stat(&none, "/b").unwrap_err().to_string(), "inmemory: Path not found: /b");
    let pid = children().pop().expect("a process of its own");
    // A program that is there and can do nothing.
    let error = factory::create("nobody", &none, &Params::new()).err().unwrap();
    assert_eq!(error.code(), Code::DriverDied);
    assert!(error.to_string().contains("StorageDriver not registered: nobody"), "{error}");
    for name in ["", "no/body", "../inmemory", "Nobody", "no_body", "nobody2"] {
        assert_eq!(code_of(name, "{}"), Some(Code::InvalidDriver), "{name}");
    }
    // A shutdown ends the processes, and refuses what was made before it.
    runtime::shutdown(Duration::from_secs(60)).unwrap();
    assert!(!children().contains(&pid), "the process is still there");
    assert_eq!(driver.stat(&none, "/a").unwrap_err().code(), Code::Shutdown);
    assert!(support::threads::none_left(), "a thread of ours is left");
    configure(Some(path), true);
    assert_eq!(code_of("inmemory", apart), Some(Code::InvalidDriver), "started all the same");
    for variable in ["SD_DRIVER_PATH", "PATH"] {
        configure(None, false);
        let before = std::env::var_os(variable);
        // SAFETY: no other thread is there that could read it.
        unsafe { std::env::set_var(variable, path) };
        assert_eq!(code_of("inmemory", apart), None, "{variable}");
        match before {
            // SAFETY: as above.
            Some(before) => unsafe { std::env::set_var(variable, before) },
            // SAFETY: as above.
            None => unsafe { std::env::remove_var(variable) },
        }
    }
    runtime::shutdown(Duration::from_secs(60)).unwrap();
    assert!(children().is_empty());
}

/// The processes that this one has started and not reaped.
fn children() -> Vec<u32> {
    let mut found = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let list = std::fs::read_to_string(task.unwrap().path().join("children"));
        found.extend(
            list.unwrap_or_default().split_whitespace().map(|pid| pid.parse::<u32>().unwrap()),
        );
    }
    found
}
