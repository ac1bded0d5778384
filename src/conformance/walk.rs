//! Walking a tree. Where a walk starts is in `walk_options`.

use super::Case;
use super::probe::{CaseResult, During, Probe, Step, ensure, failed};
use crate::driver::{FileInfo, WalkOptions, Walker};
use crate::error::{Code, Error, Result};
use crate::path;
use crate::walk::{self, Step as Answer};

pub const CASES: &[Case] = &[
    Case { name: "walk/reports_all_in_canonical_order", run: all },
    Case { name: "walk/does_not_report_its_start", run: from_a_directory },
    Case { name: "walk/skips_a_directory", run: skip },
    Case { name: "walk/skips_directories_one_after_the_other", run: skip_many },
    Case { name: "walk/skipping_a_file_or_nothing_leaves_out_nothing", run: skip_file },
    Case { name: "walk/stops_early_with_success", run: stop },
    Case { name: "walk/gives_back_the_error_of_its_visitor", run: error },
    Case { name: "walk/leaves_out_what_was_deleted_meanwhile", run: deleted },
    Case { name: "walk/goes_on_when_its_directory_is_deleted", run: directory_deleted },
    Case { name: "walk/a_directory_comes_before_longer_names", run: longer_names },
    Case { name: "walk/entries_say_what_stat_says", run: infos },
    Case { name: "walk/missing_start_is_path_not_found", run: missing },
    Case { name: "walk/start_that_is_a_file_is_not_a_directory", run: file },
    Case { name: "walk/the_end_is_repeated", run: end_repeats },
    Case { name: "walk/its_visitor_may_call_the_driver", run: calls_inside },
    Case { name: "walk/more_than_a_thousand_entries_all_come", run: thousand },
    Case { name: "walk/a_deep_tree_is_reported_to_its_end", run: deep },
    Case { name: "walk/shows_uploads_by_capability", run: uploads },
    Case { name: "walk/reaches_below_from_the_root", run: from_the_root },
    Case { name: "walk/two_walks_do_not_disturb_each_other", run: two },
];

/// Distribution's tree.
const FILES: &[&str] = &[
    "file1",
    "folder1/file1",
    "folder1-suffix/file1",
    "folder2/file1",
    "folder3/subfolder1/subfolder1/file1",
    "folder3/subfolder2/subfolder1/file1",
    "folder4/file1",
];

/// All of it as a walk reports it, directories with a slash at the end.
pub const ENTRIES: &[&str] = &[
    "file1",
    "folder1/",
    "folder1/file1",
    "folder1-suffix/",
    "folder1-suffix/file1",
    "folder2/",
    "folder2/file1",
    "folder3/",
    "folder3/subfolder1/",
    "folder3/subfolder1/subfolder1/",
    "folder3/subfolder1/subfolder1/file1",
    "folder3/subfolder2/",
    "folder3/subfolder2/subfolder1/",
    "folder3/subfolder2/subfolder1/file1",
    "folder4/",
    "folder4/file1",
];

/// Puts the tree below the directory of the case and gives its root.
pub fn plant(p: &Probe<'_>) -> Step<String> {
    let paths: Vec<String> = FILES.iter().map(|rest| p.path(&format!("t/{rest}"))).collect();
    p.put_all(&paths)?;
    Ok(p.path("t"))
}

/// The walk from `start`, with names below `root`.
pub fn walked(p: &Probe<'_>, root: &str, start: &str, options: &WalkOptions) -> Step<Vec<String>> {
    let mut walker = p.walker(start, options)?;
    visited(root, &mut *walker, |_| Ok(Answer::Continue)).1
}

/// Feeds a walk to `answer`; the names reported, and how the walk ended.
fn visited(
    root: &str,
    walker: &mut dyn Walker,
    mut answer: impl FnMut(&str) -> Result<Answer>,
) -> (Result<()>, Step<Vec<String>>) {
    let mut names = Vec::new();
    let outcome = walk::drive(walker, |info| {
        let name = name(root, info);
        let step = answer(&name);
        names.push(name);
        step
    });
    match outcome {
        Ok(()) => (Ok(()), Ok(names)),
        Err(error) => {
            let text = failed(format!("the walk ended with {error} after {names:?}"));
            (Err(error), text)
        }
    }
}

fn name(root: &str, info: &FileInfo) -> String {
    let rest = path::below(&info.path, root).unwrap_or(&info.path);
    format!("{rest}{}", if info.is_dir { "/" } else { "" })
}

pub fn expect(found: Vec<String>, expected: &[&str]) -> CaseResult {
    ensure!(found == expected, "the walk is {found:?}, expected {expected:?}");
    Ok(())
}

/// Those after the first one that is `after`, and not below `without`.
pub fn entries_without(without: &[&str]) -> Vec<&'static str> {
    let below = |entry: &str| without.iter().any(|w| entry != *w && entry.starts_with(w));
    ENTRIES.iter().copied().filter(|entry| !below(entry)).collect()
}

fn all(p: &Probe<'_>) -> CaseResult {
    let root = plant(p)?;
    expect(walked(p, &root, &root, &WalkOptions::default())?, ENTRIES)
}

fn from_a_directory(p: &Probe<'_>) -> CaseResult {
    let root = plant(p)?;
    let start = path::join(&root, "folder1");
    expect(walked(p, &root, &start, &WalkOptions::default())?, &["folder1/file1"])
}

fn skipping(p: &Probe<'_>, skip: &[&str]) -> Step<Vec<String>> {
    let root = plant(p)?;
    let mut walker = p.walker(&root, &WalkOptions::default())?;
    let answer =
        |name: &str| Ok(if skip.contains(&name) { Answer::SkipDir } else { Answer::Continue });
    visited(&root, &mut *walker, answer).1
}

fn skip(p: &Probe<'_>) -> CaseResult {
    for directory in ["folder1/", "folder3/", "folder3/subfolder1/", "folder4/"] {
        expect(skipping(p, &[directory])?, &entries_without(&[directory]))?;
    }
    Ok(())
}

fn skip_many(p: &Probe<'_>) -> CaseResult {
    let skip = ["folder1/", "folder1-suffix/", "folder2/", "folder3/subfolder2/"];
    expect(skipping(p, &skip)?, &entries_without(&skip))?;
    let top = ["folder1/", "folder1-suffix/", "folder2/", "folder3/", "folder4/"];
    expect(skipping(p, &top)?, &entries_without(&top))
}

fn skip_file(p: &Probe<'_>) -> CaseResult {
    expect(skipping(p, &["file1", "folder1/file1", "folder4/file1"])?, ENTRIES)?;
    let root = p.path("t");
    let mut walker = p.walker(&root, &WalkOptions::default())?;
    walker.skip_dir();
    expect(visited(&root, &mut *walker, |_| Ok(Answer::Continue)).1?, ENTRIES)?;
    walker.skip_dir();
    let end = walker.next().during("next after the end")?;
    ensure!(end.is_none(), "after the end comes {end:?}");
    Ok(())
}

fn stop(p: &Probe<'_>) -> CaseResult {
    let root = plant(p)?;
    for last in ["file1", "folder1/", "folder1/file1", "folder3/subfolder1/subfolder1/file1"] {
        let mut walker = p.walker(&root, &WalkOptions::default())?;
        let answer = |name: &str| Ok(if name == last { Answer::Stop } else { Answer::Continue });
        let found = visited(&root, &mut *walker, answer).1?;
        let count = ENTRIES.iter().take_while(|entry| **entry != last).count() + 1;
        expect(found, ENTRIES.get(..count).unwrap_or_default())?;
    }
    Ok(())
}

fn error(p: &Probe<'_>) -> CaseResult {
    let root = plant(p)?;
    let mut walker = p.walker(&root, &WalkOptions::default())?;
    let mut calls = 0;
    let (outcome, _) = visited(&root, &mut *walker, |_| {
        calls += 1;
        Err(Error::new(Code::Callback, "the visitor's own"))
    });
    let error = outcome.err();
    let code = error.as_ref().map(Error::code);
    ensure!(code == Some(Code::Callback), "the walk ended with {error:?}");
    ensure!(calls == 1, "the visitor was called {calls} times");
    Ok(())
}

fn deleted(p: &Probe<'_>) -> CaseResult {
    let files = ["t/a", "t/b", "t/c", "t/d"].map(|rest| p.path(rest));
    p.put_all(&files)?;
    let root = p.path("t");
    let mut walker = p.walker(&root, &WalkOptions::default())?;
    let first = walker.next().during("next")?;
    ensure!(first.is_some_and(|info| name(&root, &info) == "a"), "the first is not a");
    p.delete(&p.path("t/c"))?;
    let rest = visited(&root, &mut *walker, |_| Ok(Answer::Continue)).1?;
    // It may have been looked at before; what stayed comes in any case.
    let kept: Vec<String> = rest.into_iter().filter(|name| name != "c").collect();
    expect(kept, &["b", "d"])?;
    expect(walked(p, &root, &root, &WalkOptions::default())?, &["a", "b", "d"])
}

fn directory_deleted(p: &Probe<'_>) -> CaseResult {
    let files = ["t/a/1", "t/a/2", "t/b/1", "t/c"].map(|rest| p.path(rest));
    p.put_all(&files)?;
    let root = p.path("t");
    let mut walker = p.walker(&root, &WalkOptions::default())?;
    let mut deleted = Ok(());
    let found = visited(&root, &mut *walker, |name| {
        if matches!(name, "a/" | "b/1") {
            let doomed = path::join(&root, if name == "a/" { "a" } else { "b" });
            deleted = p.delete(&doomed);
        }
        Ok(Answer::Continue)
    });
    deleted?;
    let kept: Vec<String> = found.1?.into_iter().filter(|name| !name.starts_with("a/")).collect();
    expect(kept, &["b/", "b/1", "c"])
}

fn longer_names(p: &Probe<'_>) -> CaseResult {
    let files = [
        "t/app/x",
        "t/app-web/x",
        "t/app.d/x",
        "t/app0",
        "t/app-",
        "t/app/-",
        "t/app/a/x",
        "t/app/a-/x",
        "t/a/app",
        "t/a-",
    ];
    p.put_all(&files.map(|rest| p.path(rest)))?;
    let root = p.path("t");
    let expected = [
        "a/",
        "a/app",
        "a-",
        "app/",
        "app/-",
        "app/a/",
        "app/a/x",
        "app/a-/",
        "app/a-/x",
        "app/x",
        "app-",
        "app-web/",
        "app-web/x",
        "app.d/",
        "app.d/x",
        "app0",
    ];
    expect(walked(p, &root, &root, &WalkOptions::default())?, &expected)
}

fn infos(p: &Probe<'_>) -> CaseResult {
    for (rest, len) in [("t/a", 0), ("t/b", 1), ("t/d/c", 70_000)] {
        p.put(&p.path(rest), &p.content(0).bytes(len))?;
    }
    let mut walker = p.walker(&p.path("t"), &WalkOptions::default())?;
    let mut count = 0;
    while let Some(entry) = walker.next().during("next")? {
        let info = p.stat(&entry.path)?;
        ensure!(entry.path == info.path, "{} is stat's {}", entry.path, info.path);
        ensure!(entry.is_dir == info.is_dir, "{} disagrees with stat: directory", entry.path);
        ensure!(entry.size == info.size, "{} has {} bytes", entry.path, entry.size);
        // A listing may know fractions of a second that stat does not.
        let apart = entry.mtime_ns.abs_diff(info.mtime_ns);
        let known = entry.is_dir || entry.mtime_ns > 0 && apart < 2_000_000_000;
        ensure!(known, "{} has the time {}, stat {}", entry.path, entry.mtime_ns, info.mtime_ns);
        count += 1;
    }
    ensure!(count == 4, "the walk has {count} entries, expected 4");
    Ok(())
}

/// The walk fails at its opening or at its first step.
fn refused(p: &Probe<'_>, start: &str, options: &WalkOptions, code: Code) -> CaseResult {
    let outcome = p.driver.walker(&p.ctx, start, options).and_then(|walker| match walker {
        Some(mut walker) => walker.next(),
        None => Ok(None),
    });
    p.expect_error(&format!("walk {start}"), outcome, code).map(drop)
}

fn missing(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path("t/missing-suffix/file"), b"content")?;
    let start = p.path("t/missing");
    refused(p, &start, &WalkOptions::default(), Code::PathNotFound)?;
    // Wherever it is to start.
    for after in ["t/a", "t/missing", "t/missing/below", "t/missing-suffix", "t/z"] {
        let options = WalkOptions { start_after: Some(p.path(after)), ..Default::default() };
        refused(p, &start, &options, Code::PathNotFound)?;
    }
    Ok(())
}

fn file(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path("t/file"), b"content")?;
    refused(p, &p.path("t/file"), &WalkOptions::default(), Code::NotDirectory)
}

fn end_repeats(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path("t/file"), b"content")?;
    let mut walker = p.walker(&p.path("t"), &WalkOptions::default())?;
    ensure!(walker.next().during("next")?.is_some(), "the walk has no entry");
    for _ in 0..3 {
        let end = walker.next().during("next at the end")?;
        ensure!(end.is_none(), "after the end comes {end:?}");
    }
    Ok(())
}

fn calls_inside(p: &Probe<'_>) -> CaseResult {
    let root = plant(p)?;
    let mut walker = p.walker(&root, &WalkOptions::default())?;
    let mut inside = Ok(());
    let call = |name: &str| -> CaseResult {
        let path = path::join(&root, name.trim_end_matches('/'));
        p.stat(&path)?;
        if name.ends_with('/') {
            p.list(&path)?;
        } else {
            ensure!(p.get(&path)? == b"x", "{path} has other content");
            p.put(&path, b"visited")?;
        }
        p.write_file(&p.path("beside"), name.as_bytes())?;
        walked(p, &root, &root, &WalkOptions::default()).map(drop)
    };
    let found = visited(&root, &mut *walker, |name| {
        if inside.is_ok() {
            inside = call(name);
        }
        Ok(Answer::Continue)
    });
    inside?;
    expect(found.1?, ENTRIES)
}

fn thousand(p: &Probe<'_>) -> CaseResult {
    let mut files: Vec<String> = (0..1005).map(|n| format!("d{}/file-{n}", n % 2)).collect();
    p.put_all(&files.iter().map(|rest| p.path(&format!("t/{rest}"))).collect::<Vec<_>>())?;
    files.extend(["d0/".to_string(), "d1/".to_string()]);
    files.sort_by(|a, b| path::compare(a, b));
    let root = p.path("t");
    let found = walked(p, &root, &root, &WalkOptions::default())?;
    let place = found.iter().zip(&files).position(|(a, b)| a != b);
    ensure!(found == files, "{} of {} entries, wrong from {place:?}", found.len(), files.len());
    Ok(())
}

fn deep(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path(&format!("t/{}/file", ["l"; 50].join("/"))), b"content")?;
    let root = p.path("t");
    let found = walked(p, &root, &root, &WalkOptions::default())?;
    ensure!(found.len() == 51, "{} entries, expected 51", found.len());
    ensure!(found.is_sorted_by(|a, b| path::compare(a, b).is_lt()), "they are not in order");
    Ok(())
}

fn uploads(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path("t/file"), b"content")?;
    p.suspend(&p.path("t/upload"), b"content")?;
    // Staged beside committed content: seen nowhere.
    p.suspend(&p.path("t/file"), b"other")?;
    let root = p.path("t");
    let found = walked(p, &root, &root, &WalkOptions::default())?;
    let visible = p.capabilities.visible_uploads;
    expect(found, if visible { &["file", "upload"] } else { &["file"] })
}

fn from_the_root(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path("t/file"), b"content")?;
    // The store may be large: only ours, and what follows is not looked at.
    let options = WalkOptions { start_after: Some(p.path("t")), ..Default::default() };
    let first = p.walker("/", &options)?.next().during("next")?;
    let found = first.map(|info| info.path);
    ensure!(found == Some(p.path("t/file")), "after t comes {found:?}");
    let options = WalkOptions { start_after: Some(p.directory.clone()), ..Default::default() };
    let first = p.walker("/", &options)?.next().during("next")?;
    let found = first.map(|info| (info.path, info.is_dir));
    ensure!(found == Some((p.path("t"), true)), "after the directory comes {found:?}");
    Ok(())
}

fn two(p: &Probe<'_>) -> CaseResult {
    let root = plant(p)?;
    let mut one = p.walker(&root, &WalkOptions::default())?;
    let mut other = p.walker(&root, &WalkOptions::default())?;
    let mut found = [Vec::new(), Vec::new()];
    loop {
        let entries = [one.next().during("next")?, other.next().during("next")?];
        let done = entries.iter().all(Option::is_none);
        for (names, entry) in found.iter_mut().zip(entries) {
            names.extend(entry.map(|info| name(&root, &info)));
        }
        if done {
            break;
        }
    }
    found.into_iter().try_for_each(|names| expect(names, ENTRIES))
}
