//! Moving a file: a rename, or a copy where the two paths lie on different file
//! systems. The source goes last, and only when what it held is durable.

use rustix::fd::OwnedFd;
use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::{Errno, retry_on_intr};

use super::confine::kind;
use super::errno::{Fault, Sys, Try};
use super::put::publish;
use super::reader::only_a_file;
use super::root::{DIRECTORY, Id};
use super::tree::{Parent, Tree};
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::path;

const PIECE: usize = 1 << 30;
const BUFFER: usize = 128 * 1024;

pub fn rename(tree: &Tree, ctx: &Context, source: &str, dest: &str) -> Result<()> {
    let (from, found) = find(tree, source).map_err(|fault| fault.looking(source))?;
    if source == dest {
        return Ok(());
    }
    tree.again(|| {
        let to = tree.parent(dest)?;
        match place(tree, ctx, &from, &to, source, dest, &found) {
            // It cannot be told which of the two went away; look again.
            Err(Fault::Sys(Errno::NOENT)) => {
                from.look(path::name(source)).map_err(|errno| Fault::Sys(errno).looking(source))?;
                Err(Errno::NOENT.into())
            }
            outcome => outcome,
        }
    })
    .map_err(|fault| fault.making(dest))
}

/// The source's directory and what the source is; a directory is refused.
fn find(tree: &Tree, source: &str) -> Try<(Parent, Stat)> {
    let fd = tree.root.open(path::parent(source), DIRECTORY)?;
    let from = Parent { fd, new: false };
    let found = from.look(path::name(source))?;
    if kind(&found) == FileType::Symlink {
        let target = tree.root.open(source, OFlags::PATH)?;
        only_a_file(&rustix::fs::fstat(&target)?, source)?;
    } else {
        only_a_file(&found, source)?;
    }
    Ok((from, found))
}

fn place(
    tree: &Tree,
    ctx: &Context,
    from: &Parent,
    to: &Parent,
    source: &str,
    dest: &str,
    found: &Stat,
) -> Try<()> {
    let (old, new) = (path::name(source), path::name(dest));
    // A link that says where to go from here would say something else there.
    if kind(found) == FileType::Symlink {
        return copy(tree, ctx, from, to, source, dest, found);
    }
    // Between two names of one file rename does nothing, and says it worked.
    if found.st_nlink > 1 && to.look(new).is_ok_and(|at| Id::of(&at) == Id::of(found)) {
        tree.sync_directory(&to.fd)?;
        from.unlink(old)?;
        return Ok(tree.sync_directory(&from.fd)?);
    }
    sync_source(tree, from, old)?;
    match rustix::fs::renameat(&from.fd, old, &to.fd, new) {
        Err(Errno::XDEV) => return copy(tree, ctx, from, to, source, dest, found),
        // Onto a directory that holds the source.
        Err(Errno::NOTEMPTY | Errno::EXIST) => return Err(Errno::ISDIR.into()),
        outcome => outcome?,
    }
    tree.sync_directory(&to.fd)?;
    if path::parent(source) != path::parent(dest) {
        tree.sync_directory(&from.fd)?;
    }
    Ok(())
}

/// Whoever wrote it may not have synced it, and what it replaces was durable.
fn sync_source(tree: &Tree, from: &Parent, name: &str) -> Sys<()> {
    if !tree.fsync {
        return Ok(());
    }
    match from.open(name, OFlags::RDONLY) {
        Ok(file) => tree.sync_file(&file),
        // May be moved, but not opened; nor a link that took its place.
        Err(Errno::ACCESS | Errno::PERM | Errno::LOOP) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn copy(
    tree: &Tree,
    ctx: &Context,
    from: &Parent,
    to: &Parent,
    source: &str,
    dest: &str,
    found: &Stat,
) -> Try<()> {
    let file = tree.root.open(source, OFlags::RDONLY | OFlags::NONBLOCK)?;
    let before = rustix::fs::fstat(&file)?;
    only_a_file(&before, source)?;
    let mut ended = Ok(());
    let published = publish(tree, to, path::name(dest), |target| {
        // A second attempt writes a new file from the start.
        let mut offset = 0;
        loop {
            ended = ctx.status();
            if ended.is_err() {
                return Err(Errno::CANCELED);
            }
            match copy_piece(&file, target, &mut offset)? {
                0 => break,
                _ => continue,
            }
        }
        let after = rustix::fs::fstat(&file)?;
        if same_content(&before, &after) && offset == size(&after) {
            return Ok(());
        }
        ended = Err(Error::new(Code::Conflict, "the source changed while it was copied"));
        Err(Errno::CANCELED)
    });
    if let Err(error) = ended {
        return Err(error.or_path(source).into());
    }
    published?;
    tree.sync_directory(&to.fd)?;
    // What somebody else put there since was not copied, and stays.
    let copied = if kind(found) == FileType::Symlink { found } else { &before };
    match from.look(path::name(source)) {
        Ok(now) if Id::of(&now) == Id::of(copied) => from.unlink(path::name(source))?,
        Ok(_) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    Ok(tree.sync_directory(&from.fd)?)
}

/// Copies from `offset` on and moves it; 0 is the end.
fn copy_piece(file: &OwnedFd, target: &OwnedFd, offset: &mut u64) -> Sys<usize> {
    let at = *offset;
    let by_kernel = retry_on_intr(|| {
        let (mut read_at, mut write_at) = (at, at);
        rustix::fs::copy_file_range(file, Some(&mut read_at), target, Some(&mut write_at), PIECE)
    });
    let copied = match by_kernel {
        Err(Errno::XDEV | Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP | Errno::PERM) => {
            copy_by_buffer(file, target, at)?
        }
        // Some file systems answer 0 where they mean that they cannot.
        Ok(0) => copy_by_buffer(file, target, at)?,
        outcome => outcome?,
    };
    *offset += u64::try_from(copied).unwrap_or(0);
    Ok(copied)
}

fn copy_by_buffer(file: &OwnedFd, target: &OwnedFd, offset: u64) -> Sys<usize> {
    let mut buffer = vec![0; BUFFER];
    let read = retry_on_intr(|| rustix::io::pread(file, buffer.as_mut_slice(), offset))?;
    let data = buffer.get(..read).unwrap_or_default();
    let mut written = 0;
    while let Some(rest) = data.get(written..).filter(|rest| !rest.is_empty()) {
        let at = offset + u64::try_from(written).unwrap_or(0);
        match retry_on_intr(|| rustix::io::pwrite(target, rest, at))? {
            0 => return Err(Errno::IO),
            n => written += n,
        }
    }
    Ok(read)
}

fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

fn same_content(before: &Stat, after: &Stat) -> bool {
    let times = |stat: &Stat| (stat.st_mtime, stat.st_mtime_nsec, stat.st_size);
    times(before) == times(after)
}
