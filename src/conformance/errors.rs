//! What errors carry: the code, the driver, the path, a text and a JSON form.

use super::Case;
use super::probe::{CaseResult, During, Probe, ensure, failed};
use crate::driver::WalkOptions;
use crate::error::{Code, Error};

pub const CASES: &[Case] = &[
    Case { name: "errors/path_not_found_names_driver_and_path", run: not_found },
    Case { name: "errors/every_call_names_the_missing_path", run: every_call },
    Case { name: "errors/invalid_path_names_driver_and_path", run: invalid_path },
    Case { name: "errors/invalid_offset_names_driver_path_and_offset", run: invalid_offset },
    Case { name: "errors/open_readers_name_the_driver", run: of_readers },
    Case { name: "errors/open_writers_name_the_driver", run: of_writers },
    Case { name: "errors/open_walkers_name_the_driver", run: of_walkers },
    Case { name: "errors/json_has_driver_and_detail", run: json },
    Case { name: "errors/texts_are_one_line", run: one_line },
];

fn not_found(p: &Probe<'_>) -> CaseResult {
    let path = p.path("missing");
    let outcome = p.driver.get_content(&p.ctx, &path);
    let error = p.expect_error("get_content", outcome, Code::PathNotFound)?;
    ensure!(error.path() == path, "the error names the path {:?}", error.path());
    let expected = format!("{}: Path not found: {path}", p.driver.name());
    ensure!(error.to_string() == expected, "the text is {error}");
    ensure!(error.offset().is_none(), "the error has an offset");
    ensure!(!error.is_retryable(), "a missing path is said to be worth another try");
    Ok(())
}

fn every_call(p: &Probe<'_>) -> CaseResult {
    let (driver, ctx) = (p.driver, &p.ctx);
    let path = p.path("missing");
    let dest = p.path("dest");
    let code = Code::PathNotFound;
    let errors = [
        p.expect_error("get_content", driver.get_content(ctx, &path), code)?,
        p.expect_error("reader", driver.reader(ctx, &path, 0), code)?,
        p.expect_error("append", driver.writer(ctx, &path, true), code)?,
        p.expect_error("stat", driver.stat(ctx, &path), code)?,
        p.expect_error("list", driver.list(ctx, &path), code)?,
        p.expect_error("list_page", driver.list_page(ctx, &path, None, 5), code)?,
        p.expect_error("move", driver.r#move(ctx, &path, &dest), code)?,
        p.expect_error("delete", driver.delete(ctx, &path), code)?,
        p.expect_error("walk", driver.walker(ctx, &path, &WalkOptions::default()), code)?,
    ];
    match errors.iter().find(|error| error.path() != path) {
        Some(error) => failed(format!("an error about {path} names {:?}", error.path())),
        None => Ok(()),
    }
}

fn invalid_path(p: &Probe<'_>) -> CaseResult {
    let outcome = p.driver.put_content(&p.ctx, "not/absolute", b"x");
    let error = p.expect_error("put_content", outcome, Code::InvalidPath)?;
    let expected = format!("{}: invalid path: not/absolute", p.driver.name());
    ensure!(error.to_string() == expected, "the text is {error}");
    Ok(())
}

fn invalid_offset(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    let outcome = p.driver.reader(&p.ctx, &path, -5);
    let error = p.expect_error("reader", outcome, Code::InvalidOffset)?;
    ensure!(error.offset() == Some(-5), "the error has the offset {:?}", error.offset());
    let expected = format!("{}: invalid offset: -5 for path: {path}", p.driver.name());
    ensure!(error.to_string() == expected, "the text is {error}");
    Ok(())
}

fn of_readers(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    p.put(&path, b"content")?;
    let ctx = p.context();
    let mut reader = p.driver.reader(&ctx, &path, 0).during("reader")?;
    ctx.cancel();
    p.expect_error("read", reader.read(&mut [0; 8]), Code::Cancelled).map(drop)
}

fn of_writers(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    let mut writer = p.fresh(&path)?;
    p.close(&mut *writer)?;
    for outcome in [writer.write(b"x"), writer.commit(&p.ctx), writer.cancel(&p.ctx)] {
        let error = p.expect_error("a call after close", outcome, Code::InvalidState)?;
        ensure!(error.path() == path, "the error names the path {:?}", error.path());
    }
    Ok(())
}

fn of_walkers(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path("d/file"), b"content")?;
    let ctx = p.context();
    let walker = p.driver.walker(&ctx, &p.path("d"), &WalkOptions::default()).during("walk")?;
    let Some(mut walker) = walker else { return failed("the driver has no walker") };
    ctx.cancel();
    p.expect_error("next", walker.next(), Code::Cancelled).map(drop)
}

/// Errors of several kinds.
fn samples(p: &Probe<'_>) -> Result<Vec<Error>, super::probe::Stop> {
    let (driver, ctx) = (p.driver, &p.ctx);
    let (file, missing) = (p.path("file"), p.path("missing"));
    p.put(&file, b"content")?;
    let mut closed = p.fresh(&p.path("upload"))?;
    p.close(&mut *closed)?;
    let ended = p.context();
    ended.cancel();
    let missed = driver.get_content(ctx, &missing);
    Ok(vec![
        p.expect_error("get_content", missed, Code::PathNotFound)?,
        p.expect_error("stat", driver.stat(ctx, "odd \"path\""), Code::InvalidPath)?,
        p.expect_error("reader", driver.reader(ctx, &file, -1), Code::InvalidOffset)?,
        p.expect_error("list", driver.list(ctx, &file), Code::NotDirectory)?,
        p.expect_error("write", closed.write(b"x"), Code::InvalidState)?,
        p.expect_error("stat", driver.stat(&ended, &file), Code::Cancelled)?,
    ])
}

fn json(p: &Probe<'_>) -> CaseResult {
    for error in samples(p)? {
        let text = error.json();
        let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) else {
            return failed(format!("no JSON: {text}"));
        };
        let driver = value.get("driver").and_then(|v| v.as_str());
        ensure!(driver == Some(p.driver.name()), "the JSON names another driver: {text}");
        let detail = value.get("detail").and_then(|v| v.as_str()).unwrap_or_default();
        ensure!(!detail.is_empty(), "the JSON has no detail: {text}");
        let whole = format!("{}: {detail}", p.driver.name());
        ensure!(error.to_string() == whole, "the JSON says {detail:?}, the text {error}");
    }
    Ok(())
}

fn one_line(p: &Probe<'_>) -> CaseResult {
    for error in samples(p)? {
        let detail = error.detail();
        ensure!(!detail.contains('\n'), "the detail has several lines: {detail:?}");
        ensure!(!detail.contains("SD_ERR"), "the detail has the name of a code: {detail:?}");
        ensure!(!detail.ends_with('.'), "the detail ends with a dot: {detail:?}");
    }
    // Even about a path that is none: a log has a record on each line.
    let outcome = p.driver.stat(&p.ctx, "/several\nlines");
    let text = p.expect_error("stat", outcome, Code::InvalidPath)?.to_string();
    ensure!(!text.contains('\n'), "the text has several lines: {text:?}");
    Ok(())
}
