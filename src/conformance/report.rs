//! Counting a report's cases, and its JSON form.

use serde_json::{Map, Value};

use super::{CaseReport, Outcome, Report};

impl Outcome {
    /// "passed", "failed" or "skipped".
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::Skipped => "skipped",
        }
    }
}

impl Report {
    pub fn passed(&self) -> usize {
        self.count(Outcome::Passed)
    }

    pub fn failed(&self) -> usize {
        self.count(Outcome::Failed)
    }

    pub fn skipped(&self) -> usize {
        self.count(Outcome::Skipped)
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.cases.iter().filter(|case| case.outcome == outcome).count()
    }

    /// One object: the driver, the seed (as text, since it has 64 bits), the
    /// directory, the three counts, and `cases` with name, outcome, detail and
    /// milliseconds.
    pub fn to_json(&self) -> String {
        let mut object = Map::new();
        let mut set = |key: &str, value: Value| object.insert(key.to_string(), value);
        set("driver", Value::from(self.driver.as_str()));
        set("seed", Value::from(self.seed.to_string()));
        set("directory", Value::from(self.directory.as_str()));
        set("passed", Value::from(self.passed()));
        set("failed", Value::from(self.failed()));
        set("skipped", Value::from(self.skipped()));
        set("cases", self.cases.iter().map(case).collect());
        Value::Object(object).to_string()
    }
}

fn case(case: &CaseReport) -> Value {
    let mut object = Map::new();
    let mut set = |key: &str, value: Value| object.insert(key.to_string(), value);
    set("name", Value::from(case.name));
    set("outcome", Value::from(case.outcome.word()));
    set("detail", Value::from(case.detail.as_str()));
    let millis = u64::try_from(case.duration.as_millis()).unwrap_or(u64::MAX);
    set("duration_ms", Value::from(millis));
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn json_tells_counts_and_every_case() {
        let case = |name, outcome, detail: &str| CaseReport {
            name,
            outcome,
            detail: detail.to_string(),
            duration: Duration::from_millis(3),
        };
        let report = Report {
            driver: "foo".to_string(),
            seed: u64::MAX,
            directory: "/x".to_string(),
            cases: vec![
                case("a/b", Outcome::Passed, ""),
                case("a/c", Outcome::Failed, "said \"no\""),
            ],
        };
        let value: Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(value["seed"], "18446744073709551615");
        assert_eq!((&value["passed"], &value["failed"]), (&Value::from(1), &Value::from(1)));
        assert_eq!(value["cases"][1]["detail"], "said \"no\"");
        assert_eq!(value["cases"][1]["outcome"], "failed");
        assert_eq!(value["cases"][0]["duration_ms"], 3);
    }
}
