//! What the status of an answer means.

use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};

use crate::error::{Code, Error};

/// Longer messages of a peer are cut.
const LONGEST_MESSAGE: usize = 400;
/// "At once", said by a peer that just failed.
const SOON: Duration = Duration::from_millis(1);

/// An answer that is a failure. `code_text` and `message` are what the peer says it is,
/// "" where it says nothing. A status that only the request can explain, as 404, is
/// `Driver`: callers that know better change it with `with_code`.
pub fn status_error(
    status: StatusCode,
    headers: &HeaderMap,
    code_text: &str,
    message: &str,
    request_id: &str,
) -> Error {
    let code = code(status);
    let error = Error::new(code, text(status, code_text, message))
        .with_http_status(i32::from(status.as_u16()))
        .with_request_id(request_id);
    match retry_after(headers) {
        Some(wait) if error.is_retryable() => error.with_retry_after(wait),
        _ => error,
    }
}

fn code(status: StatusCode) -> Code {
    match status.as_u16() {
        401 | 403 | 407 => Code::Permission,
        // A lock and a precondition are lost to somebody else.
        409 | 412 | 423 => Code::Conflict,
        413 | 507 => Code::NoSpace,
        429 => Code::Throttled,
        408 | 425 | 500 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Driver,
    }
}

fn text(status: StatusCode, code_text: &str, message: &str) -> String {
    let number = status.as_u16();
    let reason = status.canonical_reason().unwrap_or("an unknown status");
    let mut text = match code_text {
        "" => format!("{number} {reason}"),
        code => format!("{number} {}", cut(code)),
    };
    let message = message.trim().trim_end_matches('.');
    if !message.is_empty() {
        text.push_str(": ");
        text.push_str(cut(message));
    }
    text
}

fn cut(text: &str) -> &str {
    let end = text.char_indices().nth(LONGEST_MESSAGE).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or(text)
}

/// How long the peer wants to be left alone, in seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds).max(SOON));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    // A date that has passed means now.
    Some(date.duration_since(SystemTime::now()).unwrap_or(SOON).max(SOON))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, headers: &[(&'static str, &str)]) -> Error {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        status_error(StatusCode::from_u16(status).unwrap(), &map, "", "", "")
    }

    #[test]
    fn each_status_has_its_code_and_says_whether_to_try_again() {
        let cases = [
            (400, Code::Driver, false),
            (401, Code::Permission, false),
            (403, Code::Permission, false),
            (404, Code::Driver, false),
            (407, Code::Permission, false),
            (408, Code::Unavailable, true),
            (409, Code::Conflict, false),
            (412, Code::Conflict, false),
            (413, Code::NoSpace, false),
            (416, Code::Driver, false),
            (418, Code::Driver, false),
            (429, Code::Throttled, true),
            (500, Code::Unavailable, true),
            (501, Code::Driver, false),
            (502, Code::Unavailable, true),
            (503, Code::Unavailable, true),
            (504, Code::Unavailable, true),
            (507, Code::NoSpace, false),
            (599, Code::Driver, false),
        ];
        for (status, code, retryable) in cases {
            let error = error(status, &[]);
            assert_eq!((error.code(), error.is_retryable()), (code, retryable), "{status}");
            assert_eq!(error.http_status(), i32::from(status));
        }
    }

    #[test]
    fn what_the_peer_says_is_in_the_message_on_one_line_and_not_for_ever() {
        let headers = HeaderMap::new();
        let say = |code: &str, message: &str| {
            status_error(StatusCode::FORBIDDEN, &headers, code, message, "id-1")
        };
        let error = say("AccessDenied", "Access Denied.");
        assert_eq!(error.detail(), "403 AccessDenied: Access Denied");
        assert_eq!(error.request_id(), "id-1");
        assert_eq!(say("", "").detail(), "403 Forbidden");
        assert!(!say("", "a\r\nb\u{1b}").to_string().contains(char::is_control));
        assert!(say(&"é".repeat(9999), &"é".repeat(9999)).detail().chars().count() < 900);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(error(503, &[("retry-after", "7")]).retry_after(), Some(Duration::from_secs(7)));
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
        let wait = error(429, &[("retry-after", &date)]).retry_after().unwrap();
        assert!(wait > Duration::from_secs(50) && wait <= Duration::from_secs(100), "{wait:?}");
        // Now, but after the usual first pause.
        for now in ["0", "Sun, 06 Nov 1994 08:49:37 GMT"] {
            assert_eq!(error(503, &[("retry-after", now)]).retry_after(), Some(SOON));
        }
        for nonsense in ["", "-1", "soon", "1e9", "99999999999999999999999"] {
            assert_eq!(error(503, &[("retry-after", nonsense)]).retry_after(), None, "{nonsense}");
        }
        // Of no use where another try is of none.
        assert_eq!(error(403, &[("retry-after", "7")]).retry_after(), None);
    }
}
