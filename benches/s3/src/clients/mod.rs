//! The clients that are compared, each in the form in which its users have it.

mod opendal;
mod plain;
mod storagedriver;

use std::env;

use crate::Result;

/// What every client is told.
pub struct Target {
    pub endpoint: String,
    pub access_key: String,
    pub secret_key: String,
    pub region: String,
    pub bucket: String,
    /// Whether what is sent is hashed and the hash signed.
    pub signs_payload: bool,
}

/// Of every multipart upload, and how many at once.
pub const PART: usize = 8 << 20;
pub const PARALLEL: usize = 4;

/// In which a caller hands bytes over and takes them.
pub const PIECE: usize = 1 << 20;

pub const SMALL: usize = 4096;

/// A call on one small object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Small {
    Get,
    Put,
    Stat,
}

pub trait Client {
    /// Calls, as many as there are paths, `at_once` of them in flight.
    fn small(&self, call: Small, paths: &[String], at_once: usize) -> Result<()>;
    /// `pieces` of `PIECE` bytes as one object.
    fn upload(&self, path: &str, pieces: usize) -> Result<()>;
    /// The whole object, piece by piece into one buffer; its size.
    fn download(&self, path: &str) -> Result<u64>;
    fn delete_tree(&self, path: &str) -> Result<()>;
}

pub const NAMES: &[&str] = &[
    "storagedriver",
    "storagedriver-queue",
    "opendal",
    "opendal-blocking",
    "hyper",
    "hyper-serial",
];

pub fn create(name: &str, target: &Target) -> Result<Box<dyn Client>> {
    Ok(match name {
        "storagedriver" => Box::new(storagedriver::Blocking::new(target)?),
        "storagedriver-queue" => Box::new(storagedriver::Queued::new(target)?),
        "opendal" => Box::new(opendal::Async::new(target)?),
        "opendal-blocking" => Box::new(opendal::Blocking::new(target)?),
        "hyper" => Box::new(plain::Plain::new(target, PARALLEL)?),
        "hyper-serial" => Box::new(plain::Plain::new(target, 1)?),
        _ => return Err(format!("{name} is none of {}", NAMES.join(", ")).into()),
    })
}

pub fn make_bucket(target: &Target) -> Result<()> {
    plain::Plain::new(target, 1)?.make_bucket()
}

pub fn size(target: &Target, path: &str) -> Result<u64> {
    plain::Plain::new(target, 1)?.size(path)
}

pub fn is_empty(target: &Target, path: &str) -> Result<bool> {
    plain::Plain::new(target, 1)?.is_empty(path)
}

impl Target {
    pub fn from_env(signs_payload: bool) -> Result<Target> {
        let value =
            |name: &str, default: &str| env::var(name).unwrap_or_else(|_| default.to_string());
        Ok(Target {
            endpoint: env::var("S3_ENDPOINT").map_err(|_| "S3_ENDPOINT is not set")?,
            access_key: value("S3_ACCESS_KEY", "testaccesskey"),
            secret_key: value("S3_SECRET_KEY", "testsecretkey0123456789"),
            region: value("S3_REGION", "us-east-1"),
            bucket: value("S3_BUCKET", "storagedriver-bench"),
            signs_payload,
        })
    }
}

/// What is sent.
pub fn piece() -> Vec<u8> {
    // Never two alike: a store could keep equal ones once.
    (0..PIECE).map(|i| (i * 2_654_435_761 >> 13) as u8).collect()
}

/// Two workers, as the library has on the two CPUs that the figures are from.
fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// The same work on so many threads.
fn on_threads(count: usize, work: impl Fn() -> Result<()> + Sync) -> Result<()> {
    if count == 1 {
        return work();
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(&work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
    })
}
