//! The parts of an upload that are on the wire. Each is a task of its own, so that
//! none is lost when a caller stops waiting; when the writer is dropped they end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

use crate::drivers::s3::bucket::Bucket;
use crate::drivers::s3::client::Part;
use crate::drivers::s3::doubt::Doubt;
use crate::error::{Code, Error, Result};
use crate::http::budget::Hold;

/// Where parts go. The upload is made by the first that needs it.
#[derive(Clone)]
pub struct Target {
    pub bucket: Arc<dyn Bucket>,
    pub key: Arc<str>,
    pub id: Arc<OnceCell<String>>,
    /// Of uploads that were made on the way to this one.
    pub making: Arc<Doubt>,
    /// No upload is made any more.
    closed: Arc<AtomicBool>,
}

impl Target {
    pub fn new(bucket: Arc<dyn Bucket>, key: &str, id: Option<String>) -> Target {
        let id = Arc::new(OnceCell::new_with(id));
        Target { bucket, key: key.into(), id, making: Arc::default(), closed: Arc::default() }
    }

    /// The id of the upload, made now if there is none.
    pub async fn id(&self) -> Result<&str> {
        if self.id.get().is_none() {
            // A task of its own, which ends even if nobody waits for it any more: there is
            // no upload that is made and not known.
            let target = self.clone();
            let made = tokio::spawn(async move {
                let make = || async {
                    if target.closed.load(Ordering::SeqCst) {
                        return Err(ended());
                    }
                    target.bucket.create_upload(&target.key, &target.making).await
                };
                target.id.get_or_try_init(make).await.map(drop)
            });
            made.await.map_err(|_| stopped())??;
        }
        self.id.get().map(String::as_str).ok_or_else(ended)
    }

    /// The id of the upload if there is one, when none is being made any more; from here
    /// on none will be.
    pub async fn close(&self) -> Option<&str> {
        self.closed.store(true, Ordering::SeqCst);
        self.id.get_or_try_init(|| async { Err(()) }).await.ok().map(String::as_str)
    }

    pub async fn send(&self, number: u32, data: Vec<Bytes>) -> Result<Part> {
        let id = self.id().await?;
        let part = self.bucket.upload_part(&self.key, id, number, data).await?;
        part.ok_or_else(ended)
    }
}

/// Somebody aborted the upload, or completed it.
pub fn ended() -> Error {
    Error::new(Code::Conflict, "the upload was ended by somebody else")
}

pub fn stopped() -> Error {
    Error::new(Code::Internal, "a request of the library ended in a panic")
}

/// A full part.
struct Slice {
    number: u32,
    data: Vec<Bytes>,
    /// Given back to the budget when the part has arrived.
    _hold: Hold,
}

/// How a part has ended.
enum Landed {
    Part(Part),
    /// The last part, whose bytes the writer still has.
    Tail(Part),
    Failed(Error, Option<Slice>),
}

/// What arrived.
pub enum Arrived {
    Part(Part),
    Tail(Part),
}

pub struct Flights {
    tasks: JoinSet<Landed>,
    /// They did not arrive and can be sent again.
    failed: Vec<Slice>,
    most: usize,
    tail: bool,
    lost: bool,
}

impl Flights {
    pub fn new(most: usize) -> Flights {
        let most = most.max(1);
        Flights { tasks: JoinSet::new(), failed: Vec::new(), most, tail: false, lost: false }
    }

    /// Whether anything has not arrived yet.
    pub fn any(&self) -> bool {
        !self.tasks.is_empty() || !self.failed.is_empty() || self.lost
    }

    pub fn full(&self) -> bool {
        self.tasks.len() + self.failed.len() >= self.most
    }

    /// Whether any is on the wire.
    pub fn waits(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// Whether a last part is on the wire.
    pub fn has_tail(&self) -> bool {
        self.tail
    }

    pub fn launch(&mut self, target: &Target, number: u32, data: Vec<Bytes>, hold: Hold) {
        self.launch_slice(target, Slice { number, data, _hold: hold });
    }

    fn launch_slice(&mut self, target: &Target, slice: Slice) {
        let target = target.clone();
        self.tasks.spawn(async move {
            match target.send(slice.number, slice.data.clone()).await {
                Ok(part) => Landed::Part(part),
                Err(error) => Landed::Failed(error, Some(slice)),
            }
        });
    }

    pub fn launch_tail(&mut self, target: &Target, number: u32, data: Vec<Bytes>) {
        let target = target.clone();
        self.tail = true;
        self.tasks.spawn(async move {
            match target.send(number, data).await {
                Ok(part) => Landed::Tail(part),
                Err(error) => Landed::Failed(error, None),
            }
        });
    }

    /// Sends again what failed.
    pub fn relaunch(&mut self, target: &Target) {
        for slice in std::mem::take(&mut self.failed) {
            self.launch_slice(target, slice);
        }
    }

    /// The next that ends; `None`: none is on the wire.
    pub async fn land(&mut self) -> Result<Option<Arrived>> {
        let joined = self.tasks.join_next().await;
        self.landed(joined)
    }

    /// The next that has ended already.
    pub fn land_now(&mut self) -> Result<Option<Arrived>> {
        let joined = self.tasks.try_join_next();
        self.landed(joined)
    }

    fn landed(
        &mut self,
        joined: Option<std::result::Result<Landed, tokio::task::JoinError>>,
    ) -> Result<Option<Arrived>> {
        match joined {
            None if self.lost => Err(lost()),
            None => Ok(None),
            Some(Ok(Landed::Part(part))) => Ok(Some(Arrived::Part(part))),
            Some(Ok(Landed::Tail(part))) => {
                self.tail = false;
                Ok(Some(Arrived::Tail(part)))
            }
            Some(Ok(Landed::Failed(error, slice))) => {
                // Only a tail comes without its bytes.
                self.tail &= slice.is_some();
                self.failed.extend(slice);
                Err(error)
            }
            Some(Err(_)) => {
                self.lost = true;
                Err(lost())
            }
        }
    }

    /// Ends all of them; whether any was on the wire.
    pub async fn abandon(&mut self) -> bool {
        let any = !self.tasks.is_empty();
        self.failed.clear();
        self.tasks.shutdown().await;
        self.tail = false;
        any
    }
}

/// The bytes of a part are gone.
fn lost() -> Error {
    Error::new(Code::Internal, "an upload of a part ended in a panic")
}
