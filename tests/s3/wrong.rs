//! Answers that are wrong: lengths, XML that is cut or is none, tokens that come again,
//! errors under status 200. Never a short success, never a loop without end.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use storagedriver::base::Base;
use storagedriver::context::Context;
use storagedriver::driver::Driver;
use storagedriver::error::{Code, Result};

use crate::content::{Random, content};
use crate::operations::{ALL, forget, read_all};
use crate::proxy::{Fault, Proxy, Response, Rule, Seen};
use crate::store::{PART, Store, operation};
use crate::transient::slow_down;

/// What an answer that cannot be understood may be called.
const NONSENSE: &[Code] = &[Code::Driver, Code::Unavailable, Code::Corrupt];

/// Those that answer with XML.
const XML: &[&str] = &[
    "ListObjectsV2",
    "ListMultipartUploads",
    "ListParts",
    "CreateMultipartUpload",
    "CompleteMultipartUpload",
    "UploadPartCopy",
    "CopyObject",
    "DeleteObjects",
];

fn limited() -> Context {
    let ctx = Context::new(&Context::none());
    ctx.set_timeout(Duration::from_secs(60));
    ctx
}

/// Does a fault to the answers to each kind of request that has XML, of each call.
/// `Ok` means that the call did all it should, else it says that nobody understands it.
fn each_answer(test: &str, times: usize, fault: impl Fn() -> Fault) {
    let Some(store) = Store::on("radosgw", test) else { return };
    let direct = store.driver(&[]);
    std::thread::scope(|scope| {
        for call in ALL {
            for (request, _) in call.requests.iter().filter(|(name, _)| XML.contains(name)) {
                let (store, direct, fault) = (&store, &direct, fault());
                scope.spawn(move || {
                    let at = format!("/{}/{request}", call.name.replace(' ', "-"));
                    (call.prepare)(&**direct, &at);
                    let (proxy, driver) = store.proxied(&[]);
                    let rule = Rule::on(move |seen| operation(seen) == *request, fault);
                    proxy.rule(rule.times(times));
                    let before = Instant::now();
                    let result = (call.run)(&*driver, &limited(), &at);
                    println!("{test}{at}: {result:?} after {:?}", before.elapsed());
                    if let Err(error) = &result {
                        assert!(NONSENSE.contains(&error.code()), "{test}{at}: {error}");
                    }
                    (call.check)(&**direct, &at, result.is_ok());
                    forget(&**direct, &at);
                });
            }
        }
    });
}

#[test]
fn xml_that_is_cut_is_never_a_short_answer() {
    let random = Mutex::new(Random::new("cut"));
    let anywhere = || Fault::truncate(random.lock().unwrap().below(200) as usize);
    each_answer("cut-once", 1, anywhere);
    each_answer("cut", usize::MAX, anywhere);
    each_answer("empty", usize::MAX, || Fault::truncate(0));
    // In the middle and near the end, wherever they are.
    each_answer("half", usize::MAX, || {
        Fault::edit(|response| response.body.truncate(response.body.len() / 2))
    });
    each_answer("almost", usize::MAX, || {
        Fault::edit(|response| response.body.truncate(response.body.len().saturating_sub(9)))
    });
}

#[test]
fn what_is_no_xml_is_an_error() {
    let laughs = (0..30).fold(String::from("<!DOCTYPE l [<!ENTITY e0 \"ha\">"), |text, n| {
        text + &format!("<!ENTITY e{} \"&e{n};&e{n};&e{n};\">", n + 1)
    });
    let answers = [
        "<html>Welcome to the network of this hotel</html>".to_string(),
        format!("<?xml version=\"1.0\"?>{laughs}]><ListBucketResult>&e30;</ListBucketResult>"),
        "<a>".repeat(100_000),
        "\0\u{7f}".repeat(1000),
    ];
    for (n, text) in answers.into_iter().enumerate() {
        each_answer(&format!("garbage-{n}"), usize::MAX, || {
            let text = text.clone();
            Fault::edit(move |response| response.body = text.clone().into())
        });
    }
}

#[test]
fn an_error_under_status_200_is_an_error() {
    let Some(store) = Store::on("radosgw", "error-200") else { return };
    let (proxy, driver) = store.proxied(&[]);
    let direct = store.driver(&[]);
    for call in ALL {
        for (request, _) in call.requests {
            if !["CompleteMultipartUpload", "CopyObject", "UploadPartCopy"].contains(request) {
                continue;
            }
            let at = format!("/{}/{request}", call.name.replace(' ', "-"));
            (call.prepare)(&*direct, &at);
            proxy.forget_rules();
            let mut answer = slow_down(200);
            answer.body = "<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code>\
                           <Message>We encountered an internal error.</Message></Error>"
                .into();
            let rule = Rule::on(move |seen| operation(seen) == *request, Fault::Answer(answer));
            proxy.rule(rule.times(1));
            (call.run)(&*driver, &limited(), &at).unwrap();
            (call.check)(&*direct, &at, true);
        }
    }
}

#[test]
fn an_object_of_another_length_than_announced_is_no_success() {
    let Some(store) = Store::on("radosgw", "length") else { return };
    let (proxy, driver) = store.proxied(&[]);
    let data = content(1, 100_000);
    driver.put_content(&Context::none(), "/a", &data).unwrap();
    let get = |_: usize| driver.get_content(&limited(), "/a");
    let read = |offset: usize| -> Result<Vec<u8>> {
        let mut reader = driver.reader(&limited(), "/a", offset as i64)?;
        read_all(&mut *reader)
    };
    let check = |what: &str, found: Result<Vec<u8>>, offset: usize| match found {
        Ok(found) => assert!(found == data[offset..], "{what}: {} bytes", found.len()),
        // Or the object was replaced by one of that length.
        Err(error) => {
            let codes = [NONSENSE, &[Code::Conflict]].concat();
            assert!(codes.contains(&error.code()), "{what}: {error}");
        }
    };
    for times in [1, usize::MAX] {
        for by in [1, 1000, 1 << 40, -1, -50_000] {
            let what = format!("{by} bytes, {times} times");
            let rule = || {
                let wrong = Fault::wrong_length(by);
                proxy.forget_rules();
                proxy.rule(Rule::on(|seen| operation(seen) == "GetObject", wrong).times(times));
            };
            rule();
            check(&what, read(1000), 1000);
            if by > 0 {
                // Too short a length of a whole object cannot be told from a shorter object.
                rule();
                check(&what, get(0), 0);
                rule();
                check(&what, read(0), 0);
            }
        }
    }
}

#[test]
fn a_reader_that_breaks_while_its_object_is_replaced_never_mixes_them() {
    let Some(store) = Store::on("radosgw", "mix") else { return };
    let (proxy, driver) = store.proxied(&[]);
    let direct = store.driver(&[]);
    let (old, new) = (content(1, 8 << 20), content(2, 8 << 20));
    driver.put_content(&Context::none(), "/a", &old).unwrap();
    proxy.rule(Rule::on(|seen| operation(seen) == "GetObject", Fault::ResetResponse(2 << 20)));
    let mut reader = driver.reader(&Context::none(), "/a", 0).unwrap();
    let mut buffer = vec![0; 1000];
    let first = reader.read(&mut buffer).unwrap();
    assert!(buffer[..first] == old[..first]);
    direct.put_content(&Context::none(), "/a", &new).unwrap();
    let error = read_all(&mut *reader).unwrap_err();
    assert_eq!(error.code(), Code::Conflict, "{error}");
}

#[test]
fn a_page_token_that_comes_again_ends_in_an_error() {
    let Some(store) = Store::on("radosgw", "token") else { return };
    let (proxy, driver) = store.proxied(&[]);
    let direct = store.driver(&[]);
    let truncated = |more: &'static str, closing: &'static str| {
        Fault::edit(move |response: &mut Response| {
            let text = String::from_utf8(response.body.clone()).unwrap();
            let text = text.replace("<IsTruncated>false</IsTruncated>", "");
            let more = format!("<IsTruncated>true</IsTruncated>{more}{closing}");
            response.body = text.replace(closing, &more).into();
        })
    };
    let cases = [
        (
            "ListObjectsV2",
            "<NextContinuationToken>t</NextContinuationToken>",
            "</ListBucketResult>",
        ),
        ("ListObjectsV2", "", "</ListBucketResult>"),
        (
            "ListMultipartUploads",
            "<NextKeyMarker>t</NextKeyMarker><NextUploadIdMarker>t</NextUploadIdMarker>",
            "</ListMultipartUploadsResult>",
        ),
        ("ListParts", "<NextPartNumberMarker>1</NextPartNumberMarker>", "</ListPartsResult>"),
    ];
    for (n, (request, more, closing)) in cases.into_iter().enumerate() {
        for call in ALL.iter().filter(|call| call.requests.iter().any(|(name, _)| *name == request))
        {
            let at = format!("/{n}/{}", call.name.replace(' ', "-"));
            (call.prepare)(&*direct, &at);
            proxy.forget_rules();
            proxy.take();
            let fault = truncated(more, closing);
            proxy.rule(Rule::on(move |seen| operation(seen) == request, fault).always());
            let result = (call.run)(&*driver, &limited(), &at);
            let asked = proxy.take().len();
            println!("{at}: {asked} requests, {result:?}");
            // One that is found before the end of the list need not look further.
            assert!(
                result.as_ref().is_ok() || NONSENSE.contains(&result.as_ref().unwrap_err().code())
            );
            assert!(asked < 30, "{at}: {asked} requests");
            if ["list", "walk"].contains(&call.name) {
                assert!(result.is_err(), "{at}: a list without an end has come to one");
            }
            (call.check)(&*direct, &at, result.is_ok());
        }
    }
}

#[test]
fn redirects_without_end_end() {
    let Some(store) = Store::on("radosgw", "redirects") else { return };
    let (proxy, driver) = store.proxied(&[]);
    for status in [301, 302, 307, 308] {
        proxy.forget_rules();
        proxy.take();
        let text = "<Error><Code>TemporaryRedirect</Code></Error>";
        let answer = Response::new(status, text).with("location", &format!("{}/x", proxy.url()));
        proxy.rule(Rule::on(|_| true, Fault::Answer(answer)).always());
        let before = Instant::now();
        let errors = [
            driver.get_content(&limited(), "/a").unwrap_err(),
            driver.put_content(&limited(), "/a", b"x").unwrap_err(),
            driver.list(&limited(), "/").unwrap_err(),
        ];
        for error in errors {
            assert!(NONSENSE.contains(&error.code()), "{status}: {error}");
        }
        assert!(proxy.take().len() < 60 && before.elapsed() < Duration::from_secs(30));
    }
}

#[test]
fn an_upload_that_another_ended_is_no_success() {
    let Some(store) = Store::on("radosgw", "ended") else { return };
    let (driver, other) = (store.driver(&[]), store.driver(&[]));
    let ctx = limited();
    let mut writer = driver.writer(&ctx, "/a", false).unwrap();
    writer.write(&content(1, 2 * PART)).unwrap();
    writer.close(&ctx).unwrap();
    let mut writer = driver.writer(&ctx, "/a", true).unwrap();
    other.writer(&ctx, "/a", true).unwrap().cancel(&ctx).unwrap();
    let more = content(2, PART + 1);
    let result = writer.write(&more).and_then(|()| writer.commit(&ctx));
    let error = result.expect_err("the upload was gone");
    assert!(![Code::Internal, Code::Throttled].contains(&error.code()), "{error}");
    assert_eq!(driver.stat(&ctx, "/a").unwrap_err().code(), Code::PathNotFound);
}

#[test]
fn a_cancel_while_the_upload_is_being_made_leaves_none() {
    let Some(store) = Store::on("radosgw", "made-late") else { return };
    let (proxy, driver) = store.proxied(&[]);
    let late = Duration::from_millis(300);
    let rule = Rule::on(|seen| operation(seen) == "CreateMultipartUpload", Fault::Delay(late));
    proxy.rule(rule.always());
    let ctx = limited();
    let mut writer = driver.writer(&ctx, "/a", false).unwrap();
    writer.write(&content(1, 2 * PART + 1)).unwrap();
    writer.cancel(&ctx).unwrap();
    std::thread::sleep(2 * late);
    let error = store.driver(&[]).writer(&ctx, "/a", true).map(drop).unwrap_err();
    assert_eq!(error.code(), Code::PathNotFound, "{error}");
}

/// As on the end of a page and again on the next.
#[test]
fn a_part_that_is_shown_twice_counts_once() {
    let Some(store) = Store::on("radosgw", "shown-twice") else { return };
    let (proxy, driver) = store.proxied(&[]);
    let (ctx, data) = (limited(), content(1, 4 * PART));
    let mut writer = driver.writer(&ctx, "/a", false).unwrap();
    writer.write(&data[..2 * PART]).unwrap();
    writer.close(&ctx).unwrap();
    let twice = Fault::edit(|response: &mut Response| {
        let text = String::from_utf8(response.body.clone()).unwrap();
        let (from, to) = (text.find("<Part>").unwrap(), text.rfind("</Part>").unwrap() + 7);
        let parts = &text[from..to];
        response.body = text.replace(parts, &format!("{parts}{parts}")).into();
    });
    proxy.rule(Rule::on(|seen| operation(seen) == "ListParts", twice).always());
    let mut writer = driver.writer(&ctx, "/a", true).unwrap();
    assert_eq!(writer.size(), 2 * PART as u64);
    writer.write(&data[2 * PART..]).unwrap();
    writer.commit(&ctx).unwrap();
    assert!(driver.get_content(&ctx, "/a").unwrap() == data);
}

/// A driver whose requests nobody answers but the rules of its proxy.
fn before_nothing(more: &[(&str, &str)]) -> (Proxy, Arc<Base>) {
    Store::at("http://127.0.0.1:9", "nobody").proxied(more)
}

fn xml(text: &str) -> Fault {
    Fault::Answer(Response::new(200, text).with("content-type", "application/xml"))
}

#[test]
fn a_move_whose_upload_somebody_ended_loses_nothing() {
    let Some(store) = Store::on("radosgw", "ended-move") else { return };
    let (proxy, driver) = store.proxied(&[("multipartcopythresholdsize", "10485760")]);
    let direct = store.driver(&[]);
    let (ctx, old, new) = (limited(), content(1, 12 << 20), content(2, 12 << 20));
    direct.put_content(&ctx, "/from", &new).unwrap();
    direct.put_content(&ctx, "/to", &old).unwrap();
    let ended = "<Error><Code>NoSuchUpload</Code></Error>";
    for request in ["CompleteMultipartUpload", "UploadPartCopy"] {
        proxy.forget_rules();
        let answer = Fault::Answer(Response::new(404, ended));
        proxy.rule(Rule::on(move |seen| operation(seen) == request, answer).always());
        let error = driver.r#move(&ctx, "/from", "/to").unwrap_err();
        assert_eq!(error.code(), Code::Conflict, "{request}: {error}");
        assert!(direct.get_content(&ctx, "/from").unwrap() == new, "{request}");
        assert!(direct.get_content(&ctx, "/to").unwrap() == old, "{request}");
    }
    proxy.forget_rules();
    driver.r#move(&ctx, "/from", "/to").unwrap();
    assert!(direct.get_content(&ctx, "/to").unwrap() == new);
}

#[test]
fn a_listing_of_uploads_that_does_not_say_where_it_goes_on_is_an_error() {
    let (proxy, driver) = before_nothing(&[]);
    let page = "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>\
                </ListMultipartUploadsResult>";
    proxy.rule(Rule::on(|seen| operation(seen) == "ListMultipartUploads", xml(page)).always());
    let missing = Fault::Answer(Response::new(404, ""));
    proxy.rule(Rule::on(|_| true, missing).always());
    let error = driver.writer(&limited(), "/a", true).map(drop).unwrap_err();
    assert_eq!(error.code(), Code::Driver, "{error}");
}

#[test]
fn pages_of_a_server_that_lists_in_no_order_skip_nothing() {
    let (proxy, driver) = before_nothing(&[("bucket", "b--x-s3"), ("rootdirectory", "/")]);
    let page = |keys: &[&str], more: &str| {
        let entry = |key: &&str| format!("<Contents><Key>d/{key}</Key><Size>1</Size></Contents>");
        let entries: String = keys.iter().map(entry).collect();
        xml(&format!("<ListBucketResult>{more}{entries}</ListBucketResult>"))
    };
    let more = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>";
    let later = |seen: &Seen| seen.query("continuation-token").is_some();
    proxy.rule(Rule::on(later, page(&["a", "y"], "")).always());
    proxy.rule(Rule::on(|_| true, page(&["z", "b"], more)).always());
    let mut names = Vec::new();
    while let Some(name) = {
        let after = names.last().map(String::as_str);
        let page = driver.list_page(&limited(), "/d", after, 1).unwrap();
        page.iter().next().map(String::from)
    } {
        names.push(name);
    }
    assert_eq!(names, ["/d/a", "/d/b", "/d/y", "/d/z"]);
}
