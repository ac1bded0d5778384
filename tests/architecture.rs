//! Which module may know which, where `unsafe` may stand, and how long a file may be.
//! The list of allowed arrows is here and nowhere else.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use support::{files_below, root};

/// What everything may know: the words of the library.
const CORE: &[&str] = &["error", "path", "params", "context", "driver", "names"];

/// Module, and what it may know besides itself and CORE.
const ARROWS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("path", &[]),
    ("params", &[]),
    ("context", &["runtime"]),
    ("names", &[]),
    // The walk that a driver has when it brings none of its own, and its other side.
    ("driver", &["walk", "remote"]),
    ("lease", &["runtime"]),
    ("walk", &[]),
    ("observe", &["runtime"]),
    ("stream", &[]),
    ("base", &["walk", "observe", "remote", "runtime"]),
    ("child", &["walk", "observe", "runtime"]),
    ("executor", &["observe", "runtime"]),
    ("remote", &["executor", "runtime"]),
    ("http", &["executor", "observe", "remote", "runtime"]),
    ("drivers", &["http", "observe", "remote", "runtime"]),
    ("middleware", &["remote"]),
    ("factory", &["base", "child", "drivers", "middleware", "runtime"]),
    ("conformance", &["walk", "stream"]),
    ("queue", &["base", "executor", "lease", "remote", "runtime"]),
    ("runtime", &[]),
    ("ffi", &["*"]),
];

const LINES: usize = 800;

#[test]
fn modules_know_only_what_the_table_allows() {
    let mut faults = Vec::new();
    for file in sources() {
        let Some(module) = module_of(&file) else { continue };
        let allowed = ARROWS.iter().find(|(name, _)| *name == module);
        let Some((_, allowed)) = allowed else {
            faults.push(format!("{}: `{module}` is not in the table", show(&file)));
            continue;
        };
        for known in modules_named(&code(&file)) {
            let fine = known == module
                || CORE.contains(&known.as_str())
                || allowed.contains(&known.as_str())
                || allowed.contains(&"*");
            if !fine {
                faults.push(format!("{}: {module} -> {known}", show(&file)));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn no_driver_knows_another_driver() {
    let folder = root().join("src/drivers");
    let names: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != "mod")
        .collect();
    assert!(!names.is_empty());
    for file in files_below(&folder, "rs") {
        let below = file.strip_prefix(&folder).unwrap().to_string_lossy().into_owned();
        let own = below.split(['/', '.']).next().unwrap().to_string();
        let text = code(&file);
        for other in names.iter().filter(|name| **name != own && own != "mod") {
            for reach in ["crate::drivers::", "super::super::", "super::"] {
                assert!(
                    !text.contains(&format!("{reach}{other}::")),
                    "{}: knows the driver {other}",
                    show(&file)
                );
            }
        }
    }
}

#[test]
fn what_drivers_share_over_http_names_no_service() {
    let services = ["s3", "aws", "amz", "azure", "gcs", "google", "swift", "openstack", "oss"];
    for file in files_below(&root().join("src/http"), "rs") {
        let text = std::fs::read_to_string(&file).unwrap().to_lowercase();
        let mut words = text.split(|c: char| !c.is_alphanumeric());
        let named = words.find(|word| services.contains(word));
        assert_eq!(named, None, "{}", show(&file));
    }
}

#[test]
fn unsafe_stands_only_at_the_boundary_and_in_sys_files() {
    for file in sources().into_iter().filter(|file| !at_boundary(file) && !is_sys(file)) {
        assert!(!words(&code(&file)).contains("unsafe"), "{}: unsafe", show(&file));
    }
}

#[test]
fn c_stays_at_the_boundary() {
    for file in sources().into_iter().filter(|file| !at_boundary(file)) {
        for word in words(&code(&file)) {
            let c_type = word == "c_char" && !is_sys(&file);
            assert!(!c_type && !word.starts_with("sd_"), "{}: {word}", show(&file));
        }
    }
}

#[test]
fn no_file_is_longer_than_800_lines() {
    let mut files = sources();
    for (folder, extension) in
        [("examples-c", "c"), ("examples-c", "h"), ("bench", "c"), ("tests", "c"), ("tests", "rs")]
    {
        files.extend(files_below(&root().join(folder), extension));
    }
    for file in files {
        let lines = std::fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= LINES, "{}: {lines} lines", show(&file));
    }
}

#[test]
fn the_checks_see_what_they_look_for() {
    let text = strip("use crate::{base::Guard, drivers::s3::{A, B}};\nlet x = crate::ffi::y();");
    let named: Vec<String> = modules_named(&text).into_iter().collect();
    assert_eq!(named, ["base", "drivers", "ffi"]);
    let text = strip("let a = \"unsafe\"; // unsafe\nlet b = 'x'; let c = \"\\\"sd_x\";\nsd_y();");
    assert!(!words(&text).contains("unsafe") && !words(&text).contains("sd_x"));
    assert!(words(&text).contains("sd_y"));
    assert!(!strip("fn a() {}\n#[cfg(test)]\nmod tests { unsafe {} }").contains("unsafe"));
}

fn sources() -> Vec<PathBuf> {
    let files = files_below(&root().join("src"), "rs");
    assert!(files.len() > 5, "no sources found");
    files.into_iter().filter(|file| !file.ends_with("tests.rs")).collect()
}

fn show(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

/// The module at the top of the crate that a file belongs to; none for lib.rs.
fn module_of(file: &Path) -> Option<String> {
    let below = file.strip_prefix(root().join("src")).unwrap().to_string_lossy().into_owned();
    let module = below.split(['/', '.']).next().unwrap().to_string();
    (module != "lib").then_some(module)
}

fn at_boundary(file: &Path) -> bool {
    module_of(file).is_some_and(|module| module == "ffi")
}

fn is_sys(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name == "sys.rs")
}

fn code(file: &Path) -> String {
    strip(&std::fs::read_to_string(file).unwrap())
}

/// Rust without comments, texts and the tests at the bottom.
fn strip(source: &str) -> String {
    let source = source.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let mut out = String::new();
    for line in source.lines() {
        let mut characters = line.chars().peekable();
        let mut quoted = false;
        while let Some(c) = characters.next() {
            match c {
                '\\' if quoted => drop(characters.next()),
                '"' => quoted = !quoted,
                '\'' if !quoted && characters.peek() == Some(&'"') => drop(characters.next()),
                '/' if !quoted && characters.peek() == Some(&'/') => break,
                _ if quoted => {}
                _ => out.push(c),
            }
        }
        out.push('\n');
    }
    out
}

fn words(code: &str) -> BTreeSet<&str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').collect()
}

/// The modules at the top of the crate that the text names after `crate::`.
fn modules_named(code: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let list = match rest.strip_prefix('{') {
            Some(list) => top_level(list),
            None => vec![rest],
        };
        for item in list {
            let item = item.trim_start();
            let end = item.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(item.len());
            let word = &item[..end];
            // `crate::Name` would be something that lib.rs re-exports.
            if word.starts_with(|c: char| c.is_lowercase()) {
                named.insert(word.to_string());
            }
        }
    }
    named
}

/// The items of `a, b::{c, d}} …` up to the brace that ends the list.
fn top_level(list: &str) -> Vec<&str> {
    let (mut items, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(&list[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items
}
