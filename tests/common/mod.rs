//! Runs the suite from a test, and says what failed.

use std::env;

use storagedriver::conformance::{self, Options, Outcome, Report};
use storagedriver::context::Context;
use storagedriver::driver::Driver;

/// Large enough for uploads in several parts; more is a matter of time only.
/// `SD_TEST_MAX_OBJECT_SIZE` sets another one: 5368709120 runs all.
const MAX_OBJECT_SIZE: u64 = 48 * 1024 * 1024;

/// Fewer would mean that cases got lost.
const FEWEST: usize = 230;

/// Every case passes, but for the few that say nothing about this driver.
/// `SD_TEST_FILTER` runs some of them only, `SD_TEST_SEED` repeats a run.
#[allow(dead_code)] // each test program uses a part of this
pub fn run_suite(driver: &dyn Driver) {
    run_suite_but(driver, &[]);
}

/// For a server that does not always keep these: every other case passes.
pub fn run_suite_but(driver: &dyn Driver, but: &[&str]) {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse().ok());
    let filter = env::var("SD_TEST_FILTER").ok();
    let options = Options {
        filter: filter.as_deref(),
        max_object_size: number("SD_TEST_MAX_OBJECT_SIZE").unwrap_or(MAX_OBJECT_SIZE),
        seed: number("SD_TEST_SEED").unwrap_or_default(),
        ..Options::default()
    };
    let report = conformance::run(driver, &Context::none(), options).unwrap();
    print(&report);
    for name in but {
        assert!(conformance::case_names().any(|known| known == *name), "no case {name}");
    }
    let failed = report.cases.iter().filter(|case| case.outcome == Outcome::Failed);
    let failed: Vec<_> = failed.map(|case| case.name).filter(|name| !but.contains(name)).collect();
    assert!(failed.is_empty(), "{failed:?}, seed {}", report.seed);
    assert!(report.passed() >= FEWEST || filter.is_some(), "{} passed", report.passed());
}

fn print(report: &Report) {
    for case in &report.cases {
        if case.outcome != Outcome::Passed {
            println!("{} {}: {}", case.outcome.word(), case.name, case.detail);
        }
    }
    let mut slowest: Vec<_> = report.cases.iter().collect();
    slowest.sort_by_key(|case| std::cmp::Reverse(case.duration));
    for case in slowest.iter().take(5) {
        println!("{:>6} ms {}", case.duration.as_millis(), case.name);
    }
    let (passed, failed, skipped) = (report.passed(), report.failed(), report.skipped());
    println!("{passed} passed, {failed} failed, {skipped} skipped, seed {}", report.seed);
}
