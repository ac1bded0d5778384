//! What requests are asked for and what they answer.

use crate::http::hash;
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
    /// It is encrypted in such a way that its ETag is no digest.
    pub opaque: bool,
}

impl Head {
    /// Whether it is what completing these parts makes. Its ETag says so: the digest of
    /// their digests and their number; where there are no digests, the number and the size.
    pub fn is_made_of(&self, parts: &[Part]) -> bool {
        let etag = self.etag.trim_matches('"');
        let Some((digest, count)) = etag.rsplit_once('-') else { return false };
        let expected = if self.opaque { None } else { digest_of(parts) };
        self.size == parts.iter().map(|part| part.size).sum::<u64>()
            && count == parts.len().to_string()
            && expected.is_none_or(|expected| expected.eq_ignore_ascii_case(digest))
    }
}

/// `None`: the ETag of one of them is no digest.
fn digest_of(parts: &[Part]) -> Option<String> {
    let mut digests = Vec::with_capacity(16 * parts.len());
    for part in parts {
        let digits = part.etag.trim_matches('"');
        let is_digest = digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let digest = u128::from_str_radix(digits, 16).ok().filter(|_| is_digest)?;
        digests.extend_from_slice(&digest.to_be_bytes());
    }
    Some(hash::md5_hex(&[digests.into()]))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_known_by_the_digest_of_its_parts() {
        // Of "a" and of "b".
        let etags = ["0cc175b9c0f1b6a831c399e269772661", "92eb5ffee6ae2fec3ad71c777531578f"];
        let part =
            |(number, etag): (u32, &str)| Part { number, etag: format!("\"{etag}\""), size: 1 };
        let parts: Vec<Part> = (1..).zip(etags).map(part).collect();
        let head = |etag: &str, size: u64, opaque: bool| {
            Head { size, etag: format!("\"{etag}\""), opaque, ..Head::default() }.is_made_of(&parts)
        };
        let whole = "96e024ba2074fe77e8e965ba43a704be-2";
        assert!(head(whole, 2, false));
        assert!(!head(whole, 3, false));
        assert!(!head("187ef4436122d1cc2f40dc2b92f0eba0-2", 2, false));
        assert!(!head("96e024ba2074fe77e8e965ba43a704be-3", 2, true));
        assert!(!head("187ef4436122d1cc2f40dc2b92f0eba0", 2, false));
        assert!(!head("", 2, true));
        // What is no digest cannot be compared.
        assert!(head("187ef4436122d1cc2f40dc2b92f0eba0-2", 2, true));
        let named = [Part { etag: "\"no digest\"".into(), ..parts[0].clone() }];
        let head = Head { size: 1, etag: "anything-1".into(), ..Head::default() };
        assert!(head.is_made_of(&named));
    }
}
