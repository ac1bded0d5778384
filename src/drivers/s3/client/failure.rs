//! What a server means by a failure.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::error::{Code, Error};
use crate::http::status_error;

/// A request that failed.
#[derive(Debug)]
pub struct Failure {
    /// 0: there was no answer.
    pub status: u16,
    /// The server's word for it, "" where it has none.
    pub code: String,
    /// It says nothing at all.
    mute: bool,
    pub error: Error,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { status: 0, code: String::new(), mute: false, error }
    }
}

impl Failure {
    pub fn error(self) -> Error {
        self.error
    }

    /// From an answer: its head, and what its body says if there was one.
    pub fn of_answer(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
        let text = String::from_utf8_lossy(body);
        let said = |tag: &str| text_of(&text, tag).unwrap_or_default();
        Failure::new(status, headers, said("Code"), &said("Message")).with_body(body)
    }

    /// From a server's word for one of many things that failed.
    pub fn of_word(status: StatusCode, code: String, message: &str) -> Failure {
        Failure::new(status, &HeaderMap::new(), code, message)
    }

    fn new(status: StatusCode, headers: &HeaderMap, code: String, message: &str) -> Failure {
        let request_id = headers.get("x-amz-request-id").and_then(|id| id.to_str().ok());
        let error = status_error(status, headers, &code, message, request_id.unwrap_or_default());
        let error = match meaning(&code) {
            Some(meaning) => {
                let wait = error.retry_after();
                let error = error.with_code(meaning);
                // Damage on the way is not there the next time.
                let error =
                    error.clone().with_retryable(error.is_retryable() || meaning == Code::Corrupt);
                match wait {
                    Some(wait) => error.with_retry_after(wait),
                    None => error,
                }
            }
            None => error,
        };
        Failure { status: status.as_u16(), code, mute: false, error }
    }

    /// A store says what is missing in its own words, or answers without a body, as to a
    /// HEAD. Any other 404 is of somebody in between, who does not know what is stored.
    fn with_body(mut self, body: &[u8]) -> Failure {
        self.mute = body.is_empty();
        if self.status == 404 && self.code.is_empty() && !self.mute {
            self.error = self.error.with_code(Code::Unavailable).with_retryable(true);
        }
        self
    }

    /// From what the SDK makes of an answer, or of there being none.
    /// With the headers of the answer that say what else to do.
    pub fn of_sdk<E>(error: SdkError<E, HttpResponse>) -> (Failure, HeaderMap)
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        if let Some(response) = error.raw_response() {
            let status = response.status().as_u16();
            let mut headers = HeaderMap::new();
            for name in ["retry-after", "x-amz-request-id", "date"] {
                let value = response.headers().get(name);
                if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
                    headers.insert(name, value);
                }
            }
            let code = error.code().unwrap_or_default().to_string();
            let message = error.message().unwrap_or_default().to_string();
            if (200..300).contains(&status) && code.is_empty() {
                let error =
                    Error::new(Code::Unavailable, "the server's answer cannot be understood");
                let error = error.with_http_status(i32::from(status));
                return (Failure { status, code, mute: false, error }, headers);
            }
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            // Some failures come after the head of a success.
            let status =
                if status.is_success() { StatusCode::INTERNAL_SERVER_ERROR } else { status };
            let failure = Failure::new(status, &headers, code, &message);
            let body = response.body().bytes().unwrap_or_default();
            return (failure.with_body(body), headers);
        }
        (of_source(&error).into(), HeaderMap::new())
    }

    pub fn is_missing_object(&self) -> bool {
        self.is_missing(&["NoSuchKey", "NotFound", "NoSuchVersion"])
    }

    /// Of a request for an upload; some servers say that there is no such key.
    pub fn is_missing_upload(&self) -> bool {
        self.is_missing(&["NoSuchUpload", "NoSuchKey", "NotFound"])
    }

    fn is_missing(&self, words: &[&str]) -> bool {
        let said = words.contains(&self.code.as_str()) || self.code.is_empty() && self.mute;
        self.status == 404 && said
    }

    /// No object can have such a key.
    pub fn is_key_too_long(&self) -> bool {
        matches!(
            self.code.as_str(),
            "KeyTooLongError" | "KeyTooLong" | "InvalidURI" | "XMinioInvalidObjectName"
        )
    }

    /// Other credentials may help.
    pub fn is_of_credentials(&self) -> bool {
        matches!(
            self.code.as_str(),
            "ExpiredToken"
                | "ExpiredTokenException"
                | "TokenRefreshRequired"
                | "InvalidToken"
                | "InvalidAccessKeyId"
        )
    }
}

/// What stands between the first tags of this name, in a document that may be cut off.
fn text_of(document: &str, tag: &str) -> Option<String> {
    let (_, rest) = document.split_once(&format!("<{tag}>"))?;
    let (text, _) = rest.split_once(&format!("</{tag}>"))?;
    Some(quick_xml::escape::unescape(text).map_or_else(|_| text.to_string(), Into::into))
}

/// The servers' words that say more than the status.
fn meaning(code: &str) -> Option<Code> {
    Some(match code {
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequests"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded"
        | "RequestThrottled"
        | "SlowDownRead"
        | "SlowDownWrite" => Code::Throttled,
        // The last: what radosgw has no other word for, as when two requests met.
        "RequestTimeout" | "InternalError" | "ServiceUnavailable" | "OperationAborted"
        | "IncompleteBody" | "UnknownError" => Code::Unavailable,
        "BadDigest"
        | "XAmzContentSHA256Mismatch"
        | "XAmzContentChecksumMismatch"
        | "ContentSHA256Mismatch" => Code::Corrupt,
        "AccessDenied"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidToken"
        | "TokenRefreshRequired"
        | "RequestTimeTooSkewed"
        | "RequestExpired"
        | "AccountProblem"
        | "AllAccessDisabled"
        | "AuthorizationHeaderMalformed"
        | "InvalidObjectState" => Code::Permission,
        "QuotaExceeded"
        | "QuotaExceededException"
        | "XMinioStorageFull"
        | "XMinioAdminBucketQuotaExceeded" => Code::NoSpace,
        "EntityTooLarge" | "KeyTooLongError" | "KeyTooLong" => Code::InvalidArgument,
        // Somebody else's part is where ours was, or beside it.
        "InvalidPart" | "InvalidPartOrder" => Code::Conflict,
        "PreconditionFailed" | "ConditionalRequestConflict" => Code::Conflict,
        "NotImplemented" => Code::Unsupported,
        _ => return None,
    })
}

/// An error of ours that came through the SDK, or what else it stumbled over.
pub fn of_source(error: &(dyn std::error::Error + 'static)) -> Error {
    let mut source = Some(error);
    let mut text = String::new();
    while let Some(cause) = source {
        if let Some(ours) = cause.downcast_ref::<Error>() {
            return ours.clone();
        }
        text = cause.to_string();
        source = cause.source();
    }
    Error::new(Code::Driver, format!("the request could not be made: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, code: &str) -> Failure {
        let body = format!(
            "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>Because.</Message></Error>"
        );
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-request-id", HeaderValue::from_static("r1"));
        headers.insert("retry-after", HeaderValue::from_static("3"));
        Failure::of_answer(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes())
    }

    #[test]
    fn words_of_servers_become_codes() {
        for (status, word, code, retryable) in [
            (503, "SlowDown", Code::Throttled, true),
            (503, "ServiceUnavailable", Code::Unavailable, true),
            (500, "InternalError", Code::Unavailable, true),
            (400, "RequestTimeout", Code::Unavailable, true),
            (400, "UnknownError", Code::Unavailable, true),
            (409, "OperationAborted", Code::Unavailable, true),
            (400, "BadDigest", Code::Corrupt, true),
            (403, "AccessDenied", Code::Permission, false),
            (400, "ExpiredToken", Code::Permission, false),
            (403, "RequestTimeTooSkewed", Code::Permission, false),
            (403, "QuotaExceeded", Code::NoSpace, false),
            (412, "PreconditionFailed", Code::Conflict, false),
            (400, "InvalidPart", Code::Conflict, false),
            (400, "EntityTooLarge", Code::InvalidArgument, false),
            (400, "KeyTooLongError", Code::InvalidArgument, false),
            (501, "NotImplemented", Code::Unsupported, false),
            (404, "NoSuchBucket", Code::Driver, false),
            (400, "InvalidRequest", Code::Driver, false),
        ] {
            let error = failure(status, word).error;
            assert_eq!((error.code(), error.is_retryable()), (code, retryable), "{word}");
            assert_eq!(error.http_status(), i32::from(status));
            assert_eq!(error.request_id(), "r1");
            assert!(error.detail().contains(word) && error.detail().contains("Because"), "{error}");
        }
        assert_eq!(failure(503, "SlowDown").error.retry_after().map(|w| w.as_secs()), Some(3));
    }

    #[test]
    fn an_answer_without_a_body_has_its_status() {
        let failure = Failure::of_answer(StatusCode::NOT_FOUND, &HeaderMap::new(), b"");
        assert!(failure.is_missing_object());
        assert!(!failure_of("NoSuchBucket").is_missing_object());
        assert!(failure_of("NoSuchUpload").is_missing_upload());
        assert!(failure_of("NoSuchKey").is_missing_upload());
        assert!(!failure_of("NoSuchBucket").is_missing_upload());
        for page in ["404 page not found\n", "<html><h1>404 Not Found</h1></html>", "{}"] {
            let page =
                Failure::of_answer(StatusCode::NOT_FOUND, &HeaderMap::new(), page.as_bytes());
            assert!(!page.is_missing_object() && !page.is_missing_upload());
            assert_eq!(page.error.code(), Code::Unavailable);
            assert!(page.error.is_retryable());
        }
        assert!(!failure_of("NoSuchWebsite").is_missing_upload());
        let garbage = Failure::of_answer(StatusCode::BAD_GATEWAY, &HeaderMap::new(), b"<html>\xff");
        assert_eq!(garbage.error.code(), Code::Unavailable);
    }

    fn failure_of(code: &str) -> Failure {
        failure(404, code)
    }
}
