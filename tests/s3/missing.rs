//! A 404 that is not the store's: of an ingress that is being replaced, say. It says nothing
//! of what is stored.

use std::time::Duration;

use storagedriver::context::Context;
use storagedriver::driver::Driver;
use storagedriver::error::Code;

use crate::operations::{ALL, forget};
use crate::proxy::{Fault, Response, Rule, Seen};
use crate::store::{Store, operation};

const PAGE: &str = "<html><head><title>404 Not Found</title></head></html>";

fn page() -> Fault {
    Fault::Answer(Response::new(404, PAGE).with("content-type", "text/html"))
}

fn xml(status: u16, text: &str) -> Fault {
    Fault::Answer(Response::new(status, text).with("content-type", "application/xml"))
}

fn limited() -> Context {
    let ctx = Context::new(&Context::none());
    ctx.set_timeout(Duration::from_secs(60));
    ctx
}

#[test]
fn a_page_that_is_not_found_hides_no_file() {
    // Nothing is asked: the proxy answers everything.
    let (proxy, driver) = Store::at("http://127.0.0.1:9", "missing").proxied(&[]);
    proxy.rule(Rule::on(|_| true, page()).always());
    let errors = [
        driver.get_content(&limited(), "/a").map(drop),
        driver.reader(&limited(), "/a", 0).map(drop),
        driver.stat(&limited(), "/a").map(drop),
        driver.list(&limited(), "/a").map(drop),
        driver.delete(&limited(), "/a"),
        driver.r#move(&limited(), "/a", "/b"),
        driver.writer(&limited(), "/a", true).map(drop),
    ];
    for (n, error) in errors.into_iter().enumerate() {
        let error = error.expect_err("a page for a file");
        assert_eq!(error.code(), Code::Unavailable, "{n}: {error}");
    }
}

#[test]
fn a_page_that_is_not_found_hides_no_upload() {
    let store = Store::at("http://127.0.0.1:9", "missing");
    let (proxy, driver) = store.proxied(&[]);
    let uploads = format!(
        "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated><Upload><Key>{}</Key>\
         <UploadId>u</UploadId><Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload>\
         </ListMultipartUploadsResult>",
        store.key("/a")
    );
    let lists = |seen: &Seen| operation(seen) == "ListMultipartUploads";
    proxy.rule(Rule::on(lists, xml(200, &uploads)).always());
    proxy.rule(Rule::on(|seen| operation(seen) == "HeadObject", xml(404, "")).always());
    proxy.rule(Rule::on(|_| true, page()).always());
    let error = driver.writer(&limited(), "/a", true).map(drop).unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
}

/// Each request that may say so, on a server: once, and for ever.
#[test]
fn a_page_that_is_not_found_is_no_answer_of_the_store() {
    let Some(store) = Store::on("radosgw", "pages") else { return };
    let direct = store.driver(&[]);
    std::thread::scope(|scope| {
        for call in ALL {
            let (store, direct) = (&store, &direct);
            scope.spawn(move || {
                for (request, _) in call.requests.iter().filter(|(name, _)| *name != "HeadObject") {
                    for times in [1, usize::MAX] {
                        let at =
                            format!("/{}/{request}-{}", call.name.replace(' ', "-"), times % 7);
                        (call.prepare)(&**direct, &at);
                        let (proxy, driver) = store.proxied(&[]);
                        let rule = Rule::on(move |seen| operation(seen) == *request, page());
                        proxy.rule(rule.times(times));
                        let result = (call.run)(&*driver, &limited(), &at);
                        match (times, &result) {
                            (1, result) => assert!(result.is_ok(), "{at}: {result:?}"),
                            (_, result) => {
                                let error = result.as_ref().expect_err("a page for an answer");
                                assert_eq!(error.code(), Code::Unavailable, "{at}: {error}");
                            }
                        }
                        proxy.take();
                        (call.check)(&**direct, &at, result.is_ok());
                        forget(&**direct, &at);
                    }
                }
            });
        }
    });
}
