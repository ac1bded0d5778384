//! What the documents say about the code is so.

use std::collections::BTreeSet;

use storagedriver::conformance;

/// Words in backquotes that look like `topic/promise`.
fn cases_named(text: &str) -> BTreeSet<&str> {
    let topics: BTreeSet<&str> =
        conformance::case_names().filter_map(|name| name.split('/').next()).collect();
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|word| word.split_once('/').is_some_and(|(t, _)| topics.contains(t))).collect()
}

#[test]
fn semantics_names_cases_that_exist() {
    let known: BTreeSet<&str> = conformance::case_names().collect();
    let text = include_str!("../SEMANTICS.md");
    let named = cases_named(text);
    assert!(named.len() > 50, "only {} cases are named", named.len());
    let unknown: Vec<&&str> = named.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn every_topic_of_the_suite_is_in_semantics() {
    let text = include_str!("../SEMANTICS.md");
    let shown: BTreeSet<&str> =
        cases_named(text).into_iter().filter_map(|name| name.split('/').next()).collect();
    // These test the suite itself, and everything at once.
    let elsewhere = ["suite", "model"];
    for topic in conformance::case_names().filter_map(|name| name.split('/').next()) {
        assert!(shown.contains(topic) || elsewhere.contains(&topic), "{topic}");
    }
}
