//! Every order in which threads can use a queue's inbox, tried by loom.
#![cfg(all(test, loom))]

#[path = "../../../src/queue/inbox.rs"]
#[allow(dead_code)] // what has a time limit is not modelled
mod inbox;

use inbox::{Inbox, Signal};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;

/// What is seen from outside: never raised twice, never cleared twice.
#[derive(Default)]
struct Flag(AtomicBool);

impl Signal for Flag {
    fn raise(&self) {
        assert!(!self.0.swap(true, Ordering::SeqCst), "raised twice");
    }

    fn clear(&self) {
        assert!(self.0.swap(false, Ordering::SeqCst), "cleared twice");
    }
}

impl Flag {
    fn is_up(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

type Box = Inbox<u32, Flag>;

fn inbox() -> Arc<Box> {
    Arc::new(Inbox::new(Flag::default()))
}

/// What a submission does: a promise, and another thread that keeps it.
fn submit(inbox: &Arc<Box>, answer: u32) -> thread::JoinHandle<()> {
    assert!(inbox.promise());
    let inbox = inbox.clone();
    thread::spawn(move || inbox.put(answer))
}

fn join(putters: [thread::JoinHandle<()>; 2]) {
    putters.into_iter().for_each(|putter| putter.join().unwrap());
}

/// Four threads have too many orders: those with more than three switches away from a
/// thread that could go on are left out.
fn model_of_four(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

fn take(inbox: &Box) -> u32 {
    inbox.next(None).expect("without a limit one comes")
}

#[test]
fn each_answer_is_taken_exactly_once_and_no_wake_up_is_lost() {
    loom::model(|| {
        let inbox = inbox();
        let putters = [submit(&inbox, 1), submit(&inbox, 2)];
        // A wake-up that is lost is a deadlock here, which loom reports.
        let mut taken = [take(&inbox), take(&inbox)];
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
        join(putters);
        assert_eq!(inbox.owed(), 0);
        assert!(!inbox.signal().is_up());
    });
}

#[test]
fn two_takers_never_have_the_same_answer() {
    model_of_four(|| {
        let inbox = inbox();
        let sum = Arc::new(AtomicUsize::new(0));
        let putters = [submit(&inbox, 1), submit(&inbox, 2)];
        let other = {
            let (inbox, sum) = (inbox.clone(), sum.clone());
            thread::spawn(move || sum.fetch_add(take(&inbox) as usize, Ordering::SeqCst))
        };
        sum.fetch_add(take(&inbox) as usize, Ordering::SeqCst);
        other.join().unwrap();
        join(putters);
        assert_eq!(sum.load(Ordering::SeqCst), 3);
        assert!(!inbox.signal().is_up());
    });
}

#[test]
fn the_signal_is_up_exactly_while_answers_wait() {
    for takes in 0..=2 {
        loom::model(move || {
            let inbox = inbox();
            let putters = [submit(&inbox, 1), submit(&inbox, 2)];
            for _ in 0..takes {
                take(&inbox);
            }
            join(putters);
            // At rest; what is left can still be taken.
            assert_eq!(inbox.signal().is_up(), takes < 2);
            for _ in takes..2 {
                assert!(inbox.signal().is_up());
                take(&inbox);
            }
            assert!(!inbox.signal().is_up());
        });
    }
}

/// A loop that sleeps until the signal is up, and then takes until nothing is left.
#[test]
fn who_polls_the_signal_misses_nothing() {
    loom::model(|| {
        let inbox = inbox();
        let putters = [submit(&inbox, 1), submit(&inbox, 2)];
        let mut taken = 0;
        while taken < 2 {
            while !inbox.signal().is_up() {
                thread::yield_now();
            }
            while inbox.signal().is_up() {
                take(&inbox);
                taken += 1;
            }
        }
        join(putters);
        assert!(!inbox.signal().is_up());
    });
}

#[test]
fn a_close_waits_for_what_is_owed_and_refuses_the_rest() {
    loom::model(|| {
        let inbox = inbox();
        let kept = Arc::new(AtomicUsize::new(0));
        assert!(inbox.promise());
        let putter = {
            let (inbox, kept) = (inbox.clone(), kept.clone());
            thread::spawn(move || {
                kept.fetch_add(1, Ordering::SeqCst);
                inbox.put(1);
            })
        };
        let late = {
            let (inbox, kept) = (inbox.clone(), kept.clone());
            thread::spawn(move || {
                let accepted = inbox.promise();
                if accepted {
                    kept.fetch_add(1, Ordering::SeqCst);
                    inbox.put(2);
                }
                accepted
            })
        };
        inbox.close();
        let kept_at_close = kept.load(Ordering::SeqCst);
        assert_eq!(inbox.owed(), 0);
        assert!(!inbox.promise());
        putter.join().unwrap();
        // Either it was accepted and waited for, or it was refused.
        assert_eq!(kept_at_close, 1 + usize::from(late.join().unwrap()));
        assert!(inbox.signal().is_up());
    });
}

#[test]
fn a_close_beside_a_taker_ends() {
    model_of_four(|| {
        let inbox = inbox();
        let putters = [submit(&inbox, 1), submit(&inbox, 2)];
        let taker = {
            let inbox = inbox.clone();
            thread::spawn(move || take(&inbox))
        };
        inbox.close();
        assert_eq!(inbox.owed(), 0);
        taker.join().unwrap();
        join(putters);
        assert!(inbox.signal().is_up());
    });
}
