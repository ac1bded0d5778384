//! hyper and a signature: what the same requests cost when nothing else is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Client, PART, PIECE, SMALL, Small, Target, piece, runtime};
use crate::Result;
use crate::sign::{Signer, encoded};

pub struct Plain {
    runtime: Runtime,
    inner: Arc<Inner>,
    parallel: usize,
}

struct Inner {
    pool: Pool<HttpConnector, Full<Bytes>>,
    signer: Signer,
    endpoint: String,
    bucket: String,
}

impl Plain {
    pub fn new(target: &Target, parallel: usize) -> Result<Plain> {
        let host = target.endpoint.strip_prefix("http://").ok_or("the endpoint must be http://")?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let keys = (target.access_key.as_str(), target.secret_key.as_str());
        let inner = Inner {
            pool: Pool::builder(TokioExecutor::new()).pool_max_idle_per_host(200).build(connector),
            signer: Signer::new(keys, &target.region, host, target.signs_payload),
            endpoint: target.endpoint.clone(),
            bucket: target.bucket.clone(),
        };
        Ok(Plain { runtime: runtime()?, inner: Arc::new(inner), parallel })
    }

    /// One that is there already is as good.
    pub fn make_bucket(&self) -> Result<()> {
        self.runtime.block_on(self.inner.send("PUT", "", "", Bytes::new())).map(drop)
    }
}

impl Plain {
    pub fn size(&self, path: &str) -> Result<u64> {
        let answer = self.runtime.block_on(self.inner.send("HEAD", path, "", Bytes::new()))?;
        let len = answer.headers().get("content-length").ok_or("no object is there")?;
        Ok(len.to_str()?.parse()?)
    }

    pub fn is_empty(&self, path: &str) -> Result<bool> {
        let query = format!("list-type=2&prefix={}", encoded(&format!("{}/", &path[1..])));
        let page = self.runtime.block_on(self.inner.call("GET", "", &query, Bytes::new()))?;
        Ok(elements(std::str::from_utf8(&page)?, "Key").next().is_none())
    }
}

impl Inner {
    /// `query` is encoded and sorted; any status comes back.
    async fn send(
        &self,
        method: &str,
        path: &str,
        query: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>> {
        let path = format!("/{}{path}", self.bucket);
        let mark = if query.is_empty() { "" } else { "?" };
        let uri = format!("{}{path}{mark}{query}", self.endpoint);
        let request = Request::builder().method(method).uri(uri);
        let request = self.signer.sign(request, method, &path, query, &body)?;
        Ok(self.pool.request(request.body(Full::new(body))?).await?)
    }

    /// The text of a success.
    async fn call(&self, method: &str, path: &str, query: &str, body: Bytes) -> Result<Bytes> {
        let response = self.send(method, path, query, body).await?;
        let status = response.status();
        let text = response.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            let text = String::from_utf8_lossy(&text);
            return Err(format!("{method} {path}: {status}: {text}").into());
        }
        Ok(text)
    }

    async fn small(&self, call: Small, path: &str, data: &Bytes) -> Result<()> {
        let (method, body) = match call {
            Small::Get => ("GET", Bytes::new()),
            Small::Put => ("PUT", data.clone()),
            Small::Stat => ("HEAD", Bytes::new()),
        };
        let content = self.call(method, path, "", body).await?;
        match call {
            Small::Get if content.len() != SMALL => Err("a small object is torn".into()),
            _ => Ok(()),
        }
    }

    async fn part(&self, path: &str, id: &str, number: usize, body: Bytes) -> Result<String> {
        let query = format!("partNumber={number}&uploadId={id}");
        let response = self.send("PUT", path, &query, body).await?;
        let etag = response.headers().get("etag").ok_or("a part without an etag")?;
        let etag = etag.to_str()?.to_string();
        response.into_body().collect().await?;
        Ok(etag)
    }

    async fn delete_keys(&self, listing: &str) -> Result<()> {
        let keys = elements(listing, "Key").map(|key| format!("<Object><Key>{key}</Key></Object>"));
        let body = format!("<Delete>{}<Quiet>true</Quiet></Delete>", keys.collect::<String>());
        self.call("POST", "", "delete=", body.into()).await.map(drop)
    }
}

/// The texts of all elements of a name.
fn elements<'x>(xml: &'x str, name: &str) -> impl Iterator<Item = &'x str> {
    let (start, end) = (format!("<{name}>"), format!("</{name}>"));
    let starts: Vec<usize> = xml.match_indices(&start).map(|(at, _)| at + start.len()).collect();
    starts.into_iter().filter_map(move |at| xml[at..].split(end.as_str()).next())
}

impl Client for Plain {
    fn small(&self, call: Small, paths: &[String], at_once: usize) -> Result<()> {
        let (paths, next) = (Arc::new(paths.to_vec()), Arc::new(AtomicUsize::new(0)));
        let data = Bytes::from(piece()).slice(..SMALL);
        self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for _ in 0..at_once.min(if self.parallel == 1 { 1 } else { usize::MAX }) {
                let (inner, paths, next) = (self.inner.clone(), paths.clone(), next.clone());
                let data = data.clone();
                tasks.spawn(async move {
                    while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                        inner.small(call, path, &data).await?;
                    }
                    Ok(())
                });
            }
            tasks.join_all().await.into_iter().collect()
        })
    }

    fn upload(&self, path: &str, pieces: usize) -> Result<()> {
        let (piece, slots) = (piece(), Arc::new(Semaphore::new(self.parallel)));
        self.runtime.block_on(async {
            let created = self.inner.call("POST", path, "uploads=", Bytes::new()).await?;
            let created = String::from_utf8(created.to_vec())?;
            let id = encoded(elements(&created, "UploadId").next().ok_or("no upload id")?);
            let mut tasks = JoinSet::new();
            let (mut left, mut number) = (pieces, 0);
            while left > 0 {
                let slot = slots.clone().acquire_owned().await?;
                let count = left.min(PART / PIECE);
                let mut body = Vec::with_capacity(count * PIECE);
                (0..count).for_each(|_| body.extend_from_slice(&piece));
                (left, number) = (left - count, number + 1);
                let (inner, path, id) = (self.inner.clone(), path.to_string(), id.clone());
                tasks.spawn(async move {
                    let etag = inner.part(&path, &id, number, body.into()).await;
                    drop(slot);
                    etag.map(|etag| (number, etag))
                });
            }
            let mut parts: Vec<_> =
                tasks.join_all().await.into_iter().collect::<Result<Vec<(usize, String)>>>()?;
            parts.sort();
            let parts = parts.iter().map(|(number, etag)| {
                format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
            });
            let list = parts.collect::<String>();
            let body = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
            let query = format!("uploadId={id}");
            self.inner.call("POST", path, &query, body.into()).await.map(drop)
        })
    }

    fn download(&self, path: &str) -> Result<u64> {
        self.runtime.block_on(async {
            let mut body = self.inner.send("GET", path, "", Bytes::new()).await?.into_body();
            let (mut buffer, mut filled, mut total) = (vec![0; PIECE], 0, 0);
            while let Some(frame) = body.frame().await {
                let Ok(mut data) = frame?.into_data() else { continue };
                total += data.len() as u64;
                while !data.is_empty() {
                    let len = data.len().min(PIECE - filled);
                    buffer[filled..filled + len].copy_from_slice(&data.split_to(len));
                    filled = (filled + len) % PIECE;
                }
            }
            Ok(total)
        })
    }

    fn delete_tree(&self, path: &str) -> Result<()> {
        let prefix = encoded(&format!("{}/", &path[1..]));
        self.runtime.block_on(async {
            let (mut tasks, mut token) = (JoinSet::new(), String::new());
            loop {
                let query = format!("{token}list-type=2&prefix={prefix}");
                let page = self.inner.call("GET", "", &query, Bytes::new()).await?;
                let page = String::from_utf8(page.to_vec())?;
                let next = elements(&page, "NextContinuationToken").next();
                let next = next.map(|token| format!("continuation-token={}&", encoded(token)));
                if self.parallel == 1 {
                    self.inner.delete_keys(&page).await?;
                } else {
                    let inner = self.inner.clone();
                    tasks.spawn(async move { inner.delete_keys(&page).await });
                }
                let Some(next) = next else { break };
                token = next;
            }
            tasks.join_all().await.into_iter().collect()
        })
    }
}
