//! Cases can fail: each of these defects, put between the suite and a sound
//! driver, is caught by the case that is named for it.
#![cfg(feature = "inmemory")]

#[path = "common/broken.rs"]
mod broken;

use std::cell::RefCell;
use std::sync::Arc;

use broken::{Broken, Defect};
use storagedriver::base::Base;
use storagedriver::conformance::{self, Options, Outcome, Report};
use storagedriver::context::Context;
use storagedriver::driver::Driver;
use storagedriver::error::Code;
use storagedriver::factory;
use storagedriver::params::Params;

const TABLE: &[(Defect, &str)] = &[
    (Defect::LosesTheLastByte, "content/32_bytes_come_back"),
    (Defect::KeepsTheLongerTail, "content/shorter_content_replaces_longer"),
    (Defect::SwapsBlocks, "writer/1_mib_comes_back"),
    (Defect::RepeatsABlock, "reader/starts_anywhere_in_a_large_object"),
    (Defect::FindsDirectoriesByPrefix, "stat/prefix_of_another_name_is_no_directory"),
    (Defect::ListsUnsorted, "list/all_of_fifty_children_come_sorted"),
    (Defect::ListsAllBelow, "list/gives_full_paths_of_direct_children_only"),
    (Defect::LosesAPage, "list/pages_follow_each_other_without_gap_or_overlap"),
    (Defect::DestroysAtOpening, "writer/committed_content_stays_until_commit"),
    (Defect::CancelsWhatIsCommitted, "writer/cancel_after_commit_is_invalid_state"),
    (Defect::RefusesASecondClose, "writer/close_after_close_does_nothing"),
    (Defect::CountsFlushedBytesOnly, "writer/size_counts_every_accepted_byte"),
    (Defect::ShowsUploads, "writer/hidden_uploads_are_seen_by_no_call"),
    (Defect::CreatesByAppend, "resume/append_to_a_missing_path_is_path_not_found"),
    (Defect::ForgetsUploads, "resume/small_sessions_join"),
    (Defect::LeavesHandlesUnnamed, "errors/open_writers_name_the_driver"),
    (Defect::DeletesByPrefix, "delete/keeps_lexical_siblings"),
    (Defect::DeletesWhatIsMissing, "delete/missing_path_with_lexical_siblings_is_path_not_found"),
    (Defect::MovesByDeleting, "move/onto_itself_changes_nothing"),
    (Defect::NamesTheDestination, "move/missing_source_is_named_and_nothing_changes"),
    (Defect::WalksByKey, "walk/a_directory_comes_before_longer_names"),
    (Defect::StartsAtNotAfter, "walk/starts_after_every_entry_exactly"),
    (Defect::IgnoresSkip, "walk/skips_a_directory"),
    (Defect::TakesNegativeOffsets, "reader/negative_offset_is_invalid_offset"),
    (Defect::ReadsTheNewContent, "reader/goes_on_with_old_content_when_overwritten"),
    (Defect::ResolvesDots, "paths/dot_components_are_invalid"),
    (Defect::IgnoresContexts, "context/cancelled_before_the_call_gives_cancelled"),
    (Defect::PutsInTwoSteps, "concurrency/puts_on_one_path_leave_one_whole_content"),
    (Defect::StopsHalfWay, "context/a_put_cancelled_at_any_moment_is_whole_or_absent"),
    (Defect::StopsHalfWay, "context/a_move_cancelled_at_any_moment_loses_nothing"),
    (Defect::RedirectsToNowhere, "redirect/get_gives_none_or_a_url_with_scheme_and_host"),
    (Defect::KeepsTopDirectories, "suite/leaves_nothing_behind"),
    (Defect::TouchesOthers, "suite/touches_nothing_beside_its_directory"),
    (Defect::Panics, "stat/file_has_its_path_size_and_time"),
];

fn inmemory() -> Arc<Base> {
    factory::create("inmemory", &Context::none(), &Params::new()).unwrap()
}

fn run(driver: &dyn Driver, filter: &str) -> Report {
    let options = Options { filter: Some(filter), max_object_size: 16 << 20, ..Options::default() };
    conformance::run(driver, &Context::none(), options).unwrap()
}

#[test]
fn every_defect_is_caught_by_its_case() {
    let mut missed = Vec::new();
    for (defect, case) in TABLE {
        let broken = Broken::new(inmemory(), *defect);
        let report = run(&broken, case);
        match report.cases.as_slice() {
            [only] if only.outcome == Outcome::Failed && !only.detail.is_empty() => {
                println!("{defect:?}: {}", only.detail);
            }
            others => missed.push(format!("{defect:?} by {case}: {others:?}")),
        }
    }
    assert!(missed.is_empty(), "not caught:\n{}", missed.join("\n"));
}

#[test]
fn without_a_defect_the_same_cases_pass() {
    let sound = Broken::new(inmemory(), Defect::None);
    for (_, case) in TABLE {
        let report = run(&sound, case);
        assert_eq!((report.passed(), report.failed()), (1, 0), "{:?}", report.cases);
    }
}

#[test]
fn a_panic_of_the_driver_fails_its_case_and_the_run_goes_on() {
    let report = run(&Broken::new(inmemory(), Defect::Panics), "stat/*");
    let failed: Vec<_> =
        report.cases.iter().filter(|case| case.outcome == Outcome::Failed).collect();
    assert!(failed.iter().any(|case| case.detail.starts_with("panicked: ")), "{failed:?}");
    assert!(report.passed() > 0);
}

#[test]
fn the_suite_deletes_its_directories_even_when_cases_fail() {
    let store = inmemory();
    store.put_content(&Context::none(), "/registry/file", b"kept").unwrap();
    let report = run(&Broken::new(store.clone(), Defect::LosesTheLastByte), "content/*");
    assert!(report.failed() > 0);
    let left = store.list(&Context::none(), "/").unwrap();
    assert_eq!(left.iter().collect::<Vec<_>>(), ["/registry"]);
    assert_eq!(store.get_content(&Context::none(), "/registry/file").unwrap(), b"kept");
}

#[test]
fn each_case_is_told_when_it_ends() {
    let told = RefCell::new(Vec::new());
    let mut on_case = |case: &conformance::CaseReport| told.borrow_mut().push(case.name);
    let options =
        Options { filter: Some("paths/*"), on_case: Some(&mut on_case), ..Options::default() };
    let report = conformance::run(&*inmemory(), &Context::none(), options).unwrap();
    let names: Vec<_> = report.cases.iter().map(|case| case.name).collect();
    assert_eq!(*told.borrow(), names);
    let expected: Vec<_> =
        conformance::case_names().filter(|name| name.starts_with("paths/")).collect();
    assert_eq!(names, expected);
}

#[test]
fn a_context_that_ends_ends_the_run_between_cases_and_cleans_up() {
    let store = inmemory();
    let ctx = Context::new(&Context::none());
    let mut count = 0;
    let mut on_case = |_: &conformance::CaseReport| {
        count += 1;
        if count == 3 {
            ctx.cancel();
        }
    };
    let options = Options { on_case: Some(&mut on_case), ..Options::default() };
    let error = conformance::run(&*store, &ctx, options).unwrap_err();
    assert_eq!((error.code(), count), (Code::Cancelled, 3));
    assert!(store.list(&Context::none(), "/").unwrap().is_empty());
}

#[test]
fn a_filter_that_matches_nothing_is_refused() {
    for filter in ["nothing/like/this", "a[", ""] {
        let options = Options { filter: Some(filter), ..Options::default() };
        let error = conformance::run(&*inmemory(), &Context::none(), options).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
    }
}

#[test]
fn a_seed_is_reported_and_repeats_the_run() {
    let report = run(&*inmemory(), "content/one*");
    assert_ne!(report.seed, 0);
    // The same wrong byte, in the same case, of two stores.
    let detail = |seed| {
        let broken = Broken::new(inmemory(), Defect::SwapsBlocks);
        let filter = Some("writer/1_mib_comes_back");
        let options = Options { filter, seed, ..Options::default() };
        let report = conformance::run(&broken, &Context::none(), options).unwrap();
        assert_eq!(report.seed, seed);
        report.cases[0].detail.clone()
    };
    assert_eq!(detail(7), detail(7));
    assert_ne!(detail(7), detail(8));
}
