//! Writers that end each other's uploads, on purpose or not.

use super::requests::{at_most, foreign, suspended};
use super::*;
use crate::drivers::s3::doubt::Doubt;
use crate::drivers::s3::fake::Fault;
use crate::error::{Code, Error};
use crate::remote::race;

#[test]
fn of_two_writers_that_start_over_at_once_the_later_one_is_left() {
    for (len, seed) in [0, 5, 40].into_iter().flat_map(|len| (1..40).map(move |n| (len, n))) {
        run(async {
            let fake = Arc::new(Fake::new(TOY, seed));
            let (mut one, mut other) = (fresh(&fake), fresh(&fake));
            let contents = [bytes(1, 0, len), bytes(2, 0, len)];
            write(&mut one, &contents[0]).await.unwrap();
            write(&mut other, &contents[1]).await.unwrap();
            let one = tokio::spawn(async move { close(&mut one).await });
            let closed = [close(&mut other).await, one.await.unwrap()];
            let found = found(&fake).await.expect("nothing is left");
            let left =
                contents.iter().rev().zip(&closed).any(|(all, ok)| ok.is_ok() && *all == found);
            assert!(left, "{len}, {seed}: {} bytes, {closed:?}, {:?}", found.len(), fake.log());
        });
    }
}

#[test]
fn an_upload_that_starts_over_in_the_same_second_is_the_one_that_is_found() {
    for (len, seed) in [0, 5, 40].into_iter().flat_map(|len| (1..40).map(move |n| (len, n))) {
        run(async {
            let fake = Arc::new(Fake::new(TOY, seed));
            fake.state.lock().unwrap().still = true;
            let mut closed = Ok(());
            for session in 1..3 {
                let mut upload = fresh(&fake);
                write(&mut upload, &bytes(session, 0, len)).await.unwrap();
                closed = close(&mut upload).await.map(drop);
            }
            match closed {
                Ok(()) => assert!(found(&fake).await == Some(bytes(2, 0, len)), "{len}, {seed}"),
                // It had begun before it was known that it would be closed.
                Err(error) => assert_eq!((error.code(), len), (Code::Conflict, 40)),
            }
        });
    }
}

/// Ends this upload, and the key has other content of its size and number of parts then.
async fn replace(fake: &Arc<Fake>, id: &str) {
    fake.abort_upload(KEY, id).await.unwrap();
    let other = foreign(fake, &[(1, 16), (2, 4)]).await;
    let parts = fake.list_parts(KEY, &other).await.unwrap().unwrap();
    fake.complete_upload(KEY, &other, &parts, &Doubt::default()).await.unwrap().unwrap();
}

#[test]
fn what_another_committed_is_not_taken_for_ours() {
    for parts in [true, false] {
        for in_doubt in [false, true] {
            run(async {
                let fake = Arc::new(Fake::new(TOY, 1));
                suspended(&fake, 20).await;
                let mut upload = append(&fake).await.unwrap().unwrap();
                if in_doubt {
                    let error = Error::new(Code::Unavailable, "told to").with_http_status(503);
                    let fault = Fault::Fail { at: fake.log().len(), done: false, error };
                    fake.faults.lock().unwrap().push(fault);
                    commit(&mut upload).await.unwrap_err();
                }
                let id = fake.list_uploads(KEY).await.unwrap().remove(0).id;
                match parts {
                    true => replace(&fake, &id).await,
                    false => {
                        fake.abort_upload(KEY, &id).await.unwrap();
                        fake.store(KEY, &bytes(9, 0, 20));
                    }
                }
                let error = commit(&mut upload).await.unwrap_err();
                assert_eq!(error.code(), Code::Conflict, "{parts} {in_doubt}: {error}");
            });
        }
    }
}

#[test]
fn a_commit_that_nobody_waited_for_is_known_when_it_is_called_again() {
    run(async {
        let fake = Arc::new(Fake::new(TOY, 1));
        suspended(&fake, 20).await;
        let mut upload = append(&fake).await.unwrap().unwrap();
        fake.faults.lock().unwrap().push(Fault::Kill { at: fake.log().len(), done: true });
        assert!(at_most(50, commit(&mut upload)).await.is_none());
        assert_eq!(fake.log().last().unwrap(), "complete");
        fake.faults.lock().unwrap().clear();
        commit(&mut upload).await.unwrap();
        assert_eq!(fake.content(KEY).unwrap(), bytes(0, 0, 20));
    });
}

#[test]
fn after_a_cancel_that_failed_nothing_can_be_committed() {
    for (len, appends) in [5, 40, 100].into_iter().flat_map(|len| [(len, true), (len, false)]) {
        run(async {
            let fake = Arc::new(Fake::new(TOY, 1));
            fake.store(KEY, &bytes(9, 0, 30));
            foreign(&fake, &[(1, 16)]).await;
            let mut upload = match appends {
                true => append(&fake).await.unwrap().unwrap(),
                false => fresh(&fake),
            };
            write(&mut upload, &bytes(0, 0, len)).await.unwrap();
            let size = upload.size();
            let error = Error::new(Code::Permission, "told to").with_http_status(403);
            let fault = Fault::Fail { at: fake.log().len(), done: false, error };
            fake.faults.lock().unwrap().push(fault);
            assert_eq!(cancel(&mut upload).await.unwrap_err().code(), Code::Permission);
            assert_eq!(fake.log().last().unwrap(), "uploads");
            let errors = [commit(&mut upload).await, write(&mut upload, b"more").await];
            for error in errors.map(Result::unwrap_err) {
                assert_eq!(error.code(), Code::InvalidState, "{error}");
            }
            assert_eq!(upload.size(), size);
            // What is closed is what was being cancelled.
            close(&mut upload).await.unwrap();
            assert!(fake.list_uploads(KEY).await.unwrap().is_empty());
            assert_eq!(fake.content(KEY).unwrap(), bytes(9, 0, 30), "{len} {appends}");
        });
    }
}

#[test]
fn an_upload_that_is_chosen_outlives_its_rivals_wherever_the_process_dies() {
    for at in 0..20 {
        for done in [false, true] {
            run(async {
                let fake = Arc::new(Fake::new(TOY, at as u64 + 1));
                foreign(&fake, &[(1, 30)]).await;
                foreign(&fake, &[(1, 3)]).await;
                let from = fake.log().len();
                fake.faults.lock().unwrap().push(Fault::Kill { at: from + at, done });
                let played = async {
                    let mut upload = append(&fake).await?.unwrap();
                    assert_eq!(upload.size(), 3);
                    write(&mut upload, &[2; 40]).await?;
                    close(&mut upload).await
                };
                let _ = race(&fake.life, played).await;
                let content = found(&fake).await.unwrap();
                let whole = [vec![1; 3], vec![2; 40]].concat();
                assert!(content.len() >= 3 && whole.starts_with(&content), "{at} {done}");
            });
        }
    }
}

#[test]
fn an_upload_whose_making_was_not_answered_is_not_left() {
    for commits in [false, true] {
        for at_once in [false, true] {
            run(async {
                let fake = Arc::new(Fake::new(TOY, 1));
                suspended(&fake, 3).await;
                let mut upload = append(&fake).await.unwrap().unwrap();
                // The small part is completed and read; then the next upload is made.
                let error = Error::new(Code::Unavailable, "told to").with_http_status(503);
                let fault = Fault::Fail { at: fake.log().len() + 2, done: true, error };
                fake.faults.lock().unwrap().push(fault);
                fake.state.lock().unwrap().still = at_once;
                write(&mut upload, &bytes(0, 3, 23)).await.unwrap();
                let end = async |upload: &mut Upload| match commits {
                    true => commit(upload).await,
                    false => close(upload).await,
                };
                if end(&mut upload).await.is_err() {
                    end(&mut upload).await.unwrap();
                }
                assert!(fake.log().iter().filter(|name| *name == "create").count() > 2);
                match commits {
                    true => assert!(fake.list_uploads(KEY).await.unwrap().is_empty()),
                    false => distribution_finds(&fake, 23).await,
                }
                assert_eq!(found(&fake).await.unwrap(), bytes(0, 0, 23));
            });
        }
    }
}
