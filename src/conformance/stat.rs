//! What is known of a path.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Case;
use super::probe::{CaseResult, Probe, ensure, failed};
use crate::error::Code;

pub const CASES: &[Case] = &[
    Case { name: "stat/file_has_its_path_size_and_time", run: file },
    Case { name: "stat/directory_has_its_path_and_no_size", run: directory },
    Case { name: "stat/the_root_is_a_directory_on_any_store", run: root },
    Case { name: "stat/missing_path_is_path_not_found", run: missing },
    Case { name: "stat/prefix_of_another_name_is_no_directory", run: prefix },
    Case { name: "stat/below_a_file_is_path_not_found", run: below_a_file },
    Case { name: "stat/size_follows_every_change", run: sizes },
    Case { name: "stat/time_is_newer_after_an_overwrite", run: newer_by_put },
    Case { name: "stat/time_is_newer_after_a_commit", run: newer_by_commit },
    Case { name: "stat/time_of_a_directory_is_known_by_capability", run: directory_time },
];

/// Stores count seconds at the coarsest; some let a while pass.
const NEWER_WITHIN: Duration = Duration::from_secs(15);

fn file(p: &Probe<'_>) -> CaseResult {
    let path = p.path("d/file");
    p.put(&path, &p.content(0).bytes(4096))?;
    let info = p.stat(&path)?;
    ensure!(info.path == path, "the path is {:?}, asked for {path:?}", info.path);
    ensure!(info.size == 4096, "the size is {}, expected 4096", info.size);
    ensure!(!info.is_dir, "the file is a directory");
    ensure!(info.mtime_ns > 0, "the time is {}", info.mtime_ns);
    Ok(())
}

fn directory(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path("d/e/file"), &p.content(0).bytes(4096))?;
    for rest in ["d", "d/e"] {
        let path = p.path(rest);
        let info = p.stat(&path)?;
        ensure!(info.path == path, "the path is {:?}, asked for {path:?}", info.path);
        ensure!(info.is_dir, "{path} is no directory");
        ensure!(info.size == 0, "the size is {}, expected 0", info.size);
    }
    Ok(())
}

fn root(p: &Probe<'_>) -> CaseResult {
    let info = p.stat("/")?;
    ensure!(info.path == "/" && info.is_dir && info.size == 0, "the root is {info:?}");
    Ok(())
}

fn missing(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path("d/file"), b"content")?;
    for rest in ["missing", "d/missing", "missing/file", "d/missing/file"] {
        let path = p.path(rest);
        let outcome = p.driver.stat(&p.ctx, &path);
        let error = p.expect_error(&format!("stat {path}"), outcome, Code::PathNotFound)?;
        ensure!(error.path() == path, "the error names the path {:?}", error.path());
    }
    Ok(())
}

fn prefix(p: &Probe<'_>) -> CaseResult {
    for rest in ["ab/file", "a-b", "a.b/file", "aa", "a0"] {
        p.put(&p.path(rest), b"content")?;
    }
    p.expect_missing(&p.path("a"))?;
    p.put(&p.path("d/ab"), b"content")?;
    p.expect_missing(&p.path("d/a"))
}

fn below_a_file(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path("file"), b"content")?;
    for rest in ["file/x", "file/x/y"] {
        let outcome = p.driver.stat(&p.ctx, &p.path(rest));
        p.expect_error(&format!("stat {rest}"), outcome, Code::PathNotFound)?;
    }
    Ok(())
}

fn sizes(p: &Probe<'_>) -> CaseResult {
    let path = p.path("file");
    for len in [0_usize, 5000, 1, 70_000, 0] {
        p.put(&path, &p.content(0).bytes(len))?;
        let size = p.stat(&path)?.size;
        ensure!(size == len as u64, "put {len} bytes, stat says {size}");
        p.write_file(&path, &p.content(0).bytes(len + 3))?;
        let size = p.stat(&path)?.size;
        ensure!(size == len as u64 + 3, "committed {} bytes, stat says {size}", len + 3);
    }
    Ok(())
}

fn newer_by_put(p: &Probe<'_>) -> CaseResult {
    newer(p, |path, data| p.put(path, data))
}

fn newer_by_commit(p: &Probe<'_>) -> CaseResult {
    newer(p, |path, data| p.write_file(path, data))
}

/// Overwrites until the time is newer, with longer and longer pauses.
fn newer(p: &Probe<'_>, overwrite: impl Fn(&str, &[u8]) -> CaseResult) -> CaseResult {
    let path = p.path("file");
    let data = p.content(0).bytes(4096);
    overwrite(&path, &data)?;
    let first = p.stat(&path)?.mtime_ns;
    let started = Instant::now();
    let mut pause = Duration::from_millis(2);
    while started.elapsed() < NEWER_WITHIN {
        sleep(pause);
        pause = (pause * 2).min(Duration::from_secs(1));
        overwrite(&path, &data)?;
        let now = p.stat(&path)?.mtime_ns;
        ensure!(now >= first, "the time went back from {first} to {now}");
        if now > first {
            return Ok(());
        }
    }
    failed(format!("the time is still {first} after overwriting for {NEWER_WITHIN:?}"))
}

fn directory_time(p: &Probe<'_>) -> CaseResult {
    p.put(&p.path("d/file"), b"content")?;
    let time = p.stat(&p.path("d"))?.mtime_ns;
    if p.capabilities.mtime_of_directories {
        ensure!(time > 0, "the time is {time}, and the driver has mtime_of_directories");
    } else {
        ensure!(time == 0, "the time is {time}, and the driver has not mtime_of_directories");
    }
    Ok(())
}
