//! A driver's parameters: a typed map, to and from JSON, and a reader that
//! drivers take their values from, which refuses what nobody asked for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::error::{Code, Error, Result};

/// Parameters by key. Values are what JSON has: text, numbers, truth values,
/// lists and objects.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params(BTreeMap<String, Value>);

/// What replaces a secret.
const MASK: &str = "***";

/// Text values that are safe in a log. Every other text is masked: a driver that
/// somebody else wrote has secrets under names nobody here knows.
const PUBLIC_KEYS: &[&str] = &[
    "rootdirectory",
    "maxthreads",
    "fsync",
    "followsymlinks",
    "region",
    "regionendpoint",
    "redirectendpoint",
    "forcepathstyle",
    "bucket",
    "encrypt",
    "secure",
    "skipverify",
    "v4auth",
    "chunksize",
    "multipartcopychunksize",
    "multipartcopymaxconcurrency",
    "multipartcopythresholdsize",
    "storageclass",
    "useragent",
    "objectacl",
    "usedualstack",
    "accelerate",
    "usefipsendpoint",
    "loglevel",
    "checksum",
    "signpayload",
    "anonymous",
    "uploadconcurrency",
    "readahead",
    "connecttimeout",
    "stalltimeout",
    "container",
    "realm",
    "serviceurl",
    "max_retries",
    "retry_delay",
    "maxconcurrency",
    "poolname",
    "authurl",
    "tenant",
    "domain",
    "endpoint",
    "internal",
    "baseurl",
    "scheme",
    "host",
    "trimpathprefix",
];

impl Params {
    pub fn new() -> Params {
        Params::default()
    }

    /// From a JSON object; `InvalidParameter` for anything else.
    pub fn from_json(json: &str) -> Result<Params> {
        match parse(json)? {
            Value::Object(map) => Ok(Params(map.into_iter().collect())),
            _ => Err(Error::new(Code::InvalidParameter, "parameters must be a json object")),
        }
    }

    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_string(), value.into());
    }

    pub fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// Sets a key to any JSON value.
    pub fn set_json(&mut self, key: &str, json: &str) -> Result<()> {
        let value = parse(json)?;
        self.set(key, value);
        Ok(())
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// In byte order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For logs: text under a key that is not known to be harmless is masked.
    pub fn to_masked_json(&self) -> String {
        self.masked_json(PUBLIC_KEYS)
    }

    /// For logs, where nobody here knows the keys: all text is masked.
    pub fn to_fully_masked_json(&self) -> String {
        self.masked_json(&[])
    }

    fn masked_json(&self, public: &[&str]) -> String {
        let masked = self.0.iter().map(|(k, v)| (k.clone(), masked(k, v, public)));
        Value::Object(masked.collect::<Map<_, _>>()).to_string()
    }

    /// Reads values for a driver; end with [`Reader::finish`].
    pub fn reader(&self) -> Reader<'_> {
        Reader { params: self, known: BTreeSet::new() }
    }
}

/// Malformed JSON is described by place only: its text may hold a secret.
fn parse(json: &str) -> Result<Value> {
    serde_json::from_str(json).map_err(|e| {
        let place = format!("malformed json at line {} column {}", e.line(), e.column());
        Error::new(Code::InvalidParameter, place)
    })
}

fn masked(key: &str, value: &Value, public: &[&str]) -> Value {
    match value {
        Value::String(text) if public.contains(&key) && !has_userinfo(text) => value.clone(),
        Value::String(_) => MASK.into(),
        Value::Array(items) => items.iter().map(|item| masked(key, item, public)).collect(),
        Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), masked(k, v, public))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// `scheme://user:password@host`.
fn has_userinfo(text: &str) -> bool {
    text.split_once("://").is_some_and(|(_, rest)| rest.contains('@'))
}

/// Takes a driver's values out of its parameters, in the forms that
/// Distribution accepts, and knows which keys were asked for.
pub struct Reader<'p> {
    params: &'p Params,
    known: BTreeSet<&'static str>,
}

impl<'p> Reader<'p> {
    /// The value as it was given, null left out, for a driver with forms of its own.
    pub fn take(&mut self, key: &'static str) -> Option<&'p Value> {
        self.known.insert(key);
        self.params.get(key).filter(|value| !value.is_null())
    }

    /// Any scalar, as text.
    pub fn text(&mut self, key: &'static str) -> Result<Option<String>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(Some(value.to_string())),
            Some(_) => Err(Error::invalid_parameter(key, "must be text")),
        }
    }

    /// Text, and nothing that could pass for it.
    pub fn string(&mut self, key: &'static str) -> Result<Option<String>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Error::invalid_parameter(key, "must be a string")),
        }
    }

    /// A truth value, or one of the words of Go's `ParseBool`.
    pub fn boolean(&mut self, key: &'static str, default: bool) -> Result<bool> {
        let wrong = || Error::invalid_parameter(key, "must be a boolean");
        match self.take(key) {
            None => Ok(default),
            Some(value) => go_bool(value).ok_or_else(wrong),
        }
    }

    /// A limit as Distribution's `GetLimitFromParameter` reads it: whole numbers,
    /// also as text in Go's notation; raised to `minimum` without a word.
    pub fn limit(&mut self, key: &'static str, minimum: u64, default: u64) -> Result<u64> {
        let wrong = || Error::invalid_parameter(key, "must be a whole number");
        let value = match self.take(key) {
            None => default,
            Some(Value::String(text)) => parse_go_uint(text).ok_or_else(wrong)?,
            Some(Value::Number(number)) => match (number.as_u64(), number.as_i64()) {
                (Some(value), _) => value,
                (None, Some(_negative)) => minimum,
                (None, None) => return Err(wrong()),
            },
            Some(_) => return Err(wrong()),
        };
        Ok(value.max(minimum))
    }

    /// Refuses, by name, every key that was not asked for.
    pub fn finish(self) -> Result<()> {
        match self.params.keys().find(|key| !self.known.contains(key)) {
            None => Ok(()),
            Some(key) => {
                let known: Vec<&str> = self.known.into_iter().collect();
                let detail = if known.is_empty() {
                    "is unknown; this driver has no parameters".to_string()
                } else {
                    format!("is unknown; known are {}", known.join(", "))
                };
                Err(Error::invalid_parameter(key, detail))
            }
        }
    }
}

/// A truth value, or one of the words of Go's `ParseBool`.
pub fn go_bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::String(text) => match text.as_str() {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Go's `strconv.ParseUint` with base 0: a base prefix, and underscores between
/// digits where there is one.
pub fn parse_go_uint(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match lower.as_bytes() {
        [b'0', b'x', ..] => (lower.get(2..)?, 16),
        [b'0', b'o', ..] => (lower.get(2..)?, 8),
        [b'0', b'b', ..] => (lower.get(2..)?, 2),
        [b'0', _, ..] => (lower.get(1..)?, 8),
        _ => (lower.as_str(), 10),
    };
    let prefixed = digits.len() < lower.len();
    let digits = if prefixed { digits.strip_prefix('_').unwrap_or(digits) } else { digits };
    let well_placed = !digits.starts_with(['_', '+'])
        && !digits.ends_with('_')
        && !digits.contains("__")
        && (prefixed || !digits.starts_with('_'));
    if !well_placed {
        return None;
    }
    u64::from_str_radix(&digits.replace('_', ""), radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(value: Value, minimum: u64, default: u64) -> Result<u64> {
        let mut params = Params::new();
        params.set("n", value);
        params.reader().limit("n", minimum, default)
    }

    #[test]
    fn limits_are_read_as_distribution_reads_them() {
        assert!(limit("foo".into(), 5, 5).is_err());
        assert_eq!(limit("50".into(), 5, 5).unwrap(), 50);
        assert_eq!(limit("5".into(), 25, 50).unwrap(), 25);
        assert_eq!(limit(Value::Null, 25, 50).unwrap(), 50);
        assert_eq!(limit(812.into(), 25, 50).unwrap(), 812);
        assert_eq!(limit((-3).into(), 25, 50).unwrap(), 25);
        assert!(limit(1.5.into(), 25, 50).is_err());
        assert!(limit(true.into(), 25, 50).is_err());
        for (text, value) in
            [("0x20", 32), ("0o17", 15), ("017", 15), ("0b11", 3), ("1_000", 1000), ("0x_f", 15)]
        {
            assert_eq!(limit(text.into(), 0, 0).unwrap(), value, "{text}");
        }
        for text in ["", "_1", "1_", "1__0", "0x", "10MB", "+1", "-1", " 1", "0x+1"] {
            assert!(limit(text.into(), 0, 0).is_err(), "{text}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let params = Params::from_json(r#"{"rootdirectory":"/r","rootdirektory":"/x"}"#).unwrap();
        let mut reader = params.reader();
        assert_eq!(reader.text("rootdirectory").unwrap().as_deref(), Some("/r"));
        let error = reader.finish().unwrap_err();
        assert_eq!(error.code(), Code::InvalidParameter);
        assert!(error.to_string().contains("rootdirektory"));
    }

    #[test]
    fn secrets_are_masked_and_malformed_json_is_not_quoted() {
        let params = Params::from_json(
            r#"{"rootdirectory":"/r","secretkey":"S","credentials":{"secret":"S","n":1},
               "regionendpoint":"http://u:S@h","chunksize":5}"#,
        )
        .unwrap();
        let json = params.to_masked_json();
        assert!(!json.contains('S'), "{json}");
        assert!(json.contains(r#""rootdirectory":"/r""#) && json.contains(r#""chunksize":5"#));
        let error = Params::from_json(r#"{"secretkey": S3CRET"#).unwrap_err();
        assert!(!error.to_string().contains("S3CRET"), "{error}");
    }

    #[test]
    fn a_number_that_was_printed_is_read_as_itself() {
        let mut bits: u64 = 3;
        for _ in 0..10_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = Value::from(f64::from_bits(bits));
            let params = Params::from_json(&format!("{{\"n\":{number}}}")).unwrap();
            assert_eq!(params.get("n"), Some(&number));
        }
    }

    #[test]
    fn booleans_are_gos_words_only() {
        let mut params = Params::new();
        params.set("b", "True");
        assert!(params.reader().boolean("b", false).unwrap());
        params.set("b", "yes");
        assert!(params.reader().boolean("b", false).is_err());
    }
}
