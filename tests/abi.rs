//! What the linker and the loader see: symbols, versions, soname, flags.
//! Builds the shared library that is shipped, with cmake in build/, if it is stale.

mod support;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use support::header::{Kind, sections};
use support::{have, read, root, run};

type Names = BTreeSet<String>;

#[test]
fn header_map_and_shipped_library_name_the_same_functions() {
    let header = header_functions();
    assert!(!header.is_empty());
    assert_same("the map", &map_functions(), "the header", &header);
    assert_same("the shipped library", &exported(shipped()), "the header", &header);
}

#[test]
fn every_symbol_carries_its_version() {
    let text = run(Command::new("nm").args(["-D", "--defined-only"]).arg(shipped()));
    for line in text.lines().filter(|line| line.contains(" T ")) {
        assert!(line.contains("@@STORAGEDRIVER_1."), "{line}");
    }
}

#[test]
fn development_library_exports_the_same_functions() {
    let mut exported = exported(&development());
    // A crate below AWS's has a C interface of its own; the map hides it in the shipped one.
    exported.retain(|name| !name.starts_with("crc_fast_"));
    assert_same("the development library", &exported, "the header", &header_functions());
}

#[test]
fn no_name_belongs_to_libsystemd() {
    let theirs: Names = read("tests/data/libsystemd-symbols.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_string)
        .collect();
    assert!(theirs.contains("sd_notify"));
    let ours = header_functions();
    assert_eq!(ours.intersection(&theirs).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn header_compiles_beside_the_headers_of_libsystemd() {
    if !PathBuf::from("/usr/include/systemd/sd-daemon.h").exists() {
        assert!(std::env::var_os("SD_TEST_ALL").is_none(), "libsystemd-dev is not installed");
        return;
    }
    let systemd = "#include <systemd/sd-bus.h>\n#include <systemd/sd-daemon.h>\n\
                   #include <systemd/sd-device.h>\n#include <systemd/sd-event.h>\n\
                   #include <systemd/sd-id128.h>\n#include <systemd/sd-journal.h>\n";
    let ours = "#include <storagedriver.h>\n";
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("first.c", format!("{ours}{systemd}int main(void) {{ return (int)sd_version(); }}\n")),
        ("last.c", format!("{systemd}{ours}int main(void) {{ return sd_booted(); }}\n")),
    ] {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        run(Command::new("cc")
            .args(["-std=gnu99", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I"])
            .arg(root().join("include"))
            .arg(file));
    }
}

#[test]
fn both_libraries_have_the_soname_and_stay_mapped() {
    let soname = format!("libstoragedriver.so.{}", version().split('.').next().unwrap());
    for library in [shipped().clone(), development()] {
        let dynamic = run(Command::new("readelf").arg("-dW").arg(&library));
        assert!(dynamic.contains(&format!("soname: [{soname}]")), "{dynamic}");
        let flags = dynamic.lines().find(|line| line.contains("(FLAGS_1)")).unwrap_or_default();
        assert!(flags.contains("NODELETE"), "{}: {flags}", library.display());
    }
}

#[test]
fn shipped_library_is_relocated_once_and_then_read_only() {
    let dynamic = run(Command::new("readelf").arg("-dW").arg(shipped()));
    assert!(dynamic.contains("BIND_NOW"), "{dynamic}");
    assert!(!dynamic.contains("(TEXTREL)"), "{dynamic}");
    assert!(!dynamic.contains("(RPATH)") && !dynamic.contains("(RUNPATH)"), "{dynamic}");
    let segments = run(Command::new("readelf").arg("-lW").arg(shipped()));
    assert!(segments.contains("GNU_RELRO"), "{segments}");
    let stack = segments.lines().find(|line| line.contains("GNU_STACK")).unwrap();
    assert!(!stack.contains('E'), "executable stack: {stack}");
}

#[test]
fn shipped_library_needs_only_the_c_runtime() {
    let dynamic = run(Command::new("readelf").arg("-dW").arg(shipped()));
    for line in dynamic.lines().filter(|line| line.contains("(NEEDED)")) {
        let name = line.split('[').nth(1).unwrap().trim_end_matches(']');
        let known = ["libc.so", "libgcc_s.so", "libm.so", "ld-linux", "libpthread.so", "libdl.so"];
        assert!(known.iter().any(|prefix| name.starts_with(prefix)), "{name}");
    }
}

#[test]
fn version_is_the_same_everywhere() {
    let version = version();
    let numbers: Vec<&str> = version.split('.').collect();
    let header = read("include/storagedriver.h");
    for (name, number) in [
        ("SD_VERSION_MAJOR", numbers[0]),
        ("SD_VERSION_MINOR", numbers[1]),
        ("SD_VERSION_PATCH", numbers[2]),
        ("SD_ABI_VERSION", numbers[0]),
    ] {
        let line = header.lines().find(|line| line.starts_with(&format!("#define {name} ")));
        let value = line.and_then(|line| line.split_whitespace().nth(2));
        assert_eq!(value, Some(number), "{name}");
    }
    assert!(read("CMakeLists.txt").contains(&format!("project(storagedriver VERSION {version} ")));
    assert!(read("packaging/storagedriver.spec").contains(&format!("Version:        {version}\n")));
    assert!(read("packaging/debian/changelog").starts_with(&format!("storagedriver ({version}-")));
    let node = format!("STORAGEDRIVER_{}.{} {{", numbers[0], numbers[1]);
    assert!(read("abi/storagedriver.map").contains(&node), "no node {node} in the map");
    assert!(read("build.rs").contains(&format!("\"libstoragedriver.so.{}\"", numbers[0])));
}

fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

fn header_functions() -> Names {
    // From the committed header's text, not from what it was generated from.
    let header = read("include/storagedriver.h");
    let items = sections(root()).into_iter().flat_map(|(_, _, items)| items);
    let names: Names =
        items.filter(|item| item.kind == Kind::Function).map(|item| item.name).collect();
    for name in &names {
        assert!(header.contains(&format!("{name}(")), "{name} is not in the header");
    }
    names
}

fn map_functions() -> Names {
    let map = read("abi/storagedriver.map");
    let names = map.lines().map(str::trim).filter(|line| line.starts_with("sd_"));
    names.map(|line| line.trim_end_matches(';').to_string()).collect()
}

fn exported(library: &PathBuf) -> Names {
    let text = run(Command::new("nm").args(["-D", "--defined-only"]).arg(library));
    let symbols = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (kind, name) = (words.next()?, words.next()?);
        (kind != "A").then(|| name.split('@').next().unwrap_or(name).to_string())
    });
    symbols.collect()
}

/// The library that cmake links from the static one.
fn shipped() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        assert!(have("cmake"), "install cmake, then: cmake -B build && cmake --build build");
        let build = root().join("build");
        if !build.join("CMakeCache.txt").exists() {
            run(building("cmake").arg("-S").arg(root()).arg("-B").arg(&build));
        }
        run(building("cmake").arg("--build").arg(&build).args(["--target", "storagedriver"]));
        build.join("libstoragedriver.so")
    })
}

/// The library that a plain `cargo build` makes.
fn development() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let library = BUILT.get_or_init(|| {
        run(building(env!("CARGO")).args(["build", "--lib"]).current_dir(root()));
        // This program is target/debug/deps/abi-…
        let program = std::env::current_exe().unwrap();
        program.ancestors().nth(2).unwrap().join("libstoragedriver.so")
    });
    library.clone()
}

/// Without what cargo told this test of its package: ring would be built anew for it,
/// and all that stands on ring.
fn building(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let told = ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|front| name.starts_with(front));
        if told || name == "OUT_DIR" {
            command.env_remove(&*name);
        }
    }
    command
}

fn assert_same(left_name: &str, left: &Names, right_name: &str, right: &Names) {
    let only_left: Vec<_> = left.difference(right).collect();
    let only_right: Vec<_> = right.difference(left).collect();
    assert!(
        only_left.is_empty() && only_right.is_empty(),
        "only in {left_name}: {only_left:?}\nonly in {right_name}: {only_right:?}"
    );
}
