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
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds).max(SOON));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    // A date that has passed means now.
    Some(date.duration_since(SystemTime::now()).unwrap_or(SOON).max(SOON))
}
