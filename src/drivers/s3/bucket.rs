//! The requests that uploads and walks are made of, as a trait: what they do at
//! every possible failure is tested against a bucket in memory.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

use super::client::{Completed, Head, ListPage, ListRequest, Part, Upload};
use crate::error::Result;

/// Where it says `Option`, `None` is "no such object" or "no such upload (any more)".
#[async_trait]
pub trait Bucket: Send + Sync {
    async fn head(&self, key: &str) -> Result<Option<Head>>;
    /// All of a small object that has this ETag; `Conflict` where it has another.
    async fn read(&self, key: &str, head: &Head) -> Result<Option<Bytes>>;
    async fn put(&self, key: &str, data: Vec<Bytes>) -> Result<()>;
    async fn list(&self, request: &ListRequest<'_>) -> Result<ListPage>;
    async fn create_upload(&self, key: &str) -> Result<String>;
    async fn upload_part(
        &self,
        key: &str,
        id: &str,
        number: u32,
        data: Vec<Bytes>,
    ) -> Result<Option<Part>>;
    /// Bytes of the object at `key` itself, which is to be `head`.
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
    ) -> Result<Option<Completed>>;
    /// A missing upload is a success.
    async fn abort_upload(&self, key: &str, id: &str) -> Result<()>;
    /// Those on exactly this key.
    async fn list_uploads(&self, key: &str) -> Result<Vec<Upload>>;
    /// By number.
    async fn list_parts(&self, key: &str, id: &str) -> Result<Option<Vec<Part>>>;
}
