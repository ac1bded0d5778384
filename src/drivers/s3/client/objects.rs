//! Requests for objects and listings.

use std::time::SystemTime;

use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{Delete, EncodingType, ObjectIdentifier};
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::digest::Digests;
use super::direct::X_AMZ_SSE;
use super::failure::Failure;
use super::sdk::{Outcome, Stored};
use super::types::{Copied, Head, ListPage, ListRequest, Object};
use super::{CONTENT_TYPE, Client};
use crate::drivers::s3::keys::{escape, unescape};
use crate::drivers::s3::parameters::Checksum;
use crate::error::{Code, Error, Result};
use crate::http::ranged::{Opened, Range};
use crate::http::{Body, Incoming, collect_vec, hash};

const X_AMZ_CHECKSUM_CRC32C: HeaderName = HeaderName::from_static("x-amz-checksum-crc32c");
const X_AMZ_CHECKSUM_TYPE: HeaderName = HeaderName::from_static("x-amz-checksum-type");

impl Client {
    /// `None`: there is no such object.
    pub async fn head(&self, key: &str) -> Result<Option<Head>> {
        self.retry(|| async {
            let answer = match self.0.direct {
                true => self.direct_head(key).await.map(|answer| answer.map(drop)),
                false => self.sdk_head(key).await,
            };
            match answer {
                Ok(answer) => Ok(Some(head_of(answer.status(), answer.headers())?)),
                Err(failure) if is_missing(&failure) => Ok(None),
                Err(failure) => Err(failure.error),
            }
        })
        .await
    }

    /// An object and its bytes, which are coming. `Conflict` where it has another ETag
    /// than `if_match`, `None` where there is none.
    pub async fn get(&self, key: &str, if_match: Option<&str>) -> Result<Option<(Head, Incoming)>> {
        self.retry(|| async {
            let whole = Range { start: 0, end: None };
            let answer = match self.get_once(key, whole, if_match).await {
                Ok(answer) => answer,
                Err(failure) if is_missing(&failure) => return Ok(None),
                Err(failure) => return Err(failure.error),
            };
            let head = head_of(answer.status(), answer.headers())?;
            Ok(Some((head, answer.into_body())))
        })
        .await
    }

    /// A whole object, with room for one byte more. `None`: there is no such object.
    pub async fn get_whole(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.retry(|| async {
            let whole = Range { start: 0, end: None };
            let answer = match self.get_once(key, whole, None).await {
                Ok(answer) => answer,
                Err(failure) if is_missing(&failure) => return Ok(None),
                Err(failure) => return Err(failure.error),
            };
            let said = checksum_of(answer.headers());
            let content = collect_vec(answer.into_body(), usize::MAX, 1).await?;
            if let Some(said) = said {
                let mut check = hash::Crc32c::new(&said);
                crate::http::ranged::Verify::update(&mut check, &content);
                crate::http::ranged::Verify::finish(&mut check)?;
            }
            Ok(Some(content))
        })
        .await
    }

    /// For a download: `PathNotFound` where there is no such object.
    pub async fn open(&self, key: &str, range: Range, pin: Option<String>) -> Result<Opened> {
        self.retry(|| async {
            let answer = match self.get_once(key, range, pin.as_deref()).await {
                Ok(answer) => answer,
                Err(failure) if is_missing(&failure) => return Err(Error::path_not_found("")),
                Err(failure) if failure.status == 416 => return Ok(Opened::past_end(range)),
                Err(failure) => return Err(failure.error),
            };
            let (head, body) = answer.into_parts();
            let opened = Opened::new(range, head.status, &head.headers, body)?;
            Ok(match checksum_of(&head.headers) {
                Some(said) => opened.with_verify(Box::new(hash::Crc32c::new(&said))),
                None => opened,
            })
        })
        .await
    }

    async fn get_once(
        &self,
        key: &str,
        range: Range,
        if_match: Option<&str>,
    ) -> Outcome<Response<Incoming>> {
        match self.0.direct {
            true => self.direct_get(key, range.header(), if_match).await,
            false => self.sdk_get(key, range.header().as_ref(), if_match).await,
        }
    }

    pub async fn put(&self, key: &str, body: Body) -> Result<()> {
        let parameters = &self.0.parameters;
        let digests = Digests::of(&body, parameters.sign_payload, parameters.checksum).await?;
        let digests = &digests;
        self.retry(|| async {
            let stored = match self.0.direct {
                true => self.direct_put(key, body.clone(), digests).await.map(drop),
                false => self.sdk_put(key, body.clone(), digests).await.map(drop),
            };
            stored.map_err(Failure::error)
        })
        .await
    }

    /// One page.
    pub async fn list(&self, request: &ListRequest<'_>) -> Result<ListPage> {
        let most = (request.max_keys > 0).then_some(request.max_keys.cast_signed());
        self.retry(|| async {
            let answer = self
                .0
                .sdk
                .list_objects_v2()
                .bucket(&self.0.parameters.bucket)
                .prefix(request.prefix)
                // Keys may have characters that no XML has.
                .encoding_type(EncodingType::Url)
                .set_delimiter(request.delimiter.map(String::from))
                .set_start_after(request.start_after.map(str::to_string))
                .set_continuation_token(request.token.map(str::to_string))
                .set_max_keys(most)
                .send()
                .await;
            page_of(self.0.outcome(answer).map_err(Failure::error)?)
        })
        .await
    }

    /// `None`: the source is missing. `Conflict` where it has another ETag.
    pub async fn copy(
        &self,
        source: &str,
        if_match: Option<&str>,
        key: &str,
    ) -> Result<Option<Copied>> {
        let inner = &*self.0;
        let source = self.copy_source(source);
        self.retry(|| async {
            let stored = Stored::with(&inner.parameters);
            let request = inner
                .sdk
                .copy_object()
                .bucket(&inner.parameters.bucket)
                .key(key)
                .copy_source(&source)
                .set_copy_source_if_match(if_match.map(str::to_string))
                .content_type(CONTENT_TYPE)
                .acl(stored.acl)
                .set_storage_class(stored.class)
                .set_server_side_encryption(stored.encryption)
                .set_ssekms_key_id(stored.key);
            match inner.outcome(request.send().await) {
                Ok(done) => {
                    let etag = done.copy_object_result.and_then(|result| result.e_tag);
                    Ok(Some(Copied { etag: etag.unwrap_or_default() }))
                }
                Err(failure) if is_missing(&failure) => Ok(None),
                Err(failure) => Err(failure.error),
            }
        })
        .await
    }

    /// Up to 1,000 keys. Missing ones are a success. Those that failed in a way that may
    /// change are tried again; of the others the error tells.
    pub async fn delete_objects(&self, keys: &[String]) -> Result<()> {
        // No XML holds these, and few servers take them.
        let (odd, mut left): (Vec<_>, Vec<_>) =
            keys.iter().cloned().partition(|key| key.chars().any(char::is_control));
        for key in &odd {
            self.delete(key).await?;
        }
        let mut failures = 0;
        while !left.is_empty() {
            let failed = self.retry(|| self.delete_once(&left)).await?;
            if failed.is_empty() {
                break;
            }
            failures += 1;
            let lasting = failed.iter().any(|one| !one.error.is_retryable());
            if lasting || failures >= self.0.policy.attempts {
                return Err(several(failed));
            }
            if let Some(first) = failed.first() {
                self.0.policy.pause(&first.error, failures).await;
            }
            left = failed.into_iter().map(|one| one.key).collect();
        }
        Ok(())
    }

    async fn delete_once(&self, keys: &[String]) -> Result<Vec<KeyFailure>> {
        let build = |_| Error::new(Code::Internal, "a request of the sdk cannot be built");
        let mut delete = Delete::builder().quiet(true);
        for key in keys {
            delete = delete.objects(ObjectIdentifier::builder().key(key).build().map_err(build)?);
        }
        let delete = delete.build().map_err(build)?;
        let request = self.0.sdk.delete_objects().bucket(&self.0.parameters.bucket).delete(delete);
        // Some servers want this one and know no other checksum.
        let request = request.customize().mutate_request(|request| {
            let md5 = request
                .body()
                .bytes()
                .map(|body| hash::md5_base64(&[bytes::Bytes::copy_from_slice(body)]));
            if let Some(md5) = md5 {
                request.headers_mut().insert("content-md5", md5);
            }
        });
        let answer = self.0.outcome(request.send().await).map_err(Failure::error)?;
        let failed = answer.errors.unwrap_or_default().into_iter().filter_map(|one| {
            let code = one.code.unwrap_or_default();
            let missing = matches!(code.as_str(), "NoSuchKey" | "NoSuchVersion");
            (!missing).then(|| {
                KeyFailure::new(one.key.unwrap_or_default(), code, &one.message.unwrap_or_default())
            })
        });
        Ok(failed.collect())
    }

    /// A missing object is a success.
    pub async fn delete(&self, key: &str) -> Result<()> {
        self.retry(|| async {
            let request = self.0.sdk.delete_object().bucket(&self.0.parameters.bucket).key(key);
            match self.0.outcome(request.send().await) {
                Ok(_) => Ok(()),
                Err(failure) if is_missing(&failure) => Ok(()),
                Err(failure) => Err(failure.error),
            }
        })
        .await
    }

    /// An object as the source of a copy.
    pub(super) fn copy_source(&self, key: &str) -> String {
        let mut source = String::new();
        escape(&self.0.parameters.bucket, &mut source);
        let access_point = self.0.parameters.bucket.starts_with("arn:");
        source.push_str(if access_point { "/object/" } else { "/" });
        escape(key, &mut source);
        source
    }

    pub(super) async fn retry<T, F>(&self, attempt: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.0.policy.run(attempt).await
    }
}

/// A key that a delete of many could not delete.
struct KeyFailure {
    key: String,
    error: Error,
}

impl KeyFailure {
    fn new(key: String, code: String, message: &str) -> KeyFailure {
        // The status that such a word comes with.
        let status = match code.as_str() {
            "AccessDenied" => StatusCode::FORBIDDEN,
            "InternalError" => StatusCode::INTERNAL_SERVER_ERROR,
            "SlowDown" | "ServiceUnavailable" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        let error = Failure::of_word(status, code, message).error;
        KeyFailure { key, error }
    }
}

fn several(failed: Vec<KeyFailure>) -> Error {
    let first = failed.first().map(|one| one.error.clone());
    let details = failed.iter().map(|one| format!("{}: {}", one.key, one.error.detail()));
    let error = Error::several(details.collect());
    match first {
        Some(first) => error.with_code(first.code()).with_http_status(first.http_status()),
        None => error,
    }
}

/// A key that is too long for the server is one that nothing can be stored under.
pub(super) fn is_missing(failure: &Failure) -> bool {
    failure.is_missing_object() || failure.is_key_too_long()
}

fn page_of(
    answer: aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output,
) -> Result<ListPage> {
    let escaped = answer.encoding_type == Some(EncodingType::Url);
    let text = |text: Option<String>| -> Result<String> {
        let text = text.unwrap_or_default();
        if !escaped {
            return Ok(text);
        }
        let fault = || Error::new(Code::Unavailable, "a listing that cannot be understood");
        unescape(&text).ok_or_else(fault)
    };
    let mut page = ListPage::default();
    for object in answer.contents.unwrap_or_default() {
        page.objects.push(Object {
            key: text(object.key)?,
            size: object.size.unwrap_or_default().max(0).cast_unsigned(),
            etag: object.e_tag.unwrap_or_default(),
            mtime_ns: object.last_modified.map_or(0, nanoseconds),
        });
    }
    for prefix in answer.common_prefixes.unwrap_or_default() {
        page.prefixes.push(text(prefix.prefix)?);
    }
    if answer.is_truncated == Some(true) {
        let next = answer.next_continuation_token.filter(|token| !token.is_empty());
        let fault = || Error::new(Code::Unavailable, "a listing that goes on without saying where");
        page.next = Some(next.ok_or_else(fault)?);
    }
    Ok(page)
}

pub(super) fn nanoseconds(time: DateTime) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or_default()
}

fn head_of(status: StatusCode, headers: &HeaderMap) -> Result<Head> {
    let fault = || Error::new(Code::Driver, "the answer does not say how long the object is");
    let size = match status {
        StatusCode::PARTIAL_CONTENT => total_of(headers),
        _ => length_of(headers),
    };
    Ok(Head {
        size: size.ok_or_else(fault)?,
        etag: etag_of(headers),
        mtime_ns: text_of(headers, LAST_MODIFIED).map_or(0, mtime_of),
        crc32c: checksum_of(headers),
        opaque: text_of(headers, X_AMZ_SSE).is_some_and(|kind| kind.starts_with("aws:kms")),
    })
}

fn text_of(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok())
}

fn length_of(headers: &HeaderMap) -> Option<u64> {
    text_of(headers, CONTENT_LENGTH)?.trim().parse().ok()
}

/// Of `bytes 0-9/100`.
fn total_of(headers: &HeaderMap) -> Option<u64> {
    text_of(headers, CONTENT_RANGE)?.rsplit_once('/')?.1.trim().parse().ok()
}

fn etag_of(headers: &HeaderMap) -> String {
    text_of(headers, ETAG).unwrap_or_default().to_string()
}

fn mtime_of(text: &str) -> i64 {
    let time = httpdate::parse_http_date(text).unwrap_or(SystemTime::UNIX_EPOCH);
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or_default()
}

/// The checksum of a whole object. That of an upload in parts is one of checksums.
fn checksum_of(headers: &HeaderMap) -> Option<String> {
    let of_parts = text_of(headers, X_AMZ_CHECKSUM_TYPE).is_some_and(|kind| kind == "COMPOSITE");
    let said = text_of(headers, X_AMZ_CHECKSUM_CRC32C)?;
    (!of_parts && !said.contains('-')).then(|| said.to_string())
}

/// For what is stored in parts, whose checksums Distribution could not complete.
pub(super) fn of_part(checksum: Checksum) -> Checksum {
    match checksum {
        Checksum::Crc32c => Checksum::Md5,
        other => other,
    }
}
