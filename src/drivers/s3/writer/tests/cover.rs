//! A process died and left parts behind a gap, and the service completes no upload that
//! has more parts than are named: these parts are emptied and then written over. What
//! they had never counts, wherever the next process dies.

use std::sync::Arc;

use super::crash::{Expected, STORIES, begin, play};
use super::requests::foreign;
use super::*;
use crate::drivers::s3::fake::Fault;
use crate::error::Code;
use crate::remote::race;

/// Parts 1 and 2 count, 32 bytes of them.
const GAP: &[(u32, usize)] = &[(1, 16), (2, 16), (4, 16), (5, 16), (6, 16)];

async fn strict(seed: u64) -> (Arc<Fake>, Vec<u8>) {
    let fake = Arc::new(Fake::new(TOY, seed));
    fake.state.lock().unwrap().names_all = true;
    foreign(&fake, GAP).await;
    (fake, [vec![1; 16], vec![2; 16]].concat())
}

/// The bytes that Distribution would count.
async fn counted(fake: &Fake) -> u64 {
    let mut sum = 0;
    for upload in fake.list_uploads(KEY).await.unwrap() {
        let parts = fake.list_parts(KEY, &upload.id).await.unwrap().unwrap();
        sum += parts.iter().map(|part| part.size).sum::<u64>();
    }
    sum
}

/// Another process goes on with as much as must be written over and more.
async fn goes_on(fake: &Arc<Fake>, expected: &Expected, what: &str) {
    let idle = Arc::new(fake.copy());
    if let Some(mut upload) = append(&idle).await.unwrap() {
        close(&mut upload).await.unwrap();
        if !idle.list_uploads(KEY).await.unwrap().is_empty() {
            assert_eq!(counted(&idle).await, upload.size(), "{what}");
        }
    }
    let fake = Arc::new(fake.copy());
    let Some(mut upload) = append(&fake).await.unwrap() else {
        return expected.check(&None, what);
    };
    let from = usize::try_from(upload.size()).unwrap();
    let more = bytes(8, from, from + 200);
    write(&mut upload, &more).await.unwrap();
    commit(&mut upload).await.unwrap();
    let mut found = fake.content(KEY).unwrap();
    assert_eq!(found.split_off(from.min(found.len())), more, "{what}");
    expected.check(&Some(found), what);
    assert!(fake.list_uploads(KEY).await.unwrap().is_empty(), "{what}");
}

#[test]
fn a_session_that_ends_before_all_is_written_over_leaves_no_byte_of_another() {
    run(async {
        let (fake, before) = strict(1).await;
        let mut upload = append(&fake).await.unwrap().unwrap();
        assert_eq!(upload.size(), 32);
        let all = [before, bytes(3, 32, 52)].concat();
        write(&mut upload, &all[32..]).await.unwrap();
        assert_eq!(close(&mut upload).await.unwrap_err().code(), Code::Conflict);
        drop(upload);
        assert!(counted(&fake).await <= all.len() as u64);
        let found = append(&fake).await.unwrap().unwrap().size();
        assert!(found >= 32 && found <= all.len() as u64, "{found} of {}", all.len());
        let expected = Expected { acknowledged: None, running: Some((32, all)) };
        goes_on(&fake, &expected, "").await;
    });
}

#[test]
fn parts_behind_a_gap_are_emptied_though_nothing_is_written() {
    run(async {
        let (fake, _) = strict(1).await;
        let mut upload = append(&fake).await.unwrap().unwrap();
        close(&mut upload).await.unwrap();
        assert_eq!((upload.size(), counted(&fake).await), (32, 32));
        assert_eq!(append(&fake).await.unwrap().unwrap().size(), 32);
    });
}

#[test]
fn no_byte_of_another_counts_when_the_process_dies_while_it_writes_over() {
    let mut deaths = 0;
    for len in [0, 5, 20, 40, 41, 100] {
        for (seed, at) in (1..5).flat_map(|seed| (5..40).map(move |at| (seed, at))) {
            run(async {
                let (fake, mut all) = strict(seed).await;
                all.extend(bytes(3, 32, 32 + len));
                let fault = Fault::Kill { at, done: at % 2 == 0 };
                fake.faults.lock().unwrap().push(fault);
                let played = async {
                    let mut upload = append(&fake).await?.unwrap();
                    write(&mut upload, &all[32..]).await?;
                    match seed % 2 {
                        0 => close(&mut upload).await,
                        _ => commit(&mut upload).await,
                    }
                };
                let outcome = race(&fake.life, played).await;
                deaths += usize::from(fake.life.status().is_err());
                let done = outcome.is_ok();
                let expected = Expected {
                    acknowledged: done.then(|| all.clone()),
                    running: (!done).then_some((32, all)),
                };
                goes_on(&fake, &expected, &format!("{len} {seed} {at}: {:?}", fake.log())).await;
            });
        }
    }
    assert!(deaths > 100, "{deaths}");
}

#[test]
fn no_acknowledged_byte_is_lost_where_all_parts_must_be_named() {
    let mut gaps = 0;
    for (number, story) in STORIES.iter().enumerate() {
        for (seed, at) in (1..4).flat_map(|seed| (0..60).map(move |at| (seed, at))) {
            run(async {
                let (fake, mut expected) = begin(story, seed);
                fake.state.lock().unwrap().names_all = true;
                fake.faults.lock().unwrap().push(Fault::Kill { at, done: true });
                let played = play(&fake, story.sessions, number, &mut expected);
                if race(&fake.life, played).await.is_err() {
                    let found = resume::find(&fake.copy(), KEY, TOY.min_part).await.unwrap();
                    gaps += usize::from(found.is_some_and(|found| !found.behind.is_empty()));
                    goes_on(&fake, &expected, &format!("story {number}, {seed}, {at}")).await;
                }
            });
        }
    }
    assert!(gaps > 10, "{gaps}");
}
