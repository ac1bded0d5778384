//! Objects read through connections that break, change or answer beside the point.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use http::header::{IF_MATCH, RANGE};

use super::server::{Asked, Server, Then, Wire, answer};
use super::*;
use crate::error::{Code, Error};
use crate::http::hash::{Crc32c, crc32c_base64};
use crate::http::ranged::{Ahead, Download, Opened};
use crate::http::{ranged, status_error};
use crate::remote::Chunks;

const AHEAD: Option<Ahead> = Some(Ahead { ranges: 4, size: 100_000 });

/// What a driver would do: one request for a range, with what its answers mean.
fn opener(engine: &Engine, url: &str) -> impl ranged::Open + use<> {
    let (engine, url) = (engine.clone(), url.to_string());
    move |range: ranged::Range, pin: Option<String>| {
        let (engine, url) = (engine.clone(), url.clone());
        async move {
            let mut request = get(&url);
            if let Some(value) = range.header() {
                request.headers_mut().insert(RANGE, value);
            }
            if let Some(etag) = pin {
                request.headers_mut().insert(IF_MATCH, etag.parse().unwrap());
            }
            let (head, body) = engine.send(request).await?.into_parts();
            match head.status {
                StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
                    let opened = Opened::new(range, head.status, &head.headers, body)?;
                    let crc = head.headers.get("x-crc32c").and_then(|crc| crc.to_str().ok());
                    Ok(match crc {
                        Some(crc) => opened.with_verify(Box::new(Crc32c::new(crc))),
                        None => opened,
                    })
                }
                StatusCode::RANGE_NOT_SATISFIABLE => Ok(Opened::past_end(range)),
                StatusCode::NOT_FOUND => Err(Error::path_not_found("/key")),
                status => Err(status_error(status, &head.headers, "", "", "")),
            }
        }
    }
}

fn download(url: &str, offset: u64, ahead: Option<Ahead>) -> Result<Vec<u8>> {
    download_by(&engine(), url, offset, ahead)
}

fn download_by(engine: &Engine, url: &str, offset: u64, ahead: Option<Ahead>) -> Result<Vec<u8>> {
    let open = opener(engine, url);
    run(async move { read_all(&mut Download::open(open, offset, QUICK, ahead).await?).await })
}

async fn read_all(chunks: &mut dyn Chunks) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let chunk = chunks.chunk().await?;
        if chunk.is_empty() {
            // The end is the end.
            assert!(chunks.chunk().await.unwrap().is_empty());
            return Ok(all);
        }
        all.extend_from_slice(&chunk);
    }
}

/// The range that was asked for.
fn wanted(asked: &Asked, len: usize) -> Option<(usize, usize)> {
    let range = asked.header("range")?.strip_prefix("bytes=")?;
    let (first, last) = range.split_once('-')?;
    let last = last.parse().map_or(len, |last: usize| last + 1);
    Some((first.parse().ok()?, last.min(len)))
}

/// Answers for an object as a store does.
fn serve(asked: &Asked, content: &[u8], etag: &str) -> Vec<u8> {
    if asked.header("if-match").is_some_and(|wanted| wanted != etag) {
        return answer("412 Precondition Failed", &[], b"");
    }
    let Some((start, end)) = wanted(asked, content.len()) else {
        return answer("200 OK", &[("etag", etag)], content);
    };
    if start >= content.len() {
        return answer("416 Range Not Satisfiable", &[], b"");
    }
    let range = format!("bytes {start}-{}/{}", end - 1, content.len());
    let headers = [("etag", etag), ("content-range", range.as_str())];
    answer("206 Partial Content", &headers, &content[start..end])
}

/// A store with one object, whose answers `spoil` may spoil.
fn store(
    content: &[u8],
    spoil: impl Fn(&Asked, Vec<u8>, &mut dyn Wire) -> Then + Send + Sync + 'static,
) -> Server {
    let content = content.to_vec();
    Server::start(move |asked, wire| spoil(asked, serve(asked, &content, "\"v1\""), wire))
}

fn whole(_: &Asked, bytes: Vec<u8>, wire: &mut dyn Wire) -> Then {
    let _ = wire.write_all(&bytes);
    Then::Keep
}

/// Gives up after some bytes, in the first answer and in most others.
fn breaks(asked: &Asked, bytes: Vec<u8>, wire: &mut dyn Wire) -> Then {
    let some = || 1 + fastrand::usize(..bytes.len() * 3 / 2);
    let len = if asked.number == 0 { bytes.len() / 2 } else { some() };
    let _ = wire.write_all(bytes.get(..len).unwrap_or(&bytes));
    if len < bytes.len() { Then::Close } else { Then::Keep }
}

#[test]
fn an_object_is_read_from_any_offset_with_one_request() {
    let object = content(250_000);
    let server = store(&object, whole);
    for offset in [0, 1, 249_999, 250_000, 250_001, 1 << 40] {
        let before = server.asked().len();
        let expected = object.get(offset as usize..).unwrap_or_default();
        assert!(download(&server.url("/"), offset, None).unwrap() == expected, "{offset}");
        assert_eq!(server.asked().len() - before, 1);
    }
    assert_eq!(server.asked()[0].header("range"), None);
    assert_eq!(server.asked()[1].header("range"), Some("bytes=1-"));
}

#[test]
fn an_empty_object_is_empty() {
    let server = store(b"", whole);
    for (offset, ahead) in [(0, None), (0, AHEAD), (5, None), (5, AHEAD)] {
        assert!(download(&server.url("/"), offset, ahead).unwrap().is_empty());
    }
}

#[test]
fn a_download_that_breaks_anywhere_goes_on_where_it_was() {
    let object = content(1_000_000);
    for ahead in [None, AHEAD] {
        // The head may break too, which is for the driver to repeat.
        let server = store(&object, |asked, bytes, wire| {
            let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
            wire.write_all(&bytes[..head]).unwrap();
            breaks(asked, bytes[head..].to_vec(), wire)
        });
        for offset in [0, 123_456] {
            let read = download(&server.url("/"), offset, ahead).unwrap();
            assert!(read == object[offset as usize..], "{offset} {ahead:?}");
        }
        let asked = server.asked();
        assert!(asked.len() > 2, "nothing broke");
        let resumed = |asked: &&Asked| asked.header("if-match").is_some();
        assert!(asked.iter().filter(resumed).all(|a| a.header("if-match") == Some("\"v1\"")));
        assert!(asked.iter().filter(resumed).count() > 0);
    }
}

#[test]
fn a_download_that_stalls_goes_on_where_it_was() {
    let object = content(300_000);
    let server = store(&object, |asked, bytes, wire| {
        if asked.number > 0 {
            return whole(asked, bytes, wire);
        }
        wire.write_all(&bytes[..100_000]).unwrap();
        std::thread::sleep(Duration::from_secs(60));
        Then::Close
    });
    assert!(download_by(&impatient(), &server.url("/"), 0, None).unwrap() == object);
}

#[test]
fn a_download_that_gets_nowhere_fails_in_the_end() {
    let server = store(&content(1000), |asked, bytes, wire| {
        let front = if asked.number == 0 { bytes.len() - 500 } else { bytes.len() - 1000 };
        let _ = wire.write_all(&bytes[..front.min(bytes.len())]);
        Then::Close
    });
    let error = download(&server.url("/"), 0, None).unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert!(server.asked().len() <= 1 + QUICK.attempts as usize);
}

/// The first answer breaks off; the object has then become what `after` answers.
fn changes(after: fn(&Asked) -> Vec<u8>) -> Server {
    let object = content(500_000);
    Server::start(move |asked, wire| {
        if asked.number > 0 {
            return whole(asked, after(asked), wire);
        }
        let bytes = serve(asked, &object, "\"v1\"");
        let _ = wire.write_all(&bytes[..bytes.len() / 2]);
        Then::Close
    })
}

#[test]
fn an_object_that_changed_meanwhile_is_a_conflict_never_a_mixture() {
    let cases: [fn(&Asked) -> Vec<u8>; 5] = [
        |asked| serve(asked, &content(500_000), "\"v2\""),
        // A store that does not know the condition.
        |asked| {
            let asked = Asked { head: asked.head.replace("if-match", "x"), ..asked.clone() };
            serve(&asked, &content(500_000), "\"v2\"")
        },
        |asked| serve(asked, &content(400_000), "\"v1\""),
        |asked| serve(asked, &content(10), "\"v1\""),
        |_| answer("404 Not Found", &[], b""),
    ];
    for after in cases {
        for offset in [0, 1000] {
            let server = changes(after);
            let error = download(&server.url("/"), offset, None).unwrap_err();
            assert_eq!(error.code(), Code::Conflict, "{error}");
            assert!(!error.is_retryable());
        }
    }
}

#[test]
fn an_object_replaced_between_two_ranges_is_a_conflict() {
    let server = Server::start(|asked, wire| {
        let etag = if asked.number == 0 { "\"v1\"" } else { "\"v2\"" };
        whole(asked, serve(asked, &content(1_000_000), etag), wire)
    });
    let error = download(&server.url("/"), 0, AHEAD).unwrap_err();
    assert_eq!(error.code(), Code::Conflict, "{error}");
}

#[test]
fn without_a_version_to_hold_on_to_a_broken_download_fails() {
    let object = content(500_000);
    let server = Server::start(move |asked, wire| {
        let bytes = serve(asked, &object, "\"v1\"");
        let text = b"etag: \"v1\"\r\n";
        let at = bytes.windows(text.len()).position(|part| part == text).unwrap();
        let bytes = [&bytes[..at], &bytes[at + text.len()..]].concat();
        let _ = wire.write_all(&bytes[..bytes.len() / 2]);
        Then::Close
    });
    for ahead in [None, AHEAD] {
        let error = download(&server.url("/"), 0, ahead).unwrap_err();
        assert_eq!(error.code(), Code::Unavailable, "{error}");
    }
}

#[test]
fn a_store_that_ignores_ranges_is_read_from_the_right_place() {
    let object = content(400_000);
    let (same, broken) = (object.clone(), AtomicUsize::new(0));
    let server = Server::start(move |asked, wire| {
        let bytes = answer("200 OK", &[("etag", "\"v1\"")], &same);
        if broken.fetch_add(1, Ordering::SeqCst).is_multiple_of(3) {
            let _ = wire.write_all(&bytes[..300_000]);
            return Then::Close;
        }
        whole(asked, bytes, wire)
    });
    for offset in [0, 7, 399_999, 400_000, 500_000] {
        for ahead in [None, AHEAD] {
            let read = download(&server.url("/"), offset, ahead).unwrap();
            assert!(read == object.get(offset as usize..).unwrap_or_default(), "{offset}");
        }
    }
}

#[test]
fn an_answer_with_another_range_than_asked_for_is_an_error() {
    let says = |range: &'static str, len: usize| {
        Server::saying(answer(
            "206 Partial Content",
            &[("content-range", range), ("etag", "\"v1\"")],
            &vec![0; len],
        ))
    };
    for server in [
        says("bytes 0-99/100", 100),
        says("bytes 11-99/100", 89),
        says("bytes 10-98/99", 90),
        says("bytes 10-99/50", 90),
        says("bytes 99-10/100", 90),
        says("bytes 10-18446744073709551615/*", 90),
        says("bytes */100", 90),
        says("nonsense", 90),
        Server::saying(answer("206 Partial Content", &[], &[0; 90])),
    ] {
        let error = download(&server.url("/"), 10, None).unwrap_err();
        assert_eq!(error.code(), Code::Driver, "{error}");
    }
}

#[test]
fn a_part_of_a_range_is_followed_by_the_rest() {
    // At most 70,000 bytes in an answer, which a server may do.
    let object = content(1_000_000);
    let same = object.clone();
    let server = Server::start(move |asked, wire| {
        let Some((start, end)) = wanted(asked, same.len()) else {
            return whole(asked, serve(asked, &same, "\"v1\""), wire);
        };
        let range = format!("bytes={start}-{}", end.min(start + 70_000) - 1);
        let old = asked.header("range").unwrap();
        let asked = Asked { head: asked.head.replace(old, &range), ..asked.clone() };
        whole(&asked, serve(&asked, &same, "\"v1\""), wire)
    });
    for (offset, ahead) in [(1, None), (0, AHEAD), (1, AHEAD)] {
        assert!(download(&server.url("/"), offset, ahead).unwrap() == object[offset as usize..]);
    }
}

#[test]
fn a_length_that_nobody_says_is_believed_only_in_chunks() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let server = Server::saying(chunked);
    assert_eq!(download(&server.url("/"), 0, None).unwrap(), b"hello");
    assert_eq!(download(&server.url("/"), 2, None).unwrap(), b"llo");
    let server = Server::start(|_, wire| {
        wire.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhel").unwrap();
        Then::Close
    });
    let error = download(&server.url("/"), 0, None).unwrap_err();
    assert!(error.detail().contains("how long"), "{error}");
}

#[test]
fn ranges_fetched_ahead_come_in_order_and_are_bounded() {
    let object = content(3_000_000);
    let served = Arc::new(AtomicUsize::new(0));
    let count = served.clone();
    let server = store(&object, move |asked, bytes, wire| {
        // Earlier ranges are slower than later ones.
        std::thread::sleep(Duration::from_millis(fastrand::u64(..20)));
        count.fetch_add(bytes.len(), Ordering::SeqCst);
        whole(asked, bytes, wire)
    });
    let open = opener(&engine(), &server.url("/"));
    run(async move {
        let mut download = Download::open(open, 0, QUICK, AHEAD).await.unwrap();
        assert_eq!(download.total(), Some(3_000_000));
        let mut all = download.chunk().await.unwrap().to_vec();
        // However long the caller takes, four ranges and no more.
        while served.load(Ordering::SeqCst) < 400_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(SOON).await;
        assert!((400_000..410_000).contains(&served.load(Ordering::SeqCst)));
        all.extend(read_all(&mut download).await.unwrap());
        assert!(all == object);
    });
    let starts: Vec<_> = server.asked().iter().map(|a| wanted(a, 3_000_000).unwrap().0).collect();
    assert_eq!(starts.len(), 30);
    // Several at once: not all came in order, or on one connection.
    assert!(server.connections() > 1);
}

#[test]
fn a_download_that_is_dropped_ends_its_requests() {
    let object = content(3_000_000);
    let server = store(&object, |asked, bytes, wire| {
        if asked.number > 0 {
            std::thread::sleep(SOON);
        }
        whole(asked, bytes, wire)
    });
    let (engine, url) = (engine(), server.url("/"));
    let open = opener(&engine, &url);
    run(async move {
        let mut download = Download::open(open, 0, QUICK, AHEAD).await.unwrap();
        download.chunk().await.unwrap();
        drop(download);
        tokio::time::sleep(3 * SOON).await;
    });
    assert!(server.asked().len() <= 4);
    // And the engine is as before.
    exchange(&engine, get(&url)).unwrap();
}

#[test]
fn a_chunk_that_was_cut_off_loses_nothing() {
    let object = content(1_000_000);
    for ahead in [None, AHEAD] {
        let server = store(&object, |asked, bytes, wire| {
            for piece in bytes.chunks(20_000) {
                std::thread::sleep(Duration::from_millis(2));
                if wire.write_all(piece).is_err() || fastrand::u8(..20) == 0 {
                    return Then::Close;
                }
            }
            let _ = asked;
            Then::Keep
        });
        let object = object.clone();
        let (engine, url) = (engine(), server.url("/"));
        run(async move {
            // Its first request has to come through.
            let mut download = loop {
                match Download::open(opener(&engine, &url), 0, QUICK, ahead).await {
                    Ok(download) => break download,
                    Err(error) => assert!(error.is_retryable(), "{error}"),
                }
            };
            let (mut all, mut cuts) = (Vec::new(), 0);
            while all.len() < object.len() {
                // In the end long enough for a request on any machine.
                let wait = Duration::from_micros(fastrand::u64(..3000 << cuts.min(12)));
                match tokio::time::timeout(wait, download.chunk()).await {
                    Ok(Ok(chunk)) => {
                        all.extend_from_slice(&chunk);
                        cuts = 0;
                    }
                    Ok(Err(error)) => assert!(error.is_retryable(), "{error}"),
                    Err(_cut_off) => cuts += 1,
                }
            }
            assert!(all == object);
            assert!(download.chunk().await.unwrap().is_empty());
        });
    }
}

#[test]
fn content_that_does_not_match_its_checksum_is_corrupt() {
    let object = content(600_000);
    let crc = crc32c_base64(&[object.clone().into()]);
    for ahead in [None, AHEAD] {
        for good in [true, false] {
            let (mut sent, crc) = (object.clone(), crc.clone());
            if !good {
                sent[500_000] ^= 1;
            }
            let server = Server::start(move |asked, wire| {
                let bytes = serve(asked, &sent, "\"v1\"");
                let head = b"content-length";
                let at = bytes.windows(head.len()).position(|part| part == head).unwrap();
                let line = format!("x-crc32c: {crc}\r\n");
                whole(asked, [&bytes[..at], line.as_bytes(), &bytes[at..]].concat(), wire)
            });
            let url = server.url("/");
            let outcome = download(&url, 0, ahead);
            // From another place there is nothing to compare.
            assert!(download(&url, 1, ahead).unwrap().len() == 599_999);
            if good {
                assert!(outcome.unwrap() == object);
                continue;
            }
            assert_eq!(outcome.unwrap_err().code(), Code::Corrupt);
            // The last bytes are not given, and the error stays.
            let open = opener(&engine(), &url);
            run(async move {
                let mut download = Download::open(open, 0, QUICK, ahead).await.unwrap();
                let mut len = 0;
                let error = loop {
                    match download.chunk().await {
                        Ok(chunk) => len += chunk.len(),
                        Err(error) => break error,
                    }
                };
                assert!(len < 600_000 && error.code() == Code::Corrupt);
                assert_eq!(download.chunk().await.unwrap_err().code(), Code::Corrupt);
            });
        }
    }
}
