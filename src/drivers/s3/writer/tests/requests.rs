//! How many requests an upload makes, which upload it goes on with, and what it holds
//! meanwhile.

use std::sync::atomic::Ordering;
use std::task::Poll;

use super::*;
use crate::drivers::s3::client::Part;
use crate::drivers::s3::doubt::Doubt;
use crate::error::Code;

fn bucket() -> Arc<Fake> {
    Arc::new(Fake::new(TOY, 1))
}

pub async fn suspended(fake: &Arc<Fake>, len: usize) {
    let mut upload = fresh(fake);
    write(&mut upload, &bytes(0, 0, len)).await.unwrap();
    close(&mut upload).await.unwrap();
}

/// The requests since the log had `from` of them, sorted where parts go in parallel.
fn since(fake: &Fake, from: usize) -> String {
    fake.log()[from..].join(", ")
}

#[test]
fn what_fits_a_part_is_one_put() {
    for len in [0, 1, 15, 16] {
        run(async {
            let fake = bucket();
            let mut upload = fresh(&fake);
            for byte in bytes(0, 0, len) {
                write(&mut upload, &[byte]).await.unwrap();
            }
            assert!(fake.log().is_empty(), "{:?}", fake.log());
            commit(&mut upload).await.unwrap();
            assert_eq!(since(&fake, 0), "put");
            assert_eq!(fake.content(KEY).unwrap(), bytes(0, 0, len));
        });
    }
}

#[test]
fn ten_parts_are_twelve_requests_three_at_a_time() {
    run(async {
        let fake = bucket();
        let mut upload = fresh(&fake);
        write(&mut upload, &bytes(0, 0, 10 * PART as usize)).await.unwrap();
        commit(&mut upload).await.unwrap();
        assert_eq!(fake.log().len(), 12, "{:?}", fake.log());
        assert_eq!(fake.most_waiting.load(Ordering::SeqCst), 3);
        assert_eq!(fake.content(KEY).unwrap(), bytes(0, 0, 10 * PART as usize));
    });
}

#[test]
fn an_upload_that_goes_on_makes_the_fewest_requests() {
    for (before, commits, expected) in [
        // The last part is large, is small in an upload that is not, and all is small.
        (16, true, "uploads, parts, part 2, complete"),
        (16, false, "uploads, parts, part 2"),
        (16 + 3, true, "uploads, parts, complete, create, copy 1, part 2, complete"),
        (16 + 3, false, "uploads, parts, complete, create, copy 1, part 2"),
        (3, true, "uploads, parts, complete, get, put"),
        (3, false, "uploads, parts, complete, get, create, part 1"),
    ] {
        run(async {
            let fake = bucket();
            suspended(&fake, before).await;
            let from = fake.log().len();
            let mut upload = append(&fake).await.unwrap().unwrap();
            write(&mut upload, &bytes(0, before, before + 10)).await.unwrap();
            match commits {
                true => commit(&mut upload).await.unwrap(),
                false => close(&mut upload).await.unwrap(),
            }
            assert_eq!(since(&fake, from), expected);
            assert_eq!(found(&fake).await.unwrap(), bytes(0, 0, before + 10));
        });
    }
}

#[test]
fn a_session_without_a_byte_makes_the_fewest_requests() {
    run(async {
        let fake = bucket();
        close(&mut fresh(&fake)).await.unwrap();
        let mut log = fake.log();
        log.sort();
        assert_eq!(log, ["create", "head", "uploads"]);
        distribution_finds(&fake, 0).await;
        let from = fake.log().len();
        close(&mut append(&fake).await.unwrap().unwrap()).await.unwrap();
        assert_eq!(since(&fake, from), "uploads, parts, head");
        suspended(&fake, 100).await;
        let from = fake.log().len();
        commit(&mut append(&fake).await.unwrap().unwrap()).await.unwrap();
        assert_eq!(since(&fake, from), "uploads, parts, complete");
        let from = fake.log().len();
        commit(&mut append(&fake).await.unwrap().unwrap()).await.unwrap();
        assert_eq!(since(&fake, from), "uploads, head");
    });
}

#[test]
fn a_missing_path_cannot_be_appended_to() {
    run(async {
        let fake = bucket();
        fake.store("d/file-longer", b"x");
        fake.create_upload("d/file-longer", &Doubt::default()).await.unwrap();
        assert!(append(&fake).await.unwrap().is_none());
    });
}

/// Begins an upload as somebody else would, with parts of these numbers and sizes.
pub async fn foreign(fake: &Arc<Fake>, parts: &[(u32, usize)]) -> String {
    let id = fake.create_upload(KEY, &Doubt::default()).await.unwrap();
    for (number, size) in parts {
        let data = vec![*number as u8; *size].into();
        fake.upload_part(KEY, &id, *number, vec![data]).await.unwrap().unwrap();
    }
    id
}

#[test]
fn of_several_uploads_the_choice_is_by_rule() {
    type Uploads = &'static [&'static [(u32, usize)]];
    let cases: &[(Uploads, u64)] = &[
        // The latest of those with a part 1.
        (&[&[(1, 20)], &[(1, 30)]], 30),
        (&[&[(1, 30)], &[(1, 20)]], 20),
        (&[&[(1, 20)], &[]], 20),
        (&[&[], &[(1, 20)]], 20),
        (&[&[(1, 20)], &[(2, 30)]], 20),
        // Parts of any size, up to the first gap.
        (&[&[(1, 9), (2, 64), (3, 33), (4, 1)]], 107),
        (&[&[(1, 9), (3, 33)]], 9),
        (&[&[(2, 9)]], 0),
        (&[&[(1, 0)]], 0),
        (&[&[(1, 0), (2, 20)]], 0),
        (&[&[], &[]], 0),
    ];
    for (uploads, size) in cases {
        run(async {
            let fake = bucket();
            for parts in *uploads {
                foreign(&fake, parts).await;
            }
            let mut upload = append(&fake).await.unwrap().unwrap();
            assert_eq!(upload.size(), *size, "{uploads:?}");
            write(&mut upload, &bytes(0, 0, 40)).await.unwrap();
            close(&mut upload).await.unwrap();
            distribution_finds(&fake, size + 40).await;
            let content = found(&fake).await.unwrap();
            assert_eq!(content[*size as usize..], bytes(0, 0, 40), "{uploads:?}");
        });
    }
}

#[test]
fn an_upload_of_more_than_1000_parts_goes_on() {
    let limits = Limits { max_parts: 10_000, max_object: 1 << 20, ..TOY };
    run(async {
        let fake = Arc::new(Fake::new(limits, 1));
        let parts: Vec<(u32, usize)> = (1..=2500).map(|number| (number, 8)).collect();
        foreign(&fake, &parts).await;
        let mut upload = append(&fake).await.unwrap().unwrap();
        assert_eq!(upload.size(), 2500 * 8);
        write(&mut upload, &bytes(0, 0, 1000)).await.unwrap();
        commit(&mut upload).await.unwrap();
        assert_eq!(fake.content(KEY).unwrap().len(), 2500 * 8 + 1000);
    });
}

#[test]
fn an_object_of_the_largest_size_can_be_uploaded_and_no_larger_one() {
    run(async {
        let fake = bucket();
        let mut upload = fresh(&fake);
        let most = TOY.max_object as usize;
        write(&mut upload, &bytes(0, 0, most)).await.unwrap();
        let error = write(&mut upload, b"x").await.unwrap_err();
        assert_eq!(error.code(), Code::Unsupported);
        close(&mut upload).await.unwrap();
        assert_eq!(found(&fake).await.unwrap(), bytes(0, 0, most));
    });
}

#[test]
fn writers_with_hardly_a_budget_all_arrive() {
    for limit in [0, 1, 8, 40, 100, 1000] {
        run(async {
            let budget = Budget::new(limit);
            let fakes: Vec<Arc<Fake>> =
                (0..20).map(|seed| Arc::new(Fake::new(TOY, seed + 1))).collect();
            let mut tasks = tokio::task::JoinSet::new();
            for (fake, stream) in fakes.iter().zip(0..) {
                let (fake, budget) = (fake.clone(), budget.clone());
                tasks.spawn(async move {
                    let settings = Settings { budget: budget.clone(), ..settings(TOY, 0) };
                    let mut upload = Upload::fresh(fake, KEY, settings);
                    let all = bytes(stream, 0, 300);
                    for piece in all.chunks(7 + stream) {
                        write(&mut upload, piece).await.unwrap();
                        assert!(budget.used() <= limit);
                        // Others get on meanwhile, and this one keeps what it has.
                        for _ in 0..stream {
                            tokio::task::yield_now().await;
                        }
                    }
                    commit(&mut upload).await.unwrap();
                });
            }
            while let Some(outcome) = tasks.join_next().await {
                outcome.unwrap();
            }
            for (fake, stream) in fakes.iter().zip(0..) {
                assert_eq!(fake.content(KEY).unwrap(), bytes(stream, 0, 300));
            }
            assert_eq!(budget.used(), 0);
        });
    }
}

#[test]
fn a_writer_that_is_never_called_again_holds_nobody_up() {
    run(async {
        let budget = Budget::new(64);
        let idle: Vec<Arc<Fake>> = (0..5).map(|seed| Arc::new(Fake::new(TOY, seed + 1))).collect();
        let mut writers = Vec::new();
        for fake in &idle {
            let settings = Settings { budget: budget.clone(), ..settings(TOY, 0) };
            let mut upload = Upload::fresh(fake.clone(), KEY, settings);
            write(&mut upload, &bytes(0, 0, 39)).await.unwrap();
            writers.push(upload);
        }
        let fake = bucket();
        let settings = Settings { budget: budget.clone(), ..settings(TOY, 0) };
        let mut upload = Upload::fresh(fake.clone(), KEY, settings);
        write(&mut upload, &bytes(1, 0, 500)).await.unwrap();
        commit(&mut upload).await.unwrap();
        assert_eq!(fake.content(KEY).unwrap(), bytes(1, 0, 500));
        drop(writers);
        drop(upload);
        // What was on the wire ends with its writer.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(budget.used(), 0);
    });
}

#[test]
fn cancel_ends_every_upload_and_keeps_content() {
    for content in [None, Some(30)] {
        for len in [0, 5, 100] {
            for appends in [false, true] {
                run(async {
                    let fake = bucket();
                    if let Some(len) = content {
                        fake.store(KEY, &bytes(9, 0, len));
                    }
                    foreign(&fake, &[(1, 20)]).await;
                    let mut upload = match appends {
                        true => append(&fake).await.unwrap().unwrap(),
                        false => fresh(&fake),
                    };
                    write(&mut upload, &bytes(0, 0, len)).await.unwrap();
                    cancel(&mut upload).await.unwrap();
                    assert!(fake.state.lock().unwrap().uploads.is_empty());
                    assert_eq!(fake.content(KEY), content.map(|len| bytes(9, 0, len)));
                });
            }
        }
    }
}

#[test]
fn an_upload_that_somebody_ended_is_a_conflict() {
    run(async {
        let fake = bucket();
        suspended(&fake, 20).await;
        for ends_early in [true, false] {
            let mut upload = append(&fake).await.unwrap().unwrap();
            write(&mut upload, &bytes(0, 0, 100)).await.unwrap_or_default();
            let other = Arc::new(fake.copy());
            let mut upload = match ends_early {
                true => append(&other).await.unwrap().unwrap(),
                false => upload,
            };
            let ended = if ends_early { &other } else { &fake };
            ended.state.lock().unwrap().uploads.clear();
            ended.state.lock().unwrap().objects.clear();
            let error = commit(&mut upload).await.unwrap_err();
            assert_eq!(error.code(), Code::Conflict, "{error}");
            assert!(fake.content(KEY).is_none_or(|content| !content.is_empty()));
        }
    });
}

/// Polls at most so often; `None`: the future was dropped then.
pub async fn at_most<T>(polls: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    let mut left = polls;
    std::future::poll_fn(|task| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        task.waker().wake_by_ref();
        work.as_mut().poll(task).map(Some)
    })
    .await
}

/// Calls again and again, each time a little longer.
async fn at_last(upload: &mut Upload, from: usize, commits: bool) {
    for polls in from.. {
        let outcome = match commits {
            true => at_most(polls, commit(upload)).await,
            false => at_most(polls, close(upload)).await,
        };
        if let Some(outcome) = outcome {
            outcome.unwrap();
            break;
        }
    }
}

#[test]
fn a_caller_may_stop_waiting_at_any_point_and_call_again() {
    for seed in 1..5 {
        for polls in 1..40 {
            run(async {
                let fake = Arc::new(Fake::new(TOY, seed * 100 + polls as u64));
                let mut all = 0;
                for (session, len) in [70, 4, 90, 12, 30].into_iter().enumerate() {
                    let mut upload = match session {
                        0 => fresh(&fake),
                        _ => append(&fake).await.unwrap().unwrap(),
                    };
                    assert_eq!(upload.size(), all as u64);
                    for piece in [len, 11] {
                        let mut data = &bytes(0, all, all + piece)[..];
                        all += piece;
                        for polls in polls.. {
                            data = &data[upload.fill(data)..];
                            if data.is_empty() {
                                break;
                            }
                            let _ = at_most(polls, upload.drain()).await;
                        }
                        // Not waited for to its end; more comes after it.
                        match session % 2 {
                            0 => drop(at_most(polls, close(&mut upload)).await),
                            _ => drop(at_most(polls, commit(&mut upload)).await),
                        }
                        if upload.kept > 0 {
                            break;
                        }
                    }
                    if upload.kept == 0 {
                        at_last(&mut upload, polls, session == 4).await;
                    }
                    assert_eq!(found(&fake).await.unwrap(), bytes(0, 0, all));
                }
            });
        }
    }
}

#[test]
fn parts_are_numbered_without_a_gap_from_where_somebody_left_off() {
    run(async {
        let fake = bucket();
        let id = foreign(&fake, &[(1, 31), (2, 9)]).await;
        let mut upload = append(&fake).await.unwrap().unwrap();
        write(&mut upload, &bytes(0, 0, 40)).await.unwrap();
        close(&mut upload).await.unwrap();
        let parts: Vec<Part> = fake.list_parts(KEY, &id).await.unwrap().unwrap();
        let sizes: Vec<(u32, u64)> = parts.iter().map(|part| (part.number, part.size)).collect();
        assert_eq!(sizes, [(1, 31), (2, 9), (3, 16), (4, 16), (5, 8)]);
    });
}
