//! The children of a directory, at once and by pages.

use std::sync::atomic::{AtomicBool, Ordering};

use super::Case;
use super::probe::{CaseResult, During, Probe, Step, ensure, failed, in_threads};
use crate::error::Code;
use crate::names::Names;

pub const CASES: &[Case] = &[
    Case { name: "list/the_root_can_be_listed_on_any_store", run: root },
    Case { name: "list/gives_full_paths_of_direct_children_only", run: direct },
    Case { name: "list/all_of_fifty_children_come_sorted", run: fifty },
    Case { name: "list/order_is_by_byte_without_duplicates", run: order },
    Case { name: "list/names_with_a_common_prefix_stay_apart", run: prefixes },
    Case { name: "list/missing_directory_is_path_not_found", run: missing },
    Case { name: "list/file_is_not_a_directory", run: file },
    Case { name: "list/below_a_file_is_path_not_found", run: below_a_file },
    Case { name: "list/follows_every_change", run: changes },
    Case { name: "list/more_than_a_thousand_children_all_come", run: thousand },
    Case { name: "list/pages_follow_each_other_without_gap_or_overlap", run: pages },
    Case { name: "list/a_page_starts_after_any_name", run: page_start },
    Case { name: "list/a_page_of_no_limit_has_the_default", run: no_limit },
    Case { name: "list/a_page_of_what_is_no_directory_is_refused", run: page_of_no_directory },
    Case { name: "list/shows_no_temporary_names", run: temporary },
];

fn root(p: &Probe<'_>) -> CaseResult {
    p.list("/")?;
    p.put(&p.path("file"), b"content")?;
    let names = p.list("/")?;
    ensure!(names.iter().any(|name| name == p.run_directory), "/ lacks {}", p.run_directory);
    ensure!(names.is_sorted_by(|a, b| a < b), "/ is not sorted");
    Ok(())
}

fn direct(p: &Probe<'_>) -> CaseResult {
    for rest in ["d/file", "d/e/file", "d/e/f/file", "d/g/file", "other/file"] {
        p.put(&p.path(rest), b"content")?;
    }
    let expected = ["d/e", "d/file", "d/g"].map(|rest| p.path(rest));
    let found = p.list(&p.path("d"))?;
    ensure!(found == expected, "d has {found:?}, expected {expected:?}");
    let found = p.list(&p.path("d/e"))?;
    let expected = ["d/e/f", "d/e/file"].map(|rest| p.path(rest));
    ensure!(found == expected, "d/e has {found:?}, expected {expected:?}");
    let found = p.list(&p.directory)?;
    let expected = ["d", "other"].map(|rest| p.path(rest));
    ensure!(found == expected, "the directory has {found:?}, expected {expected:?}");
    Ok(())
}

fn fifty(p: &Probe<'_>) -> CaseResult {
    let mut choices = p.choices();
    let mut paths: Vec<String> =
        (0..50).map(|n| p.path(&format!("root/parent/{:x}-{n}", choices.below(1 << 40)))).collect();
    p.put_all(&paths)?;
    paths.sort();
    ensure!(p.list(&p.path("root"))? == [p.path("root/parent")], "root has not one child");
    let found = p.list(&p.path("root/parent"))?;
    ensure!(found == paths, "{} children are not the 50 that were put", found.len());
    Ok(())
}

fn order(p: &Probe<'_>) -> CaseResult {
    // In byte order; "a" is a directory, and what follows it shares its letter.
    let expected = [
        "-x", ".x", "0", "10", "2", "A", "B", "Z", "_x", "a", "a-", "a-b", "a.", "a.b", "a0", "aa",
        "b", "z",
    ];
    for name in expected.iter().rev() {
        let rest = if *name == "a" { "d/a/below".to_string() } else { format!("d/{name}") };
        p.put(&p.path(&rest), b"content")?;
    }
    p.put(&p.path("d/a/second"), b"content")?;
    let found = p.list_names(&p.path("d"))?;
    ensure!(found == expected, "the order is {found:?}");
    Ok(())
}

fn prefixes(p: &Probe<'_>) -> CaseResult {
    for rest in ["d/a/x", "d/ab/y", "d/a-b/z", "d/a.b", "da/x"] {
        p.put(&p.path(rest), b"content")?;
    }
    for (directory, expected) in [("d", vec!["a", "a-b", "a.b", "ab"]), ("d/a", vec!["x"])] {
        let found = p.list_names(&p.path(directory))?;
        ensure!(found == expected, "{directory} has {found:?}, expected {expected:?}");
    }
    Ok(())
}

/// `list` and `list_page` of `rest` fail with `code` and name the path.
fn refused(p: &Probe<'_>, rest: &str, code: Code) -> CaseResult {
    let path = p.path(rest);
    for outcome in [
        p.driver.list(&p.ctx, &path),
        p.driver.list_page(&p.ctx, &path, None, 10),
        p.driver.list_page(&p.ctx, &path, Some(&p.path(&format!("{rest}/x"))), 10),
    ] {
        let error = p.expect_error(&format!("list {path}"), outcome, code)?;
        ensure!(error.path() == path, "the error names the path {:?}", error.path());
    }
    Ok(())
}

fn missing(p: &Probe<'_>) -> CaseResult {
    refused(p, "missing", Code::PathNotFound)?;
    p.put(&p.path("d/missing-file"), b"content")?;
    refused(p, "d/missing", Code::PathNotFound)?;
    refused(p, "d/missing/below", Code::PathNotFound)
}

fn file(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path("d/file"), b"content")?;
    refused(p, "d/file", Code::NotDirectory)
}

fn below_a_file(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path("d/file"), b"content")?;
    refused(p, "d/file/below", Code::PathNotFound)
}

fn changes(p: &Probe<'_>) -> CaseResult {
    let directory = p.path("d");
    let expect = |expected: &[&str]| {
        let found = p.list_names(&directory)?;
        ensure!(found == expected, "the directory has {found:?}, expected {expected:?}");
        Ok(())
    };
    p.put(&p.path("d/b"), b"content")?;
    expect(&["b"])?;
    p.write_file(&p.path("d/a"), b"content")?;
    expect(&["a", "b"])?;
    p.rename(&p.path("d/a"), &p.path("d/c"))?;
    expect(&["b", "c"])?;
    p.put(&p.path("d/e/below"), b"content")?;
    p.delete(&p.path("d/b"))?;
    expect(&["c", "e"])?;
    p.delete(&p.path("d/e"))?;
    expect(&["c"])
}

const MANY: usize = 1005;

/// Puts `MANY` files and gives their paths, sorted.
fn many(p: &Probe<'_>) -> Step<Vec<String>> {
    let mut paths: Vec<String> = (0..MANY).map(|n| p.path(&format!("d/file-{n}"))).collect();
    p.put_all(&paths)?;
    paths.sort();
    Ok(paths)
}

fn thousand(p: &Probe<'_>) -> CaseResult {
    let paths = many(p)?;
    let found = p.list(&p.path("d"))?;
    ensure!(found == paths, "{} children are not the {MANY} that were put", found.len());
    Ok(())
}

fn page(p: &Probe<'_>, rest: &str, after: Option<&str>, limit: usize) -> Step<Vec<String>> {
    let path = p.path(rest);
    let names: Names = p.driver.list_page(&p.ctx, &path, after, limit).during("list_page")?;
    Ok(names.iter().map(str::to_string).collect())
}

fn pages(p: &Probe<'_>) -> CaseResult {
    let paths = many(p)?;
    for limit in [7, 100, 1000, 1001, 5000] {
        let mut found: Vec<String> = Vec::new();
        loop {
            let next = page(p, "d", found.last().map(String::as_str), limit)?;
            ensure!(next.len() <= limit, "a page of {limit} has {} names", next.len());
            // An empty page is the end, a short one is not.
            if next.is_empty() {
                break;
            }
            found.extend(next);
            if found.len() > MANY {
                return failed(format!("pages of {limit} give more than {MANY} names"));
            }
        }
        ensure!(found == paths, "pages of {limit} are not the sorted children");
    }
    Ok(())
}

fn page_start(p: &Probe<'_>) -> CaseResult {
    for rest in ["d/b", "d/d/below", "d/d-d", "d/f"] {
        p.put(&p.path(rest), b"content")?;
    }
    let table: [(&str, &[&str]); 8] = [
        ("d/a", &["d/b", "d/d", "d/d-d", "d/f"]),
        ("d/b", &["d/d", "d/d-d", "d/f"]),
        ("d/c", &["d/d", "d/d-d", "d/f"]),
        ("d/d", &["d/d-d", "d/f"]),
        ("d/d-", &["d/d-d", "d/f"]),
        ("d/e", &["d/f"]),
        ("d/f", &[]),
        ("d/z", &[]),
    ];
    for (start, expected) in table {
        let expected: Vec<String> = expected.iter().map(|rest| p.path(rest)).collect();
        let found = page(p, "d", Some(&p.path(start)), 10)?;
        ensure!(found == expected, "after {start} come {found:?}, expected {expected:?}");
        let found = page(p, "d", Some(&p.path(start)), 1)?;
        let first = expected.get(..1).unwrap_or_default();
        ensure!(found == first, "first after {start} come {found:?}, expected {first:?}");
    }
    Ok(())
}

fn no_limit(p: &Probe<'_>) -> CaseResult {
    let paths = ["d/a", "d/b", "d/c"].map(|rest| p.path(rest));
    p.put_all(&paths)?;
    let found = page(p, "d", None, 0)?;
    ensure!(found == paths, "a page without a limit has {found:?}");
    let found = page(p, "d", None, usize::MAX)?;
    ensure!(found == paths, "a page of the largest limit has {found:?}");
    Ok(())
}

fn page_of_no_directory(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path("d/file"), b"content")?;
    refused(p, "d/file", Code::NotDirectory)?;
    refused(p, "e", Code::PathNotFound)
}

fn temporary(p: &Probe<'_>) -> CaseResult {
    let directory = p.path("d");
    let names = ["committed", "put", "upload"];
    p.put(&p.path("d/put"), b"content")?;
    p.put(&p.path("d/committed"), b"content")?;
    let done = AtomicBool::new(false);
    let write = || {
        let outcome = (0..30).try_for_each(|n| {
            p.put(&p.path("d/put"), &p.content(n).bytes(50_000))?;
            p.write_file(&p.path("d/committed"), &p.content(n).bytes(50_000))?;
            p.suspend(&p.path("d/upload"), &p.content(n).bytes(1000))
        });
        done.store(true, Ordering::Release);
        outcome
    };
    let look = || {
        while !done.load(Ordering::Acquire) {
            let found = p.list_names(&directory)?;
            let strange = found.iter().find(|name| !names.contains(&name.as_str()));
            ensure!(strange.is_none(), "the list shows {strange:?}");
        }
        Ok(())
    };
    let both: [Box<dyn FnOnce() -> CaseResult + Send + '_>; 2] = [Box::new(write), Box::new(look)];
    in_threads(both.into_iter())
}
