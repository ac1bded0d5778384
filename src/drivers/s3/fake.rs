//! A bucket in memory for tests. It counts requests, answers them in any order, and
//! dies or fails at the one it is told to, before or after having done it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;

use super::bucket::Bucket;
use super::client::{Completed, Head, ListPage, ListRequest, Object, Part, Upload};
use super::doubt::Doubt;
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::http::hash;
use crate::http::parts::Limits;

/// In which order keys are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Bytes,
    /// Directory by directory, by name: what SeaweedFS does.
    Directories,
    /// By no order that anybody knows.
    Shuffled,
}

#[derive(Clone, Debug)]
pub struct Multipart {
    pub key: String,
    pub begun: i64,
    pub parts: BTreeMap<u32, Bytes>,
}

#[derive(Clone, Debug)]
pub struct State {
    pub objects: BTreeMap<String, (Bytes, String, i64)>,
    pub uploads: BTreeMap<String, Multipart>,
    clock: i64,
    dice: u64,
    /// Names of the requests, in the order in which they were begun.
    pub log: Vec<String>,
    pub order: Order,
    /// Of a listing.
    pub page: usize,
    /// Prefixes without a key that are shown under a delimiter.
    pub phantoms: Vec<String>,
    /// Each page's token is the same.
    pub stuck: bool,
    /// Completes no upload that has more parts than are named, as radosgw.
    pub names_all: bool,
    /// Its clock stands still.
    pub still: bool,
}

/// What happens at the request of this number.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The client dies; the request was done or not.
    Kill { at: usize, done: bool },
    /// The answer is an error; the request was done or not.
    Fail { at: usize, done: bool, error: Error },
}

pub struct Fake {
    pub limits: Limits,
    pub state: Mutex<State>,
    pub faults: Mutex<Vec<Fault>>,
    /// Ends when the client is killed.
    pub life: Context,
    /// Requests that wait for their answer now, and the most there were.
    waiting: AtomicUsize,
    pub most_waiting: AtomicUsize,
}

struct Waits<'f>(&'f AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Fake {
    pub fn new(limits: Limits, seed: u64) -> Fake {
        let state = State {
            objects: BTreeMap::new(),
            uploads: BTreeMap::new(),
            clock: 1,
            dice: seed.wrapping_mul(2) + 1,
            log: Vec::new(),
            order: Order::Bytes,
            page: 1000,
            phantoms: Vec::new(),
            stuck: false,
            names_all: false,
            still: false,
        };
        Fake {
            limits,
            state: Mutex::new(state),
            faults: Mutex::default(),
            life: Context::new(&Context::none()),
            waiting: AtomicUsize::new(0),
            most_waiting: AtomicUsize::new(0),
        }
    }

    /// The same content with a client of its own.
    pub fn copy(&self) -> Fake {
        let mut state = self.state.lock().unwrap().clone();
        state.log.clear();
        Fake {
            limits: self.limits,
            state: Mutex::new(state),
            faults: Mutex::default(),
            life: Context::new(&Context::none()),
            waiting: AtomicUsize::new(0),
            most_waiting: AtomicUsize::new(0),
        }
    }

    pub fn content(&self, key: &str) -> Option<Vec<u8>> {
        Some(self.state.lock().unwrap().objects.get(key)?.0.to_vec())
    }

    pub fn store(&self, key: &str, data: &[u8]) {
        self.state.lock().unwrap().store(key, data.to_vec().into());
    }

    pub fn log(&self) -> Vec<String> {
        self.state.lock().unwrap().log.clone()
    }

    async fn request<T>(
        &self,
        name: impl Into<String>,
        work: impl FnOnce(&mut State) -> Result<T>,
    ) -> Result<T> {
        let (number, pauses) = {
            let mut state = self.state.lock().unwrap();
            state.log.push(name.into());
            (state.log.len() - 1, state.dice() % 5)
        };
        let waiting = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_waiting.fetch_max(waiting, Ordering::SeqCst);
        let _waits = Waits(&self.waiting);
        for _ in 0..pauses {
            tokio::task::yield_now().await;
        }
        let hits = |fault: &&Fault| match fault {
            Fault::Kill { at, .. } => number >= *at,
            Fault::Fail { at, .. } => number == *at,
        };
        let fault = self.faults.lock().unwrap().iter().find(hits).cloned();
        let mut work = Some(work);
        let mut run = || work.take().map(|work| work(&mut self.state.lock().unwrap())).unwrap();
        match fault {
            Some(Fault::Kill { at, done }) => {
                if done && number == at {
                    let _ = run();
                }
                self.life.cancel();
                std::future::pending().await
            }
            Some(Fault::Fail { done, error, .. }) => {
                if done {
                    let _ = run();
                }
                Err(error)
            }
            None => run(),
        }
    }
}

impl State {
    fn dice(&mut self) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice
    }

    fn tick(&mut self) -> i64 {
        self.clock += i64::from(!self.still);
        self.clock
    }

    fn store(&mut self, key: &str, data: Bytes) {
        let etag = format!("\"{:032x}\"", self.clock);
        self.store_as(key, data, &etag);
    }

    fn store_as(&mut self, key: &str, data: Bytes, etag: &str) {
        let now = self.tick();
        self.objects.insert(key.to_string(), (data, etag.to_string(), now));
    }

    fn head(&self, key: &str) -> Option<Head> {
        let (data, etag, mtime_ns) = self.objects.get(key)?;
        let size = data.len() as u64;
        Some(Head { size, etag: etag.clone(), mtime_ns: *mtime_ns, ..Head::default() })
    }

    fn pinned(&self, key: &str, head: &Head) -> Result<Option<Bytes>> {
        match self.objects.get(key) {
            Some((_, etag, _)) if *etag != head.etag => {
                Err(Error::new(Code::Conflict, "another version"))
            }
            found => Ok(found.map(|(data, ..)| data.clone())),
        }
    }

    fn upload(&mut self, key: &str, id: &str) -> Option<&mut Multipart> {
        self.uploads.get_mut(id).filter(|upload| upload.key == key)
    }

    /// All keys in the order of the store.
    fn keys(&self) -> Vec<&String> {
        let mut keys: Vec<&String> = self.objects.keys().collect();
        match self.order {
            Order::Bytes => {}
            Order::Directories => keys.sort_by(|a, b| crate::path::compare(a, b)),
            Order::Shuffled => keys.sort_by_key(|key| {
                key.bytes().fold(7_u64, |sum, b| sum.wrapping_mul(31).wrapping_add(b.into())) % 97
            }),
        }
        keys
    }
}

/// Of an object that these parts were made into.
fn etag_of(parts: &[Part]) -> String {
    let digest = |part: &Part| u128::from_str_radix(part.etag.trim_matches('"'), 16).unwrap();
    let digests: Vec<u8> = parts.iter().flat_map(|part| digest(part).to_be_bytes()).collect();
    format!("\"{}-{}\"", hash::md5_hex(&[digests.into()]), parts.len())
}

fn part(number: u32, data: &Bytes) -> Part {
    let sum = data.iter().fold(5381_u64, |sum, b| sum.wrapping_mul(33) ^ u64::from(*b));
    Part { number, etag: format!("\"{sum:032x}\""), size: data.len() as u64 }
}

#[async_trait]
impl Bucket for Fake {
    async fn head(&self, key: &str) -> Result<Option<Head>> {
        self.request("head", |state| Ok(state.head(key))).await
    }

    async fn read(&self, key: &str, head: &Head) -> Result<Option<Bytes>> {
        self.request("get", |state| state.pinned(key, head)).await
    }

    async fn put(&self, key: &str, data: Vec<Bytes>) -> Result<()> {
        self.request("put", |state| {
            state.store(key, data.concat().into());
            Ok(())
        })
        .await
    }

    async fn list(&self, request: &ListRequest<'_>) -> Result<ListPage> {
        let name = format!("list {} {:?}", request.prefix, request.start_after);
        self.request(name, |state| {
            let most = if request.max_keys == 0 { state.page } else { request.max_keys as usize };
            let mut page = ListPage::default();
            let keys = state.keys();
            let from = match (request.token, request.start_after) {
                (Some(token), _) => token.trim_start_matches('t').parse().unwrap(),
                // In the order of the store, as SeaweedFS has it.
                (None, Some(after)) => match state.order {
                    Order::Bytes => keys.partition_point(|key| key.as_str() <= after),
                    _ => keys.partition_point(|key| crate::path::compare(key, after).is_le()),
                },
                (None, None) => 0,
            };
            for (at, key) in keys.iter().enumerate().skip(from) {
                let Some(rest) = key.strip_prefix(request.prefix) else { continue };
                let cut = request.delimiter.and_then(|d| rest.find(d));
                let common = cut.map(|cut| format!("{}{}", request.prefix, &rest[..=cut]));
                if common.is_some() && page.prefixes.last() == common.as_ref() {
                    continue;
                }
                if page.objects.len() + page.prefixes.len() == most {
                    page.next = Some(format!("t{}", if state.stuck { from } else { at }));
                    break;
                }
                match common {
                    Some(common) => page.prefixes.push(common),
                    None => {
                        let head = state.head(key).unwrap();
                        let (size, etag, mtime_ns) = (head.size, head.etag, head.mtime_ns);
                        page.objects.push(Object { key: key.to_string(), size, etag, mtime_ns });
                    }
                }
            }
            if page.next.is_none() && request.delimiter.is_some() {
                let below = |phantom: &&String| {
                    let rest = phantom.strip_prefix(request.prefix);
                    rest.is_some_and(|rest| rest.find('/') == Some(rest.len().wrapping_sub(1)))
                };
                page.prefixes.extend(state.phantoms.iter().filter(below).cloned());
            }
            Ok(page)
        })
        .await
    }

    async fn create_upload(&self, key: &str, doubt: &Doubt) -> Result<String> {
        let create = self.request("create", |state| {
            let begun = state.tick();
            let id = format!("id{}", state.dice() % 1000 * 1000 + begun as u64);
            let upload = Multipart { key: key.to_string(), begun, parts: BTreeMap::new() };
            state.uploads.insert(id.clone(), upload);
            Ok(id)
        });
        doubt.attempt(create).await
    }

    async fn upload_part(
        &self,
        key: &str,
        id: &str,
        number: u32,
        data: Vec<Bytes>,
    ) -> Result<Option<Part>> {
        let data = Bytes::from(data.concat());
        assert!(data.len() as u64 <= self.limits.max_part && number <= self.limits.max_parts);
        self.request(format!("part {number}"), |state| {
            let Some(upload) = state.upload(key, id) else { return Ok(None) };
            upload.parts.insert(number, data.clone());
            Ok(Some(part(number, &data)))
        })
        .await
    }

    async fn copy_part(
        &self,
        key: &str,
        id: &str,
        number: u32,
        head: &Head,
        range: Range<u64>,
    ) -> Result<Option<Part>> {
        assert!(range.end - range.start <= self.limits.max_part);
        self.request(format!("copy {number}"), |state| {
            let Some(data) = state.pinned(key, head)? else { return Ok(None) };
            let data = data.slice(range.start as usize..range.end as usize);
            let Some(upload) = state.upload(key, id) else {
                return Err(Error::new(Code::Conflict, "NoSuchUpload"));
            };
            upload.parts.insert(number, data.clone());
            Ok(Some(part(number, &data)))
        })
        .await
    }

    async fn complete_upload(
        &self,
        key: &str,
        id: &str,
        parts: &[Part],
        doubt: &Doubt,
    ) -> Result<Option<Completed>> {
        let least = self.limits.min_part;
        let complete = self.request("complete", |state| {
            let names_all = state.names_all;
            let Some(upload) = state.upload(key, id) else { return Ok(None) };
            if names_all && upload.parts.len() > parts.len() {
                let more = Error::new(Code::Conflict, "InvalidPart");
                return Err(more.with_http_status(400));
            }
            let refused = |why: &str| Err(Error::new(Code::Driver, why).with_http_status(400));
            if parts.is_empty() || !parts.is_sorted_by_key(|p| p.number) {
                return refused("malformed");
            }
            let mut all = Vec::new();
            for (listed, after) in parts.iter().zip((0..parts.len()).rev()) {
                let Some(data) = upload.parts.get(&listed.number) else {
                    return refused("no such part");
                };
                if part(listed.number, data).etag != listed.etag {
                    return refused("another part");
                }
                if after > 0 && (data.len() as u64) < least {
                    return refused("too small");
                }
                all.extend_from_slice(data);
            }
            state.uploads.remove(id);
            let etag = etag_of(parts);
            state.store_as(key, all.into(), &etag);
            Ok(Some(Completed { etag }))
        });
        doubt.attempt(complete).await
    }

    async fn abort_upload(&self, _key: &str, id: &str) -> Result<()> {
        self.request("abort", |state| {
            state.uploads.remove(id);
            Ok(())
        })
        .await
    }

    async fn list_uploads(&self, key: &str) -> Result<Vec<Upload>> {
        self.request("uploads", |state| {
            let on_key = state.uploads.iter().filter(|(_, upload)| upload.key == key);
            let show =
                |(id, u): (&String, &Multipart)| Upload { id: id.clone(), initiated_ns: u.begun };
            Ok(on_key.map(show).collect())
        })
        .await
    }

    async fn list_parts(&self, key: &str, id: &str) -> Result<Option<Vec<Part>>> {
        self.request("parts", |state| {
            let upload = state.upload(key, id);
            Ok(upload.map(|u| u.parts.iter().map(|(number, data)| part(*number, data)).collect()))
        })
        .await
    }
}
