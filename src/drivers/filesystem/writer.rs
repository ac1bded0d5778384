//! An upload: what was accepted, what is written, and what is durable.
//!
//! Small writes are gathered, large ones go to the file together with what was
//! gathered before them. `close` and `commit` sync the file and then the
//! directory that holds it.

use std::io::IoSlice;

use rustix::fd::OwnedFd;
use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Pid, getpid};

use super::confine::kind;
use super::errno::{Fault, Sys, Try};
use super::root::Id;
use super::session::{self, Place, Session, Start};
use super::temp;
use super::tree::{Parent, Shared, Tree};
use crate::context::Context;
use crate::driver::Writer;
use crate::error::{Code, Error, Result};
use crate::path;

const GATHERED: usize = 64 * 1024;

pub struct FileWriter {
    tree: Shared,
    path: String,
    /// `None` once committed, cancelled or closed.
    session: Option<Session>,
    /// Bytes in the file, all of them accepted.
    written: u64,
    /// Accepted bytes that are not in the file yet.
    gathered: Vec<u8>,
    /// How many of them were acknowledged earlier or synced since.
    durable: u64,
    /// A sync failed: the kernel may have dropped bytes and says so only once.
    lost: bool,
    /// A commit that was not acknowledged took the place of older content, which
    /// no cancel can bring back.
    replaced: bool,
    /// Whose lock it is: a forked child must not give it back.
    owner: Pid,
}

impl FileWriter {
    pub fn open(tree: &Shared, path: &str, append: bool) -> Result<FileWriter> {
        let session = if append {
            Session::append(tree, path).map_err(|fault| fault.looking(path))?
        } else {
            Session::fresh(tree, path).map_err(|fault| fault.making(path))?
        };
        let written = if let Start::Length(length) = session.start { length } else { 0 };
        Ok(FileWriter {
            tree: tree.clone(),
            path: path.to_string(),
            session: Some(session),
            written,
            durable: written,
            gathered: Vec::new(),
            lost: false,
            replaced: false,
            owner: getpid(),
        })
    }

    fn session(&self) -> Try<&Session> {
        let ended = || Error::invalid_state("the writer has ended");
        self.session.as_ref().ok_or_else(|| ended().into())
    }

    /// Writes what was gathered and then `data`. After a failure `gathered`
    /// holds what of it did not reach the file, and some of `data` may have.
    fn flush(&mut self, data: &[u8]) -> Try<()> {
        let Some(session) = &self.session else { return self.session().map(|_| ()) };
        let total = self.gathered.len() + data.len();
        let (mut done, mut outcome) = (0, Ok(()));
        while done < total {
            let offset = self.written + u64::try_from(done).unwrap_or(0);
            match write_two(&session.file, &self.gathered, data, done, offset) {
                Ok(0) => outcome = Err(Errno::IO),
                Ok(n) => done += n,
                Err(errno) => outcome = Err(errno),
            }
            if outcome.is_err() {
                break;
            }
        }
        let drained = if outcome.is_ok() { total } else { done.min(self.gathered.len()) };
        self.written += u64::try_from(drained).unwrap_or(0);
        self.gathered.drain(..drained.min(self.gathered.len()));
        Ok(outcome?)
    }

    /// After a failed write: forgets what did not reach the file, and takes off
    /// what reached it without having been accepted.
    fn count_what_is_there(&mut self) {
        self.gathered = Vec::new();
        let Some(session) = &self.session else { return };
        if rustix::fs::ftruncate(&session.file, self.written).is_err()
            && let Ok(stat) = rustix::fs::fstat(&session.file)
        {
            self.written = u64::try_from(stat.st_size).unwrap_or(0);
        }
    }

    /// Flushes and syncs the file.
    fn settle(&mut self) -> Try<()> {
        self.flush(&[])?;
        if self.lost {
            let detail = "an earlier sync failed and may have lost bytes; start the upload over";
            return Err(Error::new(Code::Driver, detail).into());
        }
        let file = &self.session()?.file;
        let synced = self.tree.sync_file(file);
        // An append must not build on what may be gone.
        let cut = synced.is_err() && rustix::fs::ftruncate(file, self.durable).is_ok();
        self.lost = synced.is_err();
        match (&synced, cut) {
            (Ok(()), _) => self.durable = self.written,
            (Err(_), true) => self.written = self.durable,
            (Err(_), false) => {}
        }
        Ok(synced?)
    }

    fn try_commit(&mut self) -> Try<()> {
        self.settle()?;
        let parent = self.tree.existing_parent(&self.path)?;
        let session = self.session.as_mut().ok_or(Errno::BADF)?;
        match &session.place {
            Place::Final => check_final(&self.tree, &parent, session.id, self.written, &self.path)?,
            Place::Staged(staged) | Place::Aside(staged) => {
                check(&parent, staged, session.id, self.written)?;
                parent.rename(staged, path::name(&self.path))?;
                // Should the sync fail, the next attempt finds it there.
                session.place = Place::Final;
                self.replaced = true;
            }
        }
        Ok(self.tree.sync_directory(&parent.fd)?)
    }

    fn try_close(&mut self) -> Try<()> {
        self.settle()?;
        let parent = self.tree.existing_parent(&self.path)?;
        let session = self.session.as_mut().ok_or(Errno::BADF)?;
        match &session.place {
            Place::Final => check_final(&self.tree, &parent, session.id, self.written, &self.path)?,
            Place::Staged(staged) => check(&parent, staged, session.id, self.written)?,
            Place::Aside(aside) => {
                check(&parent, aside, session.id, self.written)?;
                let staged = take_staged(&parent, aside, path::name(&self.path))?;
                session.place = Place::Staged(staged);
            }
        }
        Ok(self.tree.sync_directory(&parent.fd)?)
    }

    fn try_cancel(&mut self) -> Try<()> {
        let session = self.session.as_ref().ok_or(Errno::BADF)?;
        if self.replaced {
            let detail = "a commit that failed had replaced the content; commit again or close";
            return Err(Error::new(Code::Conflict, detail).into());
        }
        match (session.start, &session.place) {
            (Start::Length(_) | Start::Empty, _) => {
                unchanged(&rustix::fs::fstat(&session.file)?, session.id, self.written)?;
                let found = if let Start::Length(length) = session.start { length } else { 0 };
                rustix::fs::ftruncate(&session.file, found)?;
                self.written = found;
                self.tree.sync_file(&session.file)?;
            }
            (Start::Nothing, place) => {
                let name = match place {
                    Place::Final => path::name(&self.path),
                    Place::Staged(name) | Place::Aside(name) => name,
                };
                match self.tree.existing_parent(&self.path).and_then(|parent| {
                    if Id::of(&parent.look(name)?) == session.id {
                        parent.unlink(name)?;
                    }
                    Ok(())
                }) {
                    // Somebody else took it away.
                    Err(fault) if fault.is(Errno::NOENT) || fault.is(Errno::NOTDIR) => {}
                    outcome => outcome?,
                }
            }
        }
        self.written = if let Start::Length(length) = session.start { length } else { 0 };
        self.gathered = Vec::new();
        Ok(())
    }

    /// Lets go of the file, so that another upload can have it.
    fn end(&mut self) {
        if let Some(session) = self.session.take()
            && self.owner == getpid()
        {
            temp::unlock(&session.file);
        }
    }

    fn explain(&self, fault: Fault) -> Error {
        match fault {
            // The path led to our file when it was opened.
            Fault::Sys(Errno::NOENT | Errno::NOTDIR) => replaced().with_path(&self.path),
            fault => fault.making(&self.path),
        }
    }
}

impl Writer for FileWriter {
    fn write(&mut self, data: &[u8]) -> Result<()> {
        if self.gathered.len() + data.len() < GATHERED {
            if self.gathered.capacity() == 0 {
                self.gathered.reserve_exact(GATHERED);
            }
            self.gathered.extend_from_slice(data);
            return Ok(());
        }
        self.flush(data).map_err(|fault| {
            self.count_what_is_there();
            self.explain(fault)
        })
    }

    fn size(&self) -> u64 {
        self.written + u64::try_from(self.gathered.len()).unwrap_or(0)
    }

    fn commit(&mut self, _ctx: &Context) -> Result<()> {
        self.try_commit().map_err(|fault| self.explain(fault))?;
        self.end();
        Ok(())
    }

    fn cancel(&mut self, _ctx: &Context) -> Result<()> {
        self.try_cancel().map_err(|fault| self.explain(fault))?;
        self.end();
        Ok(())
    }

    fn close(&mut self, _ctx: &Context) -> Result<()> {
        self.try_close().map_err(|fault| self.explain(fault))?;
        self.end();
        Ok(())
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        self.end();
    }
}

/// One call for what remains of `first` and then `second` after `done` bytes.
fn write_two(file: &OwnedFd, first: &[u8], second: &[u8], done: usize, offset: u64) -> Sys<usize> {
    let rest = first.get(done..).unwrap_or_default();
    let second = second.get(done.saturating_sub(first.len())..).unwrap_or_default();
    match (rest.is_empty(), second.is_empty()) {
        (true, _) => retry_on_intr(|| rustix::io::pwrite(file, second, offset)),
        (false, true) => retry_on_intr(|| rustix::io::pwrite(file, rest, offset)),
        (false, false) => {
            let pieces = [IoSlice::new(rest), IoSlice::new(second)];
            retry_on_intr(|| rustix::io::pwritev(file, &pieces, offset))
        }
    }
}

fn check(parent: &Parent, name: &str, id: Id, length: u64) -> Try<()> {
    unchanged(&parent.look(name)?, id, length)
}

/// The file at the path must be ours; an append may have come to it by a link.
fn check_final(tree: &Tree, parent: &Parent, id: Id, length: u64, path: &str) -> Try<()> {
    let found = parent.look(path::name(path))?;
    if kind(&found) != FileType::Symlink {
        return unchanged(&found, id, length);
    }
    let target = tree.root.open(path, OFlags::PATH)?;
    unchanged(&rustix::fs::fstat(&target)?, id, length)
}

/// Not all programs heed the lock: the file must have the length that we gave it.
fn unchanged(found: &Stat, id: Id, length: u64) -> Try<()> {
    if Id::of(found) != id {
        return Err(replaced().into());
    }
    if u64::try_from(found.st_size) != Ok(length) {
        let detail = "somebody else changed the length of the file being written";
        return Err(Error::new(Code::Conflict, detail).into());
    }
    Ok(())
}

/// Gives an upload that was staged aside the name where an append looks, unless
/// another open upload has it.
fn take_staged(parent: &Parent, aside: &str, name: &str) -> Try<String> {
    let staged = temp::staged(name);
    let busy = || {
        let detail = "another upload to this path is open; only one can wait beside its content";
        Fault::from(Error::new(Code::Conflict, detail))
    };
    match parent.open(&staged, OFlags::WRONLY) {
        Ok(held) if temp::lock(&held)? => {
            session::still_at(parent, &staged, Id::of(&rustix::fs::fstat(&held)?))?;
            parent.rename(aside, &staged)?;
        }
        Ok(_) => return Err(busy()),
        Err(Errno::NOENT) => match parent.rename_to_new(aside, &staged) {
            Err(Errno::EXIST) => return Err(busy()),
            outcome => outcome?,
        },
        Err(errno) => return Err(errno.into()),
    }
    Ok(staged)
}

fn replaced() -> Error {
    Error::new(Code::Conflict, "somebody else removed or replaced the file being written")
}
