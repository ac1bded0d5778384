//! Failures that stay: the right code, within the caller's deadline or the driver's own.

use std::process::Command;
use std::time::{Duration, Instant};

use storagedriver::context::Context;
use storagedriver::driver::Driver;
use storagedriver::error::{Code, Error};

use crate::operations::{ALL, forget};
use crate::proxy::{Fault, Response, Rule};
use crate::store::{Store, operation, operations};
use crate::transient::slow_down;

/// Far above what a wait may exceed its deadline by, and far below the next timeout.
const SLACK: Duration = Duration::from_secs(3);

/// Does `fault` to every request from now on, for each call; `timeout` is the caller's.
fn each_call_fails(test: &str, fault: Fault, timeout: Duration, codes: &[Code]) {
    each_call_fails_with(&[], test, fault, timeout, codes);
}

fn each_call_fails_with(
    more: &[(&str, &str)],
    test: &str,
    fault: Fault,
    timeout: Duration,
    codes: &[Code],
) {
    let Some(store) = Store::on("radosgw", test) else { return };
    let direct = store.driver(&[]);
    std::thread::scope(|scope| {
        for call in ALL {
            let (store, direct, fault) = (&store, &direct, fault.clone());
            scope.spawn(move || {
                let at = format!("/{}", call.name.replace(' ', "-"));
                (call.prepare)(&**direct, &at);
                let (proxy, driver) = store.proxied(more);
                proxy.rule(Rule::on(|_| true, fault).always());
                let ctx = Context::new(&Context::none());
                ctx.set_timeout(timeout);
                let before = Instant::now();
                let error = (call.run)(&*driver, &ctx, &at).unwrap_err();
                let took = before.elapsed();
                println!("{:30} {took:?} {error}", call.name);
                let heads = operations(&proxy.take()).contains(&"HeadObject");
                let codes = if heads { codes } else { &codes[..1] };
                assert!(codes.contains(&error.code()), "{}: {error}", call.name);
                assert!(took < timeout + SLACK, "{}: {took:?}", call.name);
                (call.check)(&**direct, &at, false);
                forget(&**direct, &at);
            });
        }
    });
}

#[test]
fn a_server_that_never_answers_ends_with_the_deadline() {
    let timeout = Duration::from_millis(700);
    each_call_fails("silent", Fault::StallResponse(0), timeout, &[Code::Deadline]);
}

#[test]
fn a_server_that_stops_reading_ends_with_the_deadline() {
    let timeout = Duration::from_millis(700);
    each_call_fails("deaf", Fault::StallRequest(10), timeout, &[Code::Deadline]);
}

/// Not only the first request of a call, which the others are about.
#[test]
fn any_request_that_is_never_answered_ends_with_the_deadline() {
    let Some(store) = Store::on("radosgw", "later") else { return };
    let direct = store.driver(&[]);
    std::thread::scope(|scope| {
        for call in ALL {
            let (store, direct) = (&store, &direct);
            scope.spawn(move || {
                for (request, count) in call.requests {
                    for nth in 1..=*count {
                        let at = format!("/{}/{request}-{nth}", call.name.replace(' ', "-"));
                        (call.prepare)(&**direct, &at);
                        let (proxy, driver) = store.proxied(&[]);
                        let stall = Fault::StallResponse(0);
                        let rule = Rule::on(move |seen| operation(seen) == *request, stall);
                        proxy.rule(rule.nth(nth).always());
                        let ctx = Context::new(&Context::none());
                        ctx.set_timeout(Duration::from_secs(4));
                        let before = Instant::now();
                        let error = (call.run)(&*driver, &ctx, &at).unwrap_err();
                        let took = before.elapsed();
                        println!("{at:60} {took:?} {error}");
                        assert_eq!(error.code(), Code::Deadline, "{at}: {error}");
                        assert!(took < Duration::from_secs(4) + SLACK, "{at}: {took:?}");
                        proxy.take();
                        (call.check)(&**direct, &at, false);
                        forget(&**direct, &at);
                    }
                }
            });
        }
    });
}

#[test]
fn a_server_that_stalls_is_unavailable_after_the_stall_timeout() {
    let more = [("stalltimeout", "1")];
    let timeout = Duration::from_secs(60);
    for fault in [Fault::StallResponse(0), Fault::StallResponse(30), Fault::StallRequest(100)] {
        each_call_fails_with(&more, "stalls", fault, timeout, &[Code::Unavailable]);
    }
}

#[test]
fn a_server_that_says_slow_down_for_ever_is_throttled() {
    // Asked again, and given up before the caller gives up. The answer to a HEAD has
    // no word for it, only the status.
    let timeout = Duration::from_secs(60);
    let codes = [Code::Throttled, Code::Unavailable];
    each_call_fails("busy", Fault::Answer(slow_down(503)), timeout, &codes);
    each_call_fails("busy", Fault::Answer(slow_down(429)), timeout, &codes[..1]);
}

#[test]
fn a_server_that_fails_for_ever_is_unavailable() {
    let timeout = Duration::from_secs(60);
    let internal = Fault::Answer(Response::new(500, "<Error><Code>InternalError</Code></Error>"));
    each_call_fails("broken", internal, timeout, &[Code::Unavailable]);
    each_call_fails("resets", Fault::ResetRequest(0), timeout, &[Code::Unavailable]);
}

#[test]
fn a_wait_that_the_server_asks_for_ends_with_the_deadline() {
    let timeout = Duration::from_millis(700);
    let hour = slow_down(503).with("retry-after", "3600");
    each_call_fails("hour", Fault::Answer(hour), timeout, &[Code::Deadline]);
}

#[test]
fn refused_credentials_are_a_permission_error_at_once() {
    let Some(store) = Store::on("radosgw", "refused") else { return };
    store.driver(&[]).put_content(&Context::none(), "/a", b"x").unwrap();
    for (key, value) in [("secretkey", "wrongwrongwrong"), ("accesskey", "nobodyofthisname")] {
        let (proxy, driver) = store.proxied(&[(key, value)]);
        let before = Instant::now();
        let error = driver.get_content(&Context::none(), "/a").unwrap_err();
        assert_eq!(error.code(), Code::Permission, "{error}");
        assert_eq!(error.http_status(), 403);
        assert!(!error.to_string().contains(value) || key == "accesskey", "{error}");
        assert_eq!(proxy.take().len(), 1, "it is not asked again");
        assert!(before.elapsed() < SLACK);
        let put = driver.put_content(&Context::none(), "/b", b"x").unwrap_err();
        let stat = driver.stat(&Context::none(), "/a").unwrap_err();
        let list = driver.list(&Context::none(), "/").unwrap_err();
        let upload = driver
            .writer(&Context::none(), "/b", false)
            .and_then(|mut writer| writer.close(&Context::none()));
        for error in [put, stat, list, upload.unwrap_err()] {
            assert_eq!(error.code(), Code::Permission, "{error}");
        }
    }
}

#[test]
fn expired_credentials_are_a_permission_error_that_says_so() {
    let Some(store) = Store::on("radosgw", "expired") else { return };
    let (proxy, driver) = store.proxied(&[("sessiontoken", "a-token-of-yesterday")]);
    for status in [400, 403] {
        let text = "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.\
                    </Message><RequestId>request-17</RequestId></Error>";
        let answer = Response::new(status, text).with("x-amz-request-id", "request-17");
        proxy.rule(Rule::on(|_| true, Fault::Answer(answer)).always());
        let before = Instant::now();
        let errors: Vec<Error> = vec![
            driver.get_content(&Context::none(), "/a").unwrap_err(),
            driver.put_content(&Context::none(), "/a", b"x").unwrap_err(),
            driver.list(&Context::none(), "/").unwrap_err(),
            driver.delete(&Context::none(), "/a").unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.code(), Code::Permission, "{error}");
            assert!(error.to_string().contains("expired"), "{error}");
            assert!(!error.to_string().contains("yesterday"), "{error}");
            assert_eq!((error.http_status(), error.request_id()), (status.into(), "request-17"));
        }
        assert!(before.elapsed() < SLACK + Duration::from_secs(5));
        proxy.forget_rules();
    }
}

#[test]
fn a_missing_bucket_is_no_missing_path() {
    let Some(store) = Store::on("radosgw", "bucket") else { return };
    let driver = store.driver(&[("bucket", "no-such-bucket-here")]);
    let ctx = Context::none();
    let errors = [
        driver.get_content(&ctx, "/a").unwrap_err(),
        driver.put_content(&ctx, "/a", b"x").unwrap_err(),
        driver.list(&ctx, "/").unwrap_err(),
        driver.delete(&ctx, "/a").unwrap_err(),
    ];
    for error in errors {
        assert_ne!(error.code(), Code::PathNotFound, "{error}");
        assert!(error.to_string().to_lowercase().contains("bucket"), "{error}");
    }
}

#[test]
fn a_server_that_is_not_there_is_unavailable() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let store = Store::at(&format!("http://{free}"), "nobody");
    let before = Instant::now();
    let error = store.driver(&[]).get_content(&Context::none(), "/a").unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert!(before.elapsed() < Duration::from_secs(60));
}

/// What a process whose clock is wrong does; see below.
#[test]
fn helper_with_another_clock() {
    let Ok(endpoint) = std::env::var("STORAGEDRIVER_S3_SKEWED") else { return };
    let mut store = Store::at(&endpoint, "skew");
    store.root = "/skew".to_string();
    let (proxy, driver) = store.proxied(&[]);
    let before = Instant::now();
    let result = driver.put_content(&Context::none(), "/a", b"x");
    println!("took {:?}: {result:?}: {}", before.elapsed(), proxy.take().len());
    match result {
        // The server's clock was taken over.
        Ok(()) => assert_eq!(driver.get_content(&Context::none(), "/a").unwrap(), b"x"),
        Err(error) => {
            assert_eq!(error.code(), Code::Permission, "{error}");
            assert!(error.to_string().contains("time"), "{error}");
        }
    }
}

#[test]
fn a_clock_that_is_wrong_is_said_or_corrected() {
    let Some(endpoint) = crate::store::endpoint("radosgw") else { return };
    for skew in ["+40m", "-40m"] {
        let mut child = Command::new("faketime");
        child.args(["-f", skew]).arg(std::env::current_exe().unwrap());
        child.args(["--exact", "codes::helper_with_another_clock", "--nocapture"]);
        child.env("STORAGEDRIVER_S3_SKEWED", &endpoint).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let done = child.output().expect("this test needs faketime");
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        println!("{skew}: {said}");
        assert!(done.status.success(), "{skew}: {said}{}", String::from_utf8_lossy(&done.stderr));
        assert!(said.contains("took"), "{said}");
    }
}

/// Which requests the tests above took a fault to: all kinds there are.
#[test]
fn every_kind_of_request_is_made_by_some_call() {
    let made: std::collections::BTreeSet<_> =
        ALL.iter().flat_map(|call| call.requests.iter().map(|(name, _)| *name)).collect();
    assert_eq!(made.len(), 13, "{made:?}");
    let _ = operation; // the names are its
}
