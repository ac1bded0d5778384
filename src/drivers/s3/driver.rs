//! The driver's verbs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::client::{Client, Head, MAX_SINGLE};
use super::guess::Guesses;
use super::keys::Keys;
use super::parameters::Parameters;
use super::store::Store;
use super::walker::KnownOrder;
use super::{delete, listing, moves, walker, writer};
use crate::context::Context;
use crate::driver::{Capabilities, FileInfo, Reader, RedirectRequest, WalkOptions, Walker, Writer};
use crate::error::{Error, Result};
use crate::http::Body;
use crate::http::join;
use crate::http::ranged::{Ahead, Download, Range};
use crate::names::Names;
use crate::remote::{self, RemoteDriver};

/// How long a URL for clients is good for, unless they ask for another time.
const LIFETIME: u32 = 20 * 60;
/// The service's limit.
const LONGEST_LIFETIME: u32 = 7 * 24 * 3600;
/// What is fetched ahead of a reader, in each request.
const AHEAD: u64 = 8 << 20;

pub struct S3 {
    store: Arc<Store>,
    guesses: Guesses,
}

impl S3 {
    /// Makes no request.
    pub fn new(parameters: Parameters) -> Result<S3> {
        let keys = Keys::new(&parameters.root);
        let order = Arc::new(KnownOrder::new(walker::order_of(&parameters)));
        let client = Client::new(parameters)?;
        Ok(S3 { store: Arc::new(Store { client, keys, order }), guesses: Guesses::default() })
    }

    async fn stat_root(&self) -> Result<FileInfo> {
        // An empty store has a root; a store that cannot be reached has none.
        let prefix = self.store.keys.directory("/");
        self.store.is_directory(&prefix).await?;
        Ok(directory("/"))
    }
}

fn directory(path: &str) -> FileInfo {
    FileInfo { path: path.to_string(), size: 0, mtime_ns: 0, is_dir: true }
}

fn file(path: &str, head: &Head) -> FileInfo {
    FileInfo { path: path.to_string(), size: head.size, mtime_ns: head.mtime_ns, is_dir: false }
}

#[async_trait]
impl RemoteDriver for S3 {
    /// Distribution's, whichever of the two names it was made by.
    fn name(&self) -> &str {
        super::NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            real_directories: false,
            visible_uploads: false,
            exact_append: true,
            shrinkable: false,
            mtime_of_directories: false,
            redirect: true,
        }
    }

    async fn get_content(&self, _: &Context, path: &str) -> Result<Vec<u8>> {
        let content = self.store.client.get_whole(&self.store.keys.file(path)).await?;
        content.ok_or_else(|| Error::path_not_found(path))
    }

    async fn put_content(&self, _: &Context, path: &str, data: Bytes) -> Result<()> {
        if data.len() as u64 > MAX_SINGLE {
            let detail = "larger than one request may be; it can be written in parts";
            return Err(Error::invalid_argument(detail).with_path(path));
        }
        self.store.client.put(&self.store.keys.file(path), Body::from(data)).await
    }

    async fn stat(&self, _: &Context, path: &str) -> Result<FileInfo> {
        if path == "/" {
            return self.stat_root().await;
        }
        let (store, key) = (&*self.store, self.store.keys.file(path));
        let prefix = store.keys.directory(path);
        let (head, below) = if self.guesses.is_file(path) {
            (store.client.head(&key).await?, None)
        } else {
            // Of two that are needed both are made at once.
            let both = join::first_or_both(
                store.client.head(&key),
                Option::is_some,
                store.is_directory(&prefix),
            );
            both.await?
        };
        self.guesses.learn(path, head.is_some());
        if let Some(head) = head {
            return Ok(file(path, &head));
        }
        let below = match below {
            Some(below) => below,
            None => store.is_directory(&prefix).await?,
        };
        if below { Ok(directory(path)) } else { Err(Error::path_not_found(path)) }
    }

    async fn list(&self, _: &Context, path: &str) -> Result<Names> {
        listing::list(&self.store, path).await
    }

    async fn list_page(
        &self,
        _: &Context,
        path: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<Names> {
        listing::page(&self.store, path, start_after, limit).await
    }

    async fn r#move(&self, _: &Context, source: &str, dest: &str) -> Result<()> {
        moves::rename(&self.store, source, dest).await
    }

    async fn delete(&self, _: &Context, path: &str) -> Result<()> {
        delete::delete(&self.store, path).await
    }

    async fn redirect_url(
        &self,
        _: &Context,
        path: &str,
        request: &RedirectRequest,
    ) -> Result<Option<String>> {
        let method = match request.method.as_str() {
            "" | "GET" => "GET",
            "HEAD" => "HEAD",
            _ => return Ok(None),
        };
        let lifetime = match request.expires_s {
            0 => LIFETIME,
            asked => asked.min(LONGEST_LIFETIME),
        };
        let lifetime = Duration::from_secs(lifetime.into());
        let key = self.store.keys.file(path);
        self.store.client.presign(method, &key, lifetime).await.map(Some)
    }

    async fn reader(&self, ctx: &Context, path: &str, offset: i64) -> Result<Box<dyn Reader>> {
        let (client, key) = (self.store.client.clone(), self.store.keys.file(path));
        let key: Arc<str> = key.into();
        let ahead = match client.parameters().read_ahead {
            0 => None,
            ranges => Some(Ahead { ranges: ranges + 1, size: AHEAD }),
        };
        let policy = client.policy();
        let open = move |range: Range, pin: Option<String>| {
            let (client, key) = (client.clone(), key.clone());
            async move { client.open(&key, range, pin).await }
        };
        let download = Download::open(open, offset.unsigned_abs(), policy, ahead).await;
        let download = download.map_err(|error| error.or_path(path))?;
        Ok(remote::reader(ctx, Box::new(download)))
    }

    async fn writer(&self, ctx: &Context, path: &str, append: bool) -> Result<Box<dyn Writer>> {
        writer::open(&self.store, ctx, path, append).await
    }

    async fn walker(
        &self,
        ctx: &Context,
        path: &str,
        options: &WalkOptions,
    ) -> Result<Box<dyn Walker>> {
        walker::open(&self.store, ctx, path, options).await
    }
}
