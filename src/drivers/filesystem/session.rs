//! Opening an upload: which file its bytes go to.
//!
//! On a missing or empty path that is the file at the path itself, as
//! Distribution does it and expects it. Over content it is a file beside it,
//! which the commit renames over it. Whether content is committed cannot be
//! told: over another's unfinished upload one is staged as well.
//!
//! Every open upload holds a lock on its file, so that two never write into one.
//! The staged file of a path has one name, which only the holder of its lock
//! renames or reuses; a second upload at the same time gets a name of its own.

use rustix::fd::OwnedFd;
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::confine::kind;
use super::errno::{Fault, Try};
use super::put::create_temporary;
use super::reader::only_a_file;
use super::root::Id;
use super::temp;
use super::tree::{Parent, Tree};
use crate::error::{Code, Error};
use crate::path;

/// An open upload's file.
pub struct Session {
    pub file: OwnedFd,
    pub id: Id,
    pub place: Place,
    pub start: Start,
}

/// Where the bytes lie until the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At the path itself.
    Final,
    /// Beside it, under the name where an append looks.
    Staged(String),
    /// Beside it, under a name of its own, as another upload is staged.
    Aside(String),
}

/// What the session found, to which a cancel goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Nothing,
    /// An empty file, which may be committed content.
    Empty,
    /// An upload or content of this length.
    Length(u64),
}

impl Session {
    /// Starts over.
    pub fn fresh(tree: &Tree, path: &str) -> Try<Session> {
        let name = path::name(path);
        tree.again(|| {
            let parent = tree.parent(path)?;
            match parent.open(name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL) {
                Ok(file) => {
                    // Somebody else may have seen it first.
                    let Some(id) = lock_empty(&file)? else { return Err(Fault::Lost) };
                    if !parent.new {
                        forget_staged(&parent, name)?;
                    }
                    Ok(Session { file, id, place: Place::Final, start: Start::Nothing })
                }
                Err(Errno::EXIST) => over_existing(tree, &parent, path),
                Err(errno) => Err(errno.into()),
            }
        })
    }

    /// Goes on where an upload or content ended.
    pub fn append(tree: &Tree, path: &str) -> Try<Session> {
        let name = path::name(path);
        tree.again_if_lost(|| {
            let parent = tree.existing_parent(path)?;
            let staged = temp::staged(name);
            match parent.open(&staged, OFlags::WRONLY) {
                Ok(file) => {
                    let session = resume(file, Place::Staged(staged.clone()), path)?;
                    // Committed, and gone from there, before it was locked?
                    still_at(&parent, &staged, session.id)?;
                    return Ok(session);
                }
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno.into()),
            }
            let file = match parent.open(name, OFlags::WRONLY) {
                // A link; one that stays below the root is followed.
                Err(Errno::LOOP) => tree.root.open(path, OFlags::WRONLY | OFlags::NONBLOCK)?,
                outcome => outcome?,
            };
            resume(file, Place::Final, path)
        })
    }
}

fn over_existing(tree: &Tree, parent: &Parent, path: &str) -> Try<Session> {
    let name = path::name(path);
    let mut found = parent.look(name)?;
    if kind(&found) == FileType::Symlink {
        // What it leads to stays; the commit replaces the link.
        match tree.root.open(path, OFlags::PATH) {
            Ok(target) => found = rustix::fs::fstat(&target)?,
            Err(fault) if fault.is(Errno::NOENT) => return stage(parent, name),
            Err(fault) => return Err(fault),
        }
        only_a_file(&found, path)?;
        return stage(parent, name);
    }
    only_a_file(&found, path)?;
    if found.st_size == 0 {
        let file = parent.open(name, OFlags::WRONLY)?;
        if let Some(id) = lock_empty(&file)? {
            still_at(parent, name, id)?;
            forget_staged(parent, name)?;
            return Ok(Session { file, id, place: Place::Final, start: Start::Empty });
        }
    }
    stage(parent, name)
}

fn stage(parent: &Parent, name: &str) -> Try<Session> {
    let staged = temp::staged(name);
    let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let file = match parent.open(&staged, create) {
        Err(Errno::EXIST) => parent.open(&staged, OFlags::WRONLY)?,
        outcome => outcome?,
    };
    if !temp::lock(&file)? {
        let (file, name) = create_temporary(parent)?;
        if !temp::lock(&file)? {
            return Err(Fault::Lost);
        }
        let id = Id::of(&rustix::fs::fstat(&file)?);
        return Ok(Session { file, id, place: Place::Aside(name), start: Start::Nothing });
    }
    let id = Id::of(&rustix::fs::fstat(&file)?);
    still_at(parent, &staged, id)?;
    rustix::fs::ftruncate(&file, 0)?;
    Ok(Session { file, id, place: Place::Staged(staged), start: Start::Nothing })
}

/// What was staged over content that is gone: an append must not find it.
fn forget_staged(parent: &Parent, name: &str) -> Try<()> {
    match parent.unlink(&temp::staged(name)) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn resume(file: OwnedFd, place: Place, path: &str) -> Try<Session> {
    if !temp::lock(&file)? {
        let detail = "another writer is open at this path";
        return Err(Error::new(Code::Conflict, detail).into());
    }
    let stat = rustix::fs::fstat(&file)?;
    only_a_file(&stat, path)?;
    if stat.st_nlink == 0 {
        return Err(Fault::Lost);
    }
    let length = u64::try_from(stat.st_size).unwrap_or(0);
    Ok(Session { file, id: Id::of(&stat), place, start: Start::Length(length) })
}

/// Whether `name` still leads to the file that was opened there and then locked.
pub fn still_at(parent: &Parent, name: &str, id: Id) -> Try<()> {
    match parent.look(name) {
        Ok(stat) if Id::of(&stat) == id => Ok(()),
        Ok(_) | Err(Errno::NOENT) => Err(Fault::Lost),
        Err(errno) => Err(errno.into()),
    }
}

/// Locks a file that is nobody's yet: empty, and not removed meanwhile.
fn lock_empty(file: &OwnedFd) -> Try<Option<Id>> {
    if !temp::lock(file)? {
        return Ok(None);
    }
    let stat = rustix::fs::fstat(file)?;
    Ok((stat.st_size == 0 && stat.st_nlink > 0).then(|| Id::of(&stat)))
}
