//! docs/driver-protocol.md shows what the code sends.

mod support;

use serde_json::{Value, json};
use storagedriver::child::frame::{Header, Inlet, Kind};
use storagedriver::child::message;
use storagedriver::context::Context;
use storagedriver::params::Params;

/// Who sent what in the dump of section 9.
fn dumped() -> Vec<(String, Vec<u8>)> {
    let page = support::read("docs/driver-protocol.md");
    let dump = page.split("## 9.").nth(1).unwrap().split("```").nth(1).unwrap();
    let mut said: Vec<(String, Vec<u8>)> = Vec::new();
    for line in dump.lines().filter(|line| !line.is_empty()) {
        let (side, rest) = line.split_at(8);
        let (hex, text) = rest.split_once('|').unwrap();
        if !side.trim().is_empty() {
            said.push((side.trim().to_string(), Vec::new()));
        }
        let bytes: Vec<u8> =
            hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        let shown: String = bytes
            .iter()
            .map(|b| if (32..127).contains(b) { char::from(*b) } else { '.' })
            .collect();
        assert_eq!(text, format!("{shown}|"), "{line}");
        said.last_mut().unwrap().1.extend(bytes);
    }
    said
}

fn frame(header: Header, body: &[u8]) -> Vec<u8> {
    [&header.encode(), body].concat()
}

fn made(kind: Kind, stream: u32, end: bool, body: &[u8]) -> Vec<u8> {
    frame(Header::new(kind, stream, body.len()).ending(end), body)
}

#[test]
fn the_dump_of_the_page_is_what_the_code_sends() {
    let ctx = Context::none();
    let mut params = Params::new();
    params.set("rootdirectory", "/srv");
    let hello = message::host_hello("example", &params);
    let answer = message::DriverHello {
        minor: 0,
        driver: Some("example".to_string()),
        window: 1 << 20,
        capabilities: storagedriver::driver::Capabilities {
            exact_append: true,
            ..Default::default()
        },
        operations: message::Operations { entries: true, ..Default::default() },
        max_concurrency: Some(1),
    };
    let request = |op: &str, path: &str| message::Request::new(op).text("path", path);
    let get = request("get_content", "/a").finish(&ctx).unwrap();
    let put = request("put_content", "/b").number("length", 2).finish(&ctx).unwrap();
    let stat = request("stat", "/c").finish(&ctx).unwrap();
    let error = message::error_body(&storagedriver::error::Error::path_not_found("/c"));
    let expected = [
        ("host", made(Kind::Hello, 0, false, &hello)),
        ("driver", made(Kind::Hello, 0, false, &answer.body())),
        ("host", made(Kind::Request, 1, false, &get)),
        ("driver", made(Kind::Data, 1, true, b"hello")),
        ("host", [made(Kind::Request, 2, false, &put), made(Kind::Data, 2, true, b"hi")].concat()),
        ("driver", made(Kind::Reply, 2, true, b"{}")),
        ("host", made(Kind::Request, 3, false, &stat)),
        ("driver", made(Kind::Error, 3, true, &error)),
    ];
    let dumped = dumped();
    assert_eq!(dumped.len(), expected.len());
    for ((side, bytes), (expected_side, expected)) in dumped.iter().zip(&expected) {
        assert_eq!(side, expected_side);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(text(bytes), text(expected));
        let mut inlet = Inlet::new();
        inlet.feed(bytes);
        while let Some((header, body)) = inlet.buffered().unwrap() {
            assert_eq!(header.length as usize, body.len());
            if header.kind != Kind::Data {
                serde_json::from_slice::<Value>(&body).unwrap();
            }
        }
    }
    assert_eq!(message::parse(b"{}").unwrap(), *json!({}).as_object().unwrap());
}

#[test]
fn the_page_names_every_type_operation_code_and_capability() {
    let page = support::read("docs/driver-protocol.md");
    for number in 1..=12 {
        let kind = Kind::from_number(number).unwrap();
        let row = format!("| {number} | {} |", format!("{kind:?}").to_uppercase());
        assert!(page.contains(&row), "{row}");
    }
    assert!(Kind::from_number(0).is_none() && Kind::from_number(13).is_none());
    let all = storagedriver::driver::Capabilities {
        real_directories: true,
        visible_uploads: true,
        exact_append: true,
        shrinkable: true,
        mtime_of_directories: true,
        redirect: true,
    };
    for word in message::capability_words(all) {
        assert!(page.contains(&format!("| `{word}` |")), "{word}");
    }
    for op in ["get_content", "put_content", "stat", "list", "list_page", "entries", "move"] {
        assert!(page.contains(&format!("| `{op}`")), "{op}");
    }
    for number in [storagedriver::child::frame::MAX_BODY, storagedriver::child::frame::PIECE] {
        let thousands =
            |n: usize| format!("{},{:03},{:03}", n / 1_000_000, n / 1000 % 1000, n % 1000);
        let text = thousands(number);
        assert!(page.contains(text.trim_start_matches("0,")), "{text}");
    }
}
