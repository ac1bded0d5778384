//! One listing in byte order, given back in canonical order.
//!
//! The two orders differ in one thing: a byte below the slash, which is `-` or `.` in a
//! path, puts `app-web/x` before `app/x`. So what has such a byte behind the name of a
//! possible sibling waits until that sibling's place in the listing is passed, and
//! what comes meanwhile is sorted. If too much waits, the sibling is listed first, and
//! left out when the listing comes to it.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::drivers::s3::bucket::Bucket;
use crate::drivers::s3::client::{ListRequest, Object};
use crate::error::{Code, Error, Result};
use crate::path;

/// How many entries may wait.
pub const WAITING: usize = 10_000;

/// Behind everything below a directory, where names have the path grammar. Names that
/// sort behind it have not, and are left out one by one.
const LAST: char = '~';

/// An object with its key below the start of the walk.
#[derive(Clone, Debug)]
pub struct Item(pub Object);

impl Item {
    pub fn key(&self) -> &str {
        &self.0.key
    }
}

/// Canonical order of keys: the slash sorts lowest.
pub fn canonical(a: &str, b: &str) -> Ordering {
    let rank = |byte: u8| if byte == b'/' { 0 } else { byte };
    a.bytes().map(rank).cmp(b.bytes().map(rank))
}

impl Ord for Item {
    fn cmp(&self, other: &Item) -> Ordering {
        canonical(self.key(), other.key())
    }
}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Item) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Item) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Item {}

/// Whether what follows a prefix is made of names, or of names and a slash, by which
/// others mark a directory.
pub fn is_ours(rest: &str) -> bool {
    rest.strip_suffix('/').unwrap_or(rest).split('/').all(path::is_component)
}

/// What comes next.
#[derive(Debug)]
pub enum Next {
    Object(Object),
    /// The keys with this prefix come before anything else; list them.
    First(String),
    End,
    /// A key came out of byte order. `directories`: all there was until now, and this
    /// key, is in canonical order.
    Disorder {
        directories: bool,
    },
}

pub struct Flat {
    pub prefix: String,
    /// Where the next listing starts, if not with the page after the last.
    start_after: Option<String>,
    token: Option<String>,
    /// Objects of the current page that were not looked at, the next one last.
    page: Vec<Object>,
    ended: bool,
    /// The greatest key seen.
    last: String,
    waiting: BinaryHeap<Reverse<Item>>,
    /// Prefixes in front of the listing which somebody else reports.
    left_out: Vec<String>,
    /// Whether a listing may start in the middle.
    may_jump: bool,
    most: usize,
    /// Of the first request only; 0: whatever comes.
    first_page: u32,
    pub seen_any: bool,
    /// A byte below the slash came before a slash in the same place: no directory
    /// order.
    pub proves_bytes: bool,
}

impl Flat {
    /// Everything with the prefix.
    pub fn new(prefix: &str, may_jump: bool, most: usize) -> Flat {
        Flat {
            prefix: prefix.to_string(),
            start_after: None,
            token: None,
            page: Vec::new(),
            ended: false,
            last: String::new(),
            waiting: BinaryHeap::new(),
            left_out: Vec::new(),
            may_jump,
            most,
            first_page: 0,
            seen_any: false,
            proves_bytes: false,
        }
    }

    /// What comes canonically after `name` in the directory with the prefix, and not
    /// below it.
    pub fn after(prefix: &str, name: &str, most: usize) -> Flat {
        let mark = format!("{prefix}{name}");
        let mut flat = Flat::new(prefix, true, most);
        flat.left_out.push(format!("{mark}/"));
        // Siblings that come before it canonically, and behind it by byte.
        let shorter = name.bytes().enumerate().skip(1).filter(|(_, byte)| *byte < b'/');
        for (len, _) in shorter {
            flat.left_out.extend(name.get(..len).map(|name| format!("{prefix}{name}/")));
        }
        flat.last.clone_from(&mark);
        flat.start_after = Some(mark);
        // Before what is left out there is little, mostly nothing.
        flat.first_page = 10;
        flat
    }

    /// Leaves out what begins with `prefix` from now on.
    pub fn leave_out(&mut self, prefix: &str) {
        self.waiting.retain(|Reverse(item)| !item.key().starts_with(prefix));
        self.left_out.push(prefix.to_string());
    }

    /// The place in the listing behind which item `key` is the next in canonical order:
    /// the first directory that could still come before it. `None`: it need not wait.
    fn waits_for<'k>(&self, key: &'k str) -> Option<&'k str> {
        let mut from = self.prefix.len();
        loop {
            let rest = key.get(from..)?;
            let at = from + rest.bytes().position(|byte| byte < b'/')?;
            let sibling = key.get(..at)?;
            from = at + 1;
            // A name of its own, the directory of which is not passed or left out.
            let is_name = !sibling.ends_with('/') && at > self.prefix.len();
            if is_name && !self.is_past(sibling) {
                return Some(sibling);
            }
        }
    }

    /// Whether nothing more comes below the directory `name`.
    fn is_past(&self, name: &str) -> bool {
        let passed = self.last.strip_prefix(name).map_or_else(
            || self.last.as_str() > name,
            |rest| rest.bytes().next().is_some_and(|byte| byte > b'/'),
        );
        let is_it = |prefix: &String| prefix.strip_suffix('/') == Some(name);
        self.ended && self.page.is_empty() || passed || self.left_out.iter().any(is_it)
    }

    pub async fn next(&mut self, bucket: &dyn Bucket) -> Result<Next> {
        loop {
            if let Some(Reverse(item)) = self.waiting.peek() {
                match self.waits_for(item.key()) {
                    None => {
                        let Some(Reverse(Item(object))) = self.waiting.pop() else { continue };
                        return Ok(Next::Object(object));
                    }
                    Some(sibling) if self.waiting.len() >= self.most => {
                        let first = format!("{sibling}/");
                        // What already came of it stays here and is left out there.
                        self.left_out.push(first.clone());
                        self.waiting.retain(|Reverse(item)| !item.key().starts_with(&first));
                        return Ok(Next::First(first));
                    }
                    Some(_) => {}
                }
            }
            if let Some(object) = self.page.pop() {
                if object.key <= self.last {
                    let directories =
                        !self.proves_bytes && canonical(&self.last, &object.key).is_lt();
                    return Ok(Next::Disorder { directories });
                }
                self.note(&object.key);
                let out = |prefix: &String| object.key.starts_with(prefix.as_str());
                if is_ours(object.key.get(self.prefix.len()..).unwrap_or_default())
                    && !self.left_out.iter().any(out)
                {
                    self.waiting.push(Reverse(Item(object)));
                }
                continue;
            }
            if self.ended {
                if self.waiting.is_empty() {
                    return Ok(Next::End);
                }
                continue;
            }
            self.read_page(bucket).await?;
        }
    }

    fn note(&mut self, key: &str) {
        self.seen_any = true;
        let same = key.bytes().zip(self.last.bytes()).take_while(|(a, b)| a == b).count();
        let byte = |text: &str| text.as_bytes().get(same).copied();
        self.proves_bytes |=
            byte(key) == Some(b'/') && byte(&self.last).is_some_and(|byte| byte < b'/');
        self.last.clear();
        self.last.push_str(key);
        let last = &self.last;
        self.left_out.retain(|prefix| last <= prefix || last.starts_with(prefix.as_str()));
    }

    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.waiting.len() + self.page.len()
    }

    async fn read_page(&mut self, bucket: &dyn Bucket) -> Result<()> {
        // The rest of what is left out is not fetched where that can be helped.
        let inside = self.left_out.iter().find(|prefix| self.last.starts_with(prefix.as_str()));
        if let Some(prefix) =
            inside.filter(|_| (self.may_jump || self.proves_bytes) && self.token.is_some())
        {
            self.start_after = Some(format!("{prefix}{LAST}"));
            self.token = None;
        }
        let request = ListRequest {
            prefix: &self.prefix,
            delimiter: None,
            start_after: self.start_after.as_deref().filter(|_| self.token.is_none()),
            token: self.token.as_deref(),
            max_keys: if self.token.is_none() { self.first_page } else { 0 },
        };
        let page = bucket.list(&request).await?;
        if page.next.is_some() && page.next == self.token {
            return Err(repeated());
        }
        self.first_page = 0;
        self.ended = page.next.is_none();
        self.token = page.next;
        self.page = page.objects;
        self.page.reverse();
        Ok(())
    }
}

pub fn repeated() -> Error {
    Error::new(Code::Driver, "the service gives the same page of a listing again and again")
}
