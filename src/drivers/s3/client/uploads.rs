//! Requests for uploads in parts.

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, EncodingType};

use super::digest::Digests;
use super::failure::Failure;
use super::objects::{is_missing, nanoseconds, of_part};
use super::sdk::Stored;
use super::types::{Completed, Part, Upload};
use super::{CONTENT_TYPE, Client};
use crate::drivers::s3::doubt::Doubt;
use crate::drivers::s3::keys::unescape;
use crate::error::{Code, Error, Result};
use crate::http::Body;

impl Client {
    /// In doubt there is another upload, of which nobody knows.
    pub async fn create_upload(&self, key: &str, doubt: &Doubt) -> Result<String> {
        let inner = &*self.0;
        let attempt = || async {
            let stored = Stored::with(&inner.parameters);
            let request = inner
                .sdk
                .create_multipart_upload()
                .bucket(&inner.parameters.bucket)
                .key(key)
                .content_type(CONTENT_TYPE)
                .acl(stored.acl)
                .set_storage_class(stored.class)
                .set_server_side_encryption(stored.encryption)
                .set_ssekms_key_id(stored.key);
            let answer = inner.outcome(request.send().await).map_err(Failure::error)?;
            answer.upload_id.filter(|id| !id.is_empty()).ok_or_else(|| {
                Error::new(Code::Driver, "the server made an upload and does not say which")
            })
        };
        self.retry(|| doubt.attempt(attempt())).await
    }

    /// `None`: there is no such upload (any more).
    pub async fn upload_part(
        &self,
        key: &str,
        id: &str,
        number: u32,
        body: Body,
    ) -> Result<Option<Part>> {
        let parameters = &self.0.parameters;
        let checksum = of_part(parameters.checksum);
        let digests = Digests::of(&body, parameters.sign_payload, checksum).await?;
        let (digests, size) = (&digests, body.len());
        self.retry(|| async {
            let body = body.clone();
            let etag = match self.0.direct {
                true => {
                    let answer = self.direct_upload_part(key, id, number, body, digests).await;
                    answer.map(|answer| {
                        let etag = answer.headers().get(http::header::ETAG);
                        etag.and_then(|etag| etag.to_str().ok()).unwrap_or_default().to_string()
                    })
                }
                false => self.sdk_upload_part(key, id, number, body, digests).await,
            };
            match etag {
                Ok(etag) if etag.is_empty() => Err(no_etag()),
                Ok(etag) => Ok(Some(Part { number, etag, size })),
                Err(failure) if failure.is_missing_upload() => Ok(None),
                Err(failure) => Err(failure.error),
            }
        })
        .await
    }

    /// Copies all of `source`, or its bytes from the first to the last of `span`, `size`
    /// of them, as a part. `None`: the source is missing. `Conflict`: the upload is.
    #[allow(clippy::too_many_arguments)] // as many as the request has
    pub async fn copy_part(
        &self,
        source: &str,
        span: Option<(u64, u64)>,
        size: u64,
        if_match: Option<&str>,
        key: &str,
        id: &str,
        number: u32,
    ) -> Result<Option<Part>> {
        let source = self.copy_source(source);
        let span = span.map(|(first, last)| format!("bytes={first}-{last}"));
        self.retry(|| async {
            let request = self
                .0
                .sdk
                .upload_part_copy()
                .bucket(&self.0.parameters.bucket)
                .key(key)
                .upload_id(id)
                .part_number(number.cast_signed())
                .copy_source(&source)
                .set_copy_source_range(span.clone())
                .set_copy_source_if_match(if_match.map(str::to_string));
            match self.0.outcome(request.send().await) {
                Ok(answer) => {
                    let etag = answer.copy_part_result.and_then(|result| result.e_tag);
                    let etag = etag.filter(|etag| !etag.is_empty()).ok_or_else(no_etag)?;
                    Ok(Some(Part { number, etag, size }))
                }
                Err(failure) if failure.code == "NoSuchUpload" => {
                    Err(failure.error.with_code(Code::Conflict))
                }
                Err(failure) if is_missing(&failure) => Ok(None),
                Err(failure) => Err(failure.error),
            }
        })
        .await
    }

    /// `parts` in order. `None`: there is no such upload (any more); if there is a doubt,
    /// that may be because it was completed.
    pub async fn complete_upload(
        &self,
        key: &str,
        id: &str,
        parts: &[Part],
        doubt: &Doubt,
    ) -> Result<Option<Completed>> {
        let parts: Vec<CompletedPart> = parts.iter().map(completed).collect();
        let attempt = || async {
            let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.clone())).build();
            let request = self
                .0
                .sdk
                .complete_multipart_upload()
                .bucket(&self.0.parameters.bucket)
                .key(key)
                .upload_id(id)
                .multipart_upload(parts);
            match self.0.outcome(request.send().await) {
                Ok(answer) => Ok(Some(Completed { etag: answer.e_tag.unwrap_or_default() })),
                Err(failure) if failure.is_missing_upload() => Ok(None),
                Err(failure) => Err(failure.error),
            }
        };
        self.retry(|| doubt.attempt(attempt())).await
    }

    /// A missing upload is a success.
    pub async fn abort_upload(&self, key: &str, id: &str) -> Result<()> {
        self.retry(|| async {
            let request = self
                .0
                .sdk
                .abort_multipart_upload()
                .bucket(&self.0.parameters.bucket)
                .key(key)
                .upload_id(id);
            match self.0.outcome(request.send().await) {
                Ok(_) => Ok(()),
                Err(failure) if failure.is_missing_upload() => Ok(()),
                Err(failure) => Err(failure.error),
            }
        })
        .await
    }

    /// The uploads on exactly this key, all pages, in the server's order.
    pub async fn list_uploads(&self, key: &str) -> Result<Vec<Upload>> {
        let mut uploads = self.list_uploads_below(key).await?;
        uploads.retain(|(of, _)| of == key);
        Ok(uploads.into_iter().map(|(_, upload)| upload).collect())
    }

    /// The uploads on keys that begin so, with their keys.
    pub async fn list_uploads_below(&self, prefix: &str) -> Result<Vec<(String, Upload)>> {
        let mut uploads = Vec::new();
        let mut markers: Option<(String, String)> = None;
        loop {
            let page = self.uploads_page(prefix, markers.as_ref()).await?;
            uploads.extend(page.uploads);
            match page.next {
                None => return Ok(uploads),
                next if next == markers => return Err(endless()),
                next => markers = next,
            }
        }
    }

    async fn uploads_page(
        &self,
        prefix: &str,
        markers: Option<&(String, String)>,
    ) -> Result<UploadsPage> {
        // Only where it must be: it is an odd thing to ask for here.
        let odd = prefix.chars().any(char::is_control);
        self.retry(|| async {
            let request = self
                .0
                .sdk
                .list_multipart_uploads()
                .bucket(&self.0.parameters.bucket)
                .prefix(prefix)
                .set_encoding_type(odd.then_some(EncodingType::Url))
                .set_key_marker(markers.map(|(key, _)| key.clone()))
                .set_upload_id_marker(markers.map(|(_, id)| id.clone()));
            let answer = self.0.outcome(request.send().await).map_err(Failure::error)?;
            let escaped = answer.encoding_type == Some(EncodingType::Url);
            let plain = |text: String| if escaped { unescape(&text).unwrap_or(text) } else { text };
            let mut page = UploadsPage::default();
            let mut last = None;
            for upload in answer.uploads.unwrap_or_default() {
                let id = upload.upload_id.unwrap_or_default();
                let key = plain(upload.key.unwrap_or_default());
                last = Some((key.clone(), id.clone()));
                if key.starts_with(prefix) && !id.is_empty() {
                    let initiated_ns = upload.initiated.map_or(0, nanoseconds);
                    page.uploads.push((key, Upload { id, initiated_ns }));
                }
            }
            if answer.is_truncated == Some(true) {
                // Some servers leave the markers out; the last entry is where they would be.
                let said = answer.next_key_marker.filter(|marker| !marker.is_empty());
                let said = said.map(|marker| {
                    (plain(marker), answer.next_upload_id_marker.unwrap_or_default())
                });
                page.next = Some(said.or(last).ok_or_else(endless)?);
            }
            Ok(page)
        })
        .await
    }

    /// The parts, all pages, by number. `None`: there is no such upload.
    pub async fn list_parts(&self, key: &str, id: &str) -> Result<Option<Vec<Part>>> {
        let mut parts: Vec<Part> = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let after = marker.clone();
            let answer = self
                .retry(|| async {
                    let request = self
                        .0
                        .sdk
                        .list_parts()
                        .bucket(&self.0.parameters.bucket)
                        .key(key)
                        .upload_id(id)
                        .set_part_number_marker(after.clone());
                    match self.0.outcome(request.send().await) {
                        Ok(answer) => Ok(Some(answer)),
                        Err(failure) if failure.is_missing_upload() => Ok(None),
                        Err(failure) => Err(failure.error),
                    }
                })
                .await?;
            let Some(answer) = answer else { return Ok(None) };
            for part in answer.parts.unwrap_or_default() {
                parts.push(Part {
                    number: part.part_number.unwrap_or_default().max(0).cast_unsigned(),
                    etag: part.e_tag.unwrap_or_default(),
                    size: part.size.unwrap_or_default().max(0).cast_unsigned(),
                });
            }
            if answer.is_truncated != Some(true) {
                break;
            }
            let last = parts.last().map(|part| part.number.to_string());
            let next = answer.next_part_number_marker.filter(|next| !next.is_empty()).or(last);
            if next.is_none() || next == marker {
                return Err(endless());
            }
            marker = next;
        }
        parts.sort_by_key(|part| part.number);
        // A server may show one at the end of a page and on the next.
        parts.dedup_by_key(|part| part.number);
        Ok(Some(parts))
    }
}

#[derive(Default)]
struct UploadsPage {
    uploads: Vec<(String, Upload)>,
    next: Option<(String, String)>,
}

fn completed(part: &Part) -> CompletedPart {
    CompletedPart::builder().part_number(part.number.cast_signed()).e_tag(&part.etag).build()
}

fn endless() -> Error {
    Error::new(Code::Driver, "a listing that does not go on")
}

fn no_etag() -> Error {
    Error::new(Code::Unavailable, "the server stored a part and does not say which")
}
