//! Builds and runs the C and C++ programs of tests/c and tests/cpp against the shared
//! library, so that `cargo test` runs what ctest runs. Arguments of a program are
//! the drivers to test; without any it takes all that the library has.
//! `SD_TEST_VALGRIND=1` runs the programs in valgrind as well.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use support::{files_below, have, read, root};
use tempfile::TempDir;

macro_rules! programs {
    ($($name:ident)+) => {
        const PROGRAMS: &[&str] = &[$(stringify!($name)),+];

        $(#[test]
        fn $name() {
            run_program(&format!("tests/c/{}.c", stringify!($name)));
        })+
    };
}

programs! {
    callbacks conformance context custom errors factory logs misuse operations params queue
    queue_stress quiet reading refused runtime threads values version walking writing
}

#[test]
fn header_in_cpp() {
    run_program("tests/cpp/header.cc");
}

#[test]
fn every_program_is_run() {
    let here: BTreeSet<String> = files_below(&root().join("tests/c"), "c")
        .iter()
        .map(|file| file.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let named = PROGRAMS.iter().map(|name| name.to_string()).collect();
    assert_eq!(here, named);
}

/// Functions whose misuse has a program of its own, beside their other tests.
const OWN_PROGRAM: &[&str] =
    &["sd_conformance_", "sd_driver_new", "sd_driver_main", "sd_factory_register"];

#[test]
fn every_exported_function_is_called_in_a_program_and_misused() {
    let all: String = files_below(&root().join("tests/c"), "c")
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let misuse = read("tests/c/misuse.c");
    let mut missing = Vec::new();
    for (name, takes_pointers) in exported() {
        let called = format!("{name}(");
        let own = OWN_PROGRAM.iter().any(|prefix| name.starts_with(prefix));
        if takes_pointers && !own && !misuse.contains(&called) {
            missing.push(format!("{name} in misuse.c"));
        } else if !own && !all.contains(&called) {
            missing.push(name);
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The functions that src/ffi exports, and whether they take a pointer.
fn exported() -> Vec<(String, bool)> {
    let mut found = Vec::new();
    for file in files_below(&root().join("src/ffi"), "rs") {
        let source = fs::read_to_string(file).unwrap();
        for rest in source.split("#[unsafe(no_mangle)]").skip(1) {
            let rest = rest.split_once("extern \"C\" fn ").unwrap().1;
            let (name, rest) = rest.split_once('(').unwrap();
            let parameters = rest.split_once(')').unwrap().0;
            found.push((name.to_string(), parameters.contains('*')));
        }
    }
    found.retain(|(name, _)| name.starts_with("sd_"));
    assert!(found.len() > 80, "{} functions", found.len());
    found
}

fn run_program(source: &str) {
    let folder = TempDir::new().unwrap();
    let program = support::program::build(&[root().join(source)], folder.path(), &[]);
    run(Command::new(&program), folder.path());
    if std::env::var_os("SD_TEST_VALGRIND").is_some() && have("valgrind") {
        let mut command = Command::new("valgrind");
        command.args(["--quiet", "--leak-check=full", "--error-exitcode=1"]);
        // It has neither openat2 nor the patience for files of 1 MiB by the hundred.
        command.arg(&program).arg("inmemory");
        run(command, folder.path());
    }
}

fn run(mut command: Command, library: &Path) {
    // Cargo sets it, and it comes before what the program was linked with.
    let output = command.env("LD_LIBRARY_PATH", library).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let bad: Vec<&str> = stdout.lines().filter(|line| !line.starts_with("ok ")).collect();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}\n{}",
        output.status,
        bad.join("\n"),
        String::from_utf8_lossy(&output.stderr)
    );
    let tests = stdout.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(stdout.ends_with(&format!("1..{tests}\n")), "{command:?} ended early:\n{stdout}");
}

#[test]
fn the_programs_compile_without_a_warning_with_gcc_and_clang() {
    for compiler in ["gcc", "clang"] {
        if have(compiler) {
            let mut command = Command::new(compiler);
            command
                .args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wstrict-prototypes"])
                .args(["-Werror", "-fsyntax-only"])
                .arg(format!("-I{}", root().join("include").display()))
                .args(files_below(&root().join("tests/c"), "c"));
            support::run(&mut command);
        }
    }
}
