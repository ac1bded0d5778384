//! Deleting a path and what is below it. The first listing is of the key without a
//! slash: it has the file itself and, unless siblings crowd it out, all that is below.
//! Each batch is deleted while the next page is being listed.
//!
//! Uploads below a directory end with it, where one page holds the directory: a registry
//! deletes that of an upload with all its traces. Asking for them costs a request, which
//! a file and a large tree are spared.

use super::client::{ListPage, ListRequest};
use super::listing::lost;
use super::store::Store;
use crate::error::{Code, Error, Result};

use tokio::task::JoinSet;

/// What one request may delete.
const BATCH: usize = 1000;

pub async fn delete(store: &Store, path: &str) -> Result<()> {
    let (key, prefix) = (store.keys.file(path), store.keys.directory(path));
    let mut deletion = Deletion { store, running: JoinSet::new(), found: false };
    let first = ListRequest { prefix: &key, ..ListRequest::default() };
    let first = store.client.list(&first).await?;
    let more = first.next.is_some();
    let sorted = first.objects.is_sorted_by(|a, b| a.key < b.key);
    let last = first.objects.last().map(|object| object.key.clone());
    let is_directory = first.objects.iter().any(|object| object.key.starts_with(&prefix));
    let mut doomed = of_path(first, &key, &prefix);
    if more && !sorted && doomed.first() != Some(&key) && store.client.head(&key).await?.is_some() {
        doomed.push(key);
    }
    deletion.start(doomed)?;
    if is_directory && !more {
        deletion.uploads(&prefix).await?;
    }
    if more {
        // From here on without siblings.
        let after = last.filter(|last| sorted && last.starts_with(&prefix));
        deletion.below(&prefix, after.as_deref()).await?;
    }
    deletion.end().await?;
    if deletion.found { Ok(()) } else { Err(Error::path_not_found(path)) }
}

fn of_path(page: ListPage, key: &str, prefix: &str) -> Vec<String> {
    let keys = page.objects.into_iter().map(|object| object.key);
    keys.filter(|found| found == key || found.starts_with(prefix)).collect()
}

struct Deletion<'a> {
    store: &'a Store,
    running: JoinSet<Result<()>>,
    found: bool,
}

impl Deletion<'_> {
    /// All that is below the prefix.
    async fn below(&mut self, prefix: &str, start_after: Option<&str>) -> Result<()> {
        let mut token: Option<String> = None;
        loop {
            let request = ListRequest {
                prefix,
                start_after,
                token: token.as_deref(),
                ..ListRequest::default()
            };
            let page = self.store.client.list(&request).await?;
            let next = page.next.clone();
            let keys = page.objects.into_iter().map(|object| object.key);
            self.start(keys.filter(|key| key.starts_with(prefix)).collect())?;
            if next.is_none() {
                return Ok(());
            }
            if next == token {
                return Err(Error::new(Code::Driver, "a listing that does not go on"));
            }
            token = next;
            self.collect(false).await?;
        }
    }

    /// Aborts the uploads below the prefix, where the server knows such things and we may
    /// ask for them.
    async fn uploads(&mut self, prefix: &str) -> Result<()> {
        let uploads = match self.store.client.list_uploads_below(prefix).await {
            Ok(uploads) => uploads,
            Err(error) if matches!(error.code(), Code::Permission | Code::Unsupported) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for (key, upload) in uploads {
            let client = self.store.client.clone();
            self.running.spawn(async move { client.abort_upload(&key, &upload.id).await });
            self.collect(false).await?;
        }
        Ok(())
    }

    fn start(&mut self, keys: Vec<String>) -> Result<()> {
        self.found |= !keys.is_empty();
        let mut keys = keys.into_iter().peekable();
        while keys.peek().is_some() {
            let batch: Vec<String> = keys.by_ref().take(BATCH).collect();
            let client = self.store.client.clone();
            self.running.spawn(async move {
                match batch.as_slice() {
                    [one] => client.delete(one).await,
                    many => client.delete_objects(many).await,
                }
            });
        }
        Ok(())
    }

    /// Takes what has been answered; `all`: waits for what has not.
    async fn collect(&mut self, all: bool) -> Result<()> {
        // A slow server is not given more and more at once.
        const AT_ONCE: usize = 4;
        loop {
            let answer = match all || self.running.len() >= AT_ONCE {
                true => self.running.join_next().await,
                false => self.running.try_join_next(),
            };
            match answer {
                None => return Ok(()),
                Some(outcome) => outcome.map_err(|_| lost())??,
            }
        }
    }

    async fn end(&mut self) -> Result<()> {
        self.collect(true).await
    }
}
