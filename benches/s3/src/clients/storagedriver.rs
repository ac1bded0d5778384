//! This library: blocking calls, and calls through its completion queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use storagedriver::base::Base;
use storagedriver::context::Context;
use storagedriver::driver::Driver;
use storagedriver::factory;
use storagedriver::params::Params;
use storagedriver::queue::{Outcome, Queue};

use super::{Client, PART, PIECE, SMALL, Small, Target, on_threads, piece};
use crate::Result;

fn driver(target: &Target) -> Result<Arc<Base>> {
    let mut params = json!({
        "accesskey": target.access_key,
        "secretkey": target.secret_key,
        "region": target.region,
        "regionendpoint": target.endpoint,
        "bucket": target.bucket,
        "secure": false,
        "chunksize": PART,
        "checksum": "none",
        "signpayload": target.signs_payload,
    });
    // What a build of the library calls differently, as JSON.
    if let Ok(more) = std::env::var("SD_BENCH_PARAMS") {
        let more: Value = serde_json::from_str(&more)?;
        for (key, value) in more.as_object().ok_or("SD_BENCH_PARAMS is no object")? {
            params[key] = value.clone();
        }
    }
    let params = Params::from_json(&params.to_string())?;
    Ok(factory::create("s3", &Context::none(), &params)?)
}

pub struct Blocking {
    driver: Arc<Base>,
}

impl Blocking {
    pub fn new(target: &Target) -> Result<Blocking> {
        Ok(Blocking { driver: driver(target)? })
    }
}

impl Client for Blocking {
    fn small(&self, call: Small, paths: &[String], at_once: usize) -> Result<()> {
        let (driver, next, data) = (&*self.driver as &dyn Driver, AtomicUsize::new(0), piece());
        on_threads(at_once, || {
            let ctx = Context::none();
            while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                match call {
                    Small::Get if driver.get_content(&ctx, path)?.len() != SMALL => {
                        return Err("a small object is torn".into());
                    }
                    Small::Get => {}
                    Small::Put => driver.put_content(&ctx, path, &data[..SMALL])?,
                    Small::Stat => drop(driver.stat(&ctx, path)?),
                }
            }
            Ok(())
        })
    }

    fn upload(&self, path: &str, pieces: usize) -> Result<()> {
        let (ctx, piece) = (Context::none(), piece());
        let mut writer = Driver::writer(&*self.driver, &ctx, path, false)?;
        for _ in 0..pieces {
            writer.write(&piece)?;
        }
        writer.commit(&ctx)?;
        Ok(writer.close(&ctx)?)
    }

    fn download(&self, path: &str) -> Result<u64> {
        let mut reader = Driver::reader(&*self.driver, &Context::none(), path, 0)?;
        let (mut buffer, mut total) = (vec![0; PIECE], 0);
        loop {
            match reader.read(&mut buffer)? {
                0 => return Ok(total),
                len => total += len as u64,
            }
        }
    }

    fn delete_tree(&self, path: &str) -> Result<()> {
        Ok(Driver::delete(&*self.driver, &Context::none(), path)?)
    }
}

/// As many calls in flight as are wanted, and one thread.
pub struct Queued {
    blocking: Blocking,
    queue: Queue,
}

impl Queued {
    pub fn new(target: &Target) -> Result<Queued> {
        Ok(Queued { blocking: Blocking::new(target)?, queue: Queue::new()? })
    }

    fn take(&self) -> Result<()> {
        let completion = self.queue.next(None)?.ok_or("no completion came")?;
        match completion.outcome? {
            Outcome::Content(content) if content.len() != SMALL => {
                Err("a small object is torn".into())
            }
            _ => Ok(()),
        }
    }
}

impl Client for Queued {
    fn small(&self, call: Small, paths: &[String], at_once: usize) -> Result<()> {
        let (driver, ctx, data) = (&self.blocking.driver, Context::none(), piece());
        for (tag, path) in paths.iter().enumerate() {
            if tag >= at_once {
                self.take()?;
            }
            let tag = tag as u64;
            match call {
                Small::Get => self.queue.get_content(tag, driver, &ctx, path)?,
                Small::Put => self.queue.put_content(tag, driver, &ctx, path, &data[..SMALL])?,
                Small::Stat => self.queue.stat(tag, driver, &ctx, path)?,
            }
        }
        (0..at_once.min(paths.len())).try_for_each(|_| self.take())
    }

    fn upload(&self, path: &str, pieces: usize) -> Result<()> {
        self.blocking.upload(path, pieces)
    }

    fn download(&self, path: &str) -> Result<u64> {
        self.blocking.download(path)
    }

    fn delete_tree(&self, path: &str) -> Result<()> {
        self.blocking.delete_tree(path)
    }
}
