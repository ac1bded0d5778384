//! The tree below the root, and the directories that are written into: made
//! where missing, their entries durable before anything below is acknowledged.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, Stat};
use rustix::io::{Errno, retry_on_intr};

use super::config::Config;
use super::confine::Resolution;
use super::durable::Swept;
use super::errno::{Fault, Sys, Try};
use super::root::{DIRECTORY, DIRECTORY_MODE, Id, OpenRoot, Root};
use super::temp;
use crate::path;

/// How often a step is taken again when somebody else keeps changing the tree.
pub const ATTEMPTS: usize = 16;

pub struct Tree {
    pub root: Root,
    pub fsync: bool,
    /// How long a temporary must have lain untouched to be nobody's.
    pub stale_after: Duration,
    /// Set once a file system here turned out to have no nameless files.
    pub named_only: AtomicBool,
}

/// A directory opened to be written into.
pub struct Parent {
    pub fd: OwnedFd,
    /// Made just now, so that nothing of an earlier process lies in it.
    pub new: bool,
}

impl Tree {
    pub fn new(config: &Config, confined: Resolution) -> Tree {
        let resolution = if config.follow_symlinks { Resolution::Free } else { confined };
        Tree {
            root: Root::new(config.root.clone(), resolution, config.fsync),
            fsync: config.fsync,
            stale_after: temp::STALE_AFTER,
            named_only: AtomicBool::new(false),
        }
    }

    /// The directory that holds `path`, made with its parents where missing.
    pub fn parent(&self, path: &str) -> Try<Parent> {
        let directory = path::parent(path);
        self.again(|| {
            let root = self.root.made()?;
            match root.open(directory, DIRECTORY) {
                Ok(fd) => {
                    self.settle(&root, directory, &fd)?;
                    Ok(Parent { fd, new: false })
                }
                Err(Errno::NOENT) if !self.root.replaced(&root) => self.make(&root, directory),
                Err(errno) => Err(errno.into()),
            }
        })
    }

    /// The directory that holds `path`, if it exists; its entry is durable then.
    pub fn existing_parent(&self, path: &str) -> Try<Parent> {
        let directory = path::parent(path);
        let fd = self.root.open(directory, DIRECTORY)?;
        let root = self.root.existing()?;
        self.settle(&root, directory, &fd)?;
        Ok(Parent { fd, new: false })
    }

    /// Takes a step that makes something again when it lost a race, be it that
    /// the root was replaced.
    pub fn again<T>(&self, mut step: impl FnMut() -> Try<T>) -> Try<T> {
        self.again_if_lost(|| match step() {
            Err(fault) if fault.is_race() => {
                self.root.look_again();
                Err(Fault::Lost)
            }
            outcome => outcome,
        })
    }

    /// Takes a step again that says it lost a race.
    pub fn again_if_lost<T>(&self, mut step: impl FnMut() -> Try<T>) -> Try<T> {
        let mut left = ATTEMPTS;
        loop {
            left -= 1;
            match step() {
                Err(Fault::Lost) if left > 0 => {}
                outcome => return outcome,
            }
        }
    }

    pub fn sync_file(&self, file: &OwnedFd) -> Sys<()> {
        if self.fsync { retry_on_intr(|| rustix::fs::fsync(file)) } else { Ok(()) }
    }

    /// Makes the entries of a directory durable.
    pub fn sync_directory(&self, directory: &OwnedFd) -> Sys<()> {
        if !self.fsync {
            return Ok(());
        }
        match retry_on_intr(|| rustix::fs::fsync(directory)) {
            // Some file systems have no such call for directories.
            Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            outcome => outcome,
        }
    }

    /// Makes `directory`, below `root`, and what is missing above it.
    fn make(&self, root: &OpenRoot, directory: &str) -> Try<Parent> {
        let mut missing = vec![directory];
        let mut base = path::parent(directory);
        let mut fd = loop {
            match root.open(base, DIRECTORY) {
                Err(Errno::NOENT) if base != "/" => {
                    missing.push(base);
                    base = path::parent(base);
                }
                outcome => break outcome?,
            }
        };
        self.settle(root, base, &fd)?;
        let mut new = false;
        while let Some(directory) = missing.pop() {
            // Whoever had it before: it is gone, and so is what was known of it.
            root.known.forget(directory);
            let moment = root.known.moment();
            let name = path::name(directory);
            new = match rustix::fs::mkdirat(&fd, name, DIRECTORY_MODE) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(errno) => return Err(errno.into()),
            };
            self.sync_directory(&fd)?;
            let flags = DIRECTORY | OFlags::NOFOLLOW;
            fd = rustix::fs::openat(&fd, name, flags, Mode::empty())?;
            let swept = if new { Swept::Yes } else { Swept::No };
            root.known.insert(directory, swept, moment);
        }
        Ok(Parent { fd, new })
    }

    /// Before the first write into `directory`, open as `fd`: makes its entry
    /// and those above it durable, and sweeps it.
    fn settle(&self, root: &OpenRoot, directory: &str, fd: &OwnedFd) -> Try<()> {
        let known = root.known.get(directory);
        if known == Some(Swept::Yes) {
            return Ok(());
        }
        let moment = root.known.moment();
        if known.is_none() && self.fsync {
            self.sync_entries(root, directory, fd)?;
        }
        temp::sweep(fd, self.stale_after);
        root.known.insert(directory, Swept::Yes, moment);
        Ok(())
    }

    fn sync_entries(&self, root: &OpenRoot, directory: &str, fd: &OwnedFd) -> Try<()> {
        let moment = root.known.moment();
        let mut unknown = vec![directory];
        let mut next = directory;
        while next != "/" {
            next = path::parent(next);
            if root.known.get(next).is_some() {
                break;
            }
            unknown.push(next);
        }
        while let Some(directory) = unknown.pop() {
            match directory {
                // And what is above it, which nobody need have synced either.
                "/" => self.sync_real_ancestors(&root.fd, None)?,
                _ => self.sync_ancestor(root.open(path::parent(directory), DIRECTORY))?,
            }
            root.known.insert(directory, Swept::No, moment);
        }
        if !Resolution::is_plain(root.fd.as_fd(), directory)? {
            self.sync_real_ancestors(fd, Some(root.id))?;
        }
        Ok(())
    }

    /// The entries on the real way from `fd` up to the directory `top`, or to the
    /// top of its file system.
    fn sync_real_ancestors(&self, fd: &OwnedFd, top: Option<Id>) -> Try<()> {
        let mut id = Id::of(&rustix::fs::fstat(fd)?);
        let mut above = open_above(fd);
        while let Ok(directory) = above {
            let next = Id::of(&rustix::fs::fstat(&directory)?);
            if Some(id) == top || id == next || !id.same_device(next) {
                break;
            }
            above = open_above(&directory);
            id = next;
            self.sync_ancestor(Ok(directory))?;
        }
        Ok(())
    }

    /// An ancestor that we may not read, or on a file system that is not
    /// written to, is not ours to sync.
    fn sync_ancestor(&self, directory: Sys<OwnedFd>) -> Try<()> {
        let outcome = directory.and_then(|directory| self.sync_directory(&directory));
        match outcome {
            Ok(()) | Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Ok(()),
            Err(errno) => Err(Fault::Sys(errno)),
        }
    }
}

impl Parent {
    /// What `name` in this directory is, a link itself included.
    pub fn look(&self, name: &str) -> Sys<Stat> {
        rustix::fs::statat(&self.fd, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Opens `name` in this directory, following no link. What it opens besides
    /// files does not block.
    pub fn open(&self, name: &str, flags: OFlags) -> Sys<OwnedFd> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mode = super::root::FILE_MODE;
        retry_on_intr(|| rustix::fs::openat(&self.fd, name, flags, mode))
    }

    pub fn rename(&self, from: &str, to: &str) -> Sys<()> {
        rustix::fs::renameat(&self.fd, from, &self.fd, to)
    }

    /// Renames, but over nothing, where the file system can tell.
    pub fn rename_to_new(&self, from: &str, to: &str) -> Sys<()> {
        let flags = rustix::fs::RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(&self.fd, from, &self.fd, to, flags) {
            Err(Errno::INVAL | Errno::NOSYS) => self.rename(from, to),
            outcome => outcome,
        }
    }

    pub fn unlink(&self, name: &str) -> Sys<()> {
        rustix::fs::unlinkat(&self.fd, name, rustix::fs::AtFlags::empty())
    }
}

fn open_above(directory: &OwnedFd) -> Sys<OwnedFd> {
    retry_on_intr(|| rustix::fs::openat(directory, "..", DIRECTORY, Mode::empty()))
}

/// Shared by the driver and the handles that it opened.
pub type Shared = Arc<Tree>;
