//! The requests that uploads and walks are made of, as a trait: what they do at
//! every possible failure is tested against a bucket in memory.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

use super::client::{Client, Completed, Head, ListPage, ListRequest, Part, Upload};
use super::doubt::Doubt;
use crate::error::{Code, Error, Result};
use crate::http::{Body, collect};

/// Where it says `Option`, `None` is "no such object" or "no such upload (any more)".
#[async_trait]
pub trait Bucket: Send + Sync {
    async fn head(&self, key: &str) -> Result<Option<Head>>;
    /// All of a small object that has this ETag; `Conflict` where it has another.
    async fn read(&self, key: &str, head: &Head) -> Result<Option<Bytes>>;
    async fn put(&self, key: &str, data: Vec<Bytes>) -> Result<()>;
    async fn list(&self, request: &ListRequest<'_>) -> Result<ListPage>;
    async fn create_upload(&self, key: &str, doubt: &Doubt) -> Result<String>;
    async fn upload_part(
        &self,
        key: &str,
        id: &str,
        number: u32,
        data: Vec<Bytes>,
    ) -> Result<Option<Part>>;
    /// Bytes of the object at `key` itself, which is to be `head`. `None`: it is gone; for an
    /// upload that is, `Conflict`.
    async fn copy_part(
        &self,
        key: &str,
        id: &str,
        number: u32,
        head: &Head,
        range: Range<u64>,
    ) -> Result<Option<Part>>;
    async fn complete_upload(
        &self,
        key: &str,
        id: &str,
        parts: &[Part],
        doubt: &Doubt,
    ) -> Result<Option<Completed>>;
    /// A missing upload is a success.
    async fn abort_upload(&self, key: &str, id: &str) -> Result<()>;
    /// Those on exactly this key.
    async fn list_uploads(&self, key: &str) -> Result<Vec<Upload>>;
    /// By number.
    async fn list_parts(&self, key: &str, id: &str) -> Result<Option<Vec<Part>>>;
}

#[async_trait]
impl Bucket for Client {
    async fn head(&self, key: &str) -> Result<Option<Head>> {
        Client::head(self, key).await
    }

    async fn read(&self, key: &str, head: &Head) -> Result<Option<Bytes>> {
        let limit = usize::try_from(head.size).unwrap_or(usize::MAX);
        let read = || async {
            match self.get(key, pin(head)).await? {
                None => Ok(None),
                Some((found, _)) if found.size != head.size => Err(another()),
                Some((_, body)) => collect(body, limit).await.map(Some),
            }
        };
        self.policy().run(read).await
    }

    async fn put(&self, key: &str, data: Vec<Bytes>) -> Result<()> {
        Client::put(self, key, Body::from(data)).await.map(drop)
    }

    async fn list(&self, request: &ListRequest<'_>) -> Result<ListPage> {
        Client::list(self, request).await
    }

    async fn create_upload(&self, key: &str, doubt: &Doubt) -> Result<String> {
        Client::create_upload(self, key, doubt).await
    }

    async fn upload_part(
        &self,
        key: &str,
        id: &str,
        number: u32,
        data: Vec<Bytes>,
    ) -> Result<Option<Part>> {
        Client::upload_part(self, key, id, number, Body::from(data)).await
    }

    async fn copy_part(
        &self,
        key: &str,
        id: &str,
        number: u32,
        head: &Head,
        range: Range<u64>,
    ) -> Result<Option<Part>> {
        let size = range.end.saturating_sub(range.start);
        let whole = range.start == 0 && range.end == head.size;
        let span = (!whole).then(|| (range.start, range.end.saturating_sub(1)));
        Client::copy_part(self, key, span, size, pin(head), key, id, number).await
    }

    async fn complete_upload(
        &self,
        key: &str,
        id: &str,
        parts: &[Part],
        doubt: &Doubt,
    ) -> Result<Option<Completed>> {
        Client::complete_upload(self, key, id, parts, doubt).await
    }

    async fn abort_upload(&self, key: &str, id: &str) -> Result<()> {
        Client::abort_upload(self, key, id).await
    }

    async fn list_uploads(&self, key: &str) -> Result<Vec<Upload>> {
        Client::list_uploads(self, key).await
    }

    async fn list_parts(&self, key: &str, id: &str) -> Result<Option<Vec<Part>>> {
        Client::list_parts(self, key, id).await
    }
}

/// What an object is to match, where the server has said it.
fn pin(head: &Head) -> Option<&str> {
    (!head.etag.is_empty()).then_some(head.etag.as_str())
}

fn another() -> Error {
    Error::new(Code::Conflict, "the content was replaced by somebody else")
}
