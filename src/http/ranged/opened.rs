//! One answer to a request for a range.

use http::header::{CONTENT_RANGE, ETAG, LAST_MODIFIED, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::error::{Code, Error, Result};
use crate::http::incoming::Incoming;

/// Which bytes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub start: u64,
    /// One after the last; `None`: to the end of the object.
    pub end: Option<u64>,
}

impl Range {
    /// The value of the header `Range`; none for a whole object, since an empty one has
    /// no ranges.
    pub fn header(&self) -> Option<HeaderValue> {
        let text = match (self.start, self.end) {
            (0, None) => return None,
            (start, None) => format!("bytes={start}-"),
            (start, Some(end)) => format!("bytes={start}-{}", end.saturating_sub(1)),
        };
        HeaderValue::try_from(text).ok()
    }
}

/// Checks the bytes of a whole object.
pub trait Verify: Send {
    fn update(&mut self, bytes: &[u8]);
    fn finish(&mut self) -> Result<()>;
}

/// What an answer says of the object's version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    pub etag: Option<String>,
    modified: Option<String>,
}

impl Version {
    /// Whether two answers speak of the same content, as far as can be known.
    pub fn is(&self, other: &Version) -> bool {
        match (&self.etag, &other.etag) {
            (Some(a), Some(b)) => a == b,
            (None, None) => self.modified.is_some() && self.modified == other.modified,
            _ => false,
        }
    }

    pub fn is_known(&self) -> bool {
        self.etag.is_some() || self.modified.is_some()
    }

    /// For `If-Match`, which a weak ETag never passes.
    pub fn pin(&self) -> Option<String> {
        self.etag.clone().filter(|etag| !etag.starts_with("W/"))
    }
}

/// An object opened at some place.
pub struct Opened {
    /// `None`: there is nothing at this place or after it.
    pub(super) body: Option<Incoming>,
    /// Where the body starts.
    pub(super) start: u64,
    /// One after the last byte of the body; `None` if only its end will tell.
    pub(super) end: Option<u64>,
    /// The size of the object.
    pub(super) total: Option<u64>,
    pub(super) version: Version,
    pub(super) verify: Option<Box<dyn Verify>>,
}

impl Opened {
    /// What a 200 or 206 that answers a request for `range` brings.
    pub fn new(
        range: Range,
        status: StatusCode,
        headers: &HeaderMap,
        body: Incoming,
    ) -> Result<Opened> {
        let (start, end, total) = if status == StatusCode::PARTIAL_CONTENT {
            let (start, end, total) = content_range(headers)
                .filter(|(start, end, _)| {
                    *start == range.start && *end <= range.end.unwrap_or(u64::MAX)
                })
                .ok_or_else(|| unasked("the answer holds another range than asked for"))?;
            (start, Some(end), total)
        } else {
            // The whole object, whatever was asked for.
            let chunked = headers.contains_key(TRANSFER_ENCODING);
            if body.left().is_none() && !chunked {
                return Err(unasked("the answer does not say how long it is"));
            }
            (0, body.left(), body.left())
        };
        let expected = end.map(|end| end - start);
        if body.left().is_some() && body.left() != expected {
            return Err(unasked("the answer is not as long as the range it holds"));
        }
        let text = |name| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_string);
        let version = Version { etag: text(ETAG), modified: text(LAST_MODIFIED) };
        Ok(Opened { body: Some(body), start, end, total, version, verify: None })
    }

    /// The object ends before the range starts.
    pub fn past_end(range: Range) -> Opened {
        Opened {
            body: None,
            start: range.start,
            end: Some(range.start),
            total: Some(range.start),
            version: Version::default(),
            verify: None,
        }
    }

    /// Has the content checked if all of it is read.
    #[must_use]
    pub fn with_verify(self, verify: Box<dyn Verify>) -> Opened {
        Opened { verify: Some(verify), ..self }
    }
}

fn unasked(text: &str) -> Error {
    Error::new(Code::Driver, text)
}

/// `bytes 0-9/100` as 0, 10 and 100; the last may be `*`.
fn content_range(headers: &HeaderMap) -> Option<(u64, u64, Option<u64>)> {
    let value = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (start, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let end = last.checked_add(1)?;
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    (start < end && end <= total.unwrap_or(u64::MAX)).then_some((start, end, total))
}
