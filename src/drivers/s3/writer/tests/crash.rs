//! The process dies, or a request fails, at every request in turn, before the service
//! has done it and after.

use std::sync::Arc;

use super::*;
use crate::drivers::s3::fake::Fault;
use crate::error::{Code, Error};
use crate::remote::race;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Close,
    Commit,
}

/// One writer: whether it appends, what it writes, how it ends.
pub type Session = (bool, &'static [usize], End);

/// What lies at the key before, and the sessions.
pub struct Story {
    pub content: Option<usize>,
    pub sessions: &'static [Session],
}

use End::{Close, Commit};

pub const STORIES: &[Story] = &[
    // Small pieces join: the last part is replaced again and again.
    Story {
        content: None,
        sessions: &[
            (false, &[3], Close),
            (true, &[2], Close),
            (true, &[1, 1], Close),
            (true, &[30], Close),
            (true, &[4], Close),
            (true, &[1], Commit),
        ],
    },
    // Many parts at once, a small tail, and parts after it.
    Story {
        content: None,
        sessions: &[(false, &[100, 3], Close), (true, &[70], Close), (true, &[5], Commit)],
    },
    Story { content: None, sessions: &[(false, &[200], Commit)] },
    Story { content: None, sessions: &[(false, &[10], Commit)] },
    Story { content: None, sessions: &[(false, &[], Commit)] },
    // A registry: begun empty, filled, committed by a third.
    Story {
        content: None,
        sessions: &[(false, &[], Close), (true, &[45], Close), (true, &[], Commit)],
    },
    Story { content: None, sessions: &[(false, &[], Close), (true, &[], Commit)] },
    // Over content, starting over.
    Story {
        content: Some(30),
        sessions: &[(false, &[], Close), (true, &[50], Close), (true, &[3], Commit)],
    },
    Story { content: Some(30), sessions: &[(false, &[33], Close), (true, &[], Commit)] },
    // Appends to content: small, copied whole, copied by ranges.
    Story { content: Some(5), sessions: &[(true, &[2], Close), (true, &[2], Commit)] },
    Story { content: Some(5), sessions: &[(true, &[50], Commit)] },
    Story { content: Some(30), sessions: &[(true, &[2], Close), (true, &[40], Commit)] },
    Story { content: Some(300), sessions: &[(true, &[2], Close), (true, &[40], Commit)] },
    Story { content: Some(300), sessions: &[(true, &[], Close), (true, &[], Commit)] },
    // Parts until the numbers are used up, and on.
    Story {
        content: None,
        sessions: &[(false, &[330], Close), (true, &[100], Close), (true, &[900], Commit)],
    },
    // A last part that others may follow.
    Story { content: None, sessions: &[(false, &[44], Close), (true, &[28], Commit)] },
    // A second upload forgets the first.
    Story {
        content: None,
        sessions: &[(false, &[40], Close), (false, &[25], Close), (true, &[2], Commit)],
    },
];

/// What may be found: one of these, each with how much of it at least.
pub struct Expected {
    pub acknowledged: Option<Vec<u8>>,
    /// What the running session may have left.
    pub running: Option<(usize, Vec<u8>)>,
}

impl Expected {
    pub fn check(&self, found: &Option<Vec<u8>>, what: &str) {
        let prefix = |least: usize, all: &[u8]| {
            found.as_ref().is_some_and(|found| found.len() >= least && all.starts_with(found))
        };
        let fits = *found == self.acknowledged
            || self.running.as_ref().is_some_and(|(least, all)| prefix(*least, all));
        assert!(
            fits,
            "{what}: found {:?}, acknowledged {:?}, running {:?}",
            found.as_ref().map(Vec::len),
            self.acknowledged.as_ref().map(Vec::len),
            self.running.as_ref().map(|(least, all)| (*least, all.len())),
        );
    }
}

/// Plays sessions until an error. `expected` says at any time what may be found.
pub async fn play(
    fake: &Arc<Fake>,
    sessions: &[Session],
    stream: usize,
    expected: &mut Expected,
) -> Result<()> {
    for (appends, writes, end) in sessions {
        let mut all = Vec::new();
        if *appends {
            all.clone_from(expected.acknowledged.as_ref().unwrap());
        }
        let least = if *appends { all.len() } else { 0 };
        let mut upload = match appends {
            true => append(fake).await?.expect("nothing to append to"),
            false => fresh(fake),
        };
        assert_eq!(upload.size(), all.len() as u64);
        for len in *writes {
            let piece = bytes(stream, all.len(), all.len() + len);
            all.extend_from_slice(&piece);
            expected.running = Some((least, all.clone()));
            write(&mut upload, &piece).await?;
            assert_eq!(upload.size(), all.len() as u64);
        }
        expected.running = Some((least, all.clone()));
        match end {
            Close => close(&mut upload).await?,
            Commit => commit(&mut upload).await?,
        }
        assert_eq!(upload.size(), all.len() as u64);
        expected.acknowledged = Some(all);
        expected.running = None;
    }
    Ok(())
}

pub fn begin(story: &Story, seed: u64) -> (Arc<Fake>, Expected) {
    let fake = Arc::new(Fake::new(TOY, seed));
    let content = story.content.map(|len| bytes(9, 0, len));
    if let Some(content) = &content {
        fake.store(KEY, content);
    }
    (fake, Expected { acknowledged: content, running: None })
}

#[test]
fn sessions_join_and_distribution_can_go_on_after_each() {
    for (number, story) in STORIES.iter().enumerate() {
        run(async {
            let (fake, mut expected) = begin(story, 1);
            for session in story.sessions {
                play(&fake, &[*session], number, &mut expected).await.unwrap();
                let all = expected.acknowledged.clone().unwrap();
                let untouched = fake.content(KEY).as_ref() == Some(&all);
                if session.2 == Close && !untouched {
                    distribution_finds(&fake, all.len() as u64).await;
                }
                if session.2 == Commit {
                    assert_eq!(fake.content(KEY).unwrap(), all, "story {number}");
                    assert!(fake.list_uploads(KEY).await.unwrap().is_empty());
                }
                assert_eq!(found(&fake).await.unwrap(), all, "story {number}");
            }
        });
    }
}

/// Everything after the fault: what is found, and that it can go on from there.
async fn check_after(fake: &Arc<Fake>, expected: &mut Expected, what: &str) {
    let fake = Arc::new(fake.copy());
    let found = found(&fake).await;
    expected.check(&found, what);
    // One that writes nothing leaves what Distribution finds, if it is an upload at all.
    let idle = Arc::new(fake.copy());
    if let Some(mut upload) = append(&idle).await.unwrap() {
        close(&mut upload).await.unwrap();
        if !idle.list_uploads(KEY).await.unwrap().is_empty() {
            distribution_finds(&idle, upload.size()).await;
        }
    }
    // Another process goes on with other bytes, in two sessions.
    expected.running = None;
    expected.acknowledged = found;
    let rest: &[Session] = match expected.acknowledged {
        Some(_) => &[(true, &[3, 40], Close), (true, &[1], Commit)],
        None => &[(false, &[3, 40], Close), (true, &[1], Commit)],
    };
    play(&fake, &rest[..1], 5, expected).await.unwrap();
    let all = expected.acknowledged.clone().unwrap();
    distribution_finds(&fake, all.len() as u64).await;
    play(&fake, &rest[1..], 6, expected).await.unwrap();
    assert_eq!(fake.content(KEY), expected.acknowledged, "{what}");
    let left = fake.list_uploads(KEY).await.unwrap();
    assert!(left.is_empty(), "{what}: {left:?}");
}

#[test]
fn no_acknowledged_byte_is_lost_when_the_process_dies_at_any_request() {
    let mut deaths = 0;
    for (number, story) in STORIES.iter().enumerate() {
        for seed in 1..6 {
            for at in 0.. {
                let mut reached = false;
                for done in [false, true] {
                    run(async {
                        let (fake, mut expected) = begin(story, seed);
                        fake.faults.lock().unwrap().push(Fault::Kill { at, done });
                        let played = play(&fake, story.sessions, number, &mut expected);
                        let outcome = race(&fake.life, played).await;
                        if outcome.is_err() {
                            reached = true;
                            deaths += 1;
                            let log = fake.log();
                            let what = format!("story {number}, {seed}, {at} {done}: {log:?}");
                            check_after(&fake, &mut expected, &what).await;
                        }
                    });
                }
                if !reached {
                    break;
                }
            }
        }
    }
    assert!(deaths > 1000, "{deaths}");
}

#[test]
fn a_session_goes_on_after_any_request_that_fails() {
    for code in [Code::Unavailable, Code::Permission] {
        for (number, story) in STORIES.iter().enumerate() {
            for at in 0.. {
                let mut reached = false;
                for done in [false, true] {
                    run(async {
                        let (fake, mut expected) = begin(story, 3);
                        let status = if code == Code::Permission { 403 } else { 503 };
                        if code == Code::Permission && done {
                            // Who refuses has not done it.
                            return;
                        }
                        let error = Error::new(code, "told to").with_http_status(status);
                        fake.faults.lock().unwrap().push(Fault::Fail { at, done, error });
                        let what = format!("story {number}, {code:?}, {at} {done}");
                        again(&fake, story, number, &mut expected, &what).await;
                        reached |= fake.log().len() > at;
                        assert_eq!(fake.content(KEY), expected.acknowledged, "{what}");
                    });
                }
                if !reached {
                    break;
                }
            }
        }
    }
}

#[test]
fn no_acknowledged_byte_is_lost_when_the_process_dies_after_a_failure() {
    for (number, story) in STORIES.iter().enumerate().filter(|(n, _)| [0, 1, 9, 11, 15].contains(n))
    {
        for at in 0..40 {
            for later in 1..12 {
                run(async {
                    let (fake, mut expected) = begin(story, at as u64 + 1);
                    let error = Error::new(Code::Unavailable, "told to").with_http_status(503);
                    let faults = [
                        Fault::Fail { at, done: later % 2 == 0, error },
                        Fault::Kill { at: at + later, done: later % 3 == 0 },
                    ];
                    fake.faults.lock().unwrap().extend(faults);
                    let what = format!("story {number}, {at} {later}");
                    let played = async {
                        again(&fake, story, number, &mut expected, &what).await;
                        Ok(())
                    };
                    if race(&fake.life, played).await.is_err() {
                        check_after(&fake, &mut expected, &what).await;
                    }
                });
            }
        }
    }
}

/// Plays the story and calls again what fails, as its caller would.
async fn again(
    fake: &Arc<Fake>,
    story: &Story,
    stream: usize,
    expected: &mut Expected,
    what: &str,
) {
    for (appends, writes, end) in story.sessions {
        let mut all = Vec::new();
        let mut upload = fresh(fake);
        if *appends {
            all.clone_from(expected.acknowledged.as_ref().unwrap());
            upload = match append(fake).await {
                Ok(upload) => upload.unwrap(),
                Err(_) => append(fake).await.unwrap().unwrap(),
            };
        }
        let least = if *appends { all.len() } else { 0 };
        let mut broken = false;
        for len in *writes {
            let piece = bytes(stream, all.len(), all.len() + len);
            let before = all.len();
            all.extend_from_slice(&piece);
            expected.running = Some((least, all.clone()));
            if write(&mut upload, &piece).await.is_err() {
                // Only close and cancel are left; what it has is what it says.
                all.truncate(usize::try_from(upload.size()).unwrap());
                assert!(all.len() >= before, "{what}");
                broken = true;
                break;
            }
        }
        expected.running = Some((least, all.clone()));
        let close_it = broken || *end == Close;
        for attempt in 0..2 {
            let outcome = match close_it {
                true => close(&mut upload).await,
                false => commit(&mut upload).await,
            };
            match outcome {
                Ok(()) => break,
                Err(error) => assert!(attempt == 0, "{what}: {error}"),
            }
            // Nothing is lost meanwhile, and it may even go on.
            assert_eq!(upload.size(), all.len() as u64);
            if attempt == 0 && !broken {
                let piece = bytes(7, all.len(), all.len() + 25);
                all.extend_from_slice(&piece);
                expected.running = Some((least, all.clone()));
                write(&mut upload, &piece).await.unwrap();
            }
        }
        expected.acknowledged = Some(all.clone());
        expected.running = None;
        assert_eq!(found(fake).await, expected.acknowledged, "{what}");
        if broken && *end == Commit {
            let mut upload = append(fake).await.unwrap().unwrap();
            commit(&mut upload).await.unwrap();
        }
    }
}
