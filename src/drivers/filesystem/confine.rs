//! Opening a path below a directory so that nothing outside it can be reached:
//! by the kernel (`openat2`), or component by component where it cannot.

use std::sync::atomic::{AtomicU8, Ordering};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, retry_on_intr};

use super::errno::Sys;

/// The kernel's own limit.
const MAX_LINKS: usize = 40;

/// `openat2` gives up when a rename anywhere crosses its path; then again.
const CROSSINGS: usize = 32;

/// How paths are resolved below the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// By the kernel; links must stay below the root.
    Kernel,
    /// The same by hand.
    ByHand,
    /// Links may lead anywhere.
    Free,
}

impl Resolution {
    /// The confined way that this system offers.
    pub fn confined() -> Resolution {
        if kernel_confines() { Resolution::Kernel } else { Resolution::ByHand }
    }

    /// Opens `path`, absolute or "/", below `root`. Creates nothing.
    pub fn open(self, root: BorrowedFd<'_>, path: &str, flags: OFlags) -> Sys<OwnedFd> {
        let (relative, flags) = (relative(path), flags | OFlags::CLOEXEC);
        match self {
            Resolution::Free => {
                retry_on_intr(|| rustix::fs::openat(root, relative, flags, Mode::empty()))
            }
            Resolution::Kernel => {
                let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
                for _ in 0..CROSSINGS {
                    match rustix::fs::openat2(root, relative, flags, Mode::empty(), resolve) {
                        Err(Errno::AGAIN | Errno::INTR) => {}
                        outcome => return outcome,
                    }
                }
                by_hand(root, relative, flags, MAX_LINKS)
            }
            Resolution::ByHand => by_hand(root, relative, flags, MAX_LINKS),
        }
    }

    /// Whether no component of `path` is a link.
    pub fn is_plain(root: BorrowedFd<'_>, path: &str) -> Sys<bool> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let outcome = if kernel_confines() {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            rustix::fs::openat2(root, relative(path), flags, Mode::empty(), resolve)
        } else {
            by_hand(root, relative(path), flags, 0)
        };
        match outcome {
            Ok(_) => Ok(true),
            Err(Errno::LOOP | Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(errno) => Err(errno),
        }
    }
}

fn relative(path: &str) -> &str {
    match path.strip_prefix('/') {
        Some("") | None => ".",
        Some(rest) => rest,
    }
}

/// Whether this kernel, and what filters its calls, know `openat2`. Asked once.
fn kernel_confines() -> bool {
    if cfg!(storagedriver_no_openat2) {
        return false;
    }
    static ANSWER: AtomicU8 = AtomicU8::new(0);
    match ANSWER.load(Ordering::Relaxed) {
        0 => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
            let cwd = rustix::fs::CWD;
            let probe = rustix::fs::openat2(cwd, ".", flags, Mode::empty(), resolve);
            let knows = !matches!(probe, Err(Errno::NOSYS | Errno::PERM | Errno::TOOBIG));
            ANSWER.store(if knows { 1 } else { 2 }, Ordering::Relaxed);
            knows
        }
        answer => answer == 1,
    }
}

/// Each component is opened without following a link; links are read and put in
/// front of what remains. `..` occurs in links only and goes back by walking the
/// names so far anew, so that no directory moved away meanwhile leads out.
fn by_hand(root: BorrowedFd<'_>, relative: &str, flags: OFlags, max_links: usize) -> Sys<OwnedFd> {
    let mut pending: Vec<Vec<u8>> = Vec::new();
    splice(&mut pending, relative.as_bytes());
    let mut walked: Vec<Vec<u8>> = Vec::new();
    let mut here: Option<OwnedFd> = None;
    let mut links = 0;
    while let Some(name) = pending.pop() {
        if name == b".." {
            walked.pop().ok_or(Errno::XDEV)?;
            here = rewalk(root, &walked)?;
            continue;
        }
        let directory = here.as_ref().map_or(root, AsFd::as_fd);
        let last = pending.is_empty();
        let wanted = if last { flags } else { OFlags::PATH | OFlags::DIRECTORY };
        match open_one(directory, &name, wanted)? {
            Met::Link(target) => {
                links += 1;
                if links > max_links {
                    return Err(Errno::LOOP);
                }
                if target.first() == Some(&b'/') {
                    return Err(Errno::XDEV);
                }
                splice(&mut pending, &target);
            }
            Met::Opened(fd) if last => return Ok(fd),
            Met::Opened(fd) => {
                here = Some(fd);
                walked.push(name);
            }
        }
    }
    // The root itself, or a link that ends in "..".
    let directory = here.as_ref().map_or(root, AsFd::as_fd);
    retry_on_intr(|| rustix::fs::openat(directory, ".", flags, Mode::empty()))
}

enum Met {
    Opened(OwnedFd),
    Link(Vec<u8>),
}

fn open_one(directory: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> Sys<Met> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match retry_on_intr(|| rustix::fs::openat(directory, name, flags, Mode::empty())) {
        Ok(fd) => {
            let may_be_link = flags.contains(OFlags::PATH) && !flags.contains(OFlags::DIRECTORY);
            if may_be_link && kind(&rustix::fs::fstat(&fd)?) == FileType::Symlink {
                let target = rustix::fs::readlinkat(&fd, "", Vec::new())?;
                return Ok(Met::Link(target.into_bytes()));
            }
            Ok(Met::Opened(fd))
        }
        Err(errno @ (Errno::LOOP | Errno::NOTDIR)) => {
            match rustix::fs::readlinkat(directory, name, Vec::new()) {
                Ok(target) => Ok(Met::Link(target.into_bytes())),
                Err(Errno::INVAL) => Err(errno),
                Err(other) => Err(other),
            }
        }
        Err(errno) => Err(errno),
    }
}

/// Puts the components of `path` on top of the stack `pending`.
fn splice(pending: &mut Vec<Vec<u8>>, path: &[u8]) {
    let components = path.split(|b| *b == b'/').filter(|c| !matches!(*c, b"" | b"."));
    let at = pending.len();
    pending.extend(components.map(<[u8]>::to_vec));
    if let Some(added) = pending.get_mut(at..) {
        added.reverse();
    }
}

fn rewalk(root: BorrowedFd<'_>, names: &[Vec<u8>]) -> Sys<Option<OwnedFd>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut here: Option<OwnedFd> = None;
    for name in names {
        let directory = here.as_ref().map_or(root, AsFd::as_fd);
        let name = name.as_slice();
        here = Some(retry_on_intr(|| rustix::fs::openat(directory, name, flags, Mode::empty()))?);
    }
    Ok(here)
}

/// What kind of node `stat` is about.
pub fn kind(stat: &rustix::fs::Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}
