//! The suite that says what every driver promises, as cases that any driver can
//! be run through. Each case works below a random directory of its own and
//! deletes that alone: the store may hold a registry.
//!
//! A case is called `topic/promise`; there is one file for each topic.

mod capabilities;
mod concurrency;
mod content;
mod content_cases;
mod context_cases;
mod delete;
mod errors;
mod list;
mod model;
mod moves;
mod paths;
mod probe;
mod reader;
mod redirect;
mod report;
mod resume;
mod runner;
mod stat;
mod suite;
mod walk;
mod walk_options;
mod writer;
mod writer_states;

use std::time::Duration;

use crate::context::Context;
use crate::driver::Driver;
use crate::error::Result;
use probe::{CaseResult, Probe};

/// What to run, and how large.
#[derive(Default)]
pub struct Options<'a> {
    /// A glob over the names of cases; `None` runs all.
    pub filter: Option<&'a str>,
    /// The most bytes that a case may store at a time; 0 means 128 MiB. The case
    /// of 5 GiB runs only where this allows it.
    pub max_object_size: u64,
    /// Do not ask for redirect URLs.
    pub no_redirect: bool,
    /// What contents and choices are derived from; 0 means a random one.
    pub seed: u64,
    /// Called after each case.
    pub on_case: Option<&'a mut dyn FnMut(&CaseReport)>,
}

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Failed,
    /// It says nothing about this driver, or about this run; the detail says why.
    Skipped,
}

/// What came out of a case.
#[derive(Clone, Debug)]
pub struct CaseReport {
    pub name: &'static str,
    pub outcome: Outcome,
    /// Why it failed or was skipped; "" for a case that passed.
    pub detail: String,
    pub duration: Duration,
}

/// What came out of a run, case by case in the order in which they ran.
#[derive(Clone, Debug)]
pub struct Report {
    pub driver: String,
    /// With it a run is repeated with the same contents and choices.
    pub seed: u64,
    /// Where the cases worked; deleted at the end.
    pub directory: String,
    pub cases: Vec<CaseReport>,
}

/// Runs the suite over a driver. A failing case is no error: the report says so.
/// `InvalidArgument` for a filter that is malformed or matches no case,
/// `Cancelled` and `Deadline` when the context ends the run, which is noticed
/// between cases; what the cases made is deleted then, too.
pub fn run(driver: &dyn Driver, ctx: &Context, options: Options<'_>) -> Result<Report> {
    runner::run(driver, ctx, options)
}

/// The names of all cases, in the order in which they run.
pub fn case_names() -> impl Iterator<Item = &'static str> {
    cases().map(|case| case.name)
}

/// A promise and the function that puts it to the test.
struct Case {
    name: &'static str,
    run: fn(&Probe<'_>) -> CaseResult,
}

impl Case {
    fn topic(&self) -> &'static str {
        self.name.split('/').next().unwrap_or(self.name)
    }
}

fn cases() -> impl Iterator<Item = &'static Case> {
    let topics: [&'static [Case]; 19] = [
        paths::CASES,
        content_cases::CASES,
        reader::CASES,
        writer::CASES,
        writer_states::CASES,
        resume::CASES,
        stat::CASES,
        list::CASES,
        moves::CASES,
        delete::CASES,
        walk::CASES,
        walk_options::CASES,
        errors::CASES,
        context_cases::CASES,
        capabilities::CASES,
        redirect::CASES,
        model::CASES,
        concurrency::CASES,
        // Last: it looks at what the others left.
        suite::CASES,
    ];
    topics.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_of_cases_are_distinct_and_well_formed() {
        let mut seen = BTreeSet::new();
        for name in case_names() {
            assert!(seen.insert(name), "{name} twice");
            let (topic, promise) = name.split_once('/').unwrap();
            for part in [topic, promise] {
                let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
                assert!(!part.is_empty() && part.bytes().all(ok), "{name}");
            }
        }
    }
}
