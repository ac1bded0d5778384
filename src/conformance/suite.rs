//! What the suite promises of itself. These run last, after the directory of the
//! run has been deleted.

use super::Case;
use super::probe::{BESIDE_LEN, CaseResult, During, Probe, ensure, failed};

pub const TOPIC: &str = "suite";

pub const CASES: &[Case] = &[
    Case { name: "suite/touches_nothing_beside_its_directory", run: touches_nothing },
    Case { name: "suite/leaves_nothing_behind", run: leaves_nothing },
];

fn touches_nothing(p: &Probe<'_>) -> CaseResult {
    if let Some(failure) = &p.beside.failure {
        return failed(format!("the file beside the suite could not be put: {failure}"));
    }
    p.expect_content(&p.beside.path, &p.beside.content.bytes(BESIDE_LEN))?;
    let children = p.list(&p.beside.directory)?;
    ensure!(children == [p.beside.path.as_str()], "beside the suite are now {children:?}");
    Ok(())
}

fn leaves_nothing(p: &Probe<'_>) -> CaseResult {
    if p.beside.failure.is_none() {
        p.delete(&p.beside.directory)?;
    }
    let top = p.driver.list(&p.ctx, "/").during("list /")?;
    for directory in [p.run_directory, &p.beside.directory] {
        p.expect_missing(directory)?;
        ensure!(top.iter().all(|name| name != directory), "/ still lists {directory}");
    }
    Ok(())
}
