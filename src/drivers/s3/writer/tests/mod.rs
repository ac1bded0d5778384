//! Uploads against a bucket in memory, with parts of a few bytes.

mod cover;
mod crash;
mod ended;
mod requests;

use std::future::Future;
use std::sync::Arc;

use super::{Settings, Upload};
use crate::context::Context;
use crate::drivers::s3::bucket::Bucket;
use crate::drivers::s3::fake::Fake;
use crate::drivers::s3::resume;
use crate::error::Result;
use crate::http::budget::Budget;
use crate::http::parts::{Limits, Plan};
use crate::remote::Parts;

const KEY: &str = "d/file";

/// Amazon's, some 600,000 times smaller.
const TOY: Limits = Limits { min_part: 8, max_part: 64, max_parts: 40, max_object: 2000 };
const PART: u64 = 16;

fn settings(limits: Limits, budget: usize) -> Settings {
    Settings { plan: Plan::new(limits, PART), parallel: 3, budget: Budget::new(budget) }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

fn fresh(fake: &Arc<Fake>) -> Upload {
    Upload::fresh(fake.clone(), KEY, settings(fake.limits, 1 << 20))
}

/// `None`: nothing is at the key.
async fn append(fake: &Arc<Fake>) -> Result<Option<Upload>> {
    let found = resume::find(&**fake, KEY, fake.limits.min_part).await?;
    let resumed = |found| Upload::resumed(fake.clone(), KEY, settings(fake.limits, 1 << 20), found);
    Ok(found.map(resumed))
}

/// As the adapter does it.
async fn write(upload: &mut Upload, mut data: &[u8]) -> Result<()> {
    loop {
        let len = upload.fill(data);
        data = &data[len..];
        if data.is_empty() {
            return Ok(());
        }
        upload.drain().await?;
    }
}

async fn commit(upload: &mut Upload) -> Result<()> {
    upload.commit(&Context::none()).await
}

async fn close(upload: &mut Upload) -> Result<()> {
    upload.close(&Context::none()).await
}

async fn cancel(upload: &mut Upload) -> Result<()> {
    upload.cancel(&Context::none()).await
}

/// Bytes that differ from those of another stream at the same place.
fn bytes(stream: usize, from: usize, to: usize) -> Vec<u8> {
    (from..to).map(|at| (at * 7 + at / 13 * 3 + stream * 101) as u8).collect()
}

/// What another process would find now, by committing it in a copy of the bucket.
async fn found(fake: &Arc<Fake>) -> Option<Vec<u8>> {
    let fake = Arc::new(fake.copy());
    let mut upload = append(&fake).await.unwrap()?;
    let size = upload.size();
    commit(&mut upload).await.unwrap();
    let content = fake.content(KEY).unwrap();
    assert_eq!(content.len() as u64, size, "an append says another size than it has");
    Some(content)
}

/// Whether Distribution finds all `size` bytes: it takes the oldest upload, the sum of
/// whose parts is how far it has come, and goes on with the number after their count.
async fn distribution_finds(fake: &Arc<Fake>, size: u64) {
    let mut uploads = fake.list_uploads(KEY).await.unwrap();
    uploads.sort_by_key(|upload| upload.initiated_ns);
    assert_eq!(uploads.len(), 1, "{uploads:?}");
    let parts = fake.list_parts(KEY, &uploads[0].id).await.unwrap().unwrap();
    assert_eq!(parts.iter().map(|part| part.size).sum::<u64>(), size);
    assert!(parts.iter().zip(1..).all(|(part, number)| part.number == number), "{parts:?}");
    let before = &parts[..parts.len().saturating_sub(1)];
    assert!(before.iter().all(|part| part.size >= fake.limits.min_part), "{parts:?}");
}
