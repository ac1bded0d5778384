//! OpenDAL's S3 service with its own HTTP client, asynchronous and blocking. It never
//! hashes what it sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::TryStreamExt;
use opendal::services::S3;
use opendal::{Operator, blocking};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::{Client, PARALLEL, PART, PIECE, SMALL, Small, Target, piece, runtime};
use crate::Result;

fn operator(target: &Target) -> Result<Operator> {
    if target.signs_payload {
        return Err("OpenDAL does not sign payloads".into());
    }
    // Fails only where there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    opendal_http_transport_reqwest::install_default();
    let service = S3::default()
        .endpoint(&target.endpoint)
        .bucket(&target.bucket)
        .region(&target.region)
        .access_key_id(&target.access_key)
        .secret_access_key(&target.secret_key)
        .disable_config_load()
        .disable_ec2_metadata();
    Ok(Operator::new(service)?)
}

pub struct Async {
    runtime: Runtime,
    operator: Operator,
}

impl Async {
    pub fn new(target: &Target) -> Result<Async> {
        Ok(Async { runtime: runtime()?, operator: operator(target)? })
    }
}

async fn small(operator: &Operator, call: Small, path: &str, data: &Bytes) -> Result<()> {
    match call {
        Small::Get if operator.read(path).await?.len() != SMALL => {
            return Err("a small object is torn".into());
        }
        Small::Get => {}
        Small::Put => drop(operator.write(path, data.clone()).await?),
        Small::Stat => drop(operator.stat(path).await?),
    }
    Ok(())
}

impl Client for Async {
    fn small(&self, call: Small, paths: &[String], at_once: usize) -> Result<()> {
        let (paths, next) = (Arc::new(paths.to_vec()), Arc::new(AtomicUsize::new(0)));
        let data = Bytes::from(piece()).slice(..SMALL);
        self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for _ in 0..at_once {
                let (operator, paths, next) = (self.operator.clone(), paths.clone(), next.clone());
                let data = data.clone();
                tasks.spawn(async move {
                    while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                        small(&operator, call, path, &data).await?;
                    }
                    Ok(())
                });
            }
            tasks.join_all().await.into_iter().collect()
        })
    }

    fn upload(&self, path: &str, pieces: usize) -> Result<()> {
        let piece = piece();
        self.runtime.block_on(async {
            let writer = self.operator.writer_with(path).chunk(PART).concurrent(PARALLEL);
            let mut writer = writer.await?;
            for _ in 0..pieces {
                // Copied, as the caller's buffer is the caller's.
                writer.write(Bytes::copy_from_slice(&piece)).await?;
            }
            writer.close().await?;
            Ok(())
        })
    }

    fn download(&self, path: &str) -> Result<u64> {
        self.runtime.block_on(async {
            let reader = self.operator.reader(path).await?;
            let mut stream = reader.into_bytes_stream(..).await?;
            let (mut buffer, mut filled, mut total) = (vec![0; PIECE], 0, 0);
            while let Some(mut data) = stream.try_next().await? {
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
        let path = format!("{path}/");
        self.runtime.block_on(async {
            self.operator.delete_with(&path).recursive(true).await?;
            Ok(())
        })
    }
}

/// The same for callers that block.
pub struct Blocking {
    inner: Async,
    operator: blocking::Operator,
}

impl Blocking {
    pub fn new(target: &Target) -> Result<Blocking> {
        let inner = Async::new(target)?;
        let _guard = inner.runtime.enter();
        let operator = blocking::Operator::new(inner.operator.clone())?;
        drop(_guard);
        Ok(Blocking { inner, operator })
    }
}

impl Client for Blocking {
    fn small(&self, call: Small, paths: &[String], at_once: usize) -> Result<()> {
        let (next, data) = (AtomicUsize::new(0), Bytes::from(piece()).slice(..SMALL));
        super::on_threads(at_once, || {
            while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                match call {
                    Small::Get => drop(self.operator.read(path)?),
                    Small::Put => drop(self.operator.write(path, data.clone())?),
                    Small::Stat => drop(self.operator.stat(path)?),
                }
            }
            Ok(())
        })
    }

    fn upload(&self, path: &str, pieces: usize) -> Result<()> {
        self.inner.upload(path, pieces)
    }

    fn download(&self, path: &str) -> Result<u64> {
        self.inner.download(path)
    }

    fn delete_tree(&self, path: &str) -> Result<()> {
        self.inner.delete_tree(path)
    }
}
