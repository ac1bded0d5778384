//! The root directory: opened at first use, made at the first write, and opened
//! anew when somebody put another one in its place.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use super::confine::Resolution;
use super::durable::Known;
use super::errno::{self, Fault, Sys, Try};
use crate::error::Error;

/// A directory that can be listed and synced; a path-only descriptor cannot.
pub const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// New files, before the umask.
pub const FILE_MODE: Mode = Mode::from_raw_mode(0o666);
/// New directories, before the umask.
pub const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o777);

pub struct Root {
    path: PathBuf,
    resolution: Resolution,
    fsync: bool,
    current: RwLock<Option<Arc<OpenRoot>>>,
}

/// The root as it was opened, and what is known of the directories below it.
pub struct OpenRoot {
    pub fd: OwnedFd,
    pub id: Id,
    pub known: Known,
    resolution: Resolution,
}

/// Which node on which device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id {
    device: u64,
    inode: u64,
}

impl Id {
    pub fn of(stat: &rustix::fs::Stat) -> Id {
        Id { device: stat.st_dev, inode: stat.st_ino }
    }

    pub fn same_device(self, other: Id) -> bool {
        self.device == other.device
    }
}

impl OpenRoot {
    /// Opens what is at `path` below this root; creates nothing.
    pub fn open(&self, path: &str, flags: OFlags) -> Sys<OwnedFd> {
        self.resolution.open(self.fd.as_fd(), path, flags)
    }
}

impl Root {
    pub fn new(path: PathBuf, resolution: Resolution, fsync: bool) -> Root {
        Root { path, resolution, fsync, current: RwLock::new(None) }
    }

    /// Opens what is at `path`. A root that was replaced is noticed when
    /// something is missing, at the price of one call.
    pub fn open(&self, path: &str, flags: OFlags) -> Try<OwnedFd> {
        let root = self.existing()?;
        match root.open(path, flags) {
            Err(Errno::NOENT | Errno::STALE) if self.replaced(&root) => {
                Ok(self.existing()?.open(path, flags)?)
            }
            // A file server forgot the file; the second look is at the new one.
            Err(Errno::STALE) => Ok(root.open(path, flags)?),
            outcome => Ok(outcome?),
        }
    }

    /// The root, if it exists: `NOENT` if not.
    pub fn existing(&self) -> Try<Arc<OpenRoot>> {
        if let Some(root) = &*self.current.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(root.clone());
        }
        let fd = match open_directory(&self.path) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Err(Errno::NOENT.into()),
            Err(errno) => return Err(self.explain(errno)),
        };
        let id = Id::of(&rustix::fs::fstat(&fd)?);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(root) = current.as_ref().filter(|root| root.id == id) {
            return Ok(root.clone());
        }
        let resolution = self.resolution;
        let root = Arc::new(OpenRoot { fd, id, known: Known::default(), resolution });
        *current = Some(root.clone());
        Ok(root)
    }

    /// The root, made with its parents where it is missing.
    pub fn made(&self) -> Try<Arc<OpenRoot>> {
        match self.existing() {
            Err(fault) if fault.is(Errno::NOENT) => {
                self.make().map_err(|errno| self.explain(errno))?;
                self.existing()
            }
            outcome => outcome,
        }
    }

    /// Whether the root's path now leads elsewhere, or nowhere; if so it is
    /// opened anew at the next use.
    pub fn replaced(&self, root: &OpenRoot) -> bool {
        let now = rustix::fs::stat(&self.path).map(|stat| Id::of(&stat));
        if now == Ok(root.id) {
            return false;
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| current.id == root.id) {
            *current = None;
        }
        true
    }

    /// Opens the root anew at its next use, if it was replaced.
    pub fn look_again(&self) {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(root) = current {
            self.replaced(&root);
        }
    }

    fn make(&self) -> Sys<()> {
        let mut missing: Vec<&Path> = Vec::new();
        for path in self.path.ancestors() {
            match rustix::fs::stat(path) {
                Err(Errno::NOENT) => missing.push(path),
                Err(errno) => return Err(errno),
                Ok(_) => break,
            }
        }
        while let Some(path) = missing.pop() {
            match rustix::fs::mkdir(path, DIRECTORY_MODE) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
            if let (true, Some(parent)) = (self.fsync, path.parent()) {
                rustix::fs::fsync(&open_directory(parent)?)?;
            }
        }
        Ok(())
    }

    fn explain(&self, errno: Errno) -> Fault {
        let error = errno::error(errno, "");
        let detail = format!("root directory {}: {}", self.path.display(), errno::text(errno));
        Error::new(error.code(), detail).with_retryable(error.is_retryable()).into()
    }
}

fn open_directory(path: &Path) -> Sys<OwnedFd> {
    retry_on_intr(|| rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty()))
}
