//! Who reads and who calls the driver, on the driver's side: while calls come one after
//! another the thread that reads makes them itself, and one that takes long must hold
//! up nobody.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use storagedriver::base::Base;
use storagedriver::context::Context;
use storagedriver::driver::Driver;
use storagedriver::error::Code;

use crate::remote_driver::{Settings, delayed};
use crate::served;

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_call_that_takes_long_after_many_short_ones_holds_up_nobody() {
    let (driver, control) = delayed(Settings::default());
    let (client, serving) = served::serve(driver);
    let (client, none) = (Base::new(Arc::new(client)), Context::none());
    for round in 0..20 {
        for _ in 0..100 {
            client.list(&none, "/").unwrap();
        }
        control.set_delay(LONG);
        let given_up = Context::new(&none);
        thread::scope(|scope| {
            let slow = scope.spawn(|| client.list(&given_up, "/"));
            control.wait_for(1);
            control.set_delay(Duration::ZERO);
            let begun = Instant::now();
            // The first finds nobody reading, or somebody who has just taken over.
            for _ in 0..=round {
                client.list(&none, "/").unwrap();
            }
            assert!(begun.elapsed() < LONG / 6, "{round}: {:?}", begun.elapsed());
            given_up.cancel();
            assert_eq!(slow.join().unwrap().unwrap_err().code(), Code::Cancelled);
        });
    }
    drop(client);
    serving.join().unwrap().unwrap();
}

#[test]
fn who_served_a_driver_has_it_back_for_himself() {
    for _ in 0..100 {
        let (driver, _control) = delayed(Settings::default());
        let left = Arc::downgrade(&driver);
        let (client, serving) = served::serve(driver);
        // One after another, so that somebody watches.
        (0..40).for_each(|_| drop(client.list(&Context::none(), "/").unwrap()));
        drop(client);
        serving.join().unwrap().unwrap();
        assert_eq!(left.strong_count(), 0);
    }
}

#[test]
fn calls_side_by_side_run_side_by_side_after_many_alone() {
    let (driver, control) = delayed(Settings::default());
    let (client, serving) = served::serve(driver);
    let (client, none) = (Base::new(Arc::new(client)), Context::none());
    for _ in 0..100 {
        client.list(&none, "/").unwrap();
    }
    control.set_delay(LONG);
    let given_up = Context::new(&none);
    thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| client.list(&given_up, "/").unwrap_err());
        }
        control.wait_for(32);
        given_up.cancel();
    });
    drop(client);
    serving.join().unwrap().unwrap();
}
