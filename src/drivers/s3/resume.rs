//! Finding the upload that an append goes on with.
//!
//! An upload in progress is a multipart upload on the final key and nothing else, as
//! Distribution has it; how far it has come is the sum of its parts. What counts is
//! the parts from number 1 on without a gap, each but the last of the least size or
//! more, since nothing else can be completed. A part behind that is the trace of a
//! process that died with several parts on the wire; no `close` has acknowledged it.
//! One that such a part was emptied with (see `ground`) counts only as the last of all.
//!
//! | on the key | goes on at |
//! |---|---|
//! | an upload that has its part 1 | the sum of its parts, whatever object lies beside |
//! | an upload without part 1, or none, beside an object | the size of the object |
//! | an upload without part 1, no object or an empty one | 0 |
//! | nothing | `PathNotFound` |
//!
//! An object beside an upload without a part is what a process leaves that dies while
//! it replaces a small last part (see `ground`). For that the part 1 of such an upload
//! is the last to be copied.
//!
//! Of several uploads on the key one with a part 1 is taken before one without, then
//! the one that was begun last, then the one with the most bytes, then the one with
//! the greater id; the others are aborted when the writer is closed or committed.

use std::cmp::Reverse;

use super::bucket::Bucket;
use super::client::{Head, Part, Upload};
use crate::error::Result;

/// Where an append goes on.
#[derive(Debug, Default)]
pub struct Found {
    /// The upload to go on with; without one it is made when it is needed.
    pub id: Option<String>,
    /// The parts that count.
    pub parts: Vec<Part>,
    /// Nothing can follow these parts as they are: the last one is small, or there are
    /// others behind a gap.
    pub fold: bool,
    /// The numbers of the parts that do not count, and that others would count.
    pub behind: Vec<u32>,
    /// Content that comes before everything, not in the upload yet.
    pub base: Option<Head>,
    /// An object lies at the key, and it is empty.
    pub empty_object: bool,
    /// Uploads to be aborted.
    pub stale: Vec<String>,
}

/// One upload and how far it has come.
struct Candidate {
    upload: Upload,
    parts: Vec<Part>,
    has_first: bool,
    /// How many of `parts` count, and their bytes.
    count: usize,
    bytes: u64,
}

impl Candidate {
    fn new(upload: Upload, parts: Vec<Part>, min_part: u64) -> Candidate {
        let (mut count, mut bytes, mut open) = (0, 0, true);
        let last = parts.last().map_or(0, |part| part.number);
        for (part, number) in parts.iter().zip(1..) {
            let emptied = part.size == 0 && (2..last).contains(&number);
            if !open || part.number != number || emptied {
                break;
            }
            count += 1;
            bytes += part.size;
            // Nothing can follow it.
            open = part.size >= min_part;
        }
        let has_first = parts.first().is_some_and(|part| part.number == 1);
        Candidate { upload, parts, has_first, count, bytes }
    }

    /// Whether parts lie behind those that count.
    fn has_more(&self) -> bool {
        self.parts.len() > self.count
    }
}

/// `None`: there is neither an upload nor an object.
pub async fn find(bucket: &dyn Bucket, key: &str, min_part: u64) -> Result<Option<Found>> {
    let mut candidates = Vec::new();
    for upload in bucket.list_uploads(key).await? {
        // One that ended meanwhile is none.
        if let Some(parts) = bucket.list_parts(key, &upload.id).await? {
            candidates.push(Candidate::new(upload, parts, min_part));
        }
    }
    candidates.sort_by_key(|c| {
        Reverse((c.has_first, c.upload.initiated_ns, c.bytes, c.upload.id.clone()))
    });
    let any = !candidates.is_empty();
    let mut found = Found::default();
    let mut has_first = false;
    for candidate in candidates {
        let id = candidate.upload.id.clone();
        // Parts that do not count would be taken for some by whoever comes next, so
        // such an upload can go on only by being completed, which needs bytes.
        let usable = if candidate.has_first {
            candidate.bytes > 0 || !candidate.has_more()
        } else {
            !candidate.has_more()
        };
        if has_first || found.id.is_some() || !usable {
            found.stale.push(id);
            has_first |= candidate.has_first;
            continue;
        }
        has_first |= candidate.has_first;
        found.id = Some(id);
        let last = candidate.parts.get(candidate.count.saturating_sub(1));
        let small = last.is_some_and(|part| part.size < min_part);
        if candidate.bytes > 0 {
            found.fold = small || candidate.has_more();
            found.parts = candidate.parts;
            let behind = found.parts.split_off(candidate.count);
            found.behind = behind.iter().map(|part| part.number).collect();
        }
    }
    if has_first {
        return Ok(Some(found));
    }
    match bucket.head(key).await? {
        Some(head) if head.size > 0 => found.base = Some(head),
        Some(_) => found.empty_object = true,
        None if any => {}
        None => return Ok(None),
    }
    Ok(Some(found))
}
