//! What S3 answers to each request that a client here makes.

use std::collections::BTreeMap;
use std::fmt::Write;

use bytes::Bytes;
use hyper::Response;
use hyper::http::request::Parts;
use hyper::http::response::Builder;

use super::Content;
use super::state::State;

/// With a dash, or a client would take it for the MD5 of the content.
const ETAG: &str = "\"d41d8cd98f00b204e9800998ecf8427e-1\"";
const LAST_MODIFIED: &str = "Sat, 01 Nov 2025 00:00:00 GMT";
const LAST_MODIFIED_ISO: &str = "2025-11-01T00:00:00.000Z";

fn head(status: u16) -> Builder {
    Response::builder().status(status).header("x-amz-request-id", "0000000000000000")
}

fn text(response: Builder, text: impl Into<Bytes>) -> Response<Content> {
    response.body(Content::Text(text.into())).unwrap()
}

fn xml(body: String) -> Response<Content> {
    let declared = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}");
    text(head(200).header("content-type", "application/xml"), declared)
}

fn fault(status: u16, code: &str) -> Response<Content> {
    let body = format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>");
    text(head(status).header("content-type", "application/xml"), body)
}

/// The query by name, decoded.
fn query_of(parts: &Parts) -> BTreeMap<String, String> {
    let pairs = parts.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let split = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    split.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        let code = text.get(text.len() - others.len()..text.len() - others.len() + 2);
        match code.map(|code| u8::from_str_radix(code, 16)) {
            Some(Ok(byte)) if *first == b'%' => {
                bytes.push(byte);
                rest = &others[2..];
            }
            _ => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `len`: of the body, which is kept only where its text matters.
pub fn answer(state: &State, parts: &Parts, body: &[u8], len: u64) -> Response<Content> {
    let path = decoded(parts.uri.path());
    let (_bucket, key) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    let query = query_of(parts);
    let has = |name: &str| query.contains_key(name);
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    match (parts.method.as_str(), key) {
        ("GET", "") if has("uploads") => list_uploads(state, &query),
        ("GET", "") if has("location") => xml("<LocationConstraint/>".to_string()),
        ("GET", "") => list(state, &query),
        ("POST", "") if has("delete") => delete_many(state, body),
        (_, "") => text(head(200), ""),
        ("GET", _) if has("uploadId") => list_parts(state, &query),
        ("GET" | "HEAD", _) => read(state, key, parts.method == "HEAD", header("range")),
        ("PUT", _) => {
            let copied = header("x-amz-copy-source").map(|source| copied_size(state, source));
            let Some(size) = copied.unwrap_or(Some(len)) else { return fault(404, "NoSuchKey") };
            let of_range =
                header("x-amz-copy-source-range").and_then(|range| range_of(range, size));
            write(state, key, &query, of_range.map_or(size, |(_, len)| len), copied.is_some())
        }
        ("POST", _) if has("uploads") => create_upload(state, key),
        ("POST", _) if has("uploadId") => complete(state, &query),
        ("DELETE", _) if has("uploadId") => {
            state.lock().uploads.remove(&query["uploadId"]);
            text(head(204), "")
        }
        ("DELETE", _) => {
            state.lock().objects.remove(key);
            text(head(204), "")
        }
        _ => fault(405, "MethodNotAllowed"),
    }
}

fn copied_size(state: &State, source: &str) -> Option<u64> {
    let source = decoded(source);
    let (_bucket, key) = source.trim_start_matches('/').split_once('/')?;
    state.lock().objects.get(key).copied()
}

/// Start and length of `bytes=a-b` within `size`.
fn range_of(range: &str, size: u64) -> Option<(u64, u64)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) => (first, last.min(size.checked_sub(1)?)),
        (Ok(first), Err(_)) => (first, size.checked_sub(1)?),
        (Err(_), Ok(len)) => (size.saturating_sub(len), size.checked_sub(1)?),
        _ => return None,
    };
    (first <= last).then(|| (first, last - first + 1))
}

fn read(state: &State, key: &str, head_only: bool, range: Option<&str>) -> Response<Content> {
    let Some(size) = state.lock().objects.get(key).copied() else {
        return if head_only { text(head(404), "") } else { fault(404, "NoSuchKey") };
    };
    let (start, len) = match range.map(|range| range_of(range, size)) {
        None => (0, size),
        Some(Some(found)) => found,
        Some(None) => return fault(416, "InvalidRange"),
    };
    let mut response = head(if range.is_some() { 206 } else { 200 })
        .header("accept-ranges", "bytes")
        .header("content-type", "application/octet-stream")
        .header("last-modified", LAST_MODIFIED)
        .header("etag", ETAG)
        .header("content-length", len);
    if range.is_some() {
        let last = start + len - 1;
        response = response.header("content-range", format!("bytes {start}-{last}/{size}"));
    }
    response.body(Content::Zeros(if head_only { 0 } else { len })).unwrap()
}

fn write(
    state: &State,
    key: &str,
    query: &BTreeMap<String, String>,
    size: u64,
    is_copy: bool,
) -> Response<Content> {
    let mut inner = state.lock();
    let part = query.get("partNumber").and_then(|number| number.parse().ok());
    match part {
        None => drop(inner.objects.insert(key.to_string(), size)),
        Some(number) => match inner.uploads.get_mut(&query["uploadId"]) {
            Some((_, parts)) => drop(parts.insert(number, size)),
            None => return fault(404, "NoSuchUpload"),
        },
    }
    if is_copy {
        let name = if part.is_some() { "CopyPartResult" } else { "CopyObjectResult" };
        let body = format!(
            "<{name}><ETag>{ETAG}</ETag><LastModified>{LAST_MODIFIED_ISO}</LastModified></{name}>"
        );
        return xml(body);
    }
    text(head(200).header("etag", ETAG), "")
}

fn create_upload(state: &State, key: &str) -> Response<Content> {
    let mut inner = state.lock();
    inner.uploads_made += 1;
    let id = format!("upload{:08}", inner.uploads_made);
    inner.uploads.insert(id.clone(), (key.to_string(), BTreeMap::new()));
    xml(format!(
        "<InitiateMultipartUploadResult><Bucket>bench</Bucket><Key>{key}</Key>\
         <UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
    ))
}

fn complete(state: &State, query: &BTreeMap<String, String>) -> Response<Content> {
    let mut inner = state.lock();
    let Some((key, parts)) = inner.uploads.remove(&query["uploadId"]) else {
        return fault(404, "NoSuchUpload");
    };
    inner.objects.insert(key.clone(), parts.values().sum());
    xml(format!(
        "<CompleteMultipartUploadResult><Bucket>bench</Bucket><Key>{key}</Key>\
         <ETag>{ETAG}</ETag></CompleteMultipartUploadResult>"
    ))
}

fn list(state: &State, query: &BTreeMap<String, String>) -> Response<Content> {
    let value = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let (prefix, delimiter) = (value("prefix"), value("delimiter"));
    let after = value("continuation-token").max(value("start-after")).max(value("marker"));
    let limit = value("max-keys").parse().unwrap_or(1000).min(1000);
    let page = state.lock().page(prefix, delimiter, after, limit);
    let mut body = format!(
        "<ListBucketResult><Name>bench</Name><Prefix>{prefix}</Prefix><MaxKeys>{limit}</MaxKeys>\
         <KeyCount>{}</KeyCount><IsTruncated>{}</IsTruncated>",
        page.objects.len() + page.prefixes.len(),
        page.next.is_some()
    );
    if let Some(next) = page.next {
        let _ = write!(body, "<NextContinuationToken>{next}</NextContinuationToken>");
    }
    for (key, size) in page.objects {
        let _ = write!(
            body,
            "<Contents><Key>{key}</Key><LastModified>{LAST_MODIFIED_ISO}</LastModified>\
             <ETag>{ETAG}</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        );
    }
    for prefix in page.prefixes {
        let _ = write!(body, "<CommonPrefixes><Prefix>{prefix}</Prefix></CommonPrefixes>");
    }
    xml(body + "</ListBucketResult>")
}

fn list_uploads(state: &State, query: &BTreeMap<String, String>) -> Response<Content> {
    let prefix = query.get("prefix").map(String::as_str).unwrap_or_default();
    let mut body = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>".to_string();
    for (id, (key, _)) in state.lock().uploads.iter().filter(|(_, (k, _))| k.starts_with(prefix)) {
        let _ = write!(
            body,
            "<Upload><Key>{key}</Key><UploadId>{id}</UploadId>\
             <Initiated>{LAST_MODIFIED_ISO}</Initiated></Upload>"
        );
    }
    xml(body + "</ListMultipartUploadsResult>")
}

fn list_parts(state: &State, query: &BTreeMap<String, String>) -> Response<Content> {
    let inner = state.lock();
    let Some((_, parts)) = inner.uploads.get(&query["uploadId"]) else {
        return fault(404, "NoSuchUpload");
    };
    let mut body = "<ListPartsResult><IsTruncated>false</IsTruncated>".to_string();
    for (number, size) in parts {
        let _ = write!(
            body,
            "<Part><PartNumber>{number}</PartNumber><Size>{size}</Size><ETag>{ETAG}</ETag>\
             <LastModified>{LAST_MODIFIED_ISO}</LastModified></Part>"
        );
    }
    xml(body + "</ListPartsResult>")
}

fn delete_many(state: &State, body: &[u8]) -> Response<Content> {
    let text = String::from_utf8_lossy(body);
    let mut inner = state.lock();
    let keys = text.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
    let mut answer = "<DeleteResult>".to_string();
    for key in keys {
        inner.objects.remove(key);
        let _ = write!(answer, "<Deleted><Key>{key}</Key></Deleted>");
    }
    xml(answer + "</DeleteResult>")
}
