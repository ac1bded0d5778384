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
/// The hash of nothing.
pub const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
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
    let scope = time.scope(place);
    let signature = signature(&canonical, &time, &scope, now, place, held);
    let mut text = String::with_capacity(256);
    let key = held.credentials.access_key_id();
    let _ = write!(text, "{ALGORITHM} Credential={key}/{scope}, SignedHeaders=");
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
    let signature = signature(&canonical, &time, &scope, now, place, held);
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

fn signature(
    canonical: &str,
    time: &Time,
    scope: &str,
    now: SystemTime,
    place: &Place,
    held: &Held,
) -> String {
    let digest = hash::hex(&Sha256::digest(canonical.as_bytes()));
    let to_sign = format!("{ALGORITHM}\n{}\n{scope}\n{digest}", time.stamp);
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

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;
    use aws_sigv4::http_request::{
        PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode,
    };
    use aws_sigv4::sign::v4::SigningParams;

    use super::*;
    use crate::drivers::s3::keys::escape;
    use crate::drivers::s3::parameters::Parameters;
    use crate::params::Params;

    fn place() -> Place {
        let json = r#"{"bucket":"b1x","region":"eu-west-3","regionendpoint":"http://h:9000"}"#;
        Place::of(&Parameters::read(&Params::from_json(json).unwrap()).unwrap()).unwrap()
    }

    fn credentials(token: Option<&str>) -> Credentials {
        Credentials::new("AKID", "SECRET", token.map(str::to_string), None, "test")
    }

    /// The authorization that the SDK's own signer gives the same request.
    fn of_sdk(
        method: &str,
        uri: &str,
        headers: &HeaderMap,
        payload: &str,
        token: Option<&str>,
        now: SystemTime,
    ) -> String {
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let identity = credentials(token).into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region("eu-west-3")
            .name("s3")
            .time(now)
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let headers = headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap()));
        let body = SignableBody::Precomputed(payload.to_string());
        let request = SignableRequest::new(method, uri, headers, body).unwrap();
        let (instructions, _) =
            aws_sigv4::http_request::sign(request, &params).unwrap().into_parts();
        let found = instructions.headers().find(|(name, _)| *name == "authorization");
        found.unwrap().1.to_string()
    }

    #[test]
    fn signatures_are_the_sdks() {
        let place = place();
        for (days, key) in [(0, "a/b"), (20_000, "a b+c%2F/ü/~x"), (24_855, ".././/x=1&y")] {
            for token in [None, Some("TOKEN+/=")] {
                let now = SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400 + 86_399);
                let held = Held::of_test(credentials(token));
                let path = place.path(key);
                for query in ["", "partNumber=7&uploadId=2~x.y%2F"] {
                    let mut headers = HeaderMap::new();
                    headers.insert("range", HeaderValue::from_static("bytes=0-9"));
                    headers.insert("x-amz-acl", HeaderValue::from_static("a  b   c"));
                    headers.insert(X_AMZ_CONTENT_SHA256, HeaderValue::from_static(UNSIGNED));
                    let given = headers.clone();
                    let request = Request { method: "GET", path: &path, query };
                    sign(&request, &mut headers, &place, &held, now).unwrap();
                    let question = if query.is_empty() { "" } else { "?" };
                    let uri = format!("http://h:9000{path}{question}{query}");
                    let expected = of_sdk("GET", &uri, &given, UNSIGNED, token, now);
                    assert_eq!(headers.get(AUTHORIZATION).unwrap(), expected.as_str(), "{uri}");
                }
            }
        }
    }

    #[test]
    fn a_url_is_signed_as_published() {
        // The example in AWS's documentation of query authentication.
        let json = r#"{"bucket":"examplebucket","region":"us-east-1",
                       "regionendpoint":"https://s3.amazonaws.com","forcepathstyle":false}"#;
        let parameters = Parameters::read(&Params::from_json(json).unwrap()).unwrap();
        let place = Place::of(&parameters).unwrap();
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", secret, None, None, "test");
        let held = Held::of_test(credentials);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        let day = Duration::from_secs(86_400);
        let url = presign("GET", &place.path("test.txt"), &place, &held, now, day);
        let expected = "https://examplebucket.s3.amazonaws.com/test.txt\
            ?X-Amz-Algorithm=AWS4-HMAC-SHA256\
            &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
            &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
            &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert_eq!(url, expected);
    }

    #[test]
    fn the_key_of_yesterday_is_not_used_today() {
        let (place, held) = (place(), Held::of_test(credentials(None)));
        let signed = |now| {
            let mut headers = HeaderMap::new();
            let request = Request { method: "GET", path: "/", query: "" };
            sign(&request, &mut headers, &place, &held, now).unwrap();
            headers.get(AUTHORIZATION).unwrap().clone()
        };
        let first = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
        let yesterday = signed(first);
        let today = signed(first + Duration::from_secs(86_400));
        assert!(today != yesterday && signed(first) == yesterday);
        let fresh = Held::of_test(credentials(None));
        let mut headers = HeaderMap::new();
        let request = Request { method: "GET", path: "/", query: "" };
        sign(&request, &mut headers, &place, &fresh, first).unwrap();
        assert_eq!(headers.get(AUTHORIZATION).unwrap(), yesterday);
    }

    #[test]
    fn the_hash_of_nothing_is_right() {
        assert_eq!(hash::sha256_hex(&[]), EMPTY);
    }

    #[test]
    fn no_secret_is_in_the_path_of_a_signature() {
        let mut path = String::new();
        escape("a/b", &mut path);
        let held = Held::of_test(credentials(Some("TOKEN")));
        let now = SystemTime::UNIX_EPOCH;
        let url = presign("GET", &path, &place(), &held, now, Duration::from_secs(1));
        assert!(!url.contains("SECRET") && !format!("{held:?}").contains("SECRET"));
    }
}
