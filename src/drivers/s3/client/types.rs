//! What requests are asked for and what they answer.

use crate::http::parts::Limits;

/// What is known of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Of the whole object, whatever part of it is asked for.
    pub size: u64,
    /// As the server writes it, quotes included.
    pub etag: String,
    /// Nanoseconds since 1970-01-01 UTC; 0 when unknown.
    pub mtime_ns: i64,
    /// Of the whole object, in base64; only where it was asked for and stored with one.
    pub crc32c: Option<String>,
}

/// Which page of which listing.
#[derive(Clone, Debug, Default)]
pub struct ListRequest<'a> {
    pub prefix: &'a str,
    pub delimiter: Option<char>,
    pub start_after: Option<&'a str>,
    /// Of the page before.
    pub token: Option<&'a str>,
    /// 0: as many as the server likes, 1,000 mostly.
    pub max_keys: u32,
}

#[derive(Clone, Debug, Default)]
pub struct ListPage {
    pub objects: Vec<Object>,
    /// With the delimiter at their end.
    pub prefixes: Vec<String>,
    /// The token of the next page.
    pub next: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object {
    pub key: String,
    pub size: u64,
    pub etag: String,
    pub mtime_ns: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub number: u32,
    pub etag: String,
    pub size: u64,
}

#[derive(Clone, Debug)]
pub struct Completed {
    pub etag: String,
}

#[derive(Clone, Debug)]
pub struct Copied {
    pub etag: String,
}

/// An upload that is neither completed nor aborted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    pub id: String,
    /// Nanoseconds since 1970-01-01 UTC; 0 when unknown.
    pub initiated_ns: i64,
}

/// What the service allows of an upload in parts.
pub const LIMITS: Limits =
    Limits { min_part: 5 << 20, max_part: 5 << 30, max_parts: 10_000, max_object: 5 << 40 };

/// The most that one request puts or copies.
pub const MAX_SINGLE: u64 = 5 << 30;

/// Whether two ETags are the same; some servers leave the quotes out in some answers.
pub fn same_etag(a: &str, b: &str) -> bool {
    a.trim_matches('"') == b.trim_matches('"')
}
