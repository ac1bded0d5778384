//! Runs cases one after the other, each in its own directory, and cleans up
//! after them whatever happens.

use std::any::Any;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::content::{Content, mix};
use super::probe::{BESIDE_LEN, Beside, CaseResult, During, Probe, Stop};
use super::{Case, CaseReport, Options, Outcome, Report, cases, suite};
use crate::context::Context;
use crate::driver::Driver;
use crate::error::{Code, Error, Result};

const DEFAULT_MAX_OBJECT_SIZE: u64 = 128 * 1024 * 1024;

/// How long deleting what the cases made may take, since it must not depend on
/// the context of a run that may have ended.
const CLEANING_TIME: Duration = Duration::from_secs(300);

pub fn run(driver: &dyn Driver, ctx: &Context, mut options: Options<'_>) -> Result<Report> {
    ctx.status()?;
    let chosen = choose(options.filter)?;
    let run = Run::new(driver, ctx, &options);
    let report = run.all(&chosen, &mut options);
    run.remove(&run.directory);
    run.remove(&run.beside.directory);
    report
}

/// The cases that the filter matches, with their numbers.
fn choose(filter: Option<&str>) -> Result<Vec<(usize, &'static Case)>> {
    let pattern = filter.map(glob::Pattern::new).transpose().map_err(|error| {
        Error::invalid_argument(format!("the filter of the cases: {}", error.msg))
    })?;
    let matches = |case: &Case| pattern.as_ref().is_none_or(|p| p.matches(case.name));
    let chosen: Vec<_> = cases().enumerate().filter(|(_, case)| matches(case)).collect();
    if chosen.is_empty() {
        return Err(Error::invalid_argument("no case matches the filter"));
    }
    Ok(chosen)
}

struct Run<'a> {
    driver: &'a dyn Driver,
    ctx: &'a Context,
    seed: u64,
    max_object_size: u64,
    no_redirect: bool,
    directory: String,
    beside: Beside,
}

impl<'a> Run<'a> {
    fn new(driver: &'a dyn Driver, ctx: &'a Context, options: &Options<'_>) -> Run<'a> {
        let seed = if options.seed == 0 { random() } else { options.seed };
        let max_object_size = match options.max_object_size {
            0 => DEFAULT_MAX_OBJECT_SIZE,
            size => size,
        };
        // Not from the seed: two runs with one seed must not meet.
        let directory = format!("/sd-conformance-{:016x}", random());
        let beside = format!("/sd-conformance-{:016x}", random());
        let mut beside = Beside {
            path: format!("{beside}/untouched"),
            directory: beside,
            content: Content::new(seed, u64::MAX),
            failure: None,
        };
        let put = || driver.put_content(ctx, &beside.path, &beside.content.bytes(BESIDE_LEN));
        beside.failure = match caught(|| put().during("put_content")) {
            Err(Stop::Failed(detail)) => Some(detail),
            _ => None,
        };
        let no_redirect = options.no_redirect;
        Run { driver, ctx, seed, max_object_size, no_redirect, directory, beside }
    }

    fn all(&self, chosen: &[(usize, &'static Case)], options: &mut Options<'_>) -> Result<Report> {
        let mut cases = Vec::with_capacity(chosen.len());
        for &(number, case) in chosen {
            if case.topic() == suite::TOPIC {
                self.remove(&self.directory);
            }
            let report = self.one(number, case);
            // What a case says after its context ended is not about the driver.
            self.ctx.status()?;
            if let Some(on_case) = &mut options.on_case {
                on_case(&report);
            }
            cases.push(report);
            self.ctx.status()?;
        }
        let (driver, directory) = (self.driver.name().to_string(), self.directory.clone());
        Ok(Report { driver, seed: self.seed, directory, cases })
    }

    fn one(&self, number: usize, case: &'static Case) -> CaseReport {
        let ctx = Context::new(self.ctx);
        ctx.set_field("case", case.name);
        let probe = Probe {
            driver: self.driver,
            ctx,
            capabilities: self.driver.capabilities(),
            directory: format!("{}/{}-{number}", self.directory, case.topic()),
            run_directory: &self.directory,
            beside: &self.beside,
            seed: case.name.bytes().fold(self.seed, |seed, byte| mix(seed ^ u64::from(byte))),
            max_object_size: self.max_object_size,
            no_redirect: self.no_redirect,
        };
        let started = Instant::now();
        let ended = caught(|| (case.run)(&probe));
        let cleaned = self.remove(&probe.directory);
        let (outcome, detail) = match (ended, cleaned) {
            (Err(Stop::Failed(detail)), _) => (Outcome::Failed, detail),
            (_, Some(detail)) => (Outcome::Failed, detail),
            (Err(Stop::Skipped(reason)), None) => (Outcome::Skipped, reason),
            (Ok(()), None) => (Outcome::Passed, String::new()),
        };
        CaseReport { name: case.name, outcome, detail, duration: started.elapsed() }
    }

    /// Deletes a directory of ours; says what went wrong, if anything did.
    fn remove(&self, directory: &str) -> Option<String> {
        let ctx = Context::new(&Context::none());
        ctx.set_timeout(CLEANING_TIME);
        let outcome = caught(|| match self.driver.delete(&ctx, directory) {
            Err(error) if error.code() != Code::PathNotFound => {
                Err(Stop::Failed(format!("cleaning up: {error}")))
            }
            _ => Ok(()),
        });
        match outcome {
            Err(Stop::Failed(detail)) => Some(detail),
            _ => None,
        }
    }
}

/// A panic in a case, or in the driver under it, fails that case only.
fn caught(work: impl FnOnce() -> CaseResult) -> CaseResult {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(Stop::Failed(format!("panicked: {}", text(&*panic)))))
}

fn text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "without a text",
    }
}

/// The standard library's only random numbers: the keys of a hash map.
fn random() -> u64 {
    mix(RandomState::new().build_hasher().finish()).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_must_match_something() {
        assert!(choose(Some("walk/*")).is_ok_and(|cases| cases.len() > 10));
        assert_eq!(choose(Some("nothing/*")).err().unwrap().code(), Code::InvalidArgument);
        assert_eq!(choose(Some("a[")).err().unwrap().code(), Code::InvalidArgument);
    }

    #[test]
    fn a_panic_is_a_failure_with_its_text() {
        let outcome = caught(|| panic!("thus {}", 1));
        assert!(matches!(outcome, Err(Stop::Failed(text)) if text == "panicked: thus 1"));
    }

    #[test]
    fn random_numbers_differ() {
        assert_ne!(random(), random());
    }
}
