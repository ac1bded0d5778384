//! Where the servers are, drivers on them, and the names of requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use storagedriver::base::Base;
use storagedriver::context::Context;
use storagedriver::factory;
use storagedriver::params::Params;

use crate::proxy::{Proxy, Seen};

pub const ACCESS_KEY: &str = "testaccesskey";
pub const SECRET_KEY: &str = "testsecretkey0123456789";
pub const REGION: &str = "us-east-1";
pub const BUCKET: &str = "registry";

/// Smallest part that S3 takes, but for the last one.
pub const PART: usize = 5 << 20;

/// A root directory of its own on one server.
pub struct Store {
    pub endpoint: String,
    pub root: String,
}

impl Store {
    /// `None`: the server was not started, and need not be.
    pub fn on(server: &str, test: &str) -> Option<Store> {
        Some(Store::at(&endpoint(server)?, test))
    }

    pub fn at(endpoint: &str, test: &str) -> Store {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let n = MADE.fetch_add(1, Ordering::SeqCst);
        let root = format!("/{test}-{}-{n}", std::process::id());
        Store { endpoint: endpoint.to_string(), root }
    }

    /// Straight to the server.
    pub fn driver(&self, more: &[(&str, &str)]) -> Arc<Base> {
        self.driver_by(&self.endpoint, more)
    }

    /// By way of a proxy, or of another address of the server.
    pub fn driver_by(&self, url: &str, more: &[(&str, &str)]) -> Arc<Base> {
        create(&self.params(url, more))
    }

    pub fn params(&self, url: &str, more: &[(&str, &str)]) -> Params {
        let mut params = Params::new();
        for (key, value) in [
            ("accesskey", ACCESS_KEY),
            ("secretkey", SECRET_KEY),
            ("region", REGION),
            ("regionendpoint", url),
            ("bucket", BUCKET),
            ("rootdirectory", &self.root),
            ("chunksize", "5242880"),
        ] {
            params.set(key, value);
        }
        for (key, value) in more {
            params.set(key, *value);
        }
        params
    }

    /// A proxy before the server and a driver that goes by it.
    pub fn proxied(&self, more: &[(&str, &str)]) -> (Proxy, Arc<Base>) {
        let proxy = Proxy::start(&self.endpoint);
        let driver = self.driver_by(&proxy.url(), more);
        (proxy, driver)
    }

    /// The key of a path, without the slash before it.
    pub fn key(&self, path: &str) -> String {
        format!("{}{path}", &self.root[1..])
    }
}

pub fn create(params: &Params) -> Arc<Base> {
    factory::create("s3", &Context::none(), params).unwrap()
}

pub fn endpoint(server: &str) -> Option<String> {
    let name = format!("STORAGEDRIVER_S3_{}", server.to_uppercase());
    let found = std::env::var(&name).ok();
    let wanted = std::env::var("SD_TEST_ALL").is_ok();
    assert!(found.is_some() || !wanted, "{name} is not set: scripts/test.sh s3 does it");
    found
}

/// The operation of S3 that a request is.
pub fn operation(seen: &Seen) -> &'static str {
    let at_key = seen.path.trim_matches('/').contains('/');
    let (upload, copied) = (seen.query("uploadId"), seen.header("x-amz-copy-source"));
    let has = |key| seen.query(key).is_some();
    match (seen.method.as_str(), at_key) {
        ("GET", false) if has("uploads") => "ListMultipartUploads",
        ("GET", false) if has("list-type") => "ListObjectsV2",
        ("POST", false) if has("delete") => "DeleteObjects",
        ("GET", true) if upload.is_some() => "ListParts",
        ("GET", true) => "GetObject",
        ("HEAD", true) => "HeadObject",
        ("PUT", true) => match (upload, copied) {
            (Some(_), Some(_)) => "UploadPartCopy",
            (Some(_), None) => "UploadPart",
            (None, Some(_)) => "CopyObject",
            (None, None) => "PutObject",
        },
        ("POST", true) if has("uploads") => "CreateMultipartUpload",
        ("POST", true) if upload.is_some() => "CompleteMultipartUpload",
        ("DELETE", true) if upload.is_some() => "AbortMultipartUpload",
        ("DELETE", true) => "DeleteObject",
        _ => "another",
    }
}

pub fn operations(seen: &[Seen]) -> Vec<&'static str> {
    seen.iter().map(operation).collect()
}
