//! Reading a file in pieces.

use super::Case;
use super::content_cases::not_a_file;
use super::probe::{CaseResult, During, KIB, MIB, PIECE, Probe, ensure, expect_bytes, same};
use crate::error::Code;

pub const CASES: &[Case] = &[
    Case { name: "reader/starts_at_an_offset", run: offsets },
    Case { name: "reader/starts_anywhere_in_a_large_object", run: large_offsets },
    Case { name: "reader/offset_at_the_end_reads_nothing", run: at_the_end },
    Case { name: "reader/offset_past_the_end_reads_nothing", run: past_the_end },
    Case { name: "reader/offset_of_the_last_byte_reads_it", run: last_byte },
    Case { name: "reader/negative_offset_is_invalid_offset", run: negative },
    Case { name: "reader/offset_is_checked_before_the_path", run: offset_first },
    Case { name: "reader/missing_path_is_path_not_found_at_any_offset", run: missing },
    Case { name: "reader/directory_is_refused_at_opening", run: directory },
    Case { name: "reader/the_end_is_repeated", run: end_repeats },
    Case { name: "reader/reads_of_any_size_give_the_same_bytes", run: odd_sizes },
    Case { name: "reader/a_read_touches_only_what_it_fills", run: only_what_it_fills },
    Case { name: "reader/empty_file_ends_at_once", run: empty },
    Case { name: "reader/readers_of_one_path_are_independent", run: independent },
    Case { name: "reader/goes_on_with_old_content_when_overwritten", run: replaced_by_put },
    Case { name: "reader/goes_on_with_old_content_when_a_commit_replaces_it", run: by_commit },
    Case { name: "reader/goes_on_with_old_content_when_a_move_replaces_it", run: by_move },
    Case { name: "reader/dropped_early_disturbs_nobody", run: dropped_early },
];

fn offsets(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    let content = p.content(0);
    p.put(&path, &content.bytes(96))?;
    for offset in [0, 1, 31, 32, 33, 63, 64, 95] {
        p.expect_stream(&path, offset, content, 96)?;
    }
    Ok(())
}

fn large_offsets(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    let content = p.content(0);
    let len = p.at_most(12 * MIB);
    p.write_stream(&path, content, len)?;
    let mut choices = p.choices();
    let mut offsets: Vec<u64> = (0..8).map(|_| choices.below(len)).collect();
    offsets.extend([len / 2, len.saturating_sub(1), len.saturating_sub(PIECE as u64)]);
    for offset in offsets {
        p.expect_stream(&path, offset, content, len)?;
    }
    Ok(())
}

fn at_the_end(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    p.put(&path, &p.content(0).bytes(96))?;
    p.expect_stream(&path, 96, p.content(0), 96)
}

fn past_the_end(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    p.put(&path, &p.content(0).bytes(96))?;
    for offset in [97, 1000, 1 << 40, i64::MAX as u64] {
        p.expect_stream(&path, offset, p.content(0), 96)?;
    }
    Ok(())
}

fn last_byte(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    let content = p.content(0);
    p.put(&path, &content.bytes(96))?;
    let mut reader = p.reader(&path, 95)?;
    let mut buffer = [0; 32];
    let len = reader.read(&mut buffer).during("read")?;
    ensure!(len == 1, "a read at the last byte gave {len} bytes");
    let last = buffer.first().copied().unwrap_or_default();
    expect_bytes(content, 95, &[last])?;
    let len = reader.read(&mut buffer).during("read")?;
    ensure!(len == 0, "{len} bytes after the last one");
    Ok(())
}

fn negative(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    p.put(&path, b"content")?;
    for offset in [-1, i64::MIN] {
        let outcome = p.driver.reader(&p.ctx, &path, offset);
        let error = p.expect_error(&format!("reader at {offset}"), outcome, Code::InvalidOffset)?;
        ensure!(error.offset() == Some(offset), "the error has offset {:?}", error.offset());
        ensure!(error.path() == path, "the error names the path {:?}", error.path());
    }
    Ok(())
}

fn offset_first(p: &Probe<'_>) -> CaseResult {
    let missing = p.path("missing");
    for path in ["no/path", "", missing.as_str()] {
        let outcome = p.driver.reader(&p.ctx, path, -1);
        p.expect_error(&format!("reader {path:?} at -1"), outcome, Code::InvalidOffset)?;
    }
    Ok(())
}

fn missing(p: &Probe<'_>) -> CaseResult {
    let path = p.path("missing");
    for offset in [0, 64, i64::MAX] {
        let outcome = p.driver.reader(&p.ctx, &path, offset);
        let error = p.expect_error(&format!("reader at {offset}"), outcome, Code::PathNotFound)?;
        ensure!(error.path() == path, "the error names the path {:?}", error.path());
    }
    Ok(())
}

fn directory(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path("d/file"), b"content")?;
    let outcome = p.driver.reader(&p.ctx, &p.path("d"), 0);
    p.expect_error("reader of a directory", outcome, not_a_file(p)).map(drop)
}

fn end_repeats(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    p.put(&path, b"content")?;
    let mut reader = p.reader(&path, 0)?;
    same("reader", &p.drain(&mut *reader)?, b"content")?;
    for _ in 0..3 {
        let len = reader.read(&mut [0; 8]).during("read after the end")?;
        ensure!(len == 0, "{len} bytes after the end");
    }
    Ok(())
}

fn odd_sizes(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    let content = p.content(0);
    let end = 300 * KIB as u64 + 7;
    p.write_stream(&path, content, end)?;
    let mut reader = p.reader(&path, 0)?;
    let mut choices = p.choices();
    let mut at = 0;
    let mut size = 1;
    loop {
        let mut buffer = vec![0; size];
        let len = reader.read(&mut buffer).during(&format!("read of {size} at {at}"))?;
        let Some(piece) = buffer.get(..len).filter(|piece| !piece.is_empty()) else { break };
        expect_bytes(content, at, piece)?;
        at += len as u64;
        size = choices.one_of(&[1, 3, 8, 511, 4096, 4097, 65_536]).copied().unwrap_or(1);
    }
    ensure!(at == end, "the file ends at {at}, expected {end}");
    Ok(())
}

fn only_what_it_fills(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    p.put(&path, b"content")?;
    let mut reader = p.reader(&path, 0)?;
    let mut buffer = [0xa5; 64];
    let len = reader.read(&mut buffer).during("read")?;
    ensure!((1..=7).contains(&len), "a read of a file of 7 bytes gave {len}");
    let rest = buffer.get(len..).unwrap_or_default();
    ensure!(rest.iter().all(|byte| *byte == 0xa5), "a read of {len} bytes changed others");
    Ok(())
}

fn empty(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    p.put(&path, b"")?;
    for offset in [0, 1] {
        let len = p.reader(&path, offset)?.read(&mut [0; 32]).during("read")?;
        ensure!(len == 0, "an empty file gave {len} bytes");
    }
    Ok(())
}

fn independent(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    let content = p.content(0);
    p.put(&path, &content.bytes(1000))?;
    let mut readers = Vec::new();
    for start in [0, 0, 500, 999] {
        readers.push((start, p.reader(&path, start as i64)?));
    }
    // In turn, a few bytes each.
    for _ in 0..200 {
        for (at, reader) in &mut readers {
            let mut buffer = [0; 7];
            let len = reader.read(&mut buffer).during("read")?;
            let piece = buffer.get(..len).unwrap_or_default();
            expect_bytes(content, *at, piece)?;
            *at += len as u64;
        }
    }
    ensure!(readers.iter().all(|(at, _)| *at == 1000), "a reader did not reach the end");
    Ok(())
}

/// Reads the first bytes, has the path changed, and reads on: what comes is the old
/// content. A store behind a network may have lost it, and says so then.
fn while_changing(p: &Probe<'_>, change: impl FnOnce(&str, &[u8]) -> CaseResult) -> CaseResult {
    let path = p.path("file");
    let (old, new) = (p.content(1), p.content(2));
    let len = MIB as u64 + 11;
    p.write_stream(&path, old, len)?;
    let mut reader = p.reader(&path, 0)?;
    let mut buffer = vec![0; 1000];
    let read = reader.read(&mut buffer).during("read")?;
    expect_bytes(old, 0, buffer.get(..read).unwrap_or_default())?;
    let replacement = new.bytes(2000);
    change(&path, &replacement)?;
    let mut at = read as u64;
    loop {
        let read = match reader.read(&mut buffer) {
            Err(error) if error.code() == Code::Conflict && !p.capabilities.real_directories => {
                break;
            }
            outcome => outcome.during("read")?,
        };
        if read == 0 {
            ensure!(at == len, "the open reader ended at {at}, expected {len}");
            break;
        }
        expect_bytes(old, at, buffer.get(..read).unwrap_or_default())?;
        at += read as u64;
    }
    p.expect_content(&path, &replacement)
}

fn replaced_by_put(p: &Probe<'_>) -> CaseResult {
    while_changing(p, |path, data| p.put(path, data))
}

fn by_commit(p: &Probe<'_>) -> CaseResult {
    while_changing(p, |path, data| p.write_file(path, data))
}

fn by_move(p: &Probe<'_>) -> CaseResult {
    while_changing(p, |path, data| {
        let other = p.path("other");
        p.put(&other, data)?;
        p.rename(&other, path)
    })
}

fn dropped_early(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    let content = p.content(0);
    let len = p.at_most(4 * MIB);
    p.write_stream(&path, content, len)?;
    for _ in 0..40 {
        let mut reader = p.reader(&path, 0)?;
        reader.read(&mut [0; 10]).during("read")?;
    }
    p.expect_stream(&path, 0, content, len)
}
