//! Many threads at once.

use std::sync::atomic::{AtomicBool, Ordering};

use super::Case;
use super::content::Choices;
use super::probe::{CaseResult, During, MIB, Probe, ensure, failed, in_threads, same};
use crate::error::Code;

pub const CASES: &[Case] = &[
    Case { name: "concurrency/puts_on_one_path_leave_one_whole_content", run: puts },
    Case { name: "concurrency/commits_over_content_are_never_seen_torn", run: commits },
    Case { name: "concurrency/sixteen_puts_of_one_content_leave_it", run: same_puts },
    Case { name: "concurrency/a_file_that_is_overwritten_never_vanishes", run: never_vanishes },
    Case { name: "concurrency/readers_of_a_large_object_at_random_offsets", run: stream_reads },
    Case { name: "concurrency/32_uploads_and_readers_at_once", run: file_streams },
    Case { name: "concurrency/moves_of_one_file_let_one_win", run: moves },
    Case { name: "concurrency/deletes_of_one_file_let_one_win", run: deletes },
    Case { name: "concurrency/puts_in_a_directory_all_arrive", run: one_directory },
    Case { name: "concurrency/lists_and_walks_go_on_while_files_change", run: listing },
];

/// The content that thread `n` puts: its length says whose it is.
fn mine(p: &Probe<'_>, n: u64) -> Vec<u8> {
    p.content(n).bytes(30_000 + n as usize * 1000)
}

/// How many contents there are.
const MINE: u64 = 8;

/// `data` is the whole of one of the contents.
fn expect_whole(p: &Probe<'_>, data: &[u8]) -> CaseResult {
    let n = (data.len() as u64).saturating_sub(30_000) / 1000;
    ensure!(n < MINE, "{} bytes are nobody's", data.len());
    same("content under concurrent writes", data, &mine(p, n))
}

type Work<'a> = Box<dyn FnOnce() -> CaseResult + Send + 'a>;

/// `threads` store, each in `MINE` rounds, while four read; nobody ever sees half
/// a content.
fn torn(
    p: &Probe<'_>,
    path: &str,
    threads: u64,
    store: impl Fn(u64, u64) -> CaseResult + Sync,
) -> CaseResult {
    p.put(path, &mine(p, 0))?;
    let done = AtomicBool::new(false);
    let (done, store) = (&done, &store);
    let write_all = move || {
        let rounds = |n| move || (0..MINE).try_for_each(|round| store(n, round));
        let outcome = in_threads((0..threads).map(rounds));
        done.store(true, Ordering::Release);
        outcome
    };
    let read = move || {
        while !done.load(Ordering::Acquire) {
            expect_whole(p, &p.get(path)?)?;
            expect_whole(p, &p.drain(&mut *p.reader(path, 0)?)?)?;
        }
        Ok(())
    };
    let mut work: Vec<Work<'_>> = vec![Box::new(write_all)];
    for _ in 0..4 {
        work.push(Box::new(read));
    }
    in_threads(work.into_iter())?;
    let last = p.get(path)?;
    expect_whole(p, &last)?;
    let size = p.stat(path)?.size;
    ensure!(size == last.len() as u64, "stat says {size} bytes, not {}", last.len());
    ensure!(p.list_names(&p.directory)? == ["file"], "other names are left");
    Ok(())
}

fn puts(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    torn(p, &path, MINE, |n, _| p.put(&path, &mine(p, n)))
}

/// Sessions one after the other: two at a time share an upload on some stores.
fn commits(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    torn(p, &path, 1, |_, round| p.write_file(&path, &mine(p, round)))
}

fn same_puts(p: &Probe<'_>) -> CaseResult {
    let path = p.path("link");
    let data = p.content(0).bytes(71);
    in_threads((0..16).map(|_| || p.put(&path, &data)))?;
    p.expect_content(&path, &data)
}

fn never_vanishes(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    p.put(&path, b"content")?;
    let done = AtomicBool::new(false);
    let (done, path) = (&done, &path);
    let write = move || {
        let outcome = (0..40).try_for_each(|n| {
            p.put(path, b"content")?;
            if n % 4 == 0 { p.write_file(path, b"content") } else { Ok(()) }
        });
        done.store(true, Ordering::Release);
        outcome
    };
    let look = move || {
        while !done.load(Ordering::Acquire) {
            same("get_content", &p.get(path)?, b"content")?;
            ensure!(p.stat(path)?.size == 7, "stat says another size");
            ensure!(p.list_names(&p.directory)? == ["file"], "the list lacks the file");
        }
        Ok(())
    };
    let work: [Work<'_>; 3] = [Box::new(write), Box::new(look), Box::new(look)];
    in_threads(work.into_iter())
}

/// Distribution's, of 128 MiB where the run allows it.
fn stream_reads(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    let content = p.content(0);
    let len = p.at_most(128 * MIB);
    p.put(&path, &content.bytes(len as usize))?;
    let mut choices = p.choices();
    let offsets: Vec<u64> = (0..10).map(|_| choices.below(len)).collect();
    in_threads(offsets.iter().map(|offset| || p.expect_stream(&path, *offset, content, len)))
}

/// Distribution's: 32 at a time, of 32 MiB each where the run allows as much in
/// all; a case stores no more than the largest object at once.
fn file_streams(p: &Probe<'_>) -> CaseResult {
    let len = (p.max_object_size / 32).min(32 * MIB as u64);
    in_threads((0..32).map(|n| {
        move || {
            let path = p.path(&format!("stream-{n}/file"));
            p.write_stream(&path, p.content(n), len)?;
            p.expect_stream(&path, 0, p.content(n), len)?;
            p.delete(&p.path(&format!("stream-{n}")))?;
            p.expect_missing(&path)
        }
    }))
}

/// Of eight threads that try, one succeeds; to the others the path is missing.
fn one_wins(
    p: &Probe<'_>,
    attempt: impl Fn(usize) -> crate::error::Result<()> + Sync,
) -> CaseResult {
    let attempt = &attempt;
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || attempt(n))).collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    let mut won = 0;
    for outcome in outcomes {
        match outcome {
            Ok(Ok(())) => won += 1,
            Ok(failure) => {
                p.expect_error("a thread that lost", failure, Code::PathNotFound)?;
            }
            Err(_) => return failed("a thread panicked"),
        }
    }
    ensure!(won >= 1, "nobody succeeded");
    // Without a lock the store may let two believe they won.
    ensure!(won == 1 || !p.capabilities.real_directories, "{won} threads succeeded");
    Ok(())
}

fn moves(p: &Probe<'_>) -> CaseResult {
    for round in 0..10 {
        let source = p.path(&format!("{round}/source"));
        p.put(&source, b"content")?;
        let dest = |n: usize| p.path(&format!("{round}/dest-{n}"));
        one_wins(p, |n| p.driver.r#move(&p.ctx, &source, &dest(n)))?;
        p.expect_missing(&source)?;
        let left = p.list(&p.path(&format!("{round}")))?;
        ensure!(!left.is_empty(), "the file is nowhere");
        left.iter().try_for_each(|path| p.expect_content(path, b"content"))?;
    }
    Ok(())
}

fn deletes(p: &Probe<'_>) -> CaseResult {
    for round in 0..10 {
        let path = p.path(&format!("{round}/file"));
        p.put(&path, b"content")?;
        p.put(&p.path(&format!("{round}/file-beside")), b"beside")?;
        one_wins(p, |_| p.driver.delete(&p.ctx, &path))?;
        p.expect_missing(&path)?;
        p.expect_content(&p.path(&format!("{round}/file-beside")), b"beside")?;
    }
    Ok(())
}

fn one_directory(p: &Probe<'_>) -> CaseResult {
    // All of them make the directories above, too.
    let path = |n: u64| p.path(&format!("a/b/c/file-{n:02}"));
    in_threads((0..16).map(|n| {
        let path = path(n);
        move || {
            if n % 2 == 0 { p.put(&path, &mine(p, n)) } else { p.write_file(&path, &mine(p, n)) }
        }
    }))?;
    let expected: Vec<String> = (0..16).map(path).collect();
    let found = p.list(&p.path("a/b/c"))?;
    ensure!(found == expected, "the directory has {found:?}");
    (0..16).try_for_each(|n| p.expect_content(&path(n), &mine(p, n)))
}

fn listing(p: &Probe<'_>) -> CaseResult {
    let stay: Vec<String> = (0..20).map(|n| p.path(&format!("d/stay-{n:02}/file"))).collect();
    p.put_all(&stay)?;
    let done = AtomicBool::new(false);
    let done = &done;
    let change = move || {
        let mut choices = Choices::new(p.seed);
        let outcome = (0..60).try_for_each(|n| {
            let path = p.path(&format!("d/change-{:02}/file", choices.below(10)));
            p.put(&path, b"x")?;
            if n % 2 == 0 { p.delete(&path) } else { Ok(()) }
        });
        done.store(true, Ordering::Release);
        outcome
    };
    let stay = &stay;
    let look = move || {
        while !done.load(Ordering::Acquire) {
            let names = p.list_names(&p.path("d"))?;
            let kept = names.iter().filter(|name| name.starts_with("stay-")).count();
            ensure!(kept == 20, "the list has {kept} of 20 directories that stay");
            let mut walker = p.walker(&p.path("d"), &Default::default())?;
            let mut files = Vec::new();
            while let Some(info) = walker.next().during("next")? {
                if !info.is_dir && info.path.contains("/stay-") {
                    files.push(info.path);
                }
            }
            ensure!(files == *stay, "the walk has {} of 20 files that stay", files.len());
        }
        Ok(())
    };
    let work: [Work<'_>; 3] = [Box::new(change), Box::new(look), Box::new(look)];
    in_threads(work.into_iter())
}
