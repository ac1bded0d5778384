//! Uploads of several sessions: close, and go on later from anywhere.

use super::Case;
use super::probe::{CaseResult, During, MIB, Probe, ensure, failed, same};
use crate::error::Code;

pub const CASES: &[Case] = &[
    Case { name: "resume/small_sessions_join", run: |p| three_sessions(p, 32) },
    Case { name: "resume/large_sessions_join", run: large_sessions },
    Case { name: "resume/many_sessions_of_uneven_sizes_join", run: uneven },
    Case { name: "resume/another_thread_goes_on", run: another_thread },
    Case { name: "resume/size_after_close_is_what_an_append_finds", run: sizes },
    Case { name: "resume/a_session_without_a_write_changes_nothing", run: idle },
    Case { name: "resume/an_upload_closed_empty_goes_on", run: closed_empty },
    Case { name: "resume/an_upload_closed_empty_over_content_goes_on", run: empty_over_content },
    Case { name: "resume/an_empty_commit_can_be_appended_to", run: empty_commit },
    Case { name: "resume/an_empty_put_can_be_appended_to", run: empty_put },
    Case { name: "resume/append_to_a_missing_path_is_path_not_found", run: missing },
    Case { name: "resume/append_below_a_file_is_path_not_found", run: below_a_file },
    Case { name: "resume/append_to_committed_content_is_exact_or_refused", run: committed },
    Case { name: "resume/append_to_large_committed_content_is_exact", run: large_committed },
    Case { name: "resume/append_to_committed_content_goes_on_after_close", run: twice },
    Case { name: "resume/a_fresh_session_forgets_an_earlier_upload", run: forgets },
    Case { name: "resume/commit_ends_the_upload", run: commit_ends },
    Case { name: "resume/cancel_of_an_append_restores_the_length", run: cancel_restores },
    Case {
        name: "resume/cancel_of_an_append_discards_an_upload_that_cannot_shrink",
        run: discards,
    },
    Case { name: "resume/cancel_of_an_append_keeps_committed_content", run: cancel_keeps },
    Case { name: "resume/what_a_drop_leaves_is_a_prefix", run: prefix },
    Case { name: "resume/uploads_with_longer_names_do_not_interfere", run: longer_names },
    Case { name: "resume/an_upload_survives_changes_beside_it", run: beside },
    Case { name: "resume/uploads_end_with_their_directory", run: deleted },
];

fn three_sessions(p: &Probe<'_>, chunk: u64) -> CaseResult {
    let path = p.path("file");
    let content = p.content(0);
    for session in 0..3 {
        let (from, to) = (session * chunk, (session + 1) * chunk);
        let mut writer = if session == 0 { p.fresh(&path)? } else { p.append(&path)? };
        ensure!(writer.size() == from, "session {session} starts at {}", writer.size());
        p.write_pieces(&mut *writer, content, from, to)?;
        if session == 2 {
            p.commit(&mut *writer)?;
        }
        p.close(&mut *writer)?;
        ensure!(writer.size() == to, "session {session} ends at {}", writer.size());
    }
    let size = p.stat(&path)?.size;
    ensure!(size == 3 * chunk, "stat says {size} bytes, expected {}", 3 * chunk);
    p.expect_stream(&path, 0, content, 3 * chunk)
}

fn large_sessions(p: &Probe<'_>) -> CaseResult {
    three_sessions(p, p.at_most(30 * MIB) / 3)
}

fn uneven(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    let content = p.content(0);
    let lens = [1, 6 * MIB, 3, 5 * MIB, 0, 100, 5 * MIB - 1, 17, 70_000, MIB];
    let most = p.at_most(20 * MIB);
    p.suspend(&path, b"")?;
    let mut at = 0;
    for len in lens {
        let to = (at + len as u64).min(most);
        let mut writer = p.append(&path)?;
        ensure!(writer.size() == at, "an append found {} bytes, expected {at}", writer.size());
        p.write_pieces(&mut *writer, content, at, to)?;
        p.close(&mut *writer)?;
        at = to;
    }
    let mut writer = p.append(&path)?;
    p.commit(&mut *writer)?;
    p.expect_stream(&path, 0, content, at)
}

fn another_thread(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    let content = p.content(0);
    for session in 0..4 {
        let one = || {
            let mut writer = if session == 0 { p.fresh(&path)? } else { p.append(&path)? };
            p.write_pieces(&mut *writer, content, session * 5000, (session + 1) * 5000)?;
            p.close(&mut *writer)
        };
        match std::thread::scope(|scope| scope.spawn(one).join()) {
            Ok(outcome) => outcome?,
            Err(_) => return failed("a session panicked"),
        }
    }
    let mut writer = p.append(&path)?;
    p.commit(&mut *writer)?;
    p.expect_content(&path, &content.bytes(20_000))
}

fn sizes(p: &Probe<'_>) -> CaseResult {
    for len in [0, 1, 4096, 70_001, 3 * MIB + 5] {
        let path = p.path(&format!("file-{len}"));
        let mut writer = p.fresh(&path)?;
        writer.write(&p.content(0).bytes(len)).during("write")?;
        p.close(&mut *writer)?;
        let closed = writer.size();
        let found = p.append(&path)?.size();
        ensure!(closed == len as u64, "size is {closed} after close, expected {len}");
        ensure!(found == closed, "an append found {found}, the closed writer says {closed}");
    }
    Ok(())
}

fn idle(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    p.suspend(&path, b"content")?;
    for _ in 0..3 {
        let mut writer = p.append(&path)?;
        ensure!(writer.size() == 7, "an append found {} bytes, expected 7", writer.size());
        p.close(&mut *writer)?;
        ensure!(writer.size() == 7, "it closed with {} bytes", writer.size());
    }
    let mut writer = p.append(&path)?;
    p.commit(&mut *writer)?;
    p.expect_content(&path, b"content")
}

/// An append finds `len` bytes; with `more` after them it gives `expected`.
fn goes_on(p: &Probe<'_>, path: &str, len: u64, more: &[u8], expected: &[u8]) -> CaseResult {
    let mut writer = p.append(path)?;
    ensure!(writer.size() == len, "an append found {} bytes, expected {len}", writer.size());
    writer.write(more).during("write")?;
    p.commit(&mut *writer)?;
    p.close(&mut *writer)?;
    ensure!(writer.size() == expected.len() as u64, "it ends with {} bytes", writer.size());
    p.expect_content(path, expected)
}

fn closed_empty(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    p.suspend(&path, b"")?;
    let data = p.content(0).bytes(32);
    goes_on(p, &path, 0, &data, &data)
}

fn empty_over_content(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    p.put(&path, b"committed")?;
    p.suspend(&path, b"")?;
    p.expect_content(&path, b"committed")?;
    goes_on(p, &path, 0, b"new", b"new")
}

fn empty_commit(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    p.write_file(&path, b"")?;
    p.expect_content(&path, b"")?;
    let data = p.content(0).bytes(32);
    goes_on(p, &path, 0, &data, &data)
}

fn empty_put(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    p.put(&path, b"")?;
    p.expect_content(&path, b"")?;
    let data = p.content(0).bytes(32);
    goes_on(p, &path, 0, &data, &data)
}

fn missing(p: &Probe<'_>) -> CaseResult {
    let path = p.path("d/file");
    p.expect_no_upload(&path)?;
    p.expect_missing(&path)?;
    p.expect_missing(&p.path("d"))?;
    p.put(&p.path("d/file-beside"), b"content")?;
    p.expect_no_upload(&path)?;
    p.write_file(&path, b"content")?;
    p.delete(&path)?;
    p.expect_no_upload(&path)
}

fn below_a_file(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path("file"), b"content")?;
    p.expect_no_upload(&p.path("file/below"))?;
    same("get_content", &p.get(&p.path("file"))?, b"content")
}

fn committed(p: &Probe<'_>) -> CaseResult {
    let data = p.content(0).bytes(5000);
    let (start, more) = data.split_at(3000);
    let (put, written) = (p.path("put"), p.path("written"));
    p.put(&put, start)?;
    p.write_file(&written, start)?;
    for path in [put, written] {
        if p.capabilities.exact_append {
            goes_on(p, &path, 3000, more, &data)?;
        } else {
            let outcome = p.driver.writer(&p.ctx, &path, true);
            p.expect_error("append to committed content", outcome, Code::Unsupported)?;
            p.expect_content(&path, start)?;
        }
    }
    Ok(())
}

fn large_committed(p: &Probe<'_>) -> CaseResult {
    p.needs("exact_append", p.capabilities.exact_append)?;
    let path = p.path("file");
    let content = p.content(0);
    let end = p.at_most(21 * MIB);
    let start = end - end / 3;
    p.write_stream(&path, content, start)?;
    let mut writer = p.append(&path)?;
    ensure!(writer.size() == start, "an append found {}, expected {start}", writer.size());
    p.write_pieces(&mut *writer, content, start, end)?;
    p.commit(&mut *writer)?;
    p.expect_stream(&path, 0, content, end)
}

fn twice(p: &Probe<'_>) -> CaseResult {
    p.needs("exact_append", p.capabilities.exact_append)?;
    let path = p.path("file");
    p.put(&path, b"one ")?;
    let mut writer = p.append(&path)?;
    writer.write(b"two ").during("write")?;
    p.close(&mut *writer)?;
    if !p.capabilities.visible_uploads {
        p.expect_content(&path, b"one ")?;
    }
    goes_on(p, &path, 8, b"three", b"one two three")
}

fn forgets(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    p.suspend(&path, &p.content(1).bytes(9000))?;
    p.suspend(&path, &p.content(2).bytes(10))?;
    let mut expected = p.content(2).bytes(10);
    expected.extend(b"end");
    goes_on(p, &path, 10, b"end", &expected)
}

fn commit_ends(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    p.suspend(&path, b"one ")?;
    goes_on(p, &path, 4, b"two", b"one two")?;
    p.delete(&path)?;
    p.expect_no_upload(&path)?;
    p.expect_missing(&path)
}

fn cancel_restores(p: &Probe<'_>) -> CaseResult {
    p.needs("shrinkable", p.capabilities.shrinkable)?;
    let path = p.path("file");
    let content = p.content(0).bytes(70_000);
    p.suspend(&path, &content)?;
    let mut writer = p.append(&path)?;
    writer.write(&p.content(1).bytes(MIB)).during("write")?;
    p.cancel(&mut *writer)?;
    p.close(&mut *writer)?;
    let mut expected = content;
    expected.extend(b"end");
    goes_on(p, &path, 70_000, b"end", &expected)
}

fn discards(p: &Probe<'_>) -> CaseResult {
    p.needs_not("shrinkable", p.capabilities.shrinkable)?;
    let path = p.path("file");
    p.suspend(&path, &p.content(0).bytes(70_000))?;
    let mut writer = p.append(&path)?;
    writer.write(b"more").during("write")?;
    p.cancel(&mut *writer)?;
    p.expect_no_upload(&path)?;
    p.expect_missing(&path)
}

fn cancel_keeps(p: &Probe<'_>) -> CaseResult {
    p.needs("exact_append", p.capabilities.exact_append)?;
    if p.capabilities.visible_uploads {
        p.needs("shrinkable", p.capabilities.shrinkable)?;
    }
    let path = p.path("file");
    for committed in [&b"committed"[..], b""] {
        p.put(&path, committed)?;
        let mut writer = p.append(&path)?;
        writer.write(&p.content(0).bytes(100_000)).during("write")?;
        p.cancel(&mut *writer)?;
        p.close(&mut *writer)?;
        p.expect_content(&path, committed)?;
    }
    Ok(())
}

fn prefix(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    let content = p.content(0);
    p.suspend(&path, &content.bytes(5000))?;
    let mut writer = p.append(&path)?;
    p.write_pieces(&mut *writer, content, 5000, 900_000)?;
    drop(writer);
    // What was closed before is there; of the rest, any part without a gap.
    let mut writer = p.append(&path)?;
    let size = writer.size();
    ensure!((5000..=900_000).contains(&size), "after a drop an append found {size} bytes");
    p.commit(&mut *writer)?;
    p.expect_stream(&path, 0, content, size)
}

fn longer_names(p: &Probe<'_>) -> CaseResult {
    let names = ["d/a", "d/a-b", "d/a.b", "d/ab", "d/a0"];
    for (name, n) in names.iter().zip(1..) {
        p.suspend(&p.path(name), &p.content(n).bytes(n as usize * 100))?;
    }
    for (name, n) in names.iter().zip(1..) {
        let size = p.append(&p.path(name))?.size();
        ensure!(size == n * 100, "{name} goes on at {size}, expected {}", n * 100);
    }
    // Also where the path itself is an empty file without an upload.
    let path = p.path("e/a");
    p.suspend(&p.path("e/a-longer"), b"content")?;
    p.put(&path, b"")?;
    goes_on(p, &path, 0, b"new", b"new")
}

fn beside(p: &Probe<'_>) -> CaseResult {
    let path = p.path("d/file");
    p.suspend(&path, b"one ")?;
    p.put(&p.path("d/other"), b"x")?;
    p.rename(&p.path("d/other"), &p.path("d/file-moved"))?;
    p.delete(&p.path("d/file-moved"))?;
    p.write_file(&p.path("d/fil"), b"x")?;
    goes_on(p, &path, 4, b"two", b"one two")
}

fn deleted(p: &Probe<'_>) -> CaseResult {
    let paths = [p.path("d/file"), p.path("d/below/file"), p.path("d-beside/file")];
    let [file, below, beside] = &paths;
    for path in &paths {
        p.suspend(path, b"content")?;
    }
    p.put(&p.path("d/committed"), b"x")?;
    p.delete(&p.path("d"))?;
    p.expect_no_upload(file)?;
    p.expect_no_upload(below)?;
    goes_on(p, beside, 7, b"", b"content")
}
