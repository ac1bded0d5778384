//! Sizes by key, and uploads in progress.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard};

#[derive(Default)]
pub struct State(Mutex<Inner>);

#[derive(Default)]
pub struct Inner {
    pub objects: BTreeMap<String, u64>,
    /// By their id: the key, and the sizes of the parts.
    pub uploads: BTreeMap<String, (String, BTreeMap<u32, u64>)>,
    pub uploads_made: u64,
}

/// A page of a listing.
#[derive(Default)]
pub struct Page {
    pub objects: Vec<(String, u64)>,
    pub prefixes: BTreeSet<String>,
    /// Where the next page starts, if there is one.
    pub next: Option<String>,
}

impl State {
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }
}

impl Inner {
    pub fn page(&self, prefix: &str, delimiter: &str, after: &str, limit: usize) -> Page {
        let mut page = Page::default();
        let mut last = after.max(prefix).to_string();
        let from = if after >= prefix { Bound::Excluded(after) } else { Bound::Included(prefix) };
        for (key, size) in self.objects.range::<str, _>((from, Bound::Unbounded)) {
            let Some(rest) = key.strip_prefix(prefix) else { break };
            let folder = (!delimiter.is_empty()).then(|| rest.find(delimiter)).flatten();
            let folder = folder.map(|at| format!("{prefix}{}", &rest[..at + delimiter.len()]));
            if folder.as_ref().is_some_and(|f| after.starts_with(f) || page.prefixes.contains(f)) {
                last.clone_from(key);
                continue;
            }
            if page.objects.len() + page.prefixes.len() == limit {
                page.next = Some(last);
                break;
            }
            last.clone_from(key);
            match folder {
                Some(folder) => drop(page.prefixes.insert(folder)),
                None => page.objects.push((key.clone(), *size)),
            }
        }
        page
    }
}
