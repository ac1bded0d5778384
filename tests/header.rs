//! The header is the product: it is generated, it is documented, it compiles.
//! `UPDATE_HEADER=1 cargo test --test header` writes it anew.

mod support;

use std::fmt::Write;
use std::process::Command;

use support::header::{Item, Kind, generate, sections};
use support::{have, root, run};

const HEADER: &str = "include/storagedriver.h";
const WARNINGS: [&str; 5] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"];

#[test]
fn header_is_what_the_source_says() {
    let path = root().join(HEADER);
    let expected = generate(root());
    if std::env::var_os("UPDATE_HEADER").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &expected).unwrap();
    }
    let actual = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = actual.lines().zip(expected.lines()).position(|(a, b)| a != b);
    assert!(
        actual == expected,
        "{HEADER} differs from src/ffi at line {}; run: UPDATE_HEADER=1 cargo test --test header",
        differs.map_or(actual.lines().count().min(expected.lines().count()), |at| at) + 1
    );
}

#[test]
fn every_function_is_documented_in_the_house_order() {
    let mut faults = String::new();
    for item in all_items().iter().filter(|item| item.kind == Kind::Function) {
        for fault in doc_faults(&item.doc) {
            let _ = writeln!(faults, "{}: {fault}", item.name);
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
}

#[test]
fn a_comment_out_of_order_is_found() {
    let doc = |text: &str| text.lines().map(str::to_string).collect::<Vec<_>>();
    assert!(doc_faults(&doc("Do it.\n\nSince:     1.0")).is_empty());
    assert!(!doc_faults(&doc("Do it.")).is_empty(), "no Since");
    assert!(!doc_faults(&doc("Does\n\nSince:     1.0")).is_empty(), "no sentence");
    assert!(!doc_faults(&doc("Do it.\n\nSince:     1.0\nErrors:    x")).is_empty(), "order");
    assert!(!doc_faults(&doc("Do it. See [`Path`].\n\nSince:     1.0")).is_empty(), "a Rust link");
}

#[test]
fn every_type_says_what_it_is() {
    for item in all_items().iter().filter(|item| item.kind == Kind::Type) {
        assert!(!item.doc.is_empty(), "{} has no comment", item.name);
    }
}

#[test]
fn header_compiles_as_c99_and_cpp11_twice_included() {
    let twice = "#include <storagedriver.h>\n#include <storagedriver.h>\nint main(void);\n\
                 int main(void) { return 0; }\n";
    for (compiler, standard, name) in [
        ("gcc", "-std=c99", "twice.c"),
        ("clang", "-std=c99", "twice.c"),
        ("g++", "-std=c++11", "twice.cc"),
        ("clang++", "-std=c++11", "twice.cc"),
    ] {
        let extra = if name.ends_with('c') && standard == "-std=c99" {
            vec!["-Wstrict-prototypes", "-Wmissing-prototypes"]
        } else {
            vec!["-Wold-style-cast"]
        };
        compile(compiler, standard, &extra, name, twice);
    }
}

#[test]
fn every_macro_is_a_constant_expression_with_the_value_of_the_source() {
    let mut program = String::from("#include <storagedriver.h>\n");
    for item in all_items().iter().filter(|item| item.kind == Kind::Constant) {
        let _ = writeln!(
            program,
            "typedef char check_{}[({}) == {} ? 1 : -1];",
            item.name,
            item.name,
            item.value()
        );
        // A sign without parentheses would not compile here.
        let _ = writeln!(program, "typedef char whole_{0}[sizeof(0 -{0})];", item.name);
    }
    compile("gcc", "-std=c99", &[], "macros.c", &program);
}

fn all_items() -> Vec<Item> {
    sections(root()).into_iter().flat_map(|(_, _, items)| items).collect()
}

/// What is wrong with a function's comment by the house template.
fn doc_faults(doc: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    let first: Vec<&str> =
        doc.iter().map(String::as_str).take_while(|line| !line.is_empty()).collect();
    if !first.join(" ").ends_with('.') {
        faults.push("the comment does not open with a sentence".to_string());
    }
    let mut last = 0;
    for line in doc {
        let headings = ["Ownership:", "Threads:", "Errors:", "Since:"];
        if let Some(at) = headings.iter().position(|heading| line.starts_with(heading)) {
            if at < last {
                faults.push(format!("{} is out of order", headings[at]));
            }
            last = at;
        }
        if ["[`", "Option<", "::", "Result<", "&mut "].iter().any(|rust| line.contains(rust)) {
            faults.push(format!("speaks Rust: {line}"));
        }
        if line.len() > 85 {
            faults.push(format!("longer than 85 columns: {line}"));
        }
    }
    if !doc.last().is_some_and(|line| line.starts_with("Since:     1.")) {
        faults.push("the comment does not end with 'Since:     1.x'".to_string());
    }
    if doc.len() > 25 {
        faults.push(format!("{} lines, 25 at most", doc.len()));
    }
    faults
}

fn compile(compiler: &str, standard: &str, extra: &[&str], name: &str, program: &str) {
    if !have(compiler) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    std::fs::write(&file, program).unwrap();
    std::fs::write(folder.path().join("storagedriver.h"), generate(root())).unwrap();
    run(Command::new(compiler)
        .arg(standard)
        .args(WARNINGS)
        .args(extra)
        .arg("-I")
        .arg(folder.path())
        .arg(&file));
}
