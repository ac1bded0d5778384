//! The three ways in which a session ends.

use super::flights::{ended, stopped};
use super::{Head, Part, Result, Upload};
use crate::drivers::s3::client;
use crate::drivers::s3::doubt::is_ambiguous;
use crate::error::{Code, Error};

/// How often an upload is aborted while parts of it still arrive.
const ABORTS: usize = 3;

impl Upload {
    /// Makes everything the content of the key.
    pub(super) async fn finish(&mut self) -> Result<()> {
        self.check_whole()?;
        // First, or a later append could take one of them for the upload that goes on.
        self.abort_stale().await?;
        if !self.rope.is_empty() {
            self.ground().await?;
        }
        let small = self.rope.len() as u64 <= self.plan.limits().max_part;
        if self.base.is_some() && self.rope.is_empty() && !self.flights.any() {
            // The content as it is, beside which an upload may have been begun.
            if let Some(id) = self.target.id.get() {
                self.target.bucket.abort_upload(&self.target.key, id).await?;
            }
        } else if !self.has_upload() && self.base.is_none() && small {
            self.target.bucket.put(&self.target.key, self.rope.pieces()).await?;
        } else {
            let nothing = self.parts.is_empty() && self.rope.is_empty();
            self.flush(nothing || self.is_covering()).await?;
            if self.target.making.any() {
                self.find_older().await?;
                self.abort_stale().await?;
            }
            let parts: Vec<Part> = self.parts.values().chain(&self.tail).cloned().collect();
            self.complete(&parts).await?;
        }
        self.forget();
        Ok(())
    }

    /// Completes the upload from these parts.
    pub(super) async fn complete(&self, parts: &[Part]) -> Result<Head> {
        let size = parts.iter().map(|part| part.size).sum();
        let target = &self.target;
        let id = target.id().await?;
        let doubt = &self.completing;
        match target.bucket.complete_upload(&target.key, id, parts, doubt).await {
            Ok(Some(done)) => Ok(Head { size, etag: done.etag, ..Head::default() }),
            Ok(None) if !doubt.any() => Err(ended()),
            Ok(None) => self.completed_before(parts).await,
            // It may have happened. Whether it has is asked, since what is complete
            // must be called so.
            Err(error) if is_ambiguous(&error) => {
                match target.bucket.list_parts(&target.key, id).await {
                    Ok(None) => self.completed_before(parts).await,
                    _ => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// The object that completing these parts has made, if it is there.
    async fn completed_before(&self, parts: &[Part]) -> Result<Head> {
        let head = self.target.bucket.head(&self.target.key).await?;
        head.filter(|head| head.is_made_of(parts)).ok_or_else(ended)
    }

    /// Keeps everything in the upload, where any process finds it.
    pub(super) async fn suspend(&mut self) -> Result<()> {
        if self.discarded {
            return self.discard().await;
        }
        // What a process that died has left is put right even if nothing was written, since
        // Distribution would count it wrong.
        if !self.behind.is_empty() || self.base.is_some() && self.target.id.initialized() {
            self.ground().await?;
        }
        // What is there before this upload is begun is older, though the server's clock may
        // say the same second.
        let first = self.fresh && !self.has_upload();
        if first {
            let uploads = self.target.bucket.list_uploads(&self.target.key).await?;
            self.stale.extend(uploads.into_iter().map(|upload| upload.id));
        }
        if !self.rope.is_empty() || self.flights.any() {
            self.flush(self.is_covering()).await?;
        } else if !self.has_upload() && self.base.is_none() {
            self.begin().await?;
        }
        if self.fresh && !first || self.target.making.any() {
            self.find_older().await?;
        }
        self.abort_stale().await?;
        self.forget();
        Ok(())
    }

    /// Has those uploads aborted that were begun before this one. Asked for when this one
    /// is there, so that of two writers that start over at once one is left, the later one.
    async fn find_older(&mut self) -> Result<()> {
        let target = &self.target;
        let Some(own) = target.id.get() else { return Ok(()) };
        let uploads = target.bucket.list_uploads(&target.key).await?;
        let age = |upload: &client::Upload| (upload.initiated_ns, upload.id.clone());
        let own = uploads.iter().find(|upload| upload.id == *own).map(age).ok_or_else(ended)?;
        for upload in uploads {
            // What an unanswered request made need not be older by the server's clock.
            let lost = target.making.any() && upload.initiated_ns == own.0 && upload.id != own.1;
            let lost = lost && {
                let parts = target.bucket.list_parts(&target.key, &upload.id).await?;
                parts.is_some_and(|parts| parts.is_empty())
            };
            if lost || age(&upload) < own {
                self.stale.push(upload.id);
            } else if upload.initiated_ns == own.0 && upload.id != own.1 {
                // An append might take either for the later one.
                let text = "another upload to the path was begun at the same time";
                return Err(Error::new(Code::Conflict, text));
            }
        }
        Ok(())
    }

    /// An upload without a byte. Beside content it has an empty part, by which it can
    /// be told from one that is to begin with that content.
    async fn begin(&mut self) -> Result<()> {
        let there = (!self.nothing_there).then(|| {
            let target = self.target.clone();
            tokio::spawn(async move { target.bucket.head(&target.key).await })
        });
        self.target.id().await?;
        if let Some(there) = there {
            let there = there.await.map_err(|_| stopped())??;
            if there.is_some_and(|head| head.size > 0) {
                return self.flush(true).await;
            }
        }
        Ok(())
    }

    pub(super) async fn abort_stale(&mut self) -> Result<()> {
        while let Some(id) = self.stale.last() {
            self.target.bucket.abort_upload(&self.target.key, id).await?;
            self.stale.pop();
        }
        Ok(())
    }

    /// Ends every upload on the key. Committed content stays as it is.
    pub(super) async fn discard(&mut self) -> Result<()> {
        let again = std::mem::replace(&mut self.discarded, true);
        let flying = self.flights.abandon().await || again;
        self.forget();
        let target = &self.target;
        let own = target.close().await;
        for upload in target.bucket.list_uploads(&target.key).await? {
            target.bucket.abort_upload(&target.key, &upload.id).await?;
        }
        // A part that was on the wire may have arrived behind the abort, and stay.
        if let Some(id) = own.filter(|_| flying) {
            for _ in 0..ABORTS {
                if target.bucket.list_parts(&target.key, id).await?.is_none() {
                    break;
                }
                target.bucket.abort_upload(&target.key, id).await?;
            }
        }
        Ok(())
    }
}
