//! Checksums of what is sent and received, in the forms headers want.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use md5::Md5;
use sha2::{Digest, Sha256};

use super::ranged::Verify;
use crate::error::{Code, Error, Result};

/// MD5 of a body, in base64.
pub fn md5_base64(pieces: &[Bytes]) -> String {
    BASE64_STANDARD.encode(digest::<Md5>(pieces))
}

/// MD5, in hexadecimal digits.
pub fn md5_hex(pieces: &[Bytes]) -> String {
    hex(&digest::<Md5>(pieces))
}

/// SHA-256 of a body, in hexadecimal digits.
pub fn sha256_hex(pieces: &[Bytes]) -> String {
    hex(&digest::<Sha256>(pieces))
}

/// CRC-32C of a body, big-endian in base64.
pub fn crc32c_base64(pieces: &[Bytes]) -> String {
    let crc = pieces.iter().fold(0, |crc, piece| crc32c::crc32c_append(crc, piece));
    BASE64_STANDARD.encode(crc.to_be_bytes())
}

fn digest<D: Digest>(pieces: &[Bytes]) -> Vec<u8> {
    let mut digest = D::new();
    pieces.iter().for_each(|piece| digest.update(piece));
    digest.finalize().to_vec()
}

pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }));
        }
    }
    text
}

/// Checks an object against its CRC-32C while it is read.
pub struct Crc32c {
    seen: u32,
    said: String,
}

impl Crc32c {
    /// `said`: what the store says it is, big-endian in base64.
    pub fn new(said: &str) -> Crc32c {
        Crc32c { seen: 0, said: said.to_string() }
    }
}

impl Verify for Crc32c {
    fn update(&mut self, bytes: &[u8]) {
        self.seen = crc32c::crc32c_append(self.seen, bytes);
    }

    fn finish(&mut self) -> Result<()> {
        matches("CRC-32C", &BASE64_STANDARD.encode(self.seen.to_be_bytes()), &self.said)
    }
}

fn matches(kind: &str, seen: &str, said: &str) -> Result<()> {
    if seen == said {
        return Ok(());
    }
    let text = format!("the bytes read have the {kind} {seen}, not the stored {said}");
    Err(Error::new(Code::Corrupt, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_the_published_ones() {
        let pieces = [Bytes::from_static(b"1234"), Bytes::from_static(b"56789")];
        assert_eq!(crc32c_base64(&pieces), "4waSgw==");
        assert_eq!(md5_base64(&pieces), "JfnnlDI7RTiF9RgfG2JNCw==");
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256_hex(&[]), empty);
    }

    #[test]
    fn bytes_that_do_not_match_are_corrupt() {
        let mut check = Crc32c::new("4waSgw==");
        check.update(b"12345");
        assert_eq!(check.finish().unwrap_err().code(), Code::Corrupt);
        check.update(b"6789");
        check.finish().unwrap();
    }
}
