//! Lists of a directory's children. A service lists by key, with a slash at the end of a
//! directory, so that `a-b` comes before the directory `a`; pages go by name.

use std::collections::BTreeSet;

use tokio::task::JoinSet;

use super::client::{ListPage, ListRequest};
use super::keys::Keys;
use super::store::Store;
use super::walker::Order;
use crate::error::{Code, Error, Result};
use crate::names::Names;
use crate::path;

/// What a service gives at once.
const PAGE: usize = 1000;
/// A directory that may come late is asked for by itself if there are no more than so
/// many of them.
const FEW: usize = 8;

/// All children, in any order.
pub async fn list(store: &Store, path: &str) -> Result<Names> {
    let prefix = store.keys.directory(path);
    let parent = if path == "/" { "" } else { path };
    let mut names = Names::new();
    let mut found = false;
    let mut pages = Pages::new(store, &prefix, None, 0);
    while let Some(page) = pages.next().await? {
        found |= !page.objects.is_empty() || !page.prefixes.is_empty();
        for name in names_of(&prefix, &page) {
            names.push_child(parent, name);
        }
    }
    if !found && path != "/" {
        return Err(no_directory(store, path).await);
    }
    Ok(names)
}

/// Up to `limit` children after `start_after`, a full path, by name.
pub async fn page(
    store: &Store,
    path: &str,
    start_after: Option<&str>,
    limit: usize,
) -> Result<Names> {
    let prefix = store.keys.directory(path);
    let after = match start_after.map(|start| (start, path::below(start, path))) {
        None => "",
        Some((_, Some(rest))) => rest.split('/').next().unwrap_or_default(),
        // What is no child sorts before or after all of them as a full path.
        Some((start, None)) if start > path => {
            return exists(store, path).await.map(|()| Names::new());
        }
        Some(_) => "",
    };
    let names = first_names(store, &prefix, after, limit).await?;
    if names.is_empty() {
        exists(store, path).await?;
    }
    let parent = if path == "/" { "" } else { path };
    let mut page = Names::new();
    names.iter().take(limit).for_each(|name| page.push_child(parent, name));
    Ok(page)
}

/// At least the first `limit` names after `after`, and no later ones in their place.
async fn first_names(
    store: &Store,
    prefix: &str,
    after: &str,
    limit: usize,
) -> Result<BTreeSet<String>> {
    // Where names come in no order the first of them may be the last.
    let sorted = store.order.get() != Order::Other;
    let start = format!("{prefix}{after}");
    let start = (sorted && !after.is_empty()).then_some(start.as_str());
    let mut names = BTreeSet::new();
    let most = if sorted { limit.clamp(1, PAGE) } else { PAGE };
    let mut pages = Pages::new(store, prefix, start, most);
    while let Some(page) = pages.next().await? {
        let new = names_of(prefix, &page).filter(|name| *name > after);
        names.extend(new.map(str::to_string));
        if !sorted || names.len() < limit || page.next.is_none() {
            continue;
        }
        let reached = last_key(&page).strip_prefix(prefix).unwrap_or_default();
        let late = late_directories(&names, after, limit, reached);
        if late.len() <= FEW {
            names.extend(existing(store, prefix, late).await?);
            break;
        }
    }
    Ok(names)
}

/// The directories that may come among the first `limit` names although the listing has
/// not reached them: `v1` beside a `v1.2` that was seen.
fn late_directories(
    names: &BTreeSet<String>,
    after: &str,
    limit: usize,
    reached: &str,
) -> Vec<String> {
    let mut late = BTreeSet::new();
    for name in names.iter().take(limit) {
        let cuts = name.char_indices().filter(|(_, c)| matches!(c, '-' | '.'));
        for stem in cuts.filter_map(|(at, _)| name.get(..at)) {
            let unseen = !names.contains(stem) && format!("{stem}/").as_str() > reached;
            if stem > after && unseen && path::is_component(stem) {
                late.insert(stem.to_string());
            }
        }
    }
    late.into_iter().collect()
}

async fn existing(store: &Store, prefix: &str, names: Vec<String>) -> Result<Vec<String>> {
    let mut asked = JoinSet::new();
    for name in names {
        let (client, prefix) = (store.client.clone(), format!("{prefix}{name}/"));
        asked.spawn(async move {
            let request = ListRequest { prefix: &prefix, max_keys: 1, ..ListRequest::default() };
            let page = client.list(&request).await?;
            Ok::<_, Error>((!page.objects.is_empty()).then_some(name))
        });
    }
    let mut found = Vec::new();
    while let Some(answer) = asked.join_next().await {
        found.extend(answer.map_err(|_| lost())??);
    }
    Ok(found)
}

pub fn lost() -> Error {
    Error::new(Code::Internal, "a task of the library ended in a panic")
}

/// Whether `path` is a directory; the error says what it is in place of one.
async fn exists(store: &Store, path: &str) -> Result<()> {
    let prefix = store.keys.directory(path);
    if path == "/" || store.is_directory(&prefix).await? {
        return Ok(());
    }
    Err(no_directory(store, path).await)
}

/// Why `path` cannot be listed.
async fn no_directory(store: &Store, path: &str) -> Error {
    match store.client.head(&store.keys.file(path)).await {
        Ok(Some(_)) => Error::not_directory(path),
        Ok(None) => Error::path_not_found(path),
        Err(error) => error.or_path(path),
    }
}

fn names_of<'p>(prefix: &'p str, page: &'p ListPage) -> impl Iterator<Item = &'p str> {
    let objects = page.objects.iter().map(|object| object.key.as_str());
    // An object whose key ends with a slash is somebody's mark for a directory.
    let objects = objects.filter(|key| !key.ends_with('/'));
    let prefixes = page.prefixes.iter().map(String::as_str);
    objects.chain(prefixes).filter_map(move |key| Keys::child(prefix, key))
}

/// How far a page goes, where a service lists by key.
fn last_key(page: &ListPage) -> &str {
    let object = page.objects.last().map(|object| object.key.as_str());
    let prefix = page.prefixes.last().map(String::as_str);
    object.max(prefix).unwrap_or_default()
}

/// The pages of one listing, one after the other.
pub struct Pages<'a> {
    store: &'a Store,
    prefix: &'a str,
    start_after: Option<&'a str>,
    max_keys: u32,
    token: Option<String>,
    ended: bool,
}

impl<'a> Pages<'a> {
    /// Of the direct children.
    pub fn new(
        store: &'a Store,
        prefix: &'a str,
        start_after: Option<&'a str>,
        max_keys: usize,
    ) -> Pages<'a> {
        let max_keys = u32::try_from(max_keys).unwrap_or_default();
        Pages { store, prefix, start_after, max_keys, token: None, ended: false }
    }

    pub async fn next(&mut self) -> Result<Option<ListPage>> {
        if self.ended {
            return Ok(None);
        }
        let request = ListRequest {
            prefix: self.prefix,
            delimiter: Some('/'),
            start_after: self.start_after,
            token: self.token.as_deref(),
            max_keys: self.max_keys,
        };
        let page = self.store.client.list(&request).await?;
        self.ended = page.next.is_none();
        if !self.ended && page.next == self.token {
            return Err(Error::new(Code::Driver, "a listing that does not go on"));
        }
        self.token.clone_from(&page.next);
        Ok(Some(page))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_that_a_listing_reaches_late_are_known() {
        let late = |names: &[&str], after: &str, limit: usize, reached: &str| {
            let names = names.iter().map(|name| name.to_string()).collect();
            late_directories(&names, after, limit, reached)
        };
        assert_eq!(late(&["v1-a", "v1.2", "w"], "", 3, "w"), [""; 0]);
        assert_eq!(late(&["v1-a", "v1.2"], "", 2, "v1.2"), ["v1"]);
        assert_eq!(late(&["v1-a.b"], "", 1, "v1-a.b"), ["v1", "v1-a"]);
        assert_eq!(late(&["v1-a", "v1.2"], "v1", 2, "v1.2"), [""; 0]);
        assert_eq!(late(&["v1", "v1.2"], "", 2, "v1.2"), [""; 0]);
        assert_eq!(late(&["a", "v1.2"], "", 1, "v1.2"), [""; 0]);
    }
}
