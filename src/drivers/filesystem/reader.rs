//! Reading: whole files, streams and what `stat` tells. A get costs openat2,
//! fstat, read and close, a stat openat2, fstat and close.

use rustix::buffer::spare_capacity;
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::{Errno, retry_on_intr};

use super::confine::kind;
use super::errno::{self, Fault, Sys};
use super::tree::Tree;
use crate::driver::{FileInfo, Reader};
use crate::error::{Code, Error, Result};

/// A pipe planted in the tree must not block its reader.
const READING: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

pub fn stat(tree: &Tree, path: &str) -> Result<FileInfo> {
    let found = tree.root.open(path, OFlags::PATH).and_then(|fd| Ok(rustix::fs::fstat(&fd)?));
    match found {
        Ok(stat) => Ok(info(path.to_string(), &stat)),
        // A store that nothing was written to yet is empty, not missing.
        Err(fault) if path == "/" && fault.is(Errno::NOENT) => {
            Ok(FileInfo { path: path.to_string(), size: 0, mtime_ns: 0, is_dir: true })
        }
        Err(fault) => Err(fault.looking(path)),
    }
}

pub fn info(path: String, stat: &Stat) -> FileInfo {
    let is_dir = kind(stat) == FileType::Directory;
    let size = if is_dir { 0 } else { u64::try_from(stat.st_size).unwrap_or(0) };
    let nanos = i64::try_from(stat.st_mtime_nsec).unwrap_or(0);
    let mtime_ns = stat.st_mtime.saturating_mul(1_000_000_000).saturating_add(nanos);
    FileInfo { path, size, mtime_ns, is_dir }
}

pub fn get(tree: &Tree, path: &str) -> Result<Vec<u8>> {
    let (file, stat) = open(tree, path)?;
    let size = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
    let mut content = Vec::new();
    reserve(&mut content, size.saturating_add(1), path)?;
    read_to_end(&file, &mut content, size, path)?;
    Ok(content)
}

/// Reads what there is, at least one byte of room always left. A file that has
/// the size it was opened with costs one read: the room for one byte more
/// stayed empty.
fn read_to_end(file: &OwnedFd, content: &mut Vec<u8>, size: usize, path: &str) -> Result<()> {
    loop {
        if content.len() == content.capacity() {
            let more = content.len().max(4096);
            reserve(content, more, path)?;
        }
        let read = retry_on_intr(|| rustix::io::read(file, spare_capacity(content)))
            .map_err(|errno| errno::error(errno, path))?;
        if read == 0 || (content.len() == size && content.capacity() > size) {
            return Ok(());
        }
    }
}

fn reserve(content: &mut Vec<u8>, more: usize, path: &str) -> Result<()> {
    content
        .try_reserve_exact(more)
        .map_err(|_| Error::new(Code::Driver, "too large for memory").with_path(path))
}

/// Opens a file, and nothing but a file.
fn open(tree: &Tree, path: &str) -> Result<(OwnedFd, Stat)> {
    let open = || {
        let file = tree.root.open(path, READING)?;
        let stat = rustix::fs::fstat(&file)?;
        Ok((file, stat))
    };
    let (file, stat) = open().map_err(|fault: Fault| fault.looking(path))?;
    only_a_file(&stat, path)?;
    Ok((file, stat))
}

pub fn only_a_file(stat: &Stat, path: &str) -> Result<()> {
    match kind(stat) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(Error::is_directory(path)),
        _ => Err(Error::new(Code::Driver, "neither a file nor a directory").with_path(path)),
    }
}

/// Reads at its own offset: no seek, and no buffer between file and caller.
pub struct FileReader {
    file: OwnedFd,
    offset: u64,
    path: String,
}

impl FileReader {
    pub fn open(tree: &Tree, path: &str, offset: i64) -> Result<FileReader> {
        let (file, _) = open(tree, path)?;
        let offset = u64::try_from(offset).map_err(|_| Error::invalid_offset(path, offset))?;
        Ok(FileReader { file, offset, path: path.to_string() })
    }

    fn read_at(&self, buf: &mut [u8]) -> Sys<usize> {
        match retry_on_intr(|| rustix::io::pread(&self.file, &mut *buf, self.offset)) {
            // No file reaches that far.
            Err(Errno::OVERFLOW | Errno::INVAL) if self.offset > u64::MAX >> 2 => Ok(0),
            outcome => outcome,
        }
    }
}

impl Reader for FileReader {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let read = self.read_at(buf).map_err(|errno| errno::error(errno, &self.path))?;
        self.offset = self.offset.saturating_add(u64::try_from(read).unwrap_or(0));
        Ok(read)
    }
}
