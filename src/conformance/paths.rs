//! Which paths there are.

use super::Case;
use super::probe::{CaseResult, Probe, Step, failed};
use crate::driver::{RedirectRequest, WalkOptions};
use crate::error::{Code, Result};

pub const CASES: &[Case] = &[
    Case { name: "paths/valid_paths_hold_content", run: valid },
    Case { name: "paths/letters_of_both_cases_are_distinct", run: letter_case },
    Case { name: "paths/long_components_and_deep_paths_hold_content", run: long },
    Case { name: "paths/invalid_paths_are_refused_by_every_call", run: invalid },
    Case { name: "paths/dot_components_are_invalid", run: dots },
    Case { name: "paths/characters_outside_the_alphabet_are_invalid", run: alphabet },
    Case { name: "paths/the_root_is_no_file", run: root_is_no_file },
    Case { name: "paths/a_trailing_slash_is_invalid", run: trailing_slash },
    Case { name: "paths/both_paths_of_a_move_are_checked", run: both_of_a_move },
    Case { name: "paths/start_after_and_the_start_of_a_page_are_checked", run: starts },
];

/// Distribution's samples, below the directory of the case.
const VALID: &[&str] = &[
    "a",
    "2",
    "aa",
    "a.a",
    "0-9/abcdefg",
    "abcdefg/z.75",
    "abc/1.2.3.4.5-6_zyx/123.z/4",
    "docker/docker-registry",
    "123.abc",
    "abc./abc",
    ".abc",
    "a--b",
    "a-.b",
    "_.abc",
    "Docker/docker-registry",
    "Abc/Cba",
    "...",
    "..a/a..",
    "-/_",
    "sha256/ab/abcdef/data.0123.tmp",
];

fn valid(p: &Probe<'_>) -> CaseResult {
    let files: Vec<_> = VALID.iter().zip(0..).map(|(rest, n)| (p.path(rest), n)).collect();
    for (path, n) in &files {
        p.put(path, &p.content(*n).bytes(64))?;
    }
    // Together, so that none can stand for another.
    for (path, n) in &files {
        p.expect_content(path, &p.content(*n).bytes(64))?;
    }
    Ok(())
}

fn letter_case(p: &Probe<'_>) -> CaseResult {
    let (lower, upper) = (p.path("name/file"), p.path("Name/file"));
    p.put(&lower, b"lower")?;
    p.expect_missing(&upper)?;
    p.put(&upper, b"upper")?;
    p.expect_content(&lower, b"lower")?;
    p.expect_content(&upper, b"upper")
}

fn long(p: &Probe<'_>) -> CaseResult {
    let deep = p.path(&["level"; 60].join("/"));
    p.put(&deep, b"deep")?;
    p.expect_content(&deep, b"deep")?;
    let long = p.path(&"n".repeat(200));
    p.put(&long, b"long")?;
    p.expect_content(&long, b"long")
}

fn invalid(p: &Probe<'_>) -> CaseResult {
    for path in ["", "abc", "123.abc", "//bcd", "/abc_123/", "/a//b"] {
        refused_by_every_call(p, path)?;
        refused_where_the_root_is_not(p, path)?;
    }
    Ok(())
}

fn dots(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path("d/file"), b"content")?;
    let below = [".", "..", "d/..", "d/../d/file", "d/./file", "../x", "d/../../x"];
    let outside = ["/.", "/..", "/../../sd-conformance-outside", "/../sd-conformance-outside"];
    let below: Vec<String> = below.iter().map(|rest| p.path(rest)).collect();
    for path in below.iter().map(String::as_str).chain(outside) {
        refused_by_every_call(p, path)?;
        refused_where_the_root_is_not(p, path)?;
    }
    Ok(())
}

fn alphabet(p: &Probe<'_>) -> CaseResult {
    let odd = [
        "ä", "a b", "a~b", "a:b", "a+b", "a%2fb", "a\\b", "a\n", "a\tb", "a@b", "a*", "a?b",
        "\u{7f}", "日本", "e\u{301}", "\u{202e}", "a&b", "a\"b", "a'b", "a$b", "a,b", "a=b",
    ];
    for name in odd {
        let path = p.path(name);
        refused_by_every_call(p, &path)?;
        refused_where_the_root_is_not(p, &path)?;
    }
    Ok(())
}

fn trailing_slash(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path("d/file"), b"content")?;
    for rest in ["d/", "d/file/", "d//", "new/"] {
        let path = p.path(rest);
        refused_by_every_call(p, &path)?;
        refused_where_the_root_is_not(p, &path)?;
    }
    p.expect_content(&p.path("d/file"), b"content")
}

fn root_is_no_file(p: &Probe<'_>) -> CaseResult {
    refused_by_every_call(p, "/")
}

fn both_of_a_move(p: &Probe<'_>) -> CaseResult {
    let file = p.path("file");
    p.put(&file, b"content")?;
    for bad in ["", "/", "relative", "/a/../b"] {
        let source = refused(p, "move from", bad, p.driver.r#move(&p.ctx, bad, &file))?;
        let dest = refused(p, "move to", bad, p.driver.r#move(&p.ctx, &file, bad))?;
        if source != bad || dest != bad {
            return failed(format!("a move of {bad:?} names {source:?} and {dest:?}"));
        }
    }
    let both = p.driver.r#move(&p.ctx, "first", "second");
    if refused(p, "move of", "first", both)? != "first" {
        return failed("a move between two invalid paths does not name the source");
    }
    p.expect_content(&file, b"content")
}

fn starts(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path("d/file"), b"content")?;
    let directory = p.path("d");
    for bad in ["", "relative", "/a//b", "/a/../b"] {
        let page = p.driver.list_page(&p.ctx, &directory, Some(bad), 10);
        refused(p, "list_page after", bad, page)?;
        let options = WalkOptions { start_after: Some(bad.to_string()), ..Default::default() };
        refused(p, "walk after", bad, p.driver.walker(&p.ctx, &directory, &options))?;
    }
    Ok(())
}

/// The path that the error names.
fn refused<T>(p: &Probe<'_>, what: &str, path: &str, outcome: Result<T>) -> Step<String> {
    let error = p.expect_error(&format!("{what} {path:?}"), outcome, Code::InvalidPath)?;
    Ok(error.path().to_string())
}

/// The calls that want a file, or a directory other than the root.
fn refused_by_every_call(p: &Probe<'_>, path: &str) -> CaseResult {
    let (driver, ctx) = (p.driver, &p.ctx);
    let request = RedirectRequest::default();
    let elsewhere = p.path("elsewhere");
    let mut named = vec![
        refused(p, "put_content", path, driver.put_content(ctx, path, b"x"))?,
        refused(p, "get_content", path, driver.get_content(ctx, path))?,
        refused(p, "reader", path, driver.reader(ctx, path, 0))?,
        refused(p, "writer", path, driver.writer(ctx, path, false))?,
        refused(p, "append", path, driver.writer(ctx, path, true))?,
        refused(p, "delete", path, driver.delete(ctx, path))?,
        refused(p, "move", path, driver.r#move(ctx, path, &elsewhere))?,
    ];
    if !p.no_redirect {
        named.push(refused(p, "redirect_url", path, driver.redirect_url(ctx, path, &request))?);
    }
    match named.iter().find(|name| *name != path) {
        Some(other) => failed(format!("an error about {path:?} names {other:?}")),
        None => Ok(()),
    }
}

/// The calls that take the root, too.
fn refused_where_the_root_is_not(p: &Probe<'_>, path: &str) -> CaseResult {
    let (driver, ctx) = (p.driver, &p.ctx);
    refused(p, "stat", path, driver.stat(ctx, path))?;
    refused(p, "list", path, driver.list(ctx, path))?;
    refused(p, "list_page", path, driver.list_page(ctx, path, None, 10))?;
    refused(p, "walk", path, driver.walker(ctx, path, &WalkOptions::default()))?;
    Ok(())
}
