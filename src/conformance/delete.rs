//! Removing a path and all below it, and nothing else.

use super::Case;
use super::probe::{CaseResult, Probe, ensure, same};
use crate::error::Code;

pub const CASES: &[Case] = &[
    Case { name: "delete/file_is_gone", run: file },
    Case { name: "delete/directory_goes_with_all_below_it", run: directory },
    Case { name: "delete/keeps_lexical_siblings", run: siblings },
    Case { name: "delete/missing_path_is_path_not_found", run: missing },
    Case {
        name: "delete/missing_path_with_lexical_siblings_is_path_not_found",
        run: only_siblings,
    },
    Case { name: "delete/a_second_time_is_path_not_found", run: twice },
    Case { name: "delete/below_a_file_is_path_not_found", run: below_a_file },
    Case { name: "delete/the_root_is_an_invalid_path", run: root },
    Case { name: "delete/more_than_a_thousand_files_go", run: thousand },
    Case { name: "delete/a_deep_tree_goes", run: deep },
    Case { name: "delete/a_deleted_path_can_be_used_again", run: again },
    Case { name: "delete/an_open_reader_disturbs_nothing", run: open_reader },
];

fn file(p: &Probe<'_>) -> CaseResult {
    let (path, other) = (p.path("d/file"), p.path("d/other"));
    p.put(&path, b"content")?;
    p.put(&other, b"other")?;
    p.delete(&path)?;
    p.expect_missing(&path)?;
    p.expect_content(&other, b"other")
}

fn directory(p: &Probe<'_>) -> CaseResult {
    let files = ["d/1", "d/e/2", "d/e/f/3"].map(|rest| p.path(rest));
    let [first, second, third] = &files;
    p.put_all(&files)?;
    p.put(&p.path("other"), b"other")?;
    p.delete(first)?;
    p.expect_missing(first)?;
    p.expect_content(second, b"x")?;
    p.expect_content(third, b"x")?;
    p.delete(&p.path("d"))?;
    for gone in [second, third, &p.path("d/e/f"), &p.path("d/e"), &p.path("d")] {
        p.expect_missing(gone)?;
    }
    ensure!(p.list_names(&p.directory)? == ["other"], "the directory is still listed");
    p.expect_content(&p.path("other"), b"other")
}

fn siblings(p: &Probe<'_>) -> CaseResult {
    let kept = ["D/F-suffix", "D/Fsuffix", "D/F.suffix", "D/Dsuffix/F", "D/D-suffix", "Dsuffix/F"];
    for rest in kept.iter().chain(&["D/F", "D/D/F"]) {
        p.put(&p.path(rest), rest.as_bytes())?;
    }
    let all_kept =
        || kept.iter().try_for_each(|rest| p.expect_content(&p.path(rest), rest.as_bytes()));
    p.delete(&p.path("D/F"))?;
    p.expect_missing(&p.path("D/F"))?;
    p.expect_content(&p.path("D/D/F"), b"D/D/F")?;
    all_kept()?;
    p.delete(&p.path("D/D"))?;
    p.expect_missing(&p.path("D/D/F"))?;
    p.expect_missing(&p.path("D/D"))?;
    all_kept()
}

fn refused(p: &Probe<'_>, path: &str) -> CaseResult {
    let outcome = p.driver.delete(&p.ctx, path);
    let error = p.expect_error(&format!("delete {path}"), outcome, Code::PathNotFound)?;
    ensure!(error.path() == path, "the error names the path {:?}", error.path());
    Ok(())
}

fn missing(p: &Probe<'_>) -> CaseResult {
    refused(p, &p.path("missing"))?;
    p.put(&p.path("d/file"), b"content")?;
    refused(p, &p.path("d/missing"))?;
    refused(p, &p.path("d/missing/below"))?;
    p.expect_content(&p.path("d/file"), b"content")
}

fn only_siblings(p: &Probe<'_>) -> CaseResult {
    let kept = ["d/ab", "d/a-b/below", "d/a.b", "d/a0"];
    for rest in kept {
        p.put(&p.path(rest), rest.as_bytes())?;
    }
    refused(p, &p.path("d/a"))?;
    kept.iter().try_for_each(|rest| p.expect_content(&p.path(rest), rest.as_bytes()))
}

fn twice(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path("d/file"), b"content")?;
    p.delete(&p.path("d/file"))?;
    refused(p, &p.path("d/file"))?;
    p.put(&p.path("d/file"), b"content")?;
    p.delete(&p.path("d"))?;
    refused(p, &p.path("d"))
}

fn below_a_file(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path("file"), b"content")?;
    refused(p, &p.path("file/below"))?;
    p.expect_content(&p.path("file"), b"content")
}

fn root(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path("file"), b"content")?;
    // Were it not refused, a registry would be lost: so it is asked for under a
    // context that has ended already, and the path must be looked at first.
    let ctx = p.context();
    ctx.cancel();
    let outcome = p.driver.delete(&ctx, "/");
    p.expect_error("delete /", outcome, Code::InvalidPath)?;
    p.expect_content(&p.path("file"), b"content")
}

fn thousand(p: &Probe<'_>) -> CaseResult {
    let paths: Vec<String> = (0..1005).map(|n| p.path(&format!("d/{}/file-{n}", n % 3))).collect();
    p.put_all(&paths)?;
    p.put(&p.path("d-beside"), b"beside")?;
    p.delete(&p.path("d"))?;
    p.expect_missing(&p.path("d"))?;
    for path in paths.iter().step_by(97) {
        p.expect_missing(path)?;
    }
    p.expect_content(&p.path("d-beside"), b"beside")
}

fn deep(p: &Probe<'_>) -> CaseResult {
    let path = p.path(&format!("d/{}", ["level"; 60].join("/")));
    p.put(&path, b"content")?;
    p.delete(&p.path("d"))?;
    p.expect_missing(&path)?;
    p.expect_missing(&p.path("d"))
}

fn again(p: &Probe<'_>) -> CaseResult {
    let path = p.path("node");
    p.put(&path, b"file")?;
    p.delete(&path)?;
    // What was a file is now a directory, and the other way round.
    p.put(&p.path("node/below"), b"below")?;
    ensure!(p.stat(&path)?.is_dir, "the new directory is none");
    p.delete(&path)?;
    p.write_file(&path, b"file again")?;
    p.expect_content(&path, b"file again")
}

fn open_reader(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    let old = p.content(1).bytes(300_000);
    p.put(&path, &old)?;
    let mut reader = p.reader(&path, 0)?;
    let mut first = [0; 1000];
    let len = super::probe::During::during(reader.read(&mut first), "read")?;
    p.delete(&path)?;
    p.expect_missing(&path)?;
    // It ends with what it was opened on or with an error, never with other bytes.
    p.put(&path, &p.content(2).bytes(300_000))?;
    let mut found = first.get(..len).unwrap_or_default().to_vec();
    if let Ok(rest) = p.drain(&mut *reader) {
        found.extend(rest);
        same("the open reader", &found, &old)?;
    }
    Ok(())
}
