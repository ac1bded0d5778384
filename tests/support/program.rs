//! Building C programs against the library that cargo has built.

use std::ffi::OsStr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::root;

/// Compiles a program and links it with the library, which it finds by itself.
pub fn build(sources: &[PathBuf], folder: &Path, flags: &[&str]) -> PathBuf {
    let library = library();
    for name in ["libstoragedriver.so", "libstoragedriver.so.1"] {
        if !folder.join(name).exists() {
            symlink(&library, folder.join(name)).unwrap();
        }
    }
    let program = folder.join(sources[0].file_stem().unwrap());
    let cpp = sources[0].extension() == Some(OsStr::new("cc"));
    let mut command = compiler(cpp);
    command
        .args(["-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror"])
        .args(if cpp { &["-std=c++11"][..] } else { &["-std=c99", "-Wstrict-prototypes"] })
        .arg(format!("-I{}", root().join("include").display()))
        .args(sources)
        .arg("-o")
        .arg(&program)
        .arg(format!("-L{}", folder.display()))
        .args(["-lstoragedriver", "-lpthread"])
        .args(flags)
        .arg("-Wl,--disable-new-dtags")
        .arg(format!("-Wl,-rpath,{}", folder.display()));
    super::run(&mut command);
    program
}

/// As `CC`, `CXX` and the like say.
fn compiler(cpp: bool) -> Command {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut build = cc::Build::new();
    build.cpp(cpp).opt_level(0).target(&target).host(&target).cargo_metadata(false);
    build.no_default_flags(true).get_compiler().to_command()
}

/// Cargo puts it beside the test programs.
fn library() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let library = program.parent().unwrap().join("libstoragedriver.so");
    assert!(library.is_file(), "no {}", library.display());
    library
}

/// Writes a program as text. Another process does it: a file that is open for writing
/// here while a test beside this one starts something cannot be run until that ends.
pub fn script(path: &Path, text: &str) {
    let write = "printf %s \"$1\" >\"$0\"; chmod +x \"$0\"";
    super::run(Command::new("sh").args(["-ec", write]).arg(path).arg(text));
}

/// A folder with programs registry-storage-NAME for the library's own drivers.
pub fn driver_programs(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::TempDir::new().unwrap();
    let program = build(&[root().join("programs/registry-storage.c")], folder.path(), &[]);
    for name in names {
        symlink(&program, folder.path().join(format!("registry-storage-{name}"))).unwrap();
    }
    folder
}
