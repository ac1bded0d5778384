//! Walks of a bucket in memory, in every order a store may list in.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::drivers::s3::fake::{self, Fake};
use crate::http::parts::Limits;

const LIMITS: Limits = Limits { min_part: 8, max_part: 64, max_parts: 40, max_object: 2000 };

fn bucket(keys: &[&str], order: fake::Order, page: usize) -> Arc<Fake> {
    let fake = Fake::new(LIMITS, 1);
    for key in keys {
        fake.store(key, b"x");
    }
    fake.state.lock().unwrap().order = order;
    fake.state.lock().unwrap().page = page;
    Arc::new(fake)
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

fn walk(fake: &Arc<Fake>, known: &Arc<KnownOrder>, options: &WalkOptions) -> Walk {
    holding(flat::WAITING, fake, known, options)
}

fn holding(most: usize, fake: &Arc<Fake>, known: &Arc<KnownOrder>, options: &WalkOptions) -> Walk {
    Walk::holding(most, fake.clone(), known.clone(), "/s", "s", "s/", options)
}

fn all() -> WalkOptions {
    WalkOptions::default()
}

fn name(info: &FileInfo) -> String {
    format!("{}{}", info.path, if info.is_dir { "/" } else { "" })
}

/// The entries; those that `skip` names are skipped.
async fn entries(walk: &mut Walk, skip: &[String]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    while let Some(info) = walk.next().await? {
        names.push(name(&info));
        if skip.contains(&name(&info)) {
            walk.skip_dir();
        }
    }
    assert!(walk.next().await?.is_none());
    Ok(names)
}

/// What a walk of these keys reports, worked out in another way.
fn expected(keys: &[&str], options: &WalkOptions, skip: &[String]) -> Vec<String> {
    let mut names = BTreeSet::new();
    for key in keys {
        let path = format!("/{key}");
        let Some(rest) = path.strip_prefix("/s/") else { continue };
        let marker = rest.ends_with('/');
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.is_empty() || !rest.split('/').all(path::is_component) {
            continue;
        }
        let names_of: Vec<&str> = rest.split('/').collect();
        for depth in 1..=names_of.len() {
            let is_dir = depth < names_of.len() || marker;
            let components: Vec<String> = names_of[..depth].iter().map(|n| n.to_string()).collect();
            names.insert((components, is_dir));
        }
    }
    let path = |components: &[String]| format!("/s/{}", components.join("/"));
    let mut left = Vec::new();
    for (components, is_dir) in names {
        let at = path(&components);
        if let Some(after) = &options.start_after {
            let behind = path::compare(&at, after).is_gt();
            let below = path::below(&at, after).is_some();
            if !behind || below && options.skip_start_subtree {
                continue;
            }
        }
        let skipped = (1..components.len()).any(|d| skip.contains(&(path(&components[..d]) + "/")));
        if !skipped {
            left.push(at + if is_dir { "/" } else { "" });
        }
    }
    left
}

const KEYS: &[&str] = &[
    "r/x",
    "s/a",
    "s/a-",
    "s/a-/x",
    "s/a-b.c-d/x",
    "s/a-b.c/x",
    "s/a-b/x",
    "s/a-b/y.z/q",
    "s/a-b/y/q",
    "s/a.b/c",
    "s/a/x",
    "s/a/x-y/1",
    "s/a/x-y/2",
    "s/a/x.y",
    "s/a/x/1",
    "s/a/x/2",
    "s/a/x0/1",
    "s/a0",
    "s/app-web/1",
    "s/app/1",
    "s/bad name/x",
    "s/bad~/x",
    "s/d//x",
    "s/d/marked/",
    "s/d/marked/x",
    "s/e/",
    "s/.hidden/-x/1",
    "s/.hidden/-x.y/1",
    "s/.hidden/-x-/1",
    "s/ä/x",
    "s/zz/deep/er/est",
    "s0/x",
    "t",
];

const ORDERS: [fake::Order; 3] =
    [fake::Order::Bytes, fake::Order::Directories, fake::Order::Shuffled];

#[test]
fn a_walk_is_in_canonical_order_whatever_the_store_does() {
    for order in ORDERS {
        for page in [1, 2, 3, 7, 1000] {
            for most in [1, 2, 3, 5, 10_000] {
                run(async {
                    let fake = bucket(KEYS, order, page);
                    let known = Arc::new(KnownOrder::default());
                    let mut found = Err(Error::unsupported(""));
                    // A store without any order is found out, and then known.
                    for _ in 0..2 {
                        let mut walk = holding(most, &fake, &known, &all());
                        found = entries(&mut walk, &[]).await;
                        if found.is_ok() {
                            break;
                        }
                        assert_eq!(order, fake::Order::Shuffled);
                    }
                    let what = format!("{order:?}, pages of {page}, {most} waiting");
                    assert_eq!(found.unwrap(), expected(KEYS, &all(), &[]), "{what}");
                    let bytes = known.get() == Order::Bytes;
                    assert_eq!(bytes, order == fake::Order::Bytes, "{what}");
                });
            }
        }
    }
}

#[test]
fn a_walk_starts_after_every_entry_and_between_them() {
    let mut marks: Vec<String> = expected(KEYS, &all(), &[])
        .iter()
        .map(|name| name.trim_end_matches('/').to_string())
        .collect();
    for extra in ["/s/a-b/zzz/q", "/s/a/x/1/below", "/s/", "/s/nothing", "/s/zz/deep/a/b/c"] {
        marks.push(extra.trim_end_matches('/').to_string());
    }
    marks.extend(["/", "/r", "/r/x", "/t", "/s-", "/s0/x"].map(str::to_string));
    for order in ORDERS {
        for known in [Order::Unknown, Order::Bytes] {
            if known == Order::Bytes && order != fake::Order::Bytes {
                continue;
            }
            for mark in &marks {
                for skip_start_subtree in [false, true] {
                    let options =
                        WalkOptions { start_after: Some(mark.clone()), skip_start_subtree };
                    run(async {
                        let fake = bucket(KEYS, order, 3);
                        let mut found = Err(Error::unsupported(""));
                        let known = Arc::new(KnownOrder::new(known));
                        for _ in 0..2 {
                            found = entries(&mut walk(&fake, &known, &options), &[]).await;
                            if found.is_ok() {
                                break;
                            }
                        }
                        let what = format!("{order:?} {known:?} after {mark} {skip_start_subtree}");
                        assert_eq!(found.unwrap(), expected(KEYS, &options, &[]), "{what}");
                    });
                }
            }
        }
    }
}

#[test]
fn every_directory_can_be_skipped() {
    let names = expected(KEYS, &all(), &[]);
    let directories: Vec<String> = names.into_iter().filter(|name| name.ends_with('/')).collect();
    for order in [fake::Order::Bytes, fake::Order::Directories] {
        for page in [1, 4, 1000] {
            for most in [1, 3, 10_000] {
                for known in [Order::Unknown, Order::Bytes, Order::Other] {
                    if known == Order::Bytes && order != fake::Order::Bytes {
                        continue;
                    }
                    let sets = directories.iter().map(|directory| vec![directory.clone()]);
                    for skip in sets.chain([directories.clone()]) {
                        run(async {
                            let fake = bucket(KEYS, order, page);
                            let known = Arc::new(KnownOrder::new(known));
                            let mut walk = holding(most, &fake, &known, &all());
                            let found = entries(&mut walk, &skip).await.unwrap();
                            let what =
                                format!("{order:?} {page} {most} {known:?} without {skip:?}");
                            assert_eq!(found, expected(KEYS, &all(), &skip), "{what}");
                        });
                    }
                }
            }
        }
    }
}

#[test]
fn a_walk_of_2500_entries_in_500_directories_is_3_requests() {
    let keys: Vec<String> = (0..2500).map(|n| format!("s/d{}/f{n}", n % 500)).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    run(async {
        let fake = bucket(&keys, fake::Order::Bytes, 1000);
        let known = Arc::new(KnownOrder::default());
        assert_eq!(entries(&mut walk(&fake, &known, &all()), &[]).await.unwrap().len(), 3000);
        assert_eq!(fake.log().len(), 3);
    });
}

#[test]
fn pages_of_a_skipped_directory_are_not_fetched() {
    let keys: Vec<String> = (0..5000)
        .map(|n| format!("s/big/f{n:05}"))
        .chain(["s/a-/x".to_string(), "s/a/x".to_string(), "s/small/x".to_string()])
        .collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    run(async {
        let fake = bucket(&keys, fake::Order::Bytes, 1000);
        let known = Arc::new(KnownOrder::default());
        let mut walk = walk(&fake, &known, &all());
        let found = entries(&mut walk, &["/s/big/".to_string()]).await.unwrap();
        assert_eq!(found.last().unwrap(), "/s/small/x");
        assert_eq!(fake.log().len(), 2, "{:?}", fake.log());
    });
}

#[test]
fn what_waits_is_bounded_and_nothing_is_lost() {
    let mut keys: Vec<String> = (0..700).map(|n| format!("s/app-{n}/x")).collect();
    keys.extend((0..300).map(|n| format!("s/app-1-{n}.z/x")));
    keys.extend((0..300).map(|n| format!("s/app/{n}-a/x")));
    keys.extend((0..300).map(|n| format!("s/app/{n}/x")));
    keys.extend((0..50).map(|n| format!("s/app0/{n}/x")));
    keys.sort();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    run(async {
        let fake = bucket(&keys, fake::Order::Bytes, 10);
        let known = Arc::new(KnownOrder::default());
        for most in [10, 50, 400] {
            let mut walk = holding(most, &fake, &known, &all());
            let mut names = Vec::new();
            while let Some(info) = walk.next().await.unwrap() {
                names.push(name(&info));
                for level in &walk.levels {
                    let Level::Flat(flat) = level else { panic!("not flat") };
                    assert!(flat.held() <= most + 11, "{} wait of {most}", flat.held());
                }
                assert!(walk.levels.len() <= 4 && walk.ready.len() <= 3);
            }
            assert_eq!(names, expected(&keys, &all(), &[]));
        }
    });
}

#[test]
fn a_page_that_repeats_is_an_error() {
    for known in [Order::Unknown, Order::Other] {
        run(async {
            let fake = bucket(KEYS, fake::Order::Bytes, 3);
            fake.state.lock().unwrap().stuck = true;
            let known = Arc::new(KnownOrder::new(known));
            let error = entries(&mut walk(&fake, &known, &all()), &[]).await.unwrap_err();
            assert_eq!(error.code(), Code::Driver);
            assert!(fake.log().len() < 10);
        });
    }
}

#[test]
fn a_start_that_is_missing_or_a_file_is_told_apart() {
    run(async {
        let fake = bucket(&["s", "s-/x", "s0"], fake::Order::Bytes, 1000);
        let known = Arc::new(KnownOrder::default());
        for after in [None, Some("/a"), Some("/s"), Some("/s/below"), Some("/t")] {
            let options =
                WalkOptions { start_after: after.map(str::to_string), ..WalkOptions::default() };
            let error = walk(&fake, &known, &options).next().await.unwrap_err();
            assert_eq!(error.code(), Code::NotDirectory, "{after:?}");
            let mut missing = Walk::new(fake.clone(), known.clone(), "/q", "q", "q/", &options);
            let error = missing.next().await.unwrap_err();
            assert_eq!(error.code(), Code::PathNotFound, "{after:?}");
            let mut root = Walk::new(fake.clone(), known.clone(), "/", "", "z/", &options);
            assert!(root.next().await.unwrap().is_none());
        }
    });
}

#[test]
fn directories_that_are_shown_empty_are_none() {
    run(async {
        let fake = bucket(KEYS, fake::Order::Directories, 3);
        let phantoms = ["s/a/gone/", "s/gone/", "s/gone/below/"].map(str::to_string);
        fake.state.lock().unwrap().phantoms = phantoms.to_vec();
        let known = Arc::new(KnownOrder::new(Order::Other));
        let found = entries(&mut walk(&fake, &known, &all()), &[]).await.unwrap();
        assert_eq!(found, expected(KEYS, &all(), &[]));
        let mut gone = Walk::new(fake, known, "/s/gone", "s/gone", "s/gone/", &all());
        assert_eq!(gone.next().await.unwrap_err().code(), Code::PathNotFound);
    });
}
