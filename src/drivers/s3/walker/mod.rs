//! Walking: one flat listing, a thousand entries a request, put into canonical order.
//! A walk of a store that is found to list in another order goes on directory by
//! directory.
//!
//! What is listed after what is a stack of levels, the one to be reported first on
//! top. Most walks have one.

mod directory;
mod flat;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use async_trait::async_trait;

use self::directory::Directory;
use self::flat::Flat;
use super::bucket::Bucket;
use super::client::{ListRequest, Object};
use super::parameters::Parameters;
use super::store::Store;
use crate::context::Context;
use crate::driver::{FileInfo, WalkOptions, Walker};
use crate::error::{Code, Error, Result};
use crate::path;
use crate::remote::{self, Entries};

/// What is known of the order in which a store lists keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Unknown,
    /// By byte, as Amazon says.
    Bytes,
    Other,
}

/// What is known of it before the first walk. Buckets of one zone are in no order.
pub fn order_of(parameters: &Parameters) -> Order {
    if parameters.bucket.ends_with("--x-s3") {
        Order::Other
    } else if parameters.endpoint.is_none() {
        Order::Bytes
    } else {
        Order::Unknown
    }
}

/// A walk of the directory at `path`, which has the first page when it is opened, so that
/// a missing start is found at once.
pub async fn open(
    store: &Store,
    ctx: &Context,
    path: &str,
    options: &WalkOptions,
) -> Result<Box<dyn Walker>> {
    let (key, prefix) = (store.keys.file(path), store.keys.directory(path));
    let bucket = Arc::new(store.client.clone());
    let mut walk = Walk::new(bucket, store.order.clone(), path, &key, &prefix, options);
    if let Some(first) = walk.next().await? {
        walk.ready.push_front((walk.returned.take().unwrap_or_default(), first));
    }
    Ok(remote::walker(ctx, Box::new(walk)))
}

/// The same, learnt by one walk for the next.
#[derive(Debug, Default)]
pub struct KnownOrder(AtomicU8);

impl KnownOrder {
    pub fn new(order: Order) -> KnownOrder {
        let known = KnownOrder::default();
        known.learn(order);
        known
    }

    pub fn get(&self) -> Order {
        match self.0.load(Ordering::Relaxed) {
            0 => Order::Unknown,
            1 => Order::Bytes,
            _ => Order::Other,
        }
    }

    fn learn(&self, order: Order) {
        let number = match order {
            Order::Unknown => return,
            Order::Bytes => 1,
            Order::Other => 2,
        };
        self.0.store(number, Ordering::Relaxed);
    }
}

enum Level {
    Flat(Flat),
    Directory(Directory),
}

impl Level {
    fn prefix(&self) -> &str {
        match self {
            Level::Flat(flat) => &flat.prefix,
            Level::Directory(directory) => &directory.prefix,
        }
    }

    fn seen_any(&self) -> bool {
        match self {
            Level::Flat(flat) => flat.seen_any,
            Level::Directory(directory) => directory.seen_any,
        }
    }

    fn leave_out(&mut self, prefix: &str) {
        match self {
            Level::Flat(flat) => flat.leave_out(prefix),
            Level::Directory(directory) => directory.leave_out(prefix),
        }
    }
}

pub struct Walk {
    bucket: Arc<dyn Bucket>,
    order: Arc<KnownOrder>,
    /// The directory it walks, as a path, as a key and as a prefix of keys.
    start: String,
    key: String,
    prefix: String,
    levels: Vec<Level>,
    /// To be returned before anything else is looked for, with their keys; those of
    /// directories end with a slash.
    ready: VecDeque<(String, FileInfo)>,
    /// The innermost directory that was reported or need not be, as a prefix.
    announced: String,
    /// Where it began; nothing if it is to report nothing.
    place: Option<Place>,
    /// The key of what was returned last.
    returned: Option<String>,
    /// That was a directory, and it is left out.
    skipped: bool,
    /// Something lies below the start.
    exists: bool,
    /// The start was listed from its beginning.
    whole: bool,
    most: usize,
}

/// Where a walk begins.
#[derive(Clone, Debug)]
struct Place {
    /// After this path below the start, "" for all.
    after: String,
    /// What is below it comes, too.
    subtree: bool,
}

impl Walk {
    /// `key` and `prefix` are those of the directory at the path `start`.
    pub fn new(
        bucket: Arc<dyn Bucket>,
        order: Arc<KnownOrder>,
        start: &str,
        key: &str,
        prefix: &str,
        options: &WalkOptions,
    ) -> Walk {
        Walk::holding(flat::WAITING, bucket, order, start, key, prefix, options)
    }

    /// With at most so many entries waiting for others.
    fn holding(
        most: usize,
        bucket: Arc<dyn Bucket>,
        order: Arc<KnownOrder>,
        start: &str,
        key: &str,
        prefix: &str,
        options: &WalkOptions,
    ) -> Walk {
        let mut walk = Walk {
            bucket,
            order,
            start: start.to_string(),
            key: key.to_string(),
            prefix: prefix.to_string(),
            levels: Vec::new(),
            ready: VecDeque::new(),
            announced: prefix.to_string(),
            place: None,
            returned: None,
            skipped: false,
            exists: start == "/",
            whole: false,
            most,
        };
        let subtree = !options.skip_start_subtree;
        let after = options.start_after.as_deref();
        walk.place = match after.map(|after| (after, path::below(after, start))) {
            Some((_, Some(below))) => Some(Place { after: below.to_string(), subtree }),
            Some((after, None)) if !reports_all(start, after, subtree) => None,
            _ => Some(Place { after: String::new(), subtree: true }),
        };
        if let Some(place) = walk.place.clone() {
            walk.begin(&place);
        }
        walk
    }

    /// Lays out the levels from a place on, by what is known of the store.
    fn begin(&mut self, place: &Place) {
        let order = self.order.get();
        self.levels.clear();
        self.ready.clear();
        self.announced.clone_from(&self.prefix);
        if place.after.is_empty() {
            self.whole = true;
            let prefix = self.prefix.clone();
            self.levels.push(self.level(&prefix, order));
            return;
        }
        let mut prefix = self.prefix.clone();
        for name in place.after.split('/') {
            self.levels.push(match order {
                Order::Bytes => Level::Flat(Flat::after(&prefix, name, self.most)),
                _ => Level::Directory(Directory::new(&prefix, Some(name))),
            });
            prefix.push_str(name);
            prefix.push('/');
        }
        self.announced.clone_from(&prefix);
        if place.subtree {
            let order = if order == Order::Bytes { order } else { Order::Other };
            self.levels.push(self.level(&prefix, order));
        }
    }

    fn level(&self, prefix: &str, order: Order) -> Level {
        match order {
            Order::Other => Level::Directory(Directory::new(prefix, None)),
            _ => Level::Flat(Flat::new(prefix, order == Order::Bytes, self.most)),
        }
    }

    /// The listing has come out of byte order. All that was returned is right if the
    /// order is that of directories; the walk goes on behind it.
    fn disorder(&mut self, directories: bool) -> Result<()> {
        self.order.learn(Order::Other);
        let Some(returned) = self.returned.clone() else {
            if let Some(place) = self.place.clone() {
                self.begin(&place);
            }
            return Ok(());
        };
        if !directories {
            let why = "the service lists keys in an order that changed during a walk; walk again";
            return Err(Error::new(Code::Driver, why).with_retryable(true));
        }
        let below = returned.strip_prefix(&self.prefix).unwrap_or_default();
        let name = below.strip_suffix('/').unwrap_or(below).to_string();
        self.begin(&Place { after: name, subtree: !self.skipped });
        if !returned.ends_with('/') {
            // What is below a file of this name has a directory that was not reported.
            let end = returned.rfind('/').map_or(0, |slash| slash + 1);
            self.announced = returned.get(..end).unwrap_or_default().to_string();
        }
        Ok(())
    }

    /// Makes ready the directories of an object that were not reported yet, and the object
    /// itself, unless it only marks a directory.
    fn report(&mut self, object: &Object) {
        let key = object.key.as_str();
        let end = key.rfind('/').map_or(0, |slash| slash + 1);
        let directory = key.get(..end).unwrap_or_default();
        let mut at = self.prefix.len();
        while let Some(len) = directory.get(at..).and_then(|rest| rest.find('/')) {
            at += len + 1;
            let Some(upper) = directory.get(..at) else { break };
            if !self.announced.starts_with(upper) {
                let info = self.info(upper.get(..at - 1).unwrap_or_default(), 0, 0, true);
                self.ready.push_back((upper.to_string(), info));
            }
        }
        self.announced.clear();
        self.announced.push_str(directory);
        if end < key.len() {
            let info = self.info(key, object.size, object.mtime_ns, false);
            self.ready.push_back((key.to_string(), info));
        }
    }

    fn info(&self, key: &str, size: u64, mtime_ns: i64, is_dir: bool) -> FileInfo {
        let below = key.get(self.prefix.len()..).unwrap_or_default();
        FileInfo { path: path::join(&self.start, below), size, mtime_ns, is_dir }
    }

    /// After a walk without an entry: whether that is one of a directory.
    async fn check_start(&self) -> Result<()> {
        if !self.whole {
            let request =
                ListRequest { prefix: &self.prefix, max_keys: 1, ..ListRequest::default() };
            let page = self.bucket.list(&request).await?;
            if !page.objects.is_empty() || page.next.is_some() {
                return Ok(());
            }
        }
        match self.bucket.head(&self.key).await? {
            Some(_) => Err(Error::not_directory(&self.start)),
            None => Err(Error::path_not_found(&self.start)),
        }
    }
}

/// Whether everything below `start` comes after `after`, which is not below it.
fn reports_all(start: &str, after: &str, subtree: bool) -> bool {
    let above = after == start || path::below(start, after).is_some();
    path::compare(after, start).is_le() && (subtree || !above)
}

#[async_trait]
impl Entries for Walk {
    async fn next(&mut self) -> Result<Option<FileInfo>> {
        loop {
            if let Some((key, info)) = self.ready.pop_front() {
                self.returned = Some(key);
                self.skipped = false;
                return Ok(Some(info));
            }
            let Some(level) = self.levels.last_mut() else {
                if !self.exists {
                    self.check_start().await?;
                    self.exists = true;
                }
                self.returned = None;
                return Ok(None);
            };
            match level {
                Level::Flat(flat) => {
                    let next = flat.next(&*self.bucket).await?;
                    self.exists |= flat.seen_any;
                    if flat.proves_bytes && self.order.get() == Order::Unknown {
                        self.order.learn(Order::Bytes);
                    }
                    match next {
                        flat::Next::Object(object) => self.report(&object),
                        flat::Next::First(prefix) => {
                            let order = self.order.get();
                            self.levels.push(self.level(&prefix, order));
                        }
                        flat::Next::Disorder { directories } => self.disorder(directories)?,
                        flat::Next::End => drop(self.levels.pop()),
                    }
                }
                Level::Directory(directory) => {
                    let next = directory.next(&*self.bucket).await?;
                    self.exists |= directory.seen_any;
                    match next {
                        directory::Next::Object(object) => {
                            self.report(&object);
                        }
                        directory::Next::Directory(prefix) => {
                            // Reported with the first key below it: some servers show
                            // directories that are empty.
                            self.levels.push(Level::Directory(Directory::new(&prefix, None)));
                        }
                        directory::Next::End => drop(self.levels.pop()),
                    }
                }
            }
        }
    }

    fn skip_dir(&mut self) {
        let Some(prefix) = self.returned.clone().filter(|key| key.ends_with('/')) else { return };
        self.skipped = true;
        self.ready.retain(|(key, _)| !key.starts_with(&prefix));
        self.exists |= self.levels.iter().any(Level::seen_any);
        self.levels.retain(|level| !level.prefix().starts_with(&prefix));
        for level in &mut self.levels {
            level.leave_out(&prefix);
        }
    }
}

#[cfg(test)]
mod tests;
