//! AWS signature version 4 for the plain client: no more than its requests need.

use std::fmt::Write;
use std::sync::Mutex;

use hyper::header::{AUTHORIZATION, HOST, HeaderValue};
use hyper::http::request::Builder;
use jiff::Timestamp;
use ring::{digest, hmac};

use crate::Result;

pub struct Signer {
    pub access_key: String,
    pub secret_key: String,
    pub region: String,
    pub host: String,
    /// Hash what is sent; else say that it is not hashed.
    pub signs_payload: bool,
    /// The key of a day, which is what costs the most.
    of_day: Mutex<Option<(String, hmac::Key)>>,
}

impl Signer {
    pub fn new(keys: (&str, &str), region: &str, host: &str, signs_payload: bool) -> Signer {
        Signer {
            access_key: keys.0.to_string(),
            secret_key: keys.1.to_string(),
            region: region.to_string(),
            host: host.to_string(),
            signs_payload,
            of_day: Mutex::new(None),
        }
    }

    /// The request with its headers; `query` is encoded and sorted.
    pub fn sign(
        &self,
        request: Builder,
        method: &str,
        path: &str,
        query: &str,
        body: &[u8],
    ) -> Result<Builder> {
        let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let hash = if self.signs_payload { sha256(body) } else { "UNSIGNED-PAYLOAD".to_string() };
        let (host, day, region) = (&self.host, &now[..8], &self.region);
        const NAMES: &str = "host;x-amz-content-sha256;x-amz-date";
        let canonical = format!(
            "{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{hash}\n\
             x-amz-date:{now}\n\n{NAMES}\n{hash}"
        );
        let scope = format!("{day}/{region}/s3/aws4_request");
        let text = format!("AWS4-HMAC-SHA256\n{now}\n{scope}\n{}", sha256(canonical.as_bytes()));
        let signature = hex(hmac::sign(&self.key(day), text.as_bytes()).as_ref());
        let access_key = &self.access_key;
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={NAMES}, \
             Signature={signature}"
        );
        Ok(request
            .header(HOST, HeaderValue::from_str(host)?)
            .header("x-amz-content-sha256", HeaderValue::from_str(&hash)?)
            .header("x-amz-date", HeaderValue::from_str(&now)?)
            .header(AUTHORIZATION, HeaderValue::from_str(&authorization)?))
    }

    fn key(&self, day: &str) -> hmac::Key {
        let mut of_day = self.of_day.lock().unwrap();
        if let Some((known, key)) = &*of_day
            && known == day
        {
            return key.clone();
        }
        let mut key =
            hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{}", self.secret_key).as_bytes());
        for word in [day, self.region.as_str(), "s3", "aws4_request"] {
            key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, word.as_bytes()).as_ref());
        }
        *of_day = Some((day.to_string(), key.clone()));
        key
    }
}

fn sha256(data: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, data).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A value of a query, encoded as signatures want it.
pub fn encoded(value: &str) -> String {
    value.bytes().fold(String::new(), |mut text, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
        text
    })
}
