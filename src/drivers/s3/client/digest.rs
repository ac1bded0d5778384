//! What content is checked against on its way, computed once however often it is sent.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName};

use super::direct::header;
use super::sign::X_AMZ_CONTENT_SHA256;
use crate::drivers::s3::parameters::Checksum;
use crate::error::{Code, Error, Result};
use crate::http::{Body, hash};

/// From here on it takes so long that others would wait for the thread.
const LONG: u64 = 512 << 10;

const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
const X_AMZ_CHECKSUM_CRC32C: HeaderName = HeaderName::from_static("x-amz-checksum-crc32c");

#[derive(Clone, Debug, Default)]
pub struct Digests {
    pub sha256: Option<String>,
    pub md5: Option<String>,
    pub crc32c: Option<String>,
}

impl Digests {
    pub async fn of(body: &Body, sign: bool, checksum: Checksum) -> Result<Digests> {
        if !sign && checksum == Checksum::None {
            return Ok(Digests::default());
        }
        if body.len() < LONG {
            return Ok(Digests::compute(body.pieces(), sign, checksum));
        }
        let body = body.clone();
        let work = move || Digests::compute(body.pieces(), sign, checksum);
        let stopped = |_| Error::new(Code::Shutdown, "the library was shut down");
        tokio::task::spawn_blocking(work).await.map_err(stopped)
    }

    fn compute(pieces: &[Bytes], sign: bool, checksum: Checksum) -> Digests {
        Digests {
            sha256: sign.then(|| hash::sha256_hex(pieces)),
            md5: (checksum == Checksum::Md5).then(|| hash::md5_base64(pieces)),
            crc32c: (checksum == Checksum::Crc32c).then(|| hash::crc32c_base64(pieces)),
        }
    }

    pub fn put_into(&self, headers: &mut HeaderMap) -> Result<()> {
        let each = [
            (X_AMZ_CONTENT_SHA256, &self.sha256),
            (CONTENT_MD5, &self.md5),
            (X_AMZ_CHECKSUM_CRC32C, &self.crc32c),
        ];
        for (name, digest) in each {
            if let Some(digest) = digest {
                headers.insert(name, header(digest)?);
            }
        }
        Ok(())
    }
}
