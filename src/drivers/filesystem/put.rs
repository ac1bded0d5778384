//! `put_content`: a whole file, all of it or nothing, and durable.
//!
//! A new path: a nameless file (`O_TMPFILE`), written, synced, linked, and its
//! directory synced. It costs eight system calls in a directory that this
//! process has written to before (openat2, openat, write, fsync, linkat, fsync
//! and two closes), and a process that is killed leaves nothing behind. Over an
//! existing file it takes two more: the link that finds the name taken is made
//! under a hidden name, which is renamed over it.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, OFlags};
use rustix::io::{Errno, retry_on_intr};

use super::errno::{Sys, Try};
use super::root::FILE_MODE;
use super::temp;
use super::tree::{ATTEMPTS, Parent, Tree};
use crate::error::Result;
use crate::path;

pub fn put(tree: &Tree, path: &str, data: &[u8]) -> Result<()> {
    tree.again(|| {
        let parent = tree.parent(path)?;
        let name = path::name(path);
        publish(tree, &parent, name, |file| write_all(file, data))?;
        Ok(tree.sync_directory(&parent.fd)?)
    })
    .map_err(|fault| fault.making(path))
}

/// Puts a file that `fill` writes at `name`, synced; the directory is not.
pub fn publish(
    tree: &Tree,
    parent: &Parent,
    name: &str,
    mut fill: impl FnMut(&OwnedFd) -> Sys<()>,
) -> Try<()> {
    if !tree.named_only.load(Ordering::Relaxed)
        && let Some(file) = nameless(tree, parent)?
    {
        fill(&file)?;
        tree.sync_file(&file)?;
        match link_over(parent, &file, name) {
            Err(Errno::NOENT | Errno::PERM | Errno::OPNOTSUPP | Errno::XDEV | Errno::NOSYS) => {
                // No way to give it a name here (no /proc, for one), or the
                // directory is gone, which the other way finds out.
                named(tree, parent, name, fill)?;
                tree.named_only.store(true, Ordering::Relaxed);
                return Ok(());
            }
            outcome => return Ok(outcome?),
        }
    }
    named(tree, parent, name, fill)
}

/// A file without a name in `parent`; `None` where there is no such thing.
fn nameless(tree: &Tree, parent: &Parent) -> Sys<Option<OwnedFd>> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match retry_on_intr(|| rustix::fs::openat(&parent.fd, ".", flags, FILE_MODE)) {
        Ok(file) => Ok(Some(file)),
        // ISDIR: a kernel or file system that does not know the flag.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
            tree.named_only.store(true, Ordering::Relaxed);
            Ok(None)
        }
        // Said of a directory that was removed, too; the other way tells.
        Err(Errno::PERM) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn link_over(parent: &Parent, file: &OwnedFd, name: &str) -> Sys<()> {
    match link(parent, file, name) {
        Err(Errno::EXIST) => {}
        outcome => return outcome,
    }
    let temporary = loop {
        let temporary = temp::temporary();
        match link(parent, file, &temporary) {
            Err(Errno::EXIST) => {}
            outcome => break outcome.map(|()| temporary)?,
        }
    };
    replace(parent, &temporary, name)
}

fn named(
    tree: &Tree,
    parent: &Parent,
    name: &str,
    mut fill: impl FnMut(&OwnedFd) -> Sys<()>,
) -> Try<()> {
    let (file, temporary) = create_temporary(parent)?;
    if let Err(errno) = fill(&file).and_then(|()| tree.sync_file(&file)) {
        let _ = parent.unlink(&temporary);
        return Err(errno.into());
    }
    Ok(replace(parent, &temporary, name)?)
}

/// A new file under a hidden name, for writing.
pub fn create_temporary(parent: &Parent) -> Sys<(OwnedFd, String)> {
    let mut left = ATTEMPTS;
    loop {
        left -= 1;
        let temporary = temp::temporary();
        match parent.open(&temporary, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL) {
            Err(Errno::EXIST) if left > 0 => {}
            outcome => return outcome.map(|file| (file, temporary)),
        }
    }
}

/// Renames over `name`, or removes the temporary where that fails.
fn replace(parent: &Parent, temporary: &str, name: &str) -> Sys<()> {
    parent.rename(temporary, name).inspect_err(|_| {
        let _ = parent.unlink(temporary);
    })
}

/// Gives a nameless file a name. By descriptor where the kernel allows it to
/// those who opened it (since 6.10) or to the privileged, else through /proc.
fn link(parent: &Parent, file: &OwnedFd, name: &str) -> Sys<()> {
    static BY_PROC: AtomicBool = AtomicBool::new(false);
    if !BY_PROC.load(Ordering::Relaxed) {
        match rustix::fs::linkat(file, "", &parent.fd, name, AtFlags::EMPTY_PATH) {
            // Not privileged, or the directory was removed.
            Err(Errno::NOENT) => {}
            outcome => return outcome,
        }
    }
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    let outcome = rustix::fs::linkat(CWD, own, &parent.fd, name, AtFlags::SYMLINK_FOLLOW);
    if matches!(outcome, Ok(()) | Err(Errno::EXIST)) {
        BY_PROC.store(true, Ordering::Relaxed);
    }
    outcome
}

fn write_all(file: &OwnedFd, mut data: &[u8]) -> Sys<()> {
    while !data.is_empty() {
        let written = retry_on_intr(|| rustix::io::write(file, data))?;
        data = data.get(written..).filter(|_| written > 0).ok_or(Errno::IO)?;
    }
    Ok(())
}
