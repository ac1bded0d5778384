//! Moving files.

use super::Case;
use super::probe::{CaseResult, MIB, Probe, ensure, same};
use crate::error::Code;

pub const CASES: &[Case] = &[
    Case { name: "move/file_is_at_the_new_path_only", run: new_path },
    Case { name: "move/overwrites_a_file", run: overwrites },
    Case { name: "move/directories_above_the_destination_are_implied", run: implied },
    Case { name: "move/a_file_of_zero_bytes_moves", run: empty },
    Case { name: "move/a_large_file_moves", run: large },
    Case { name: "move/a_committed_upload_moves", run: committed },
    Case { name: "move/onto_itself_changes_nothing", run: onto_itself },
    Case { name: "move/missing_source_is_named_and_nothing_changes", run: missing },
    Case { name: "move/missing_source_onto_itself_is_path_not_found", run: missing_onto_itself },
    Case { name: "move/missing_source_creates_nothing", run: creates_nothing },
    Case { name: "move/missing_source_with_lexical_siblings_moves_none", run: siblings },
    Case { name: "move/source_below_a_file_is_path_not_found", run: source_below_a_file },
    Case { name: "move/a_directory_is_refused_and_stays", run: directory },
    Case { name: "move/onto_a_directory_loses_nothing", run: onto_directory },
    Case { name: "move/below_a_file_loses_nothing", run: below_a_file },
    Case { name: "move/into_its_own_subtree_loses_nothing", run: into_itself },
    Case { name: "move/there_and_back_keeps_the_content", run: back },
];

fn new_path(p: &Probe<'_>) -> CaseResult {
    let (source, dest) = (p.path("a/source"), p.path("a/dest"));
    let data = p.content(0).bytes(32);
    p.put(&source, &data)?;
    p.rename(&source, &dest)?;
    p.expect_content(&dest, &data)?;
    p.expect_missing(&source)?;
    ensure!(p.list_names(&p.path("a"))? == ["dest"], "the move left another name");
    Ok(())
}

fn overwrites(p: &Probe<'_>) -> CaseResult {
    let (source, dest) = (p.path("source"), p.path("dest"));
    p.put(&source, &p.content(1).bytes(32))?;
    p.put(&dest, &p.content(2).bytes(64))?;
    p.rename(&source, &dest)?;
    p.expect_content(&dest, &p.content(1).bytes(32))?;
    p.expect_missing(&source)
}

fn implied(p: &Probe<'_>) -> CaseResult {
    let (source, dest) = (p.path("source"), p.path("a/b/c/dest"));
    p.put(&source, b"content")?;
    p.rename(&source, &dest)?;
    p.expect_content(&dest, b"content")?;
    ensure!(p.stat(&p.path("a/b"))?.is_dir, "a/b above the file is no directory");
    Ok(())
}

fn empty(p: &Probe<'_>) -> CaseResult {
    let (source, dest) = (p.path("source"), p.path("dest"));
    p.put(&source, b"")?;
    p.put(&dest, b"content")?;
    p.rename(&source, &dest)?;
    p.expect_content(&dest, b"")?;
    p.expect_missing(&source)
}

fn large(p: &Probe<'_>) -> CaseResult {
    let (source, dest) = (p.path("source"), p.path("dest"));
    let content = p.content(0);
    let len = p.at_most(64 * MIB);
    p.write_stream(&source, content, len)?;
    p.rename(&source, &dest)?;
    p.expect_missing(&source)?;
    p.expect_stream(&dest, 0, content, len)
}

fn committed(p: &Probe<'_>) -> CaseResult {
    let (source, dest) = (p.path("_uploads/1/data"), p.path("blobs/data"));
    let content = p.content(0);
    let len = p.at_most(4 * MIB);
    p.write_stream(&source, content, len)?;
    p.rename(&source, &dest)?;
    p.expect_stream(&dest, 0, content, len)?;
    p.expect_missing(&source)?;
    p.expect_no_upload(&source)
}

fn onto_itself(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    p.put(&path, b"content")?;
    p.rename(&path, &path)?;
    p.expect_content(&path, b"content")
}

fn missing(p: &Probe<'_>) -> CaseResult {
    let (source, dest) = (p.path("source"), p.path("dest"));
    p.put(&dest, b"content")?;
    let outcome = p.driver.r#move(&p.ctx, &source, &dest);
    let error = p.expect_error("move of a missing file", outcome, Code::PathNotFound)?;
    ensure!(error.path() == source, "the error names {:?}, not the source", error.path());
    p.expect_content(&dest, b"content")
}

fn missing_onto_itself(p: &Probe<'_>) -> CaseResult {
    let path = p.path("missing");
    let outcome = p.driver.r#move(&p.ctx, &path, &path);
    p.expect_error("move of a missing file onto itself", outcome, Code::PathNotFound)?;
    p.expect_missing(&path)
}

fn creates_nothing(p: &Probe<'_>) -> CaseResult {
    let outcome = p.driver.r#move(&p.ctx, &p.path("source"), &p.path("a/b/dest"));
    p.expect_error("move of a missing file", outcome, Code::PathNotFound)?;
    for rest in ["a/b/dest", "a/b", "a", "source"] {
        p.expect_missing(&p.path(rest))?;
    }
    Ok(())
}

fn siblings(p: &Probe<'_>) -> CaseResult {
    let siblings = ["d/source-1", "d/source.1", "d/source1/below"];
    for rest in siblings {
        p.put(&p.path(rest), rest.as_bytes())?;
    }
    let outcome = p.driver.r#move(&p.ctx, &p.path("d/source"), &p.path("d/dest"));
    p.expect_error("move of a missing file", outcome, Code::PathNotFound)?;
    p.expect_missing(&p.path("d/dest"))?;
    siblings.iter().try_for_each(|rest| p.expect_content(&p.path(rest), rest.as_bytes()))
}

fn source_below_a_file(p: &Probe<'_>) -> CaseResult {
    let file = p.path("notadir");
    p.put(&file, b"content")?;
    let (source, dest) = (p.path("notadir/foo"), p.path("notadir/bar"));
    let outcome = p.driver.r#move(&p.ctx, &source, &dest);
    p.expect_error("move from below a file", outcome, Code::PathNotFound)?;
    p.expect_content(&file, b"content")
}

fn directory(p: &Probe<'_>) -> CaseResult {
    let files = ["d/file", "d/e/file"].map(|rest| p.path(rest));
    p.put_all(&files)?;
    let (source, dest) = (p.path("d"), p.path("dest"));
    for dest in [&dest, &source] {
        let outcome = p.driver.r#move(&p.ctx, &source, dest);
        p.expect_error("move of a directory", outcome, Code::IsDirectory)?;
    }
    p.expect_missing(&dest)?;
    files.iter().try_for_each(|file| p.expect_content(file, b"x"))
}

fn onto_directory(p: &Probe<'_>) -> CaseResult {
    let (source, dest, child) = (p.path("source"), p.path("d"), p.path("d/file"));
    p.put(&source, b"content")?;
    p.put(&child, b"child")?;
    let outcome = p.driver.r#move(&p.ctx, &source, &dest);
    if p.capabilities.real_directories || outcome.is_err() {
        p.expect_error("move onto a directory", outcome, Code::IsDirectory)?;
        p.expect_content(&source, b"content")?;
    } else {
        same("get_content", &p.get(&dest)?, b"content")?;
    }
    p.expect_content(&child, b"child")
}

fn below_a_file(p: &Probe<'_>) -> CaseResult {
    let (source, file, dest) = (p.path("source"), p.path("file"), p.path("file/dest"));
    p.put(&source, b"content")?;
    p.put(&file, b"file")?;
    let outcome = p.driver.r#move(&p.ctx, &source, &dest);
    if p.capabilities.real_directories || outcome.is_err() {
        p.expect_error("move to below a file", outcome, Code::NotDirectory)?;
        p.expect_content(&source, b"content")?;
    } else {
        same("get_content", &p.get(&dest)?, b"content")?;
    }
    same("get_content", &p.get(&file)?, b"file")
}

fn into_itself(p: &Probe<'_>) -> CaseResult {
    let (file, dest) = (p.path("file"), p.path("file/below"));
    p.put(&file, b"content")?;
    let outcome = p.driver.r#move(&p.ctx, &file, &dest);
    if p.capabilities.real_directories || outcome.is_err() {
        p.expect_error("move to below itself", outcome, Code::NotDirectory)?;
        p.expect_content(&file, b"content")
    } else {
        same("get_content", &p.get(&dest)?, b"content")
    }
}

fn back(p: &Probe<'_>) -> CaseResult {
    let (here, there) = (p.path("here"), p.path("there/file"));
    let data = p.content(0).bytes(5000);
    p.put(&here, &data)?;
    for _ in 0..5 {
        p.rename(&here, &there)?;
        p.rename(&there, &here)?;
    }
    p.expect_content(&here, &data)?;
    p.expect_missing(&there)
}
