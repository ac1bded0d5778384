//! Uploads. Nothing is sent before the first part is full: what is smaller is one put.
//! Full parts go out in parallel while the caller writes on; what they hold counts
//! against the budget of the process (`http::budget`).
//!
//! The bytes of an upload, in order: `base`, content that is not in the upload yet;
//! the parts sent or on the wire; the rope, of which part `next` will be made. The
//! last part is sent while its bytes stay in the rope, until the call that sent it has
//! succeeded, so that after a failure everything can go on.

mod commit;
mod flights;
mod ground;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use self::flights::{Arrived, Flights, Target};
use super::bucket::Bucket;
use super::client::{Head, LIMITS, Part};
use super::doubt::Doubt;
use super::resume::{self, Found};
use super::store::Store;
use crate::context::Context;
use crate::driver::Writer;
use crate::error::{Code, Error, Result};
use crate::http::budget::Budget;
use crate::http::parts::Plan;
use crate::http::rope::Rope;
use crate::remote::{self, Parts};

/// How a writer cuts and sends.
pub struct Settings {
    pub plan: Plan,
    /// Parts on the wire at once.
    pub parallel: usize,
    pub budget: Arc<Budget>,
}

/// Opens an upload: one that starts over makes no request.
pub async fn open(
    store: &Store,
    ctx: &Context,
    path: &str,
    append: bool,
) -> Result<Box<dyn Writer>> {
    let client = store.client.clone();
    let parameters = client.parameters();
    let settings = Settings {
        plan: Plan::new(LIMITS, parameters.chunk_size),
        parallel: parameters.upload_concurrency,
        budget: Budget::shared(),
    };
    let key = store.keys.file(path);
    let upload = if append {
        let found = resume::find(&client, &key, LIMITS.min_part).await?;
        let found = found.ok_or_else(|| Error::path_not_found(path))?;
        Upload::resumed(Arc::new(client), &key, settings, found)
    } else {
        Upload::fresh(Arc::new(client), &key, settings)
    };
    Ok(remote::writer(ctx, Box::new(upload)))
}

pub struct Upload {
    target: Target,
    plan: Plan,
    rope: Rope,
    flights: Flights,
    /// What has arrived, by number.
    parts: BTreeMap<u32, Part>,
    /// The last part as it has arrived, its bytes still in the rope.
    tail: Option<Part>,
    /// The number that the rope will have.
    next: u32,
    /// The bytes of all parts before it.
    sent: u64,
    /// As in [`Found`].
    fold: bool,
    behind: Vec<u32>,
    /// The parts up to this number have to be written over: they are of a process that
    /// died and are empty now, but this service completes no upload that has more parts
    /// than are named.
    cover: u32,
    /// Of the upload as it is.
    completing: Doubt,
    base: Option<Head>,
    stale: Vec<String>,
    /// It started over, so that older uploads may lie on the key.
    fresh: bool,
    /// What lies at the key is known to be empty or nothing.
    nothing_there: bool,
    /// Bytes of a session that is over.
    kept: u64,
    /// It is being cancelled: some of its parts are gone.
    discarded: bool,
}

impl Upload {
    /// An upload that starts over.
    pub fn fresh(bucket: Arc<dyn Bucket>, key: &str, settings: Settings) -> Upload {
        Upload { fresh: true, ..Upload::new(bucket, key, settings, Found::default()) }
    }

    /// An upload that goes on.
    pub fn resumed(bucket: Arc<dyn Bucket>, key: &str, settings: Settings, found: Found) -> Upload {
        Upload::new(bucket, key, settings, found)
    }

    fn new(bucket: Arc<dyn Bucket>, key: &str, settings: Settings, found: Found) -> Upload {
        let next = found.parts.last().map_or(1, |part| part.number.saturating_add(1));
        Upload {
            target: Target::new(bucket, key, found.id),
            plan: settings.plan,
            rope: Rope::new(settings.budget.account()),
            flights: Flights::new(settings.parallel),
            tail: None,
            next,
            sent: found.parts.iter().map(|part| part.size).sum(),
            parts: found.parts.into_iter().map(|part| (part.number, part)).collect(),
            fold: found.fold,
            behind: found.behind,
            cover: 0,
            completing: Doubt::default(),
            base: found.base,
            stale: found.stale,
            fresh: false,
            nothing_there: found.empty_object,
            kept: 0,
            discarded: false,
        }
    }

    fn has_upload(&self) -> bool {
        self.target.id.initialized() || self.flights.any()
    }

    /// How many bytes the rope is to have before it is sent.
    fn full(&self) -> usize {
        let size = match self.is_covering() {
            true => Some(self.plan.limits().min_part),
            false => self.plan.size(self.next, self.sent).or_else(|| self.plan.size(1, 0)),
        };
        let left = self.plan.limits().max_object.saturating_sub(self.size());
        let size = size.unwrap_or(0).min(left.saturating_add(self.rope.len() as u64));
        usize::try_from(size).unwrap_or(usize::MAX)
    }

    /// With how many it may be sent when the budget is used up.
    fn early(&self) -> usize {
        let size = self.plan.early(self.next, self.sent).or_else(|| self.plan.early(1, 0));
        usize::try_from(size.unwrap_or(0)).unwrap_or(usize::MAX).min(self.full())
    }

    fn arrived(&mut self, arrived: Arrived) {
        match arrived {
            Arrived::Part(part) => drop(self.parts.insert(part.number, part)),
            // It can be followed by others, so it is one like them.
            Arrived::Tail(part) if part.size >= self.plan.limits().min_part.max(1) => {
                self.rope.drop_front(usize::try_from(part.size).unwrap_or(usize::MAX));
                self.sent += part.size;
                self.next = part.number.saturating_add(1);
                self.parts.insert(part.number, part);
            }
            Arrived::Tail(part) => self.tail = Some(part),
        }
    }

    /// Waits for one part. False: none is on the wire.
    async fn land_one(&mut self) -> Result<bool> {
        let arrived = self.flights.land().await?;
        let any = arrived.is_some();
        if let Some(arrived) = arrived {
            self.arrived(arrived);
        }
        Ok(any)
    }

    /// Waits until everything sent has arrived; what failed before is sent again. The
    /// first failure comes when the others have ended.
    async fn land_all(&mut self) -> Result<()> {
        self.flights.relaunch(&self.target);
        let mut outcome = Ok(());
        loop {
            match self.land_one().await {
                Ok(true) => {}
                Ok(false) => return outcome,
                Err(error) => {
                    outcome = outcome.and(Err(error));
                    if !self.flights.waits() {
                        return outcome;
                    }
                }
            }
        }
    }

    /// Sends the rope as a part that others may follow.
    async fn send(&mut self) -> Result<()> {
        if self.flights.has_tail() {
            // Under the number that this part will have; what the rope has then is another
            // matter.
            return self.land_all().await;
        }
        self.ground().await?;
        self.tail = None;
        let len = self.rope.len() as u64;
        let (data, hold) = self.rope.take();
        self.flights.launch(&self.target, self.next, data, hold);
        self.sent += len;
        self.next = self.next.saturating_add(1);
        Ok(())
    }

    /// Sends the rope as the last part and waits until all parts have arrived.
    /// `empty`: an upload without a byte needs a part as well.
    async fn flush(&mut self, empty: bool) -> Result<()> {
        if self.flights.has_tail() {
            self.land_all().await?;
        }
        let arrived = |tail: &Part| tail.size == self.rope.len() as u64;
        if (empty || !self.rope.is_empty()) && !self.tail.as_ref().is_some_and(arrived) {
            self.ground().await?;
            while self.next < self.cover {
                if (self.rope.len() as u64) < self.plan.limits().min_part {
                    return Err(uncovered());
                }
                self.send().await?;
            }
            while self.flights.full() {
                self.flights.relaunch(&self.target);
                self.land_one().await?;
            }
            self.tail = None;
            let data = self.rope.pieces();
            self.flights.launch_tail(&self.target, self.next, data);
        }
        self.land_all().await
    }

    /// Whether parts of a process that died are still to be written over.
    fn is_covering(&self) -> bool {
        self.next <= self.cover
    }

    fn check_whole(&self) -> Result<()> {
        match self.discarded {
            false => Ok(()),
            true => {
                Err(Error::invalid_state("an earlier cancel failed; cancel or close the writer"))
            }
        }
    }

    fn forget(&mut self) {
        self.kept = self.size();
        (self.sent, self.base) = (0, None);
        self.parts.clear();
        self.rope.clear();
    }
}

fn uncovered() -> Error {
    Error::new(Code::Conflict, "parts that a process left when it died lie behind what was written")
}

#[async_trait]
impl Parts for Upload {
    fn fill(&mut self, data: &[u8]) -> usize {
        if self.discarded {
            return 0;
        }
        let mut taken = 0;
        while let Some(rest) = data.get(taken..).filter(|rest| !rest.is_empty()) {
            if !self.rope.make_room(self.full()) {
                break;
            }
            taken += self.rope.fill(rest);
        }
        taken
    }

    async fn drain(&mut self) -> Result<()> {
        self.check_whole()?;
        loop {
            while let Some(arrived) = self.flights.land_now()? {
                self.arrived(arrived);
            }
            if self.rope.make_room(self.full()) {
                return Ok(());
            }
            if self.size() >= self.plan.limits().max_object {
                let most = self.plan.limits().max_object;
                return Err(Error::unsupported(format!("an object has {most} bytes at most")));
            }
            if self.rope.len() >= self.early() && !self.flights.full() {
                self.send().await?;
                continue;
            }
            self.flights.relaunch(&self.target);
            if !self.land_one().await? {
                return Err(Error::new(Code::Internal, "a writer has neither room nor parts"));
            }
        }
    }

    fn size(&self) -> u64 {
        let base = self.base.as_ref().map_or(0, |base| base.size);
        self.kept + base + self.sent + self.rope.len() as u64
    }

    async fn commit(&mut self, _ctx: &Context) -> Result<()> {
        self.finish().await
    }

    async fn cancel(&mut self, _ctx: &Context) -> Result<()> {
        self.discard().await
    }

    async fn close(&mut self, _ctx: &Context) -> Result<()> {
        self.suspend().await
    }
}

#[cfg(test)]
mod tests;
