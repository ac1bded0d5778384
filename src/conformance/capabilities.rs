//! What differs by the nature of a store, both ways. Uploads are in `writer` and
//! `resume`, URLs in `redirect`.

use super::Case;
use super::probe::{CaseResult, Probe, ensure};
use crate::driver::WalkOptions;
use crate::error::Code;

pub const CASES: &[Case] = &[
    Case { name: "capabilities/name_and_capabilities_are_constant", run: constant },
    Case { name: "capabilities/an_emptied_directory_stays_where_directories_are_real", run: stays },
    Case { name: "capabilities/an_emptied_directory_goes_where_they_are_not", run: goes },
    Case { name: "capabilities/real_directories_hold_no_file_in_their_place", run: exclusive },
    Case { name: "capabilities/flat_stores_take_a_file_beside_a_directory", run: flat },
];

fn constant(p: &Probe<'_>) -> CaseResult {
    let name = p.driver.name();
    ensure!(!name.is_empty(), "the driver has no name");
    p.put(&p.path("file"), b"content")?;
    ensure!(p.driver.name() == name, "the name changed to {}", p.driver.name());
    let now = p.driver.capabilities();
    ensure!(now == p.capabilities, "the capabilities changed to {now:?}");
    Ok(())
}

/// Makes a directory `d/e` and empties it.
fn emptied(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path("d/e/file"), b"content")?;
    p.put(&p.path("d/e/moved"), b"content")?;
    p.rename(&p.path("d/e/moved"), &p.path("elsewhere"))?;
    p.delete(&p.path("d/e/file"))
}

fn stays(p: &Probe<'_>) -> CaseResult {
    p.needs("real_directories", p.capabilities.real_directories)?;
    emptied(p)?;
    let path = p.path("d/e");
    let info = p.stat(&path)?;
    ensure!(info.is_dir && info.size == 0, "the emptied directory is {info:?}");
    ensure!(p.list(&path)?.is_empty(), "the emptied directory has children");
    ensure!(p.list_names(&p.path("d"))? == ["e"], "the emptied directory is not listed");
    let entry = p.walker(&path, &WalkOptions::default())?.next();
    ensure!(matches!(entry, Ok(None)), "a walk of the emptied directory gives {entry:?}");
    p.delete(&path)?;
    p.expect_missing(&path)
}

fn goes(p: &Probe<'_>) -> CaseResult {
    p.needs_not("real_directories", p.capabilities.real_directories)?;
    emptied(p)?;
    for rest in ["d/e", "d"] {
        let path = p.path(rest);
        p.expect_missing(&path)?;
        p.expect_error("list", p.driver.list(&p.ctx, &path), Code::PathNotFound)?;
        p.expect_error("delete", p.driver.delete(&p.ctx, &path), Code::PathNotFound)?;
        let walk = p.driver.walker(&p.ctx, &path, &WalkOptions::default());
        p.expect_error("walk", walk, Code::PathNotFound)?;
    }
    ensure!(p.list_names(&p.directory)? == ["elsewhere"], "an emptied directory is listed");
    Ok(())
}

fn exclusive(p: &Probe<'_>) -> CaseResult {
    p.needs("real_directories", p.capabilities.real_directories)?;
    p.put(&p.path("d/file"), b"content")?;
    let put = |rest: &str| p.driver.put_content(&p.ctx, &p.path(rest), b"x");
    p.expect_error("put over a directory", put("d"), Code::IsDirectory)?;
    p.expect_error("put below a file", put("d/file/x"), Code::NotDirectory)?;
    p.expect_error("put far below a file", put("d/file/x/y"), Code::NotDirectory)?;
    // An emptied directory is one still.
    p.delete(&p.path("d/file"))?;
    p.expect_error("put over an empty directory", put("d"), Code::IsDirectory).map(drop)
}

fn flat(p: &Probe<'_>) -> CaseResult {
    p.needs_not("real_directories", p.capabilities.real_directories)?;
    let (file, below) = (p.path("node"), p.path("node/below"));
    p.put(&below, b"below")?;
    p.put(&file, b"file")?;
    ensure!(p.get(&file)? == b"file", "the file beside the directory is not there");
    ensure!(p.get(&below)? == b"below", "the directory beside the file is not there");
    ensure!(p.list_names(&p.directory)? == ["node"], "the name is not listed once");
    p.delete(&file)?;
    p.expect_missing(&file)?;
    p.expect_missing(&below)
}
