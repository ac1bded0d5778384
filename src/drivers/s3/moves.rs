//! Moving a file: a copy inside the service, and the source deleted when it is known to
//! be whole.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::client::{Client, Head, MAX_SINGLE, Part, same_etag};
use super::doubt::Doubt;
use super::listing::lost;
use super::parameters::Encryption;
use super::store::Store;
use crate::error::{Code, Error, Result};

/// How often a source that changes while it is copied is copied anew.
const ATTEMPTS: u32 = 3;

pub async fn rename(store: &Store, source: &str, dest: &str) -> Result<()> {
    let (from, to) = (store.keys.file(source), store.keys.file(dest));
    let mut attempts = 0;
    loop {
        let Some(head) = store.client.head(&from).await? else {
            return Err(missing(store, source).await);
        };
        if from == to {
            return Ok(());
        }
        attempts += 1;
        match copy(&store.client, &from, &head, &to).await {
            Ok(true) => break,
            Ok(false) => return Err(missing(store, source).await),
            Err(error) if error.code() == Code::Conflict && attempts < ATTEMPTS => {}
            Err(error) => return Err(error.or_path(source)),
        }
    }
    store.client.delete(&from).await
}

/// What is at the source in place of a file.
async fn missing(store: &Store, source: &str) -> Error {
    match store.is_directory(&store.keys.directory(source)).await {
        Ok(true) => Error::is_directory(source),
        Ok(false) => Error::path_not_found(source),
        Err(error) => error.or_path(source),
    }
}

/// Copies the object that `head` describes; `false`: it is gone.
async fn copy(client: &Client, from: &str, head: &Head, to: &str) -> Result<bool> {
    let threshold = client.parameters().copy_threshold.min(MAX_SINGLE);
    if head.size > threshold {
        return copy_in_parts(client, from, head, to).await;
    }
    let Some(copied) = client.copy(from, if_match(head), to).await? else { return Ok(false) };
    if !is_same_content(client, head, &copied.etag) {
        check_size(client, head, to).await?;
    }
    Ok(true)
}

fn if_match(head: &Head) -> Option<&str> {
    (!head.etag.is_empty()).then_some(head.etag.as_str())
}

/// Whether the ETags say that both are the same. Those of encrypted objects and of
/// uploads in parts say nothing; the copy is then trusted as far as the service, which
/// copied what had the source's ETag or nothing.
fn is_same_content(client: &Client, head: &Head, etag: &str) -> bool {
    let is_digest = |etag: &str| etag.trim_matches('"').len() == 32 && !etag.contains('-');
    let comparable = is_digest(&head.etag)
        && is_digest(etag)
        && !matches!(client.parameters().encryption, Encryption::Kms(_));
    !etag.is_empty() && (!comparable || same_etag(&head.etag, etag))
}

/// The content's digest is another one: of an encrypted object, or of other content.
async fn check_size(client: &Client, head: &Head, to: &str) -> Result<()> {
    let there = client.head(to).await?.map(|there| there.size);
    if there == Some(head.size) {
        return Ok(());
    }
    let detail = format!("the copy has {there:?} bytes, the source {}", head.size);
    Err(Error::new(Code::Corrupt, detail))
}

async fn copy_in_parts(client: &Client, from: &str, head: &Head, to: &str) -> Result<bool> {
    let id = client.create_upload(to, &Doubt::default()).await?;
    let mut upload = Abort { client, key: to, id: Some(id.clone()) };
    let outcome = match copy_parts(client, from, head, to, &id).await {
        Ok(Some(parts)) => complete(client, to, &id, &parts).await.map(|()| true),
        Ok(None) => Ok(false),
        Err(error) => Err(error),
    };
    upload.end(matches!(outcome, Ok(true))).await;
    outcome
}

/// Completes the upload, or finds that an earlier attempt has.
async fn complete(client: &Client, to: &str, id: &str, parts: &[Part]) -> Result<()> {
    let doubt = Doubt::default();
    if client.complete_upload(to, id, parts, &doubt).await?.is_some() {
        return Ok(());
    }
    let there = if doubt.any() { client.head(to).await? } else { None };
    match there.is_some_and(|there| there.is_made_of(parts)) {
        true => Ok(()),
        false => Err(ended()),
    }
}

fn ended() -> Error {
    Error::new(Code::Conflict, "somebody ended the upload that the copy was made in")
}

/// `None`: the source is gone.
async fn copy_parts(
    client: &Client,
    from: &str,
    head: &Head,
    to: &str,
    id: &str,
) -> Result<Option<Vec<Part>>> {
    let parameters = client.parameters();
    let slots = Arc::new(Semaphore::new(parameters.copy_concurrency.min(Semaphore::MAX_PERMITS)));
    let mut copies = JoinSet::new();
    for (number, range) in (1_u32..).zip(client.copy_ranges(head.size)) {
        let (client, slots, etag) = (client.clone(), slots.clone(), head.etag.clone());
        let (from, to, id) = (from.to_string(), to.to_string(), id.to_string());
        copies.spawn(async move {
            let _slot = slots.acquire().await.map_err(|_| lost())?;
            let if_match = (!etag.is_empty()).then_some(etag.as_str());
            let span = Some((range.start, range.end - 1));
            let size = range.end - range.start;
            client.copy_part(&from, span, size, if_match, &to, &id, number).await
        });
    }
    let mut parts = Vec::with_capacity(copies.len());
    while let Some(copied) = copies.join_next().await {
        match copied.map_err(|_| lost())?? {
            Some(part) => parts.push(part),
            // The rest is dropped, and with it what is on its way.
            None => return Ok(None),
        }
    }
    parts.sort_by_key(|part| part.number);
    Ok(Some(parts))
}

/// Sees to it that no upload is left, also where the call is dropped.
struct Abort<'c> {
    client: &'c Client,
    key: &'c str,
    id: Option<String>,
}

impl Abort<'_> {
    async fn end(&mut self, completed: bool) {
        if completed {
            self.id = None;
        } else if let Some(id) = self.id.clone() {
            // The call fails for a better reason than this.
            let _ = self.client.abort_upload(self.key, &id).await;
            self.id = None;
        }
    }
}

impl Drop for Abort<'_> {
    fn drop(&mut self) {
        let (Some(id), Ok(runtime)) = (self.id.take(), Handle::try_current()) else { return };
        let (client, key) = (self.client.clone(), self.key.to_string());
        runtime.spawn(async move {
            let _ = client.abort_upload(&key, &id).await;
        });
    }
}
