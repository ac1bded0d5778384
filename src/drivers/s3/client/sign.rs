//! Signature version 4 for the requests that are made without the SDK: the SDK's own
//! arithmetic, with the key derived once a day and no more text than is needed.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use super::super::credentials::Held;
use super::super::keys::escape_all;
use super::place::Place;
use crate::error::{Code, Error, Result};
use crate::http::hash;

pub const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

pub const X_AMZ_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const X_AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// The key for a day, with the day.
#[derive(Default)]
pub struct DayKey(Mutex<Option<Derived>>);

struct Derived {
    day: String,
    key: Arc<[u8]>,
}

impl std::fmt::Debug for DayKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DayKey")
    }
}

impl DayKey {
    fn get(&self, secret: &str, now: SystemTime, day: &str, place: &Place) -> Arc<[u8]> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some(derived) if derived.day == day => derived.key.clone(),
            _ => {
                let key = generate_signing_key(secret, now, &place.region, &place.service);
                let key: Arc<[u8]> = key.as_ref().into();
                *known = Some(Derived { day: day.to_string(), key: key.clone() });
                key
            }
        }
    }
}

/// What of a request is signed.
pub struct Request<'r> {
    pub method: &'r str,
    /// Escaped.
    pub path: &'r str,
    /// Escaped, sorted.
    pub query: &'r str,
}

/// Adds date, token and signature. All headers that are there already are signed; those
/// that are added later are not. `x-amz-content-sha256` is one of them.
pub fn sign(
    request: &Request<'_>,
    headers: &mut HeaderMap,
    place: &Place,
    held: &Held,
    now: SystemTime,
) -> Result<()> {
    let time = Time::of(now);
    headers.insert(X_AMZ_DATE, value(&time.stamp)?);
    if let Some(token) = held.credentials.session_token() {
        headers.insert(X_AMZ_SECURITY_TOKEN, secret(token)?);
    }
    let payload = headers.get(X_AMZ_CONTENT_SHA256).and_then(|value| value.to_str().ok());
    let payload = payload.unwrap_or(UNSIGNED).to_string();
    let mut signed: Vec<(&str, &str)> = Vec::with_capacity(headers.len() + 1);
    signed.push(("host", &place.authority));
    for (name, value) in headers.iter() {
        signed.push((name.as_str(), value.to_str().map_err(|_| unfit())?.trim()));
    }
    signed.sort_unstable();
    let canonical = canonical(request, &signed, &payload);
    let signature = signature(&canonical, &time, now, place, held);
    let mut text = String::with_capacity(256);
    let _ = write!(
        text,
        "{ALGORITHM} Credential={}/{}, SignedHeaders=",
        held.credentials.access_key_id(),
        time.scope(place),
    );
    push_names(&signed, &mut text);
    let _ = write!(text, ", Signature={signature}");
    headers.insert(AUTHORIZATION, secret(&text)?);
    Ok(())
}

/// A URL that anybody may use for a while.
pub fn presign(
    method: &str,
    path: &str,
    place: &Place,
    held: &Held,
    now: SystemTime,
    lifetime: Duration,
) -> String {
    let time = Time::of(now);
    let credentials: &Credentials = &held.credentials;
    let mut query = format!("X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential=");
    let scope = time.scope(place);
    escape_all(&format!("{}/{scope}", credentials.access_key_id()), &mut query);
    let _ = write!(query, "&X-Amz-Date={}&X-Amz-Expires={}", time.stamp, lifetime.as_secs());
    if let Some(token) = credentials.session_token() {
        query.push_str("&X-Amz-Security-Token=");
        escape_all(token, &mut query);
    }
    query.push_str("&X-Amz-SignedHeaders=host");
    let request = Request { method, path, query: &query };
    let canonical = canonical(&request, &[("host", &place.authority)], UNSIGNED);
    let signature = signature(&canonical, &time, now, place, held);
    let (scheme, authority) = (&place.scheme, &place.authority);
    format!("{scheme}://{authority}{path}?{query}&X-Amz-Signature={signature}")
}

fn canonical(request: &Request<'_>, signed: &[(&str, &str)], payload: &str) -> String {
    let mut text = String::with_capacity(1024);
    for part in [request.method, request.path, request.query] {
        text.push_str(part);
        text.push('\n');
    }
    for (name, value) in signed {
        text.push_str(name);
        text.push(':');
        push_folded(value, &mut text);
        text.push('\n');
    }
    text.push('\n');
    push_names(signed, &mut text);
    text.push('\n');
    text.push_str(payload);
    text
}

/// Runs of spaces count as one.
fn push_folded(value: &str, text: &mut String) {
    if !value.contains("  ") {
        return text.push_str(value);
    }
    let words = value.split(' ').filter(|word| !word.is_empty());
    for (n, word) in words.enumerate() {
        if n > 0 {
            text.push(' ');
        }
        text.push_str(word);
    }
}

fn push_names(signed: &[(&str, &str)], text: &mut String) {
    for (n, (name, _)) in signed.iter().enumerate() {
        if n > 0 {
            text.push(';');
        }
        text.push_str(name);
    }
}

fn signature(canonical: &str, time: &Time, now: SystemTime, place: &Place, held: &Held) -> String {
    let digest = hash::hex(&Sha256::digest(canonical.as_bytes()));
    let to_sign = format!("{ALGORITHM}\n{}\n{}\n{digest}", time.stamp, time.scope(place));
    let key = held.day_key.get(held.credentials.secret_access_key(), now, time.day(), place);
    calculate_signature(&*key, to_sign.as_bytes())
}

fn unfit() -> Error {
    Error::new(Code::InvalidArgument, "a header is not plain text")
}

fn value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|_| unfit())
}

fn secret(text: &str) -> Result<HeaderValue> {
    let mut value = value(text)?;
    value.set_sensitive(true);
    Ok(value)
}

/// `20060102T150405Z`.
struct Time {
    stamp: String,
}

impl Time {
    fn of(now: SystemTime) -> Time {
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let (days, of_day) = (seconds / 86400, seconds % 86400);
        let (year, month, day) = date(days);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        Time { stamp: format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z") }
    }

    fn day(&self) -> &str {
        self.stamp.get(..8).unwrap_or_default()
    }

    fn scope(&self, place: &Place) -> String {
        format!("{}/{}/{}/aws4_request", self.day(), place.region, place.service)
    }
}

/// Year, month and day of so many days after 1970-01-01. Years are counted from March, so
/// that the day that comes and goes is the last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}
