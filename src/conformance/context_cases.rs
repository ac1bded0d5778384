//! Calls end with their context.

use std::thread;
use std::time::{Duration, Instant};

use super::Case;
use super::probe::{CaseResult, During, Probe, Step, ensure, failed, same};
use crate::context::Context;
use crate::driver::{RedirectRequest, WalkOptions};
use crate::error::{Code, Result};

pub const CASES: &[Case] = &[
    Case { name: "context/cancelled_before_the_call_gives_cancelled", run: cancelled },
    Case { name: "context/an_expired_timeout_gives_deadline", run: timeout },
    Case { name: "context/a_deadline_in_the_past_gives_deadline", run: deadline },
    Case { name: "context/ends_with_its_parent", run: parent },
    Case { name: "context/cancelled_between_two_reads_ends_the_second", run: between_reads },
    Case { name: "context/cancelled_between_two_writes_keeps_the_upload", run: between_writes },
    Case { name: "context/cancelled_between_two_steps_ends_the_walk", run: between_steps },
    Case { name: "context/a_later_timeout_holds_for_open_handles", run: later_timeout },
    Case { name: "context/a_later_timeout_lets_a_reader_go_on", run: reader_goes_on },
    Case { name: "context/commit_and_cancel_have_their_own", run: own },
    Case { name: "context/a_far_deadline_changes_nothing", run: far },
    Case { name: "context/a_put_cancelled_at_any_moment_is_whole_or_absent", run: any_put },
    Case { name: "context/a_commit_cancelled_at_any_moment_is_whole_or_absent", run: any_commit },
    Case { name: "context/a_move_cancelled_at_any_moment_loses_nothing", run: any_move },
    Case { name: "context/a_delete_cancelled_at_any_moment_can_be_repeated", run: any_delete },
];

/// Every call fails with `code` under a context that has ended, and does nothing.
fn every_call(p: &Probe<'_>, ctx: &Context, code: Code) -> CaseResult {
    let (file, dest, new) = (p.path("d/file"), p.path("d/dest"), p.path("new/file"));
    let directory = p.path("d");
    p.put(&file, b"content")?;
    p.suspend(&p.path("u/upload"), b"content")?;
    let mut writer = p.fresh(&p.path("u/open"))?;
    writer.write(b"content").during("write")?;
    let driver = p.driver;
    p.expect_error("get_content", driver.get_content(ctx, &file), code)?;
    p.expect_error("put_content", driver.put_content(ctx, &new, b"x"), code)?;
    p.expect_error("put_content", driver.put_content(ctx, &file, b"x"), code)?;
    p.expect_error("stat", driver.stat(ctx, &file), code)?;
    p.expect_error("stat /", driver.stat(ctx, "/"), code)?;
    p.expect_error("list", driver.list(ctx, &directory), code)?;
    p.expect_error("list_page", driver.list_page(ctx, &directory, None, 5), code)?;
    p.expect_error("move", driver.r#move(ctx, &file, &dest), code)?;
    p.expect_error("delete", driver.delete(ctx, &file), code)?;
    p.expect_error("reader", driver.reader(ctx, &file, 0), code)?;
    p.expect_error("writer", driver.writer(ctx, &new, false), code)?;
    p.expect_error("append", driver.writer(ctx, &p.path("u/upload"), true), code)?;
    let walk = driver.walker(ctx, &directory, &WalkOptions::default());
    p.expect_error("walk", walk, code)?;
    if !p.no_redirect {
        let url = driver.redirect_url(ctx, &file, &RedirectRequest::default());
        p.expect_error("redirect_url", url, code)?;
    }
    p.expect_error("commit", writer.commit(ctx), code)?;
    p.expect_error("cancel", writer.cancel(ctx), code)?;
    p.expect_error("close", writer.close(ctx), code)?;
    p.commit(&mut *writer)?;
    p.expect_content(&p.path("u/open"), b"content")?;
    p.expect_content(&file, b"content")?;
    p.expect_missing(&new)?;
    p.expect_missing(&dest)
}

fn cancelled(p: &Probe<'_>) -> CaseResult {
    let ctx = p.context();
    ctx.cancel();
    every_call(p, &ctx, Code::Cancelled)
}

fn timeout(p: &Probe<'_>) -> CaseResult {
    let ctx = p.context();
    ctx.set_timeout(Duration::ZERO);
    every_call(p, &ctx, Code::Deadline)
}

fn deadline(p: &Probe<'_>) -> CaseResult {
    let ctx = p.context();
    ctx.set_deadline(1);
    every_call(p, &ctx, Code::Deadline)
}

fn parent(p: &Probe<'_>) -> CaseResult {
    let parent = p.context();
    let ctx = Context::new(&parent);
    p.driver.stat(&ctx, "/").during("stat /")?;
    parent.cancel();
    every_call(p, &ctx, Code::Cancelled)
}

fn between_reads(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    p.put(&path, &p.content(0).bytes(1000))?;
    let ctx = p.context();
    let mut reader = p.driver.reader(&ctx, &path, 0).during("reader")?;
    reader.read(&mut [0; 10]).during("read")?;
    ctx.cancel();
    for _ in 0..2 {
        p.expect_error("read", reader.read(&mut [0; 10]), Code::Cancelled)?;
    }
    p.expect_stream(&path, 0, p.content(0), 1000)
}

fn between_writes(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    let content = p.content(0);
    let ctx = p.context();
    let mut writer = p.driver.writer(&ctx, &path, false).during("writer")?;
    writer.write(&content.bytes(5000)).during("write")?;
    ctx.cancel();
    p.expect_error("write", writer.write(b"more"), Code::Cancelled)?;
    ensure!(writer.size() == 5000, "size is {} after 5000 bytes", writer.size());
    // What was accepted can be closed under another context, and goes on.
    p.close(&mut *writer)?;
    let kept = writer.size();
    ensure!(kept <= 5000, "close keeps {kept} of 5000 bytes");
    let mut writer = p.append(&path)?;
    ensure!(writer.size() == kept, "an append found {}, close said {kept}", writer.size());
    p.write_pieces(&mut *writer, content, kept, 9000)?;
    p.commit(&mut *writer)?;
    p.expect_content(&path, &content.bytes(9000))
}

fn between_steps(p: &Probe<'_>) -> CaseResult {
    p.put_all(&["d/a", "d/b/c", "d/e"].map(|rest| p.path(rest)))?;
    let ctx = p.context();
    let walker = p.driver.walker(&ctx, &p.path("d"), &WalkOptions::default()).during("walk")?;
    let Some(mut walker) = walker else { return failed("the driver has no walker") };
    walker.next().during("next")?;
    ctx.cancel();
    p.expect_error("next", walker.next(), Code::Cancelled).map(drop)
}

fn later_timeout(p: &Probe<'_>) -> CaseResult {
    let (file, upload) = (p.path("d/file"), p.path("d/upload"));
    p.put(&file, &p.content(0).bytes(1000))?;
    let ctx = p.context();
    let mut reader = p.driver.reader(&ctx, &file, 0).during("reader")?;
    let mut writer = p.driver.writer(&ctx, &upload, false).during("writer")?;
    let walker = p.driver.walker(&ctx, &p.path("d"), &WalkOptions::default()).during("walk")?;
    let Some(mut walker) = walker else { return failed("the driver has no walker") };
    reader.read(&mut [0; 10]).during("read")?;
    writer.write(b"content").during("write")?;
    walker.next().during("next")?;
    ctx.set_timeout(Duration::ZERO);
    p.expect_error("read", reader.read(&mut [0; 10]), Code::Deadline)?;
    p.expect_error("write", writer.write(b"more"), Code::Deadline)?;
    p.expect_error("next", walker.next(), Code::Deadline)?;
    p.cancel(&mut *writer)
}

fn reader_goes_on(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    let content = p.content(0);
    p.put(&path, &content.bytes(100_000))?;
    let ctx = p.context();
    let mut reader = p.driver.reader(&ctx, &path, 0).during("reader")?;
    let mut first = [0; 100];
    let len = reader.read(&mut first).during("read")?;
    ctx.set_timeout(Duration::ZERO);
    p.expect_error("read", reader.read(&mut [0; 10]), Code::Deadline)?;
    ctx.set_timeout(Duration::from_secs(600));
    let mut found = first.get(..len).unwrap_or_default().to_vec();
    found.extend(p.drain(&mut *reader)?);
    same("the reader", &found, &content.bytes(100_000))
}

fn own(p: &Probe<'_>) -> CaseResult {
    let (committed, cancelled) = (p.path("committed"), p.path("cancelled"));
    let ctx = p.context();
    let mut writers = [
        p.driver.writer(&ctx, &committed, false).during("writer")?,
        p.driver.writer(&ctx, &cancelled, false).during("writer")?,
    ];
    for writer in &mut writers {
        writer.write(b"content").during("write")?;
    }
    // The client is gone; its bytes are to be kept, or not.
    ctx.cancel();
    let [keep, discard] = &mut writers;
    p.commit(&mut **keep)?;
    p.cancel(&mut **discard)?;
    p.expect_content(&committed, b"content")?;
    p.expect_missing(&cancelled)
}

fn far(p: &Probe<'_>) -> CaseResult {
    let ctx = p.context();
    ctx.set_timeout(Duration::from_secs(3600));
    ctx.set_deadline(i64::MAX - 1);
    let path = p.path("file");
    p.driver.put_content(&ctx, &path, b"content").during("put_content")?;
    let found = p.driver.get_content(&ctx, &path).during("get_content")?;
    same("get_content", &found, b"content")
}

const MOMENTS: u32 = 8;
/// No store needs to be waited for longer.
const LATEST: Duration = Duration::from_millis(200);

/// Makes the same call again and again under a context that is cancelled while it runs,
/// a little later each time. `prepare` and `call` take a number for their paths; `check`
/// is told whether the call succeeded.
fn at_moments<T>(
    p: &Probe<'_>,
    prepare: impl Fn(u32) -> Step<T>,
    call: impl Fn(u32, T, &Context) -> Result<()>,
    check: impl Fn(u32, bool) -> CaseResult,
) -> CaseResult {
    let ready = prepare(0)?;
    let began = Instant::now();
    call(0, ready, &p.context()).during("the call that is not cancelled")?;
    let took = began.elapsed().min(LATEST);
    check(0, true)?;
    for round in 1..=MOMENTS {
        let (ready, ctx) = (prepare(round)?, p.context());
        let end = ctx.clone();
        let outcome = thread::scope(|scope| {
            scope.spawn(move || {
                thread::sleep(took * (round - 1) / MOMENTS);
                end.cancel();
            });
            call(round, ready, &ctx)
        });
        let good = outcome.is_ok();
        if !good {
            p.expect_error("the cancelled call", outcome, Code::Cancelled)?;
        }
        check(round, good)?;
    }
    Ok(())
}

/// What is at `path` is the new content, or, unless the call succeeded, the old one.
fn new_or_old(p: &Probe<'_>, path: &str, good: bool) -> Step<bool> {
    let (old, new) = contents(p);
    let found = p.get(path)?;
    if found == new {
        return Ok(true);
    }
    ensure!(!good, "{path} has not the content that was stored");
    same(path, &found, &old).map(|()| false)
}

fn contents(p: &Probe<'_>) -> (Vec<u8>, Vec<u8>) {
    let len = usize::try_from(p.at_most(300_000)).unwrap_or(0);
    (p.content(0).bytes(len / 2), p.content(1).bytes(len))
}

fn any_put(p: &Probe<'_>) -> CaseResult {
    let (old, new) = contents(p);
    let path = |round| p.path(&format!("{round}/file"));
    at_moments(
        p,
        |round| p.put(&path(round), &old),
        |round, (), ctx| p.driver.put_content(ctx, &path(round), &new),
        |round, good| new_or_old(p, &path(round), good).map(drop),
    )
}

fn any_commit(p: &Probe<'_>) -> CaseResult {
    let (old, new) = contents(p);
    let path = |round| p.path(&format!("{round}/file"));
    let upload = |round| {
        p.put(&path(round), &old)?;
        let mut writer = p.fresh(&path(round))?;
        writer.write(&new).during("write")?;
        Ok(writer)
    };
    at_moments(
        p,
        upload,
        |_, mut writer, ctx| writer.commit(ctx),
        |round, good| new_or_old(p, &path(round), good).map(drop),
    )
}

fn any_move(p: &Probe<'_>) -> CaseResult {
    let (old, new) = contents(p);
    let source = |round| p.path(&format!("{round}/source"));
    let dest = |round| p.path(&format!("{round}/dest"));
    at_moments(
        p,
        |round| {
            p.put(&source(round), &new)?;
            p.put(&dest(round), &old)
        },
        |round, (), ctx| p.driver.r#move(ctx, &source(round), &dest(round)),
        |round, good| match new_or_old(p, &dest(round), good)? {
            true if good => p.expect_missing(&source(round)),
            // A store that copies may have been cut off before it removed the source.
            true => Ok(()),
            // Or it went on while this looked: then it is done by now.
            false => p
                .expect_content(&source(round), &new)
                .or_else(|_| p.expect_content(&dest(round), &new)),
        },
    )
}

fn any_delete(p: &Probe<'_>) -> CaseResult {
    let path = |round, rest: &str| p.path(&format!("{round}/{rest}"));
    let files = ["d/a/file", "d/b/file", "d/file", "d-beside"];
    at_moments(
        p,
        |round| p.put_all(&files.map(|rest| path(round, rest))),
        |round, (), ctx| p.driver.delete(ctx, &path(round, "d")),
        |round, good| {
            let directory = path(round, "d");
            if !good && let Err(error) = p.driver.delete(&p.ctx, &directory) {
                // All of it went before the call was given up.
                p.expect_error::<()>("delete", Err(error), Code::PathNotFound)?;
            }
            p.expect_missing(&directory)?;
            p.stat(&path(round, "d-beside")).map(drop)
        },
    )
}
