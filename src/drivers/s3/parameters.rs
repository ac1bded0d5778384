//! The driver's parameters: Distribution's keys, forms, bounds and messages, and a few
//! keys of ours. What Distribution reads in a way that nobody can have meant (`10MB` as
//! 10, a missing region as `<nil>`) is refused.

use std::time::Duration;

use serde_json::Value;

use super::region;
use crate::error::{Code, Error, Result};
use crate::params::{self, Params, Reader};

pub const MIB: u64 = 1 << 20;
/// Of the service: the smallest part but the last, the largest part, the largest copy.
const MIN_PART: u64 = 5 * MIB;
const MAX_PART: u64 = 5 << 30;

const STORAGE_CLASSES: &[&str] = &[
    "NONE",
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "OUTPOSTS",
    "GLACIER_IR",
    "EXPRESS_ONEZONE",
];

const ACLS: &[&str] = &[
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    pub bucket: String,
    /// What requests are signed for.
    pub region: String,
    pub keys: Keys,
    pub endpoint: Option<Endpoint>,
    /// Where clients are redirected to: scheme and host.
    pub redirect_endpoint: Option<String>,
    pub path_style: bool,
    pub dual_stack: bool,
    pub accelerate: bool,
    pub fips: bool,
    /// For an endpoint of AWS; one of somebody else's says it itself.
    pub secure: bool,
    pub skip_verify: bool,
    pub encryption: Encryption,
    /// `None`: the header is left out.
    pub storage_class: Option<String>,
    pub acl: String,
    /// In front of every key: "" or text without slashes at either end.
    pub root: String,
    pub user_agent: String,
    pub chunk_size: u64,
    /// `None`: 32 MiB, or for what only parts can copy as few parts as possible.
    pub copy_chunk_size: Option<u64>,
    pub copy_concurrency: usize,
    pub copy_threshold: u64,
    pub checksum: Checksum,
    /// Whether what is sent is part of the signature.
    pub sign_payload: bool,
    /// Whether requests are logged.
    pub debug: bool,
    /// How many parts of an upload are on their way at once.
    pub upload_concurrency: usize,
    /// How many ranges of a large object are asked for ahead of the reader.
    pub read_ahead: usize,
    /// Until a connection stands.
    pub connect_timeout: Duration,
    /// How long nothing may move while something is waited for.
    pub stall_timeout: Duration,
    /// Whether the common requests are made without the SDK.
    pub direct: bool,
}

/// With whose keys requests are signed. Not shown: they are secrets.
#[derive(Clone, PartialEq, Eq)]
pub enum Keys {
    Given {
        access: String,
        secret: String,
        token: Option<String>,
    },
    /// Where programs on AWS look: environment, profiles, roles.
    Found,
    /// Requests are not signed.
    None,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Keys::Given { .. } => "Given",
            Keys::Found => "Found",
            Keys::None => "None",
        })
    }
}

/// Somebody else's than AWS's, or a certain one of theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// With its scheme, without a slash at the end.
    pub url: String,
    pub secure: bool,
}

/// What the server is asked to encrypt objects with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    None,
    Aes256,
    /// The id of the key.
    Kms(String),
}

/// What the server checks content against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    None,
    Md5,
    Crc32c,
}

impl Parameters {
    pub fn read(params: &Params) -> Result<Parameters> {
        let mut reader = params.reader();
        let parameters = read(&mut reader)?;
        reader.finish()?;
        Ok(parameters)
    }
}

fn read(reader: &mut Reader<'_>) -> Result<Parameters> {
    let keys = keys(reader)?;
    let secure = boolean(reader, "secure", true)?;
    let endpoint = endpoint(reader, secure)?;
    let region = region(reader, endpoint.is_some())?;
    let bucket = text(reader, "bucket")?;
    if bucket.is_empty() || bucket == "<nil>" {
        return Err(refused("no bucket parameter provided"));
    }
    if bucket.contains(|c: char| c.is_control() || c == '?' || c == '#') {
        return Err(refused("the bucket parameter should be the name of a bucket"));
    }
    check_v4auth(reader, endpoint.as_ref())?;
    let safe = endpoint.as_ref().map_or(secure, |endpoint| endpoint.secure);
    let max_concurrency = i64::MAX.unsigned_abs();
    let copy_concurrency = "multipartcopymaxconcurrency";
    Ok(Parameters {
        bucket,
        region,
        keys,
        // Servers other than AWS seldom have a name for each bucket.
        path_style: boolean(reader, "forcepathstyle", endpoint.is_some())?,
        redirect_endpoint: redirect_endpoint(reader)?,
        dual_stack: boolean(reader, "usedualstack", false)?,
        accelerate: boolean(reader, "accelerate", false)?,
        fips: boolean(reader, "usefipsendpoint", false)?,
        secure,
        skip_verify: boolean(reader, "skipverify", false)?,
        encryption: encryption(reader)?,
        storage_class: storage_class(reader)?,
        acl: acl(reader)?,
        root: text(reader, "rootdirectory")?.trim_matches('/').to_string(),
        user_agent: user_agent(reader)?,
        chunk_size: integer(reader, "chunksize", 10 * MIB, MIN_PART, MAX_PART)?,
        copy_chunk_size: match integer(reader, "multipartcopychunksize", 0, MIN_PART, MAX_PART)? {
            0 => None,
            size => Some(size),
        },
        copy_concurrency: size(integer(reader, copy_concurrency, 100, 1, max_concurrency)?),
        copy_threshold: integer(reader, "multipartcopythresholdsize", 32 * MIB, 0, MAX_PART)?,
        checksum: checksum(reader, safe)?,
        sign_payload: boolean(reader, "signpayload", !safe)?,
        debug: debug(reader),
        upload_concurrency: size(integer(reader, "uploadconcurrency", 4, 1, 64)?),
        read_ahead: size(integer(reader, "readahead", 0, 0, 64)?),
        connect_timeout: Duration::from_secs(integer(reader, "connecttimeout", 10, 1, 3600)?),
        stall_timeout: Duration::from_secs(integer(reader, "stalltimeout", 60, 1, 3600)?),
        direct: true,
        endpoint,
    })
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(Code::InvalidParameter, message)
}

/// Any scalar; "" where there is none.
fn text(reader: &mut Reader<'_>, key: &'static str) -> Result<String> {
    Ok(reader.text(key)?.unwrap_or_default())
}

fn boolean(reader: &mut Reader<'_>, key: &'static str, default: bool) -> Result<bool> {
    match reader.take(key) {
        None => Ok(default),
        Some(value) => params::go_bool(value)
            .ok_or_else(|| refused(format!("the {key} parameter should be a boolean"))),
    }
}

/// A whole number, also as text; a fraction or a unit is no number.
fn integer(
    reader: &mut Reader<'_>,
    key: &'static str,
    default: u64,
    min: u64,
    max: u64,
) -> Result<u64> {
    let Some(value) = reader.take(key) else { return Ok(default) };
    let shown = match value {
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => "it".to_string(),
        other => other.to_string(),
    };
    let number = whole_number(value)
        .ok_or_else(|| refused(format!("{key} parameter must be an integer, {shown} invalid")))?;
    u64::try_from(number).ok().filter(|number| (min..=max).contains(number)).ok_or_else(|| {
        refused(format!(
            "the {key} {number} parameter should be a number between {min} and {max} (inclusive)"
        ))
    })
}

fn whole_number(value: &Value) -> Option<i128> {
    match value {
        Value::Number(number) => {
            let whole = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
            // Some writers of YAML and JSON have floating numbers only.
            let exact = |float: &f64| float.fract() == 0.0 && float.abs() < 9e15;
            whole.or_else(|| number.as_f64().filter(exact).map(|float| float as i128))
        }
        Value::String(text) => {
            let text = text.trim();
            let (negative, digits) = match text.strip_prefix('-') {
                Some(digits) => (true, digits),
                None => (false, text.strip_prefix('+').unwrap_or(text)),
            };
            let number = i128::from(params::parse_go_uint(digits)?);
            Some(if negative { -number } else { number })
        }
        _ => None,
    }
}

fn keys(reader: &mut Reader<'_>) -> Result<Keys> {
    let access = text(reader, "accesskey")?;
    let secret = text(reader, "secretkey")?;
    let token = Some(text(reader, "sessiontoken")?).filter(|token| !token.is_empty());
    if boolean(reader, "anonymous", false)? {
        if !access.is_empty() || !secret.is_empty() {
            return Err(refused("the anonymous parameter excludes accesskey and secretkey"));
        }
        return Ok(Keys::None);
    }
    if access.is_empty() || secret.is_empty() {
        if token.is_some() {
            return Err(refused("the sessiontoken parameter needs accesskey and secretkey"));
        }
        return Ok(Keys::Found);
    }
    Ok(Keys::Given { access, secret, token })
}

fn endpoint(reader: &mut Reader<'_>, secure: bool) -> Result<Option<Endpoint>> {
    let given = text(reader, "regionendpoint")?;
    if given.is_empty() {
        return Ok(None);
    }
    let (url, secure) = match given.split_once("://") {
        Some(("https", _)) => (given.clone(), true),
        Some(("http", _)) => (given.clone(), false),
        Some(_) => return Err(wrong_endpoint()),
        None if secure => (format!("https://{given}"), true),
        None => (format!("http://{given}"), false),
    };
    let url = url.trim_end_matches('/').to_string();
    let parsed: http::Uri = url.parse().map_err(|_| wrong_endpoint())?;
    let host = parsed.host().unwrap_or_default();
    let userinfo = parsed.authority().is_some_and(|authority| authority.as_str().contains('@'));
    if host.is_empty() || userinfo || parsed.query().is_some() {
        return Err(wrong_endpoint());
    }
    Ok(Some(Endpoint { url, secure }))
}

fn wrong_endpoint() -> Error {
    refused("the regionendpoint parameter should be a host or an http or https url")
}

fn region(reader: &mut Reader<'_>, elsewhere: bool) -> Result<String> {
    let region = text(reader, "region")?;
    if region == "<nil>" {
        return Err(refused(format!("invalid region provided: {region}")));
    }
    match (region.is_empty(), elsewhere) {
        // What servers other than AWS take as a rule.
        (true, true) => Ok("us-east-1".to_string()),
        (true, false) => Err(refused("no region parameter provided")),
        (false, true) if region::can_be_signed_for(&region) => Ok(region),
        (false, false) if region::is_of_aws(&region) => Ok(region),
        (false, _) => Err(refused(format!("invalid region provided: {region}"))),
    }
}

fn check_v4auth(reader: &mut Reader<'_>, endpoint: Option<&Endpoint>) -> Result<()> {
    if boolean(reader, "v4auth", true)? {
        return Ok(());
    }
    let of_aws = endpoint.is_none_or(|endpoint| endpoint.url.contains("s3.amazonaws.com"));
    Err(refused(match of_aws {
        true => "on Amazon S3 this storage driver can only be used with v4 authentication",
        false => "this storage driver can only be used with v4 authentication",
    }))
}

fn encryption(reader: &mut Reader<'_>) -> Result<Encryption> {
    let encrypt = boolean(reader, "encrypt", false)?;
    let key = text(reader, "keyid")?;
    Ok(match (encrypt, key.is_empty()) {
        (false, _) => Encryption::None,
        (true, true) => Encryption::Aes256,
        (true, false) => Encryption::Kms(key),
    })
}

fn storage_class(reader: &mut Reader<'_>) -> Result<Option<String>> {
    let wrong = |given: &str| {
        let known = STORAGE_CLASSES.join(" ");
        refused(format!("the storageclass parameter must be one of [{known}], {given} invalid"))
    };
    let class = match reader.take("storageclass") {
        None => "STANDARD".to_string(),
        Some(Value::String(given)) => {
            let class = given.to_ascii_uppercase();
            if !STORAGE_CLASSES.contains(&class.as_str()) {
                return Err(wrong(given));
            }
            class
        }
        Some(other) => return Err(wrong(&other.to_string())),
    };
    Ok(Some(class).filter(|class| class != "NONE"))
}

fn acl(reader: &mut Reader<'_>) -> Result<String> {
    let given = match reader.take("objectacl") {
        None => return Ok("private".to_string()),
        Some(Value::String(given)) => given.clone(),
        Some(other) => other.to_string(),
    };
    match ACLS.contains(&given.as_str()) {
        true => Ok(given),
        false => Err(refused(format!("invalid value for objectacl parameter: {given}"))),
    }
}

fn user_agent(reader: &mut Reader<'_>) -> Result<String> {
    let given = text(reader, "useragent")?;
    let visible = |byte: u8| (b' '..=b'~').contains(&byte);
    match given.bytes().all(visible) {
        true => Ok(given),
        false => Err(refused("the useragent parameter should be printable ascii")),
    }
}

fn redirect_endpoint(reader: &mut Reader<'_>) -> Result<Option<String>> {
    let given = text(reader, "redirectendpoint")?;
    if given.is_empty() {
        return Ok(None);
    }
    let parsed = given.parse::<http::Uri>().ok();
    let scheme = parsed.as_ref().and_then(http::Uri::scheme_str);
    let host = parsed.as_ref().and_then(http::Uri::authority).map(|host| host.as_str());
    let (Some(scheme @ ("http" | "https")), Some(host)) = (scheme, host) else {
        return Err(refused("the redirectendpoint parameter must have a scheme and a host"));
    };
    if host.contains('@') {
        return Err(refused("the redirectendpoint parameter must not have a user"));
    }
    if given.contains('?') {
        return Err(refused("the redirectendpoint parameter must not have a query"));
    }
    if parsed.as_ref().is_some_and(|url| !matches!(url.path(), "" | "/")) {
        return Err(refused("the redirectendpoint parameter must not have a path"));
    }
    Ok(Some(format!("{scheme}://{host}")))
}

fn checksum(reader: &mut Reader<'_>, safe: bool) -> Result<Checksum> {
    let given = text(reader, "checksum")?;
    match given.to_ascii_lowercase().as_str() {
        // TLS protects what is on its way already.
        "" if safe => Ok(Checksum::None),
        "" | "md5" => Ok(Checksum::Md5),
        "none" => Ok(Checksum::None),
        "crc32c" => Ok(Checksum::Crc32c),
        _ => Err(refused(format!(
            "the checksum parameter must be one of [none md5 crc32c], {given} invalid"
        ))),
    }
}

/// As in Distribution, an unknown level is none.
fn debug(reader: &mut Reader<'_>) -> bool {
    let level = reader.take("loglevel").and_then(Value::as_str).unwrap_or_default();
    level.to_ascii_lowercase().starts_with("debug")
}

#[cfg(test)]
mod tests;
