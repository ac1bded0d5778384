//! Where a walk starts: strictly after a path, in canonical order.

use super::Case;
use super::probe::{CaseResult, During, Probe, Step, ensure};
use super::walk::{ENTRIES, entries_without, expect, plant, walked};
use crate::driver::WalkOptions;
use crate::path;

pub const CASES: &[Case] = &[
    Case { name: "walk/starts_after_a_file", run: after_a_file },
    Case { name: "walk/starts_after_a_deep_file", run: after_a_deep_file },
    Case { name: "walk/starts_after_a_deep_file_below_its_start", run: below_its_start },
    Case { name: "walk/starts_after_all_that_is_below_its_start", run: after_all },
    Case { name: "walk/starts_after_its_own_start", run: after_its_start },
    Case { name: "walk/starts_after_what_does_not_exist", run: after_missing },
    Case { name: "walk/starts_after_what_comes_before_its_start", run: before_its_start },
    Case { name: "walk/starts_after_a_directory_with_what_is_below_it", run: after_directory },
    Case { name: "walk/skip_start_subtree_leaves_out_what_is_below", run: without_subtree },
    Case { name: "walk/starts_after_every_entry_exactly", run: after_every_entry },
    Case { name: "walk/stop_ends_a_walk_that_began_inside", run: stop_inside },
    Case { name: "walk/pages_of_nested_names_have_no_gap_or_overlap", run: nested_pages },
    Case { name: "walk/pages_of_a_random_tree_have_no_gap_or_overlap", run: random_pages },
    Case { name: "walk/a_start_below_a_file_is_a_place_in_the_order", run: below_a_file },
];

fn after(path: &str) -> WalkOptions {
    WalkOptions { start_after: Some(path.to_string()), skip_start_subtree: false }
}

fn after_without(path: &str) -> WalkOptions {
    WalkOptions { start_after: Some(path.to_string()), skip_start_subtree: true }
}

/// The entries from `first` on.
fn from(first: &str) -> Vec<&'static str> {
    ENTRIES.iter().copied().skip_while(|entry| *entry != first).collect()
}

/// The walk from `start` after `mark`, both below the tree's root ("" for it).
fn case(p: &Probe<'_>, start: &str, mark: &str, expected: &[&str]) -> CaseResult {
    let root = plant(p)?;
    let at = |rest: &str| if rest.is_empty() { root.clone() } else { path::join(&root, rest) };
    expect(walked(p, &root, &at(start), &after(&at(mark)))?, expected)
}

fn after_a_file(p: &Probe<'_>) -> CaseResult {
    case(p, "", "folder1/file1", &from("folder1-suffix/"))?;
    case(p, "", "file1", &from("folder1/"))?;
    case(p, "", "folder4/file1", &[])
}

fn after_a_deep_file(p: &Probe<'_>) -> CaseResult {
    case(p, "", "folder3/subfolder1/subfolder1/file1", &from("folder3/subfolder2/"))
}

fn below_its_start(p: &Probe<'_>) -> CaseResult {
    let expected = [
        "folder3/subfolder2/",
        "folder3/subfolder2/subfolder1/",
        "folder3/subfolder2/subfolder1/file1",
    ];
    case(p, "folder3", "folder3/subfolder1/subfolder1/file1", &expected)
}

fn after_all(p: &Probe<'_>) -> CaseResult {
    case(p, "folder1", "folder1-suffix", &[])?;
    case(p, "folder1", "folder1-suffix/file1", &[])?;
    case(p, "folder1", "zzz", &[])
}

/// What is below folder3.
const FOLDER3: &[&str] = &[
    "folder3/subfolder1/",
    "folder3/subfolder1/subfolder1/",
    "folder3/subfolder1/subfolder1/file1",
    "folder3/subfolder2/",
    "folder3/subfolder2/subfolder1/",
    "folder3/subfolder2/subfolder1/file1",
];

fn after_its_start(p: &Probe<'_>) -> CaseResult {
    case(p, "folder3", "folder3", FOLDER3)?;
    let root = p.path("t");
    let start = path::join(&root, "folder3");
    expect(walked(p, &root, &start, &after_without(&start))?, &[])
}

fn after_missing(p: &Probe<'_>) -> CaseResult {
    case(p, "folder3", "folder3/notafolder/notafile", FOLDER3)?;
    case(p, "", "folder1/zzz", &from("folder1-suffix/"))?;
    case(p, "", "folder1-", &from("folder1-suffix/"))?;
    case(p, "", "folder1.zzz/deep/er", &from("folder2/"))?;
    case(p, "folder3", "folder3/zzz", &[])
}

fn before_its_start(p: &Probe<'_>) -> CaseResult {
    for mark in ["file1", "folder1", "folder2/file1", "folder"] {
        case(p, "folder3", mark, FOLDER3)?;
    }
    let root = p.path("t");
    let start = path::join(&root, "folder3");
    for mark in ["/", &root, &p.directory] {
        expect(walked(p, &root, &start, &after(mark))?, FOLDER3)?;
    }
    // Below which the start lies: with the subtree left out, nothing remains.
    expect(walked(p, &root, &start, &after_without(&root))?, &[])
}

fn after_directory(p: &Probe<'_>) -> CaseResult {
    case(p, "", "folder3", &from("folder3/subfolder1/"))?;
    case(p, "", "folder1", &from("folder1/file1"))?;
    case(p, "folder3", "folder3/subfolder2", FOLDER3.get(4..).unwrap_or_default())
}

fn without_subtree(p: &Probe<'_>) -> CaseResult {
    let root = plant(p)?;
    for (mark, first) in [
        ("folder3", "folder4/"),
        ("folder1", "folder1-suffix/"),
        ("folder3/subfolder1", "folder3/subfolder2/"),
        ("folder1/file1", "folder1-suffix/"),
        ("folder1-", "folder1-suffix/"),
    ] {
        let options = after_without(&path::join(&root, mark));
        expect(walked(p, &root, &root, &options)?, &from(first))?;
    }
    let options = after_without(&path::join(&root, "folder4"));
    expect(walked(p, &root, &root, &options)?, &[])
}

fn after_every_entry(p: &Probe<'_>) -> CaseResult {
    let root = plant(p)?;
    for (count, entry) in (1..).zip(ENTRIES) {
        let mark = path::join(&root, entry.trim_end_matches('/'));
        let rest = ENTRIES.get(count..).unwrap_or_default();
        expect(walked(p, &root, &root, &after(&mark))?, rest)?;
        let without: Vec<&str> =
            rest.iter().copied().filter(|e| entries_without(&[entry]).contains(e)).collect();
        let found = walked(p, &root, &root, &after_without(&mark))?;
        if entry.ends_with('/') {
            expect(found, &without)?;
        } else {
            expect(found, rest)?;
        }
    }
    Ok(())
}

/// At most `limit` entries after `mark`.
fn page(p: &Probe<'_>, root: &str, mark: Option<&str>, limit: usize) -> Step<Vec<String>> {
    let options = WalkOptions { start_after: mark.map(str::to_string), ..Default::default() };
    let mut walker = p.walker(root, &options)?;
    let mut paths = Vec::new();
    while paths.len() < limit {
        match walker.next().during("next")? {
            Some(info) => paths.push(info.path),
            None => break,
        }
    }
    Ok(paths)
}

/// Pages of each size, joined, are the whole walk.
fn pages(p: &Probe<'_>, root: &str, limits: &[usize]) -> CaseResult {
    let whole = page(p, root, None, usize::MAX)?;
    ensure!(whole.is_sorted_by(|a, b| path::compare(a, b).is_lt()), "the walk is not in order");
    for limit in limits {
        let mut joined: Vec<String> = Vec::new();
        while joined.len() <= whole.len() {
            let next = page(p, root, joined.last().map(String::as_str), *limit)?;
            if next.is_empty() {
                break;
            }
            joined.extend(next);
        }
        ensure!(joined == whole, "pages of {limit} are {joined:?}, the whole is {whole:?}");
    }
    Ok(())
}

/// Repositories within repositories, whose names sort before their own entries.
fn plant_nested(p: &Probe<'_>) -> Step<String> {
    let repositories = ["a", "a/1/x", "a/1/x/y", "a/1/z", "a-b", "a.c/d", "b"];
    let files: Vec<String> = repositories
        .iter()
        .flat_map(|name| {
            let below = ["_layers/l/link", "_manifests/revisions/r/link", "_uploads/u/data"];
            below.map(|rest| p.path(&format!("t/{name}/{rest}")))
        })
        .collect();
    p.put_all(&files)?;
    Ok(p.path("t"))
}

fn nested_pages(p: &Probe<'_>) -> CaseResult {
    let root = plant_nested(p)?;
    pages(p, &root, &[1, 2, 3, 7])
}

fn stop_inside(p: &Probe<'_>) -> CaseResult {
    let root = plant_nested(p)?;
    let whole = page(p, &root, None, usize::MAX)?;
    for (count, mark) in (1..).zip(&whole).step_by(3) {
        let mut walker = p.walker(&root, &after(mark))?;
        let mut calls = 0;
        let outcome = crate::walk::drive(&mut *walker, |_| {
            calls += 1;
            Ok(crate::walk::Step::Stop)
        });
        outcome.during("a walk that is stopped")?;
        let expected = usize::from(count < whole.len());
        ensure!(calls == expected, "after {mark} and a stop came {calls} entries");
    }
    Ok(())
}

fn random_pages(p: &Probe<'_>) -> CaseResult {
    let mut choices = p.choices();
    let names = ["a", "a-", "a-b", "a.", "ab", "b", "A", "0", "_"];
    let mut files = Vec::new();
    for n in 0..60 {
        let depth = 1 + choices.below(3);
        let above: Vec<&str> = (0..depth).filter_map(|_| choices.one_of(&names).copied()).collect();
        // A last component that no directory has.
        files.push(p.path(&format!("t/{}/file{n}", above.join("/"))));
    }
    p.put_all(&files)?;
    pages(p, &p.path("t"), &[1, 5, 64])
}

fn below_a_file(p: &Probe<'_>) -> CaseResult {
    case(p, "", "file1/below/it", &from("folder1/"))?;
    case(p, "", "folder1/file1/below", &from("folder1-suffix/"))
}
