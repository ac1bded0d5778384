//! Storing and getting content in one call.

use super::Case;
use super::probe::{CaseResult, KIB, MIB, Probe, ensure, expect_bytes, same};
use crate::error::Code;

pub const CASES: &[Case] = &[
    Case { name: "content/one_byte_comes_back", run: |p| round_trip(p, b"a") },
    Case { name: "content/two_bytes_come_back", run: |p| round_trip(p, b"\xc3\x9f") },
    Case { name: "content/bytes_that_are_no_text_come_back", run: no_text },
    Case { name: "content/32_bytes_come_back", run: |p| sized(p, 32) },
    Case { name: "content/1_mib_comes_back", run: |p| sized(p, MIB) },
    Case { name: "content/sizes_around_blocks_come_back", run: around_blocks },
    Case { name: "content/a_large_object_comes_back", run: large },
    Case { name: "content/an_empty_file_is_a_file", run: empty },
    Case { name: "content/shorter_content_replaces_longer", run: truncate },
    Case { name: "content/longer_content_replaces_shorter", run: grow },
    Case { name: "content/many_puts_leave_the_last", run: many_puts },
    Case { name: "content/directories_above_a_file_are_implied", run: implied },
    Case { name: "content/a_missing_file_is_path_not_found", run: missing },
    Case { name: "content/below_a_file_is_path_not_found", run: below_a_file },
    Case { name: "content/get_of_a_directory_is_refused", run: get_of_a_directory },
    Case { name: "content/put_over_a_directory_loses_nothing", run: over_a_directory },
    Case { name: "content/put_below_a_file_loses_nothing", run: put_below_a_file },
];

fn round_trip(p: &Probe<'_>, data: &[u8]) -> CaseResult {
    let path = p.path("file");
    p.put(&path, data)?;
    p.expect_content(&path, data)
}

fn sized(p: &Probe<'_>, len: usize) -> CaseResult {
    p.needs_size(len as u64)?;
    round_trip(p, &p.content(0).bytes(len))
}

fn no_text(p: &Probe<'_>) -> CaseResult {
    round_trip(p, &[0x80; 4])?;
    round_trip(p, &[0; 5])?;
    round_trip(p, &(0..=255).collect::<Vec<u8>>())
}

fn around_blocks(p: &Probe<'_>) -> CaseResult {
    p.needs_size(256 * KIB as u64 + 1)?;
    for block in [512, 4 * KIB, 32 * KIB, 64 * KIB, 256 * KIB] {
        for len in [block - 1, block, block + 1] {
            round_trip(p, &p.content(len as u64).bytes(len))?;
        }
    }
    Ok(())
}

fn large(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    let len = p.at_most(16 * MIB);
    let content = p.content(0);
    p.put(&path, &content.bytes(len as usize))?;
    expect_bytes(content, 0, &p.get(&path)?)?;
    p.expect_stream(&path, 0, content, len)
}

fn empty(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    p.put(&path, b"")?;
    p.expect_content(&path, b"")?;
    ensure!(p.list_names(&p.directory)? == ["file"], "the empty file is not listed");
    p.put(&path, b"content")?;
    p.put(&path, b"")?;
    p.expect_content(&path, b"")
}

fn truncate(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    p.put(&path, &p.content(1).bytes(4096))?;
    p.put(&path, &p.content(2).bytes(2048))?;
    p.expect_content(&path, &p.content(2).bytes(2048))?;
    p.put(&path, b"x")?;
    p.expect_content(&path, b"x")
}

fn grow(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    p.put(&path, &p.content(1).bytes(100))?;
    p.put(&path, &p.content(2).bytes(70_000))?;
    p.expect_content(&path, &p.content(2).bytes(70_000))
}

fn many_puts(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    for n in 0..20 {
        p.put(&path, &p.content(n).bytes(1000))?;
        same("get_content", &p.get(&path)?, &p.content(n).bytes(1000))?;
    }
    ensure!(p.list_names(&p.directory)? == ["file"], "overwriting left other names");
    Ok(())
}

fn implied(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path("a/b/c/file"), b"content")?;
    for rest in ["a", "a/b", "a/b/c"] {
        let info = p.stat(&p.path(rest))?;
        ensure!(info.is_dir, "{rest} above the file is no directory");
    }
    Ok(())
}

fn missing(p: &Probe<'_>) -> CaseResult {
    p.expect_missing(&p.path("no/such/file"))?;
    p.put(&p.path("neighbour"), b"content")?;
    p.expect_missing(&p.path("neighbou"))?;
    p.expect_missing(&p.path("neighbourhood"))
}

fn below_a_file(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path("file"), b"content")?;
    p.expect_missing(&p.path("file/below"))?;
    p.expect_missing(&p.path("file/far/below"))
}

fn get_of_a_directory(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path("d/file"), b"content")?;
    let directory = p.path("d");
    let outcome = p.driver.get_content(&p.ctx, &directory);
    p.expect_error("get_content of a directory", outcome, not_a_file(p)).map(drop)
}

/// What reading a directory gives: where directories are no objects, looking for
/// one would cost every miss a second request.
pub fn not_a_file(p: &Probe<'_>) -> Code {
    if p.capabilities.real_directories { Code::IsDirectory } else { Code::PathNotFound }
}

fn over_a_directory(p: &Probe<'_>) -> CaseResult {
    let (directory, file) = (p.path("d"), p.path("d/file"));
    p.put(&file, b"content")?;
    let outcome = p.driver.put_content(&p.ctx, &directory, b"over");
    if p.capabilities.real_directories {
        p.expect_error("put_content over a directory", outcome, Code::IsDirectory)?;
        ensure!(p.stat(&directory)?.is_dir, "the directory is none any more");
    } else if outcome.is_ok() {
        same("get_content", &p.get(&directory)?, b"over")?;
    }
    p.expect_content(&file, b"content")
}

fn put_below_a_file(p: &Probe<'_>) -> CaseResult {
    let (file, below) = (p.path("file"), p.path("file/below"));
    p.put(&file, b"content")?;
    let outcome = p.driver.put_content(&p.ctx, &below, b"below");
    if p.capabilities.real_directories {
        p.expect_error("put_content below a file", outcome, Code::NotDirectory)?;
        p.expect_missing(&below)?;
    } else if outcome.is_ok() {
        same("get_content", &p.get(&below)?, b"below")?;
    }
    same("get_content", &p.get(&file)?, b"content")
}
