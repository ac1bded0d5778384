//! One directory, listed whole: for stores that list in no order to rely on.

use std::collections::VecDeque;

use super::flat::repeated;
use crate::drivers::s3::bucket::Bucket;
use crate::drivers::s3::client::{ListRequest, Object};
use crate::error::Result;
use crate::path;

pub struct Directory {
    pub prefix: String,
    /// Only names behind this one.
    after: Option<String>,
    /// In order, once it is listed.
    entries: Option<VecDeque<Entry>>,
    pub seen_any: bool,
}

/// A name as a file or as a directory; a flat store may have both, the file first.
struct Entry {
    name: String,
    file: Option<Object>,
}

pub enum Next {
    Object(Object),
    /// The prefix of a directory, to be listed next.
    Directory(String),
    End,
}

impl Directory {
    pub fn new(prefix: &str, after: Option<&str>) -> Directory {
        let (prefix, after) = (prefix.to_string(), after.map(str::to_string));
        Directory { prefix, after, entries: None, seen_any: false }
    }

    pub fn leave_out(&mut self, prefix: &str) {
        let name = prefix.strip_prefix(&self.prefix).and_then(|rest| rest.strip_suffix('/'));
        if let (Some(name), Some(entries)) = (name, &mut self.entries) {
            entries.retain(|entry| entry.file.is_some() || entry.name != name);
        }
    }

    pub async fn next(&mut self, bucket: &dyn Bucket) -> Result<Next> {
        let entries = match &mut self.entries {
            Some(entries) => entries,
            None => {
                let (entries, any) = self.list(bucket).await?;
                self.seen_any = any;
                self.entries.insert(entries)
            }
        };
        Ok(match entries.pop_front() {
            None => Next::End,
            Some(Entry { file: Some(object), .. }) => Next::Object(object),
            Some(Entry { name, .. }) => Next::Directory(format!("{}{name}/", self.prefix)),
        })
    }

    async fn list(&self, bucket: &dyn Bucket) -> Result<(VecDeque<Entry>, bool)> {
        let mut entries = Vec::new();
        let mut any = false;
        let mut token: Option<String> = None;
        loop {
            let request = ListRequest {
                prefix: &self.prefix,
                delimiter: Some('/'),
                token: token.as_deref(),
                ..ListRequest::default()
            };
            let page = bucket.list(&request).await?;
            any |= !page.objects.is_empty();
            let files = page.objects.into_iter().map(|object| (object.key.clone(), Some(object)));
            let directories = page.prefixes.into_iter().map(|prefix| (prefix, None));
            for (key, file) in files.chain(directories) {
                let name = key.strip_prefix(&self.prefix).unwrap_or_default();
                let name = if file.is_some() { Some(name) } else { name.strip_suffix('/') };
                // Without a name it marks this directory.
                let wanted = |name: &&str| {
                    let ours = path::is_component(name) || name.is_empty() && file.is_some();
                    ours && self.after.as_deref().is_none_or(|after| *name > after)
                };
                if let Some(name) = name.filter(wanted) {
                    entries.push(Entry { name: name.to_string(), file });
                }
            }
            if page.next.is_some() && page.next == token {
                return Err(repeated());
            }
            token = page.next;
            if token.is_none() {
                break;
            }
        }
        // The file of a name first.
        let order = |e: &Entry| (e.name.clone(), e.file.is_none());
        entries.sort_by_cached_key(order);
        entries.dedup_by(|a, b| order(a) == order(b));
        Ok((entries.into(), any))
    }
}
