//! Which call a writer accepts in which state: a case for each cell of the
//! header's table.

use super::Case;
use super::probe::{CaseResult, During, Probe, Step, ensure};
use crate::driver::Writer;
use crate::error::{Code, Result};

#[derive(Clone, Copy, PartialEq)]
enum State {
    Open,
    /// A write failed.
    Broken,
    Committed,
    Cancelled,
    Closed,
    CommittedClosed,
    CancelledClosed,
}

#[derive(Clone, Copy)]
enum Action {
    Write,
    Commit,
    Cancel,
    Close,
    Size,
    Drop,
}

use Action::{Cancel, Close, Commit, Drop, Size, Write};
use State::{Broken, Cancelled, CancelledClosed, Closed, Committed, CommittedClosed, Open};

/// Name, state, action, and the state after it; without one the call must fail
/// with `InvalidState` and change nothing.
macro_rules! cells {
    ($($name:literal: $state:ident, $action:ident $(=> $after:ident)?;)+) => {
        &[$(Case {
            name: concat!("writer/", $name),
            run: |p| cell(p, $state, $action, cells!(@ $($after)?)),
        },)+
        Case { name: "writer/commit_that_failed_may_be_repeated", run: commit_again },
        Case { name: "writer/close_that_failed_may_be_repeated", run: close_again },
        Case { name: "writer/cancel_that_failed_may_be_repeated", run: cancel_again },
        Case { name: "writer/cancel_after_commit_keeps_what_was_replaced_away", run: keeps_new },
        ]
    };
    (@ $after:ident) => { Some($after) };
    (@) => { None };
}

pub const CASES: &[Case] = cells! {
    "write_when_open_is_accepted": Open, Write => Open;
    "commit_when_open_commits": Open, Commit => Committed;
    "cancel_when_open_cancels": Open, Cancel => Cancelled;
    "close_when_open_keeps_the_upload": Open, Close => Closed;
    "size_when_open_counts_accepted_bytes": Open, Size => Open;
    "drop_when_open_releases": Open, Drop => Open;

    "write_after_a_failed_write_is_invalid_state": Broken, Write;
    "commit_after_a_failed_write_is_invalid_state": Broken, Commit;
    "cancel_after_a_failed_write_cancels": Broken, Cancel => Cancelled;
    "close_after_a_failed_write_keeps_what_is_durable": Broken, Close => Closed;
    "size_after_a_failed_write_counts_accepted_bytes": Broken, Size => Broken;
    "drop_after_a_failed_write_releases": Broken, Drop => Broken;

    "write_after_commit_is_invalid_state": Committed, Write;
    "commit_after_commit_is_invalid_state": Committed, Commit;
    "cancel_after_commit_is_invalid_state": Committed, Cancel;
    "close_after_commit_is_ok": Committed, Close => CommittedClosed;
    "size_after_commit_is_the_same": Committed, Size => Committed;
    "drop_after_commit_releases": Committed, Drop => Committed;

    "write_after_cancel_is_invalid_state": Cancelled, Write;
    "commit_after_cancel_is_invalid_state": Cancelled, Commit;
    "cancel_after_cancel_does_nothing": Cancelled, Cancel => Cancelled;
    "close_after_cancel_is_ok": Cancelled, Close => CancelledClosed;
    "size_after_cancel_is_the_same": Cancelled, Size => Cancelled;
    "drop_after_cancel_releases": Cancelled, Drop => Cancelled;

    "write_after_close_is_invalid_state": Closed, Write;
    "commit_after_close_is_invalid_state": Closed, Commit;
    "cancel_after_close_is_invalid_state": Closed, Cancel;
    "close_after_close_does_nothing": Closed, Close => Closed;
    "size_after_close_is_what_an_append_finds": Closed, Size => Closed;
    "drop_after_close_releases": Closed, Drop => Closed;

    "write_after_commit_and_close_is_invalid_state": CommittedClosed, Write;
    "commit_after_commit_and_close_is_invalid_state": CommittedClosed, Commit;
    "cancel_after_commit_and_close_is_invalid_state": CommittedClosed, Cancel;
    "close_after_commit_and_close_does_nothing": CommittedClosed, Close => CommittedClosed;
    "size_after_commit_and_close_is_the_same": CommittedClosed, Size => CommittedClosed;
    "drop_after_commit_and_close_releases": CommittedClosed, Drop => CommittedClosed;

    "write_after_cancel_and_close_is_invalid_state": CancelledClosed, Write;
    "commit_after_cancel_and_close_is_invalid_state": CancelledClosed, Commit;
    "cancel_after_cancel_and_close_is_invalid_state": CancelledClosed, Cancel;
    "close_after_cancel_and_close_does_nothing": CancelledClosed, Close => CancelledClosed;
    "size_after_cancel_and_close_is_the_same": CancelledClosed, Size => CancelledClosed;
    "drop_after_cancel_and_close_releases": CancelledClosed, Drop => CancelledClosed;
};

/// Bytes written before the state in question.
const BEFORE: usize = 1000;
/// Bytes that the action `Write` writes.
const MORE: usize = 500;

fn cell(p: &Probe<'_>, state: State, action: Action, after: Option<State>) -> CaseResult {
    let path = p.path("file");
    let mut writer = brought_to(p, &path, state)?;
    let mut size = BEFORE;
    let outcome: Result<()> = match action {
        Write => {
            let mut data = vec![0; MORE];
            p.content(0).fill(BEFORE as u64, &mut data);
            let outcome = writer.write(&data);
            size += if outcome.is_ok() { MORE } else { 0 };
            outcome
        }
        Commit => writer.commit(&p.ctx),
        Cancel => writer.cancel(&p.ctx),
        Close => writer.close(&p.ctx),
        Size | Drop => Ok(()),
    };
    match after {
        Some(_) => outcome.during("the call")?,
        None => {
            let error = p.expect_error("the call", outcome, Code::InvalidState)?;
            ensure!(!error.detail().is_empty(), "the error does not say in which state");
        }
    }
    let found = writer.size();
    let after = after.unwrap_or(state);
    // What was accepted may not have become durable where a write failed.
    let shrunk = state == Broken && after == Closed && found <= size as u64;
    ensure!(found == size as u64 || shrunk, "size is {found}, expected {size}");
    if matches!(action, Drop) {
        drop(writer);
        return aftermath(p, &path, after, None, found);
    }
    aftermath(p, &path, after, Some(writer), found)
}

/// A writer in a state, with `BEFORE` bytes accepted.
fn brought_to(p: &Probe<'_>, path: &str, state: State) -> Step<Box<dyn Writer>> {
    let ctx = p.context();
    let mut writer = p.driver.writer(&ctx, path, false).during("writer")?;
    writer.write(&p.content(0).bytes(BEFORE)).during("write")?;
    match state {
        Open => {}
        Broken => {
            ctx.cancel();
            let outcome = writer.write(b"refused");
            p.expect_error("write under a cancelled context", outcome, Code::Cancelled)?;
        }
        Committed => p.commit(&mut *writer)?,
        Cancelled => p.cancel(&mut *writer)?,
        Closed => p.close(&mut *writer)?,
        CommittedClosed => {
            p.commit(&mut *writer)?;
            p.close(&mut *writer)?;
        }
        CancelledClosed => {
            p.cancel(&mut *writer)?;
            p.close(&mut *writer)?;
        }
    }
    Ok(writer)
}

/// What must hold at the path when a writer of `size` bytes is in `state`.
fn aftermath(
    p: &Probe<'_>,
    path: &str,
    state: State,
    writer: Option<Box<dyn Writer>>,
    size: u64,
) -> CaseResult {
    let content = p.content(0).bytes(size as usize);
    match (state, writer) {
        (Committed | CommittedClosed, _) => p.expect_content(path, &content),
        (Cancelled | CancelledClosed, _) => {
            p.expect_missing(path)?;
            p.expect_no_upload(path)
        }
        (Closed, _) => {
            let mut next = p.append(path)?;
            ensure!(next.size() == size, "an append found {}, expected {size}", next.size());
            p.commit(&mut *next)?;
            p.expect_content(path, &content)
        }
        (Open, Some(mut writer)) => {
            p.commit(&mut *writer)?;
            p.expect_content(path, &content)
        }
        (Broken, Some(mut writer)) => {
            p.cancel(&mut *writer)?;
            p.expect_missing(path)?;
            p.expect_no_upload(path)
        }
        // Dropped with unflushed bytes: the path is as good as new.
        (Open | Broken, None) => {
            p.write_file(path, b"next")?;
            p.expect_content(path, b"next")
        }
    }
}

/// `call` fails under a cancelled context, and succeeds when it is made again.
fn again(
    p: &Probe<'_>,
    path: &str,
    state_after: State,
    call: impl Fn(&mut dyn Writer, &crate::context::Context) -> Result<()>,
) -> CaseResult {
    let mut writer = brought_to(p, path, Open)?;
    let cancelled = p.context();
    cancelled.cancel();
    for _ in 0..2 {
        let outcome = call(&mut *writer, &cancelled);
        p.expect_error("the call under a cancelled context", outcome, Code::Cancelled)?;
    }
    call(&mut *writer, &p.ctx).during("the call made again")?;
    let size = writer.size();
    aftermath(p, path, state_after, Some(writer), size)
}

fn commit_again(p: &Probe<'_>) -> CaseResult {
    again(p, &p.path("file"), Committed, |writer, ctx| writer.commit(ctx))
}

fn close_again(p: &Probe<'_>) -> CaseResult {
    again(p, &p.path("file"), Closed, |writer, ctx| writer.close(ctx))
}

fn cancel_again(p: &Probe<'_>) -> CaseResult {
    again(p, &p.path("file"), Cancelled, |writer, ctx| writer.cancel(ctx))
}

fn keeps_new(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    p.put(&path, b"old")?;
    let mut writer = brought_to(p, &path, Committed)?;
    let outcome = writer.cancel(&p.ctx);
    p.expect_error("cancel after commit", outcome, Code::InvalidState)?;
    p.expect_content(&path, &p.content(0).bytes(BEFORE))?;
    drop(writer);
    p.expect_content(&path, &p.content(0).bytes(BEFORE))
}
