//! Uploads of one session. Which call a writer accepts when is in
//! `writer_states`, uploads of several sessions are in `resume`.

use super::Case;
use super::probe::{CaseResult, During, KIB, MIB, Probe, ensure, same};
use crate::error::Code;

pub const CASES: &[Case] = &[
    Case { name: "writer/one_byte_comes_back", run: |p| round_trip(p, b"a") },
    Case { name: "writer/two_bytes_come_back", run: |p| round_trip(p, b"\xc3\x9f") },
    Case { name: "writer/bytes_that_are_no_text_come_back", run: |p| round_trip(p, &[0x80; 4]) },
    Case { name: "writer/32_bytes_come_back", run: |p| sized(p, 32) },
    Case { name: "writer/1_mib_comes_back", run: |p| sized(p, MIB) },
    Case { name: "writer/sizes_around_parts_come_back", run: around_parts },
    Case { name: "writer/5_gib_come_back", run: |p| stream(p, 5 * 1024 * MIB as u64) },
    Case { name: "writer/writes_of_one_byte_come_back", run: single_bytes },
    Case { name: "writer/writes_of_uneven_sizes_come_back", run: uneven },
    Case { name: "writer/writing_nothing_changes_nothing", run: nothing },
    Case { name: "writer/size_counts_every_accepted_byte", run: size },
    Case { name: "writer/commit_without_a_write_leaves_an_empty_file", run: empty },
    Case { name: "writer/commit_replaces_earlier_content", run: replaces },
    Case { name: "writer/commit_lists_the_file", run: lists },
    Case { name: "writer/directories_above_are_implied", run: implied },
    Case { name: "writer/committed_content_stays_until_commit", run: stays_until_commit },
    Case { name: "writer/cancel_keeps_committed_content", run: cancel_keeps },
    Case { name: "writer/cancel_leaves_nothing_at_a_missing_path", run: cancel_leaves_nothing },
    Case { name: "writer/cancel_discards_a_large_upload", run: cancel_large },
    Case { name: "writer/a_dropped_session_leaves_committed_content", run: dropped },
    Case { name: "writer/over_a_directory_loses_nothing", run: over_a_directory },
    Case { name: "writer/below_a_file_loses_nothing", run: below_a_file },
    Case { name: "writer/hidden_uploads_are_seen_by_no_call", run: hidden },
    Case { name: "writer/visible_uploads_are_seen_after_close", run: visible },
    Case { name: "writer/overlapping_hidden_sessions_commit_whole_contents", run: overlapping },
    Case { name: "writer/sessions_on_other_paths_do_not_meet", run: other_paths },
];

fn round_trip(p: &Probe<'_>, data: &[u8]) -> CaseResult {
    let path = p.path("file");
    p.write_file(&path, data)?;
    p.expect_content(&path, data)
}

fn sized(p: &Probe<'_>, len: usize) -> CaseResult {
    stream(p, len as u64)?;
    round_trip(p, &p.content(1).bytes(len))
}

fn stream(p: &Probe<'_>, len: u64) -> CaseResult {
    p.needs_size(len)?;
    let path = p.path("stream");
    p.write_stream(&path, p.content(0), len)?;
    let info = p.stat(&path)?;
    ensure!(info.size == len, "stat says {} bytes, expected {len}", info.size);
    p.expect_stream(&path, 0, p.content(0), len)
}

fn around_parts(p: &Probe<'_>) -> CaseResult {
    let parts = [64 * KIB, MIB, 5 * MIB, 10 * MIB];
    for part in parts.into_iter().filter(|part| p.at_most(2 * part) == 2 * *part as u64) {
        for len in [part - 1, part, part + 1, 2 * part] {
            stream(p, len as u64)?;
        }
    }
    Ok(())
}

fn single_bytes(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    let data = p.content(0).bytes(5000);
    let mut writer = p.fresh(&path)?;
    for byte in &data {
        writer.write(&[*byte]).during("write of one byte")?;
    }
    p.commit(&mut *writer)?;
    p.close(&mut *writer)?;
    p.expect_content(&path, &data)
}

fn uneven(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    let data = p.content(0).bytes(MIB + 13);
    let mut writer = p.fresh(&path)?;
    let mut choices = p.choices();
    let mut rest = data.as_slice();
    while !rest.is_empty() {
        let size = choices.one_of(&[0, 1, 7, 4095, 4096, 65_537, 300_000]).copied().unwrap_or(1);
        let (piece, after) = rest.split_at(size.min(rest.len()));
        writer.write(piece).during(&format!("write of {size}"))?;
        rest = after;
    }
    p.commit(&mut *writer)?;
    p.close(&mut *writer)?;
    p.expect_content(&path, &data)
}

fn nothing(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    let mut writer = p.fresh(&path)?;
    for data in [&b""[..], b"con", b"", b"", b"tent", b""] {
        writer.write(data).during("write")?;
    }
    ensure!(writer.size() == 7, "size is {} after 7 bytes", writer.size());
    p.commit(&mut *writer)?;
    p.close(&mut *writer)?;
    p.expect_content(&path, b"content")
}

fn size(p: &Probe<'_>) -> CaseResult {
    let mut writer = p.fresh(&p.path("file"))?;
    ensure!(writer.size() == 0, "a fresh writer has the size {}", writer.size());
    let mut total = 0;
    for len in [1, 2, 1000, 70_000, 5, MIB + 1] {
        writer.write(&p.content(0).bytes(len)).during("write")?;
        total += len as u64;
        ensure!(writer.size() == total, "size is {} after {total} bytes", writer.size());
    }
    p.commit(&mut *writer)?;
    ensure!(writer.size() == total, "size is {} after commit, not {total}", writer.size());
    p.close(&mut *writer)?;
    ensure!(writer.size() == total, "size is {} after close, not {total}", writer.size());
    let found = p.stat(&p.path("file"))?.size;
    ensure!(found == total, "stat says {found} bytes, the writer {total}");
    Ok(())
}

fn empty(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    let mut writer = p.fresh(&path)?;
    p.commit(&mut *writer)?;
    p.close(&mut *writer)?;
    p.expect_content(&path, b"")?;
    // Over content, too.
    p.put(&path, b"content")?;
    let mut writer = p.fresh(&path)?;
    p.commit(&mut *writer)?;
    p.expect_content(&path, b"")
}

fn replaces(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    p.put(&path, &p.content(1).bytes(4096))?;
    p.write_file(&path, &p.content(2).bytes(1000))?;
    p.expect_content(&path, &p.content(2).bytes(1000))?;
    p.write_file(&path, &p.content(3).bytes(9000))?;
    p.expect_content(&path, &p.content(3).bytes(9000))?;
    ensure!(p.list_names(&p.directory)? == ["file"], "commits left other names");
    Ok(())
}

fn lists(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    let mut writer = p.fresh(&path)?;
    writer.write(b"content").during("write")?;
    p.commit(&mut *writer)?;
    // Before close: commit is what makes it readable.
    ensure!(p.list_names(&p.directory)? == ["file"], "the committed file is not listed");
    p.expect_content(&path, b"content")
}

fn implied(p: &Probe<'_>) -> CaseResult {
    let path = p.path("a/b/c/file");
    p.write_file(&path, b"content")?;
    ensure!(p.stat(&p.path("a/b"))?.is_dir, "a/b above the file is no directory");
    p.expect_content(&path, b"content")
}

fn stays_until_commit(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    let (old, new) = (p.content(1).bytes(3000), p.content(2).bytes(MIB));
    p.put(&path, &old)?;
    let mut writer = p.fresh(&path)?;
    p.expect_content(&path, &old)?;
    writer.write(&new).during("write")?;
    p.expect_content(&path, &old)?;
    ensure!(p.list_names(&p.directory)? == ["file"], "the upload shows under another name");
    p.close(&mut *writer)?;
    p.expect_content(&path, &old)?;
    ensure!(p.list_names(&p.directory)? == ["file"], "the upload shows under another name");
    let mut writer = p.append(&path)?;
    let size = writer.size();
    ensure!(size == new.len() as u64, "the append found {size} bytes, not the upload's");
    p.expect_content(&path, &old)?;
    p.commit(&mut *writer)?;
    p.expect_content(&path, &new)
}

fn cancel_keeps(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    p.put(&path, b"committed")?;
    let mut writer = p.fresh(&path)?;
    writer.write(&p.content(0).bytes(100_000)).during("write")?;
    p.cancel(&mut *writer)?;
    p.close(&mut *writer)?;
    p.expect_content(&path, b"committed")?;
    ensure!(p.list_names(&p.directory)? == ["file"], "the cancelled upload left a name");
    Ok(())
}

fn cancel_leaves_nothing(p: &Probe<'_>) -> CaseResult {
    let path = p.path("d/file");
    for data in [&b""[..], b"content"] {
        p.put(&p.path("d/neighbour"), b"x")?;
        let mut writer = p.fresh(&path)?;
        writer.write(data).during("write")?;
        p.cancel(&mut *writer)?;
        p.close(&mut *writer)?;
        p.expect_missing(&path)?;
        p.expect_no_upload(&path)?;
        ensure!(p.list_names(&p.path("d"))? == ["neighbour"], "a cancelled upload is listed");
    }
    Ok(())
}

fn cancel_large(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    let len = p.at_most(12 * MIB);
    let mut writer = p.fresh(&path)?;
    p.write_pieces(&mut *writer, p.content(0), 0, len)?;
    p.cancel(&mut *writer)?;
    p.expect_missing(&path)?;
    p.expect_no_upload(&path)
}

fn dropped(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    p.put(&path, b"committed")?;
    let mut writer = p.fresh(&path)?;
    writer.write(&p.content(0).bytes(MIB)).during("write")?;
    drop(writer);
    p.expect_content(&path, b"committed")?;
    ensure!(p.list_names(&p.directory)? == ["file"], "the dropped upload left a name");
    p.write_file(&path, b"next")?;
    p.expect_content(&path, b"next")
}

fn over_a_directory(p: &Probe<'_>) -> CaseResult {
    let (directory, file) = (p.path("d"), p.path("d/file"));
    p.put(&file, b"content")?;
    if p.capabilities.real_directories {
        for append in [false, true] {
            let outcome = p.driver.writer(&p.ctx, &directory, append);
            p.expect_error("writer over a directory", outcome, Code::IsDirectory)?;
        }
        ensure!(p.stat(&directory)?.is_dir, "the directory is none any more");
    } else {
        p.expect_no_upload(&directory)?;
    }
    p.expect_content(&file, b"content")
}

fn below_a_file(p: &Probe<'_>) -> CaseResult {
    let (file, below) = (p.path("file"), p.path("file/below"));
    p.put(&file, b"content")?;
    if p.capabilities.real_directories {
        // Where it shows is the driver's choice.
        let outcome = p.driver.writer(&p.ctx, &below, false).and_then(|mut writer| {
            writer.write(b"below")?;
            writer.commit(&p.ctx)
        });
        p.expect_error("upload below a file", outcome, Code::NotDirectory)?;
        p.expect_missing(&below)?;
    }
    same("get_content", &p.get(&file)?, b"content")
}

fn hidden(p: &Probe<'_>) -> CaseResult {
    p.needs_not("visible_uploads", p.capabilities.visible_uploads)?;
    let (path, alone) = (p.path("d/file"), p.path("alone/file"));
    p.put(&p.path("d/neighbour"), b"x")?;
    let unseen = || {
        p.expect_missing(&path)?;
        ensure!(p.list_names(&p.path("d"))? == ["neighbour"], "a hidden upload is listed");
        p.expect_missing(&alone)
    };
    let mut writer = p.fresh(&path)?;
    let mut other = p.fresh(&alone)?;
    unseen()?;
    p.write_pieces(&mut *writer, p.content(0), 0, p.at_most(6 * MIB))?;
    other.write(b"content").during("write")?;
    unseen()?;
    p.close(&mut *writer)?;
    p.close(&mut *other)?;
    unseen()?;
    let outcome = p.driver.r#move(&p.ctx, &path, &p.path("d/moved"));
    p.expect_error("move of a hidden upload", outcome, Code::PathNotFound).map(drop)
}

fn visible(p: &Probe<'_>) -> CaseResult {
    p.needs("visible_uploads", p.capabilities.visible_uploads)?;
    let path = p.path("d/file");
    p.suspend(&path, b"content")?;
    p.expect_content(&path, b"content")?;
    ensure!(p.list_names(&p.path("d"))? == ["file"], "a visible upload is not listed");
    Ok(())
}

fn overlapping(p: &Probe<'_>) -> CaseResult {
    p.needs_not("visible_uploads", p.capabilities.visible_uploads)?;
    let path = p.path("file");
    let contents = [p.content(1).bytes(70_000), p.content(2).bytes(50_000)];
    let [first, second] = &contents;
    let mut writers = [p.fresh(&path)?, p.fresh(&path)?];
    for (writer, content) in writers.iter_mut().zip(&contents) {
        writer.write(content).during("write")?;
    }
    let [a, b] = &mut writers;
    p.commit(&mut **b)?;
    same("get_content", &p.get(&path)?, second)?;
    match a.commit(&p.ctx) {
        Ok(()) => same("get_content after the second commit", &p.get(&path)?, first),
        // It may lose, but not half.
        outcome => {
            p.expect_error("the second commit", outcome, Code::Conflict)?;
            same("get_content after a conflict", &p.get(&path)?, second)
        }
    }
}

fn other_paths(p: &Probe<'_>) -> CaseResult {
    let names = ["a", "ab", "a-b", "d/a", "d/ab"];
    let mut writers = Vec::new();
    for name in names {
        writers.push(p.fresh(&p.path(name))?);
    }
    for round in 0..20 {
        for (writer, stream) in writers.iter_mut().zip(0..) {
            let mut piece = vec![0; 999];
            p.content(stream).fill(round * 999, &mut piece);
            writer.write(&piece).during("write")?;
        }
    }
    for writer in &mut writers {
        p.commit(&mut **writer)?;
    }
    for (name, stream) in names.iter().zip(0..) {
        p.expect_content(&p.path(name), &p.content(stream).bytes(20 * 999))?;
    }
    Ok(())
}
