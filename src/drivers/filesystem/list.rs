//! Listing: one pass over a directory, straight from the kernel's buffer.
//!
//! Names that are no path component, and the temporary files of ours and of
//! Distribution, are left out. A link is listed by its name like any other
//! entry; `entries`, and so a walk, leaves out those that lead nowhere, out of
//! the root, or back to a directory on the way to them.

use std::cmp::Ordering;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, OFlags, RawDir};
use rustix::io::Errno;

use super::errno::{self, Fault, Sys};
use super::reader;
use super::root::{DIRECTORY, Id};
use super::temp;
use super::tree::Tree;
use crate::context::Context;
use crate::driver::FileInfo;
use crate::error::{Error, Result};
use crate::names::Names;
use crate::path;

const BUFFER: usize = 64 * 1024;

/// Calls `visit` for every entry whose name is UTF-8; no path names the others.
pub fn read_directory(directory: &OwnedFd, mut visit: impl FnMut(&str, FileType)) -> Sys<()> {
    read_directory_bytes(directory, |name, kind| {
        if let Ok(name) = str::from_utf8(name) {
            visit(name, kind);
        }
    })
}

/// Calls `visit` for every entry but "." and "..", each as the directory has it.
pub fn read_directory_bytes(
    directory: &OwnedFd,
    mut visit: impl FnMut(&[u8], FileType),
) -> Sys<()> {
    let mut buffer: Vec<u8> = Vec::with_capacity(BUFFER);
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = match entry {
            Err(Errno::INTR) => continue,
            entry => entry?,
        };
        match entry.file_name().to_bytes() {
            b"." | b".." => {}
            name => visit(name, entry.file_type()),
        }
    }
    Ok(())
}

pub fn list(tree: &Tree, path: &str) -> Result<Names> {
    let Some(directory) = open(tree, path)? else { return Ok(Names::new()) };
    let mut short = ShortNames::default();
    read_directory(&directory, |name, _| {
        if temp::is_visible(name) {
            short.push(name);
        }
    })
    .map_err(|errno| errno::error(errno, path))?;
    Ok(short.into_names(if path == "/" { "" } else { path }))
}

pub fn entries(
    tree: &Tree,
    ctx: &Context,
    path: &str,
    after: Option<&str>,
) -> Result<Vec<FileInfo>> {
    let Some(directory) = open(tree, path)? else { return Ok(Vec::new()) };
    let mut short = ShortNames::default();
    read_directory(&directory, |name, _| {
        if temp::is_visible(name) && after.is_none_or(|after| name > after) {
            short.push(name);
        }
    })
    .map_err(|errno| errno::error(errno, path))?;
    let mut found = Vec::with_capacity(short.places.len());
    for (n, name) in short.sorted().enumerate() {
        if n % 1024 == 1023 {
            ctx.status()?;
        }
        let child = || path::join(path, name);
        match rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno::error(errno, &child())),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                found.extend(linked(tree, path, child()));
            }
            Ok(stat) => found.push(reader::info(child(), &stat)),
        }
    }
    Ok(found)
}

/// What the link at `child` leads to, if a walk may follow it.
fn linked(tree: &Tree, directory: &str, child: String) -> Option<FileInfo> {
    let look = |path: &str| {
        let fd = tree.root.open(path, OFlags::PATH).ok()?;
        rustix::fs::fstat(&fd).ok()
    };
    let target = look(&child)?;
    let info = reader::info(child, &target);
    // A link to where the walk came from would have no end.
    if info.is_dir {
        let mut above = directory;
        loop {
            if look(above).is_none_or(|stat| Id::of(&stat) == Id::of(&target)) {
                return None;
            }
            if above == "/" {
                break;
            }
            above = path::parent(above);
        }
    }
    Some(info)
}

/// `None` for the root of a store that nothing was written to yet.
fn open(tree: &Tree, path: &str) -> Result<Option<OwnedFd>> {
    match tree.root.open(path, DIRECTORY) {
        Ok(directory) => Ok(Some(directory)),
        Err(Fault::Sys(Errno::NOENT)) if path == "/" => Ok(None),
        // A file there, or further up.
        Err(Fault::Sys(Errno::NOTDIR)) => match reader::stat(tree, path) {
            Ok(_) => Err(Error::not_directory(path)),
            Err(error) => Err(error),
        },
        Err(fault) => Err(fault.looking(path)),
    }
}

/// Names of one directory, sorted before the path in front makes them long.
#[derive(Default)]
struct ShortNames {
    text: String,
    places: Vec<Place>,
}

struct Place {
    /// Eight bytes from where the names begin to differ decide most comparisons.
    front: u64,
    start: usize,
    end: usize,
}

impl ShortNames {
    fn push(&mut self, name: &str) {
        let start = self.text.len();
        self.text.push_str(name);
        self.places.push(Place { front: 0, start, end: self.text.len() });
    }

    fn sorted(&mut self) -> impl Iterator<Item = &str> {
        let text = &self.text;
        let name = |place: &Place| text.get(place.start..place.end).unwrap_or_default();
        let shared = shared_prefix(self.places.iter().map(name));
        for place in &mut self.places {
            place.front = front(name(place).as_bytes().get(shared..).unwrap_or_default());
        }
        self.places.sort_unstable_by(|a, b| match a.front.cmp(&b.front) {
            Ordering::Equal => name(a).cmp(name(b)),
            order => order,
        });
        // A directory that changes while it is read may tell a name twice.
        self.places.dedup_by(|a, b| a.front == b.front && name(a) == name(b));
        self.places.iter().map(name)
    }

    fn into_names(mut self, directory: &str) -> Names {
        let mut names = Names::new();
        self.sorted().for_each(|name| names.push_child(directory, name));
        names
    }
}

/// How many bytes all names begin with.
fn shared_prefix<'n>(mut names: impl Iterator<Item = &'n str>) -> usize {
    let first = names.next().unwrap_or_default().as_bytes();
    names.fold(first.len(), |shared, name| {
        let front = first.get(..shared).unwrap_or_default();
        if name.as_bytes().starts_with(front) {
            return shared;
        }
        front.iter().zip(name.as_bytes()).take_while(|(a, b)| a == b).count()
    })
}

/// The first eight bytes as a number that orders as they do; no name has a NUL.
fn front(name: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    match name.first_chunk::<8>() {
        Some(all) => bytes = *all,
        None => bytes.iter_mut().zip(name).for_each(|(to, from)| *to = *from),
    }
    u64::from_be_bytes(bytes)
}
