//! The common requests without the SDK, whose machinery costs several times what the
//! rest of such a request does.

use aws_smithy_async::time::TimeSource;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::header::{IF_MATCH, RANGE};
use http::{Method, Request, Response, Uri};

use super::digest::Digests;
use super::failure::Failure;
use super::sign::{self, UNSIGNED, X_AMZ_CONTENT_SHA256};
use super::{Client, Inner};
use crate::drivers::s3::keys::escape_all;
use crate::error::{Code, Error, Result};
use crate::http::{Body, Incoming, front};

/// Longer explanations of a failure are not read.
pub const LONGEST_FAILURE: usize = 64 << 10;

type Answer = std::result::Result<Response<Incoming>, Failure>;

/// A request that is not signed yet.
struct Call<'c> {
    method: Method,
    key: &'c str,
    /// Escaped, sorted.
    query: &'c str,
    headers: HeaderMap,
    body: Body,
}

impl Client {
    pub(super) async fn direct_head(&self, key: &str) -> Answer {
        let headers = self.0.reading(None, None)?;
        let call = Call { method: Method::HEAD, key, query: "", headers, body: Body::empty() };
        self.0.send(call).await
    }

    pub(super) async fn direct_get(
        &self,
        key: &str,
        range: Option<HeaderValue>,
        if_match: Option<&str>,
    ) -> Answer {
        let headers = self.0.reading(range, if_match)?;
        let call = Call { method: Method::GET, key, query: "", headers, body: Body::empty() };
        self.0.send(call).await
    }

    pub(super) async fn direct_put(&self, key: &str, body: Body, digests: &Digests) -> Answer {
        let mut headers = self.0.stored.clone();
        digests.put_into(&mut headers)?;
        let call = Call { method: Method::PUT, key, query: "", headers, body };
        self.0.send(call).await
    }

    pub(super) async fn direct_upload_part(
        &self,
        key: &str,
        id: &str,
        number: u32,
        body: Body,
        digests: &Digests,
    ) -> Answer {
        let mut query = format!("partNumber={number}&uploadId=");
        escape_all(id, &mut query);
        let mut headers = HeaderMap::with_capacity(8);
        digests.put_into(&mut headers)?;
        self.0.send(Call { method: Method::PUT, key, query: &query, headers, body }).await
    }
}

impl Inner {
    fn reading(&self, range: Option<HeaderValue>, if_match: Option<&str>) -> Result<HeaderMap> {
        let mut headers = HeaderMap::with_capacity(8);
        if let Some(range) = range {
            headers.insert(RANGE, range);
        }
        if let Some(etag) = if_match {
            headers.insert(IF_MATCH, header(etag)?);
        }
        if self.wants_checksums() {
            headers.insert(X_AMZ_CHECKSUM_MODE, HeaderValue::from_static("ENABLED"));
        }
        Ok(headers)
    }

    /// One attempt; what is no success is a failure.
    async fn send(&self, call: Call<'_>) -> Answer {
        let signer = self.signers.current().await?;
        let path = self.place.path(call.key);
        let now = self.clock.now();
        let mut headers = call.headers;
        if let Some(held) = &signer {
            if !headers.contains_key(X_AMZ_CONTENT_SHA256) {
                let hash = if call.body.is_empty() { sign::EMPTY } else { UNSIGNED };
                headers.insert(X_AMZ_CONTENT_SHA256, HeaderValue::from_static(hash));
            }
            let method = call.method.as_str();
            let request = sign::Request { method, path: &path, query: call.query };
            sign::sign(&request, &mut headers, &self.place, held, now)?;
        }
        if call.method == Method::PUT {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(call.body.len()));
        }
        let (scheme, authority) = (&self.place.scheme, &self.place.authority);
        let question = if call.query.is_empty() { "" } else { "?" };
        let uri = format!("{scheme}://{authority}{path}{question}{}", call.query);
        let uri = Uri::try_from(uri).map_err(|_| too_long())?;
        let mut request = Request::new(call.body);
        let method = call.method;
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let response = self.engine.send(request).await?;
        self.log.request(method.as_str(), &path, response.status().as_u16());
        if response.status().is_success() {
            return Ok(response);
        }
        let (head, body) = response.into_parts();
        let text = match method {
            Method::HEAD => bytes::Bytes::new(),
            _ => front(body, LONGEST_FAILURE).await,
        };
        Err(self.learned(Failure::of_answer(head.status, &head.headers, &text), &head.headers))
    }

    /// What another attempt should do otherwise: with other credentials, by another clock.
    pub(super) fn learned(&self, mut failure: Failure, headers: &HeaderMap) -> Failure {
        // To a head with an expired token the answer is a bad request, without a word.
        let unsaid = failure.status == 400 && failure.code.is_empty();
        if (failure.is_of_credentials() || unsaid) && self.signers.forget() {
            failure.error = failure.error.with_retryable(true);
        }
        // The answer to a head has no body that would say why.
        let refused = failure.status == 403
            && (failure.code.is_empty() || failure.code == "RequestTimeTooSkewed");
        if refused && self.clock.set(headers) {
            failure.error = failure.error.with_retryable(true);
        }
        failure
    }
}

pub const X_AMZ_CHECKSUM_MODE: HeaderName = HeaderName::from_static("x-amz-checksum-mode");
const X_AMZ_ACL: HeaderName = HeaderName::from_static("x-amz-acl");
const X_AMZ_STORAGE_CLASS: HeaderName = HeaderName::from_static("x-amz-storage-class");
pub const X_AMZ_SSE: HeaderName = HeaderName::from_static("x-amz-server-side-encryption");
const X_AMZ_SSE_KEY: HeaderName =
    HeaderName::from_static("x-amz-server-side-encryption-aws-kms-key-id");

/// What an object is stored with.
pub fn stored_with(parameters: &super::Parameters) -> Result<HeaderMap> {
    use crate::drivers::s3::parameters::Encryption;
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(super::CONTENT_TYPE));
    headers.insert(X_AMZ_ACL, header(&parameters.acl)?);
    if let Some(class) = &parameters.storage_class {
        headers.insert(X_AMZ_STORAGE_CLASS, header(class)?);
    }
    match &parameters.encryption {
        Encryption::None => {}
        Encryption::Aes256 => {
            headers.insert(X_AMZ_SSE, HeaderValue::from_static("AES256"));
        }
        Encryption::Kms(key) => {
            headers.insert(X_AMZ_SSE, HeaderValue::from_static("aws:kms"));
            headers.insert(X_AMZ_SSE_KEY, header(key)?);
        }
    }
    Ok(headers)
}

pub fn header(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text)
        .map_err(|_| Error::new(Code::InvalidArgument, "a header cannot hold such a text"))
}

fn too_long() -> Error {
    Error::new(Code::InvalidArgument, "the key is too long for a url")
}
