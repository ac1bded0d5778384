//! Faults that pass: each request of each call is answered "slow down", reset at some
//! byte of it or of its answer, or lost after the server has done its work. The call
//! succeeds all the same, and nothing is lost or torn.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use storagedriver::context::Context;
use storagedriver::driver::Driver;

use crate::content::Random;
use crate::operations::{ALL, Operation, forget};
use crate::proxy::{Fault, Proxy, Response, Rule};
use crate::store::{Store, operation};

const SLOW_DOWN: &str = "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code>\
                         <Message>please</Message><RequestId>r-1</RequestId></Error>";

pub fn slow_down(status: u16) -> Response {
    Response::new(status, SLOW_DOWN).with("content-type", "application/xml")
}

/// Does what `faults` says to every request of every call in turn. Each call has a
/// proxy of its own, so that they need not wait for each other.
fn each_request(server: &str, test: &str, faults: impl Fn(&'static str) -> Vec<Fault> + Sync) {
    let Some(store) = Store::on(server, test) else { return };
    let direct = store.driver(&[]);
    std::thread::scope(|scope| {
        for call in ALL {
            let (store, direct, faults) = (&store, &direct, &faults);
            scope.spawn(move || {
                let (proxy, driver) = store.proxied(&[]);
                for (request, count) in call.requests {
                    for nth in 1..=*count {
                        for (n, fault) in faults(request).into_iter().enumerate() {
                            let name = call.name.replace(' ', "-");
                            let at = format!("/{name}/{request}-{nth}-{n}");
                            (call.prepare)(&**direct, &at);
                            one_fault(
                                &proxy,
                                &*driver,
                                &**direct,
                                call,
                                (request, nth),
                                fault,
                                &at,
                            );
                        }
                    }
                }
            });
        }
    });
}

fn one_fault(
    proxy: &Proxy,
    driver: &dyn Driver,
    direct: &dyn Driver,
    call: &Operation,
    (request, nth): (&'static str, usize),
    fault: Fault,
    at: &str,
) {
    proxy.forget_rules();
    let bitten = proxy.bitten();
    proxy.rule(Rule::on(move |seen| operation(seen) == request, fault).nth(nth));
    let ctx = Context::new(&Context::none());
    ctx.set_timeout(Duration::from_secs(30));
    let before = Instant::now();
    let result = (call.run)(driver, &ctx, at);
    if let Err(error) = &result {
        panic!("{at}: {error} after {:?}", before.elapsed());
    }
    assert_eq!(proxy.bitten(), bitten + 1, "{at}: {request} was not sent");
    (call.check)(direct, at, true);
    forget(direct, at);
}

#[test]
fn slow_down_is_obeyed() {
    each_request("radosgw", "slow", |_| {
        vec![Fault::Answer(slow_down(503)), Fault::Answer(slow_down(429))]
    });
}

#[test]
fn an_internal_error_is_tried_again() {
    each_request("radosgw", "internal", |_| {
        let text = SLOW_DOWN.replace("SlowDown", "InternalError");
        vec![Fault::Answer(Response::new(500, text)), Fault::Answer(Response::new(502, "<html>"))]
    });
}

#[test]
fn an_answer_that_is_lost_is_asked_for_again() {
    each_request("radosgw", "lost", |_| vec![Fault::ResetResponse(0)]);
}

#[test]
fn an_answer_that_is_lost_is_asked_for_again_on_seaweedfs() {
    each_request("seaweedfs", "lost", |_| vec![Fault::ResetResponse(0)]);
}

#[test]
fn a_reset_at_any_byte_is_survived() {
    let random = Mutex::new(Random::new("resets"));
    each_request("radosgw", "resets", |request| {
        let body = match request {
            "UploadPart" => 100_000,
            "PutObject" => 100_000,
            _ => 0,
        };
        // An answer that is shorter comes whole, and nothing has happened.
        let answer = if request == "GetObject" { 90_000 } else { 300 };
        let mut random = random.lock().unwrap();
        vec![
            Fault::ResetRequest(random.below(300)),
            Fault::ResetRequest(random.below(400 + body)),
            Fault::ResetResponse(random.below(150)),
            Fault::ResetResponse(150 + random.below(answer)),
        ]
    });
}

#[test]
fn a_retry_is_made_when_the_server_says() {
    let Some(store) = Store::on("radosgw", "retry-after") else { return };
    let (proxy, driver) = store.proxied(&[]);
    for status in [503, 429] {
        let answer = slow_down(status).with("retry-after", "2");
        proxy.rule(Rule::on(|seen| operation(seen) == "PutObject", Fault::Answer(answer)));
        let before = Instant::now();
        driver.put_content(&Context::none(), "/a", b"x").unwrap();
        assert!(before.elapsed() >= Duration::from_secs(2), "{status}: {:?}", before.elapsed());
    }
}

#[test]
fn an_object_that_breaks_off_is_read_on_where_it_broke() {
    let Some(store) = Store::on("radosgw", "breaks") else { return };
    let (proxy, driver) = store.proxied(&[]);
    let mut random = Random::new("breaks");
    let data = crate::content::content(7, 5 << 20);
    driver.put_content(&Context::none(), "/a", &data).unwrap();
    for round in 0..20 {
        proxy.forget_rules();
        // It breaks three times.
        for _ in 0..3 {
            let fault = Fault::ResetResponse(random.below(2 << 20));
            proxy.rule(Rule::on(|seen| operation(seen) == "GetObject", fault));
        }
        let offset = random.below(1 << 20) as usize;
        let mut reader = driver.reader(&Context::none(), "/a", offset as i64).unwrap();
        let found = crate::operations::read_all(&mut *reader).unwrap();
        assert!(found == data[offset..], "round {round}: {} bytes", found.len());
    }
    let asked = proxy.take();
    let pinned = asked.iter().filter(|seen| seen.header("if-match").is_some()).count();
    assert!(pinned >= 40, "{pinned} requests of {} name the version they go on with", asked.len());
}
