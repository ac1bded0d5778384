//! Making it so that parts can follow.
//!
//! Every part but the last has a least size. Where the last part of an upload that
//! goes on is smaller, the parts are completed into an object and that object begins a
//! new upload on the same key: downloaded into the first part while it is small, else
//! copied by the service. Appending to committed content is the second half of it.
//!
//! A crash on the way leaves the object, alone or beside an upload that has no part 1,
//! and the object has every byte that was acknowledged: `resume` goes on at its size.
//! When the first part has arrived, the new upload has all these bytes itself.

use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio::task::JoinSet;

use super::{Head, Part, Result, Upload};
use crate::drivers::s3::doubt::Doubt;
use crate::error::{Code, Error};

/// Copies inside the service at once, and parts that are emptied.
const COPIES: usize = 8;

impl Upload {
    /// Whether nothing can follow the parts as they are.
    fn must_fold(&self) -> bool {
        self.fold || self.next > self.plan.limits().max_parts
    }

    /// After this the rope can be sent as part `next`. Stopped anywhere, it can be
    /// called again.
    pub(super) async fn ground(&mut self) -> Result<()> {
        if self.must_fold() {
            // First: this upload ends here, and one of them would be taken for it.
            self.abort_stale().await?;
            self.land_all().await?;
            let parts: Vec<Part> = self.parts.values().cloned().collect();
            let head = match self.complete(&parts).await {
                Err(error) if self.can_cover(&error, parts.last()) => {
                    self.empty_behind().await?;
                    self.cover = self.behind.last().copied().unwrap_or_default();
                    self.behind.clear();
                    self.fold = false;
                    return Ok(());
                }
                completed => completed?,
            };
            // Nothing waits in between, so that all of this happens or nothing.
            self.base = Some(head);
            self.parts.clear();
            (self.sent, self.next, self.fold, self.tail) = (0, 1, false, None);
            self.behind.clear();
            self.target.id = Arc::new(OnceCell::new());
            self.completing = Doubt::default();
        }
        let Some(base) = self.base.clone() else { return Ok(()) };
        if base.size < self.plan.limits().min_part {
            let bytes = self.target.bucket.read(&self.target.key, &base).await?;
            let bytes = bytes.ok_or_else(changed)?;
            if bytes.len() as u64 != base.size {
                return Err(changed());
            }
            self.rope.prepend(bytes);
        } else {
            let parts = self.copy(&base).await?;
            self.next = parts.last().map_or(1, |part| part.number.saturating_add(1));
            self.sent = base.size;
            self.parts = parts.into_iter().map(|part| (part.number, part)).collect();
        }
        self.base = None;
        Ok(())
    }

    /// Whether this is the answer of radosgw, which completes no upload that has more
    /// parts than are named. Then those behind the gap are written over: whoever sent
    /// their bytes, which nobody acknowledged, sends them again.
    fn can_cover(&self, error: &Error, last: Option<&Part>) -> bool {
        let followed = last.is_some_and(|part| part.size >= self.plan.limits().min_part);
        let refused = error.code() == Code::Conflict && error.http_status() == 400;
        !self.behind.is_empty() && followed && refused
    }

    /// Takes their bytes from the parts behind the gap. Before the first of them is written
    /// over: when the gap is filled, what is behind it would count.
    async fn empty_behind(&self) -> Result<()> {
        let mut requests = JoinSet::new();
        for number in self.behind.iter().copied() {
            while requests.len() >= COPIES
                && let Some(joined) = requests.join_next().await
            {
                joined.map_err(|_| panicked())??;
            }
            let target = self.target.clone();
            requests.spawn(async move { target.send(number, Vec::new()).await.map(drop) });
        }
        while let Some(joined) = requests.join_next().await {
            joined.map_err(|_| panicked())??;
        }
        Ok(())
    }

    /// Copies `base` into the upload, the first part last.
    async fn copy(&self, base: &Head) -> Result<Vec<Part>> {
        self.target.id().await?;
        let limits = self.plan.limits();
        let ranges = limits.ranges(base.size, limits.max_part);
        let mut waiting = (1..).zip(ranges).collect::<Vec<_>>().into_iter();
        let first = waiting.next();
        let mut parts = Vec::new();
        let mut copies = JoinSet::new();
        let copy = |copies: &mut JoinSet<_>, number: u32, range: std::ops::Range<u64>| {
            let (target, base) = (self.target.clone(), base.clone());
            copies.spawn(async move {
                let id = target.id().await?;
                let size = range.end - range.start;
                let part = target.bucket.copy_part(&target.key, id, number, &base, range).await?;
                let mut part = part.ok_or_else(changed)?;
                part.size = size;
                Ok::<Part, Error>(part)
            });
        };
        loop {
            while copies.len() < COPIES
                && let Some((number, range)) = waiting.next()
            {
                copy(&mut copies, number, range);
            }
            let Some(joined) = copies.join_next().await else { break };
            parts.push(joined.map_err(|_| panicked())??);
        }
        if let Some((number, range)) = first {
            copy(&mut copies, number, range);
            if let Some(joined) = copies.join_next().await {
                parts.push(joined.map_err(|_| panicked())??);
            }
        }
        parts.sort_by_key(|part| part.number);
        Ok(parts)
    }
}

fn panicked() -> Error {
    Error::new(Code::Internal, "a request for a part ended in a panic")
}

fn changed() -> Error {
    Error::new(Code::Conflict, "the content was replaced by somebody else")
}
