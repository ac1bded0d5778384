//! Removing a file or a tree. Links are removed, never followed; the stack of
//! directories is a vector, and only the innermost stay open, so that neither
//! depth nor width is limited by the program's stack or its descriptors.

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use super::errno::{Fault, Sys, Try};
use super::list::read_directory_bytes;
use super::root::{DIRECTORY, Id};
use super::temp;
use super::tree::{ATTEMPTS, Tree};
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::path;

/// Directories kept open above the one that is being emptied.
const OPEN_LEVELS: usize = 32;

const NOFOLLOW_DIRECTORY: OFlags = DIRECTORY.union(OFlags::NOFOLLOW);

pub fn delete(tree: &Tree, ctx: &Context, path: &str) -> Result<()> {
    try_delete(tree, ctx, path).map_err(|fault| match fault {
        Fault::Sys(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => {
            Error::path_not_found(path)
        }
        fault => fault.making(path),
    })
}

fn try_delete(tree: &Tree, ctx: &Context, path: &str) -> Try<()> {
    let (directory, name) = (path::parent(path), path::name(path));
    let parent = tree.root.open(directory, DIRECTORY)?;
    let removed = match unlink(&parent, name) {
        // PERM is what POSIX has for directories.
        Err(errno @ (Errno::ISDIR | Errno::PERM)) => {
            if errno == Errno::PERM && !is_directory(&parent, name)? {
                return Err(errno.into());
            }
            let root = tree.root.existing()?;
            let removing = root.known.removing(path);
            let outcome = remove_tree(&parent, name, ctx);
            drop(removing);
            outcome
        }
        outcome => outcome.map_err(Fault::from),
    };
    // An upload staged over this content belongs to the path.
    match unlink(&parent, &temp::staged(name)) {
        Ok(()) | Err(Errno::NOENT | Errno::NAMETOOLONG) => {}
        Err(errno) => return removed.and(Err(errno.into())),
    }
    removed?;
    Ok(tree.sync_directory(&parent)?)
}

fn unlink(directory: &OwnedFd, name: &str) -> Sys<()> {
    rustix::fs::unlinkat(directory, name, AtFlags::empty())
}

fn is_directory(directory: &OwnedFd, name: &str) -> Sys<bool> {
    let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// A directory being emptied.
struct Level {
    /// Its name in the level above.
    name: Vec<u8>,
    /// Closed while far above the innermost.
    fd: Option<OwnedFd>,
    /// Known once it was closed.
    id: Option<Id>,
    /// Directories in it that are left.
    inside: Vec<Vec<u8>>,
    /// How often it was read: others may be adding to it.
    readings: usize,
}

fn remove_tree(parent: &OwnedFd, name: &str, ctx: &Context) -> Try<()> {
    let mut levels: Vec<Level> = Vec::new();
    levels.extend(enter(parent, name.as_bytes())?);
    while let Some(mut level) = levels.pop() {
        let fd = match level.fd.take() {
            Some(fd) => fd,
            None => return Err(moved_away().into()),
        };
        if let Some(next) = level.inside.pop() {
            ctx.status()?;
            let entered = enter(&fd, &next)?;
            level.fd = Some(fd);
            levels.push(level);
            levels.extend(entered);
            let far = levels.len().checked_sub(OPEN_LEVELS).and_then(|far| levels.get_mut(far));
            if let Some(far) = far
                && let Some(fd) = far.fd.take()
            {
                far.id = Some(Id::of(&rustix::fs::fstat(&fd)?));
            }
            continue;
        }
        if let Some(above) = levels.last_mut().filter(|above| above.fd.is_none()) {
            above.fd = Some(go_up(&fd, above.id)?);
        }
        drop(fd);
        let holder = levels.last().and_then(|above| above.fd.as_ref()).unwrap_or(parent);
        let name = level.name.as_slice();
        match rustix::fs::unlinkat(holder, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            // Somebody else is adding to it.
            Err(Errno::NOTEMPTY | Errno::EXIST) if level.readings < ATTEMPTS => {
                let readings = level.readings + 1;
                let again = enter(holder, name)?;
                levels.extend(again.map(|again| Level { readings, ..again }));
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Opens the directory `name`, removes what in it is no directory and notes
/// what is. `None` if it is gone.
fn enter(holder: &OwnedFd, name: &[u8]) -> Try<Option<Level>> {
    let open = || rustix::fs::openat(holder, name, NOFOLLOW_DIRECTORY, Mode::empty());
    let fd = match retry_on_intr(open) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(None),
        // Somebody else put something into its place.
        Err(Errno::NOTDIR | Errno::LOOP) => {
            return match rustix::fs::unlinkat(holder, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => Ok(None),
                Err(errno) => Err(errno.into()),
            };
        }
        Err(errno) => return Err(errno.into()),
    };
    let mut inside = Vec::new();
    empty(&fd, &mut inside)?;
    Ok(Some(Level { name: name.to_vec(), fd: Some(fd), id: None, inside, readings: 1 }))
}

fn empty(fd: &OwnedFd, inside: &mut Vec<Vec<u8>>) -> Try<()> {
    let mut outcome = Ok(());
    read_directory_bytes(fd, |name, kind| {
        if outcome.is_err() {
            return;
        }
        if kind == FileType::Directory {
            inside.push(name.to_vec());
            return;
        }
        match rustix::fs::unlinkat(fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR) => inside.push(name.to_vec()),
            Err(errno) => outcome = Err(errno),
        }
    })?;
    Ok(outcome?)
}

/// The directory above, which must be the one we came from.
fn go_up(fd: &OwnedFd, id: Option<Id>) -> Try<OwnedFd> {
    let above = retry_on_intr(|| rustix::fs::openat(fd, "..", DIRECTORY, Mode::empty()))?;
    if Some(Id::of(&rustix::fs::fstat(&above)?)) == id {
        Ok(above)
    } else {
        Err(moved_away().into())
    }
}

fn moved_away() -> Error {
    Error::new(Code::Conflict, "somebody else moved a directory while it was being deleted")
}
