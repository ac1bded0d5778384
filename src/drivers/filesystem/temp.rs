//! Names of our own in the tree. Each contains `~`, which no path does, so that
//! listings leave them out by the grammar alone.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, Stat};
use rustix::io::{Errno, retry_on_intr};

use super::errno::Sys;
use super::list::read_directory;
use crate::path;
use crate::runtime::PerProcess;

/// A temporary lives for as long as one call, or is locked by an open upload. A
/// call that is this slow and loses its temporary notices and starts anew.
pub const STALE_AFTER: Duration = Duration::from_secs(3600);

const TEMPORARY: &str = "~tmp~";
const UPLOAD: &str = "~upload";
const NAME_MAX: usize = 255;

/// A name that no other file has, short of bad luck; `O_EXCL` sees to the rest.
pub fn temporary() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // A child of a fork has the same numbers.
    static SEED: PerProcess<OnceLock<u64>> = PerProcess::new(OnceLock::new());
    let seed = SEED.get_or(|_| OnceLock::new());
    let seed = seed.get_or_init(|| RandomState::new().hash_one(std::process::id()));
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{TEMPORARY}{:016x}", seed.wrapping_add(number))
}

/// Where an upload to `name` waits beside committed content. The same in every
/// process, so that an append finds it.
pub fn staged(name: &str) -> String {
    if name.len() + UPLOAD.len() <= NAME_MAX {
        return format!("{name}{UPLOAD}");
    }
    // Too long to carry a suffix: FNV-1a of the name tells it from its like.
    const OFFSET: u128 = 0x6c62272e07bb014262b821756295c58d;
    const PRIME: u128 = 0x0000000001000000000000000000013b;
    let hash = name.bytes().fold(OFFSET, |h, b| (h ^ u128::from(b)).wrapping_mul(PRIME));
    let front = name.get(..200).unwrap_or_default();
    format!("{front}~{hash:032x}{UPLOAD}")
}

/// Whether listings show `name`: it follows the grammar, and is no temporary
/// file of Distribution's (`<name>.<uuid>.tmp`).
pub fn is_visible(name: &str) -> bool {
    path::is_component(name) && !is_go_temporary(name)
}

fn is_go_temporary(name: &str) -> bool {
    let Some(rest) = name.strip_suffix(".tmp") else { return false };
    let Some(at) = rest.len().checked_sub(37).filter(|at| *at > 0) else { return false };
    let Some(tail) = rest.get(at..) else { return false };
    tail.starts_with('.')
        && tail.bytes().skip(1).enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// Takes the lock that every open upload holds on its file: false if another
/// has it. File systems without locks let everybody pass.
pub fn lock(file: &OwnedFd) -> Sys<bool> {
    match retry_on_intr(|| rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) | Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Gives the lock back at once, though a forked child may still have the file.
pub fn unlock(file: &OwnedFd) {
    let _ = rustix::fs::flock(file, FlockOperation::Unlock);
}

/// Removes what calls that were killed left in `directory`. Best effort: litter
/// that cannot be removed now does no harm.
pub fn sweep(directory: &OwnedFd, stale_after: Duration) {
    let mut found: Vec<String> = Vec::new();
    let _ = read_directory(directory, |name, _| {
        if name.starts_with(TEMPORARY) {
            found.push(name.to_string());
        }
    });
    for name in found {
        let _ = remove_if_stale(directory, &name, stale_after);
    }
}

fn remove_if_stale(directory: &OwnedFd, name: &str, stale_after: Duration) -> Sys<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if age(&stat) >= stale_after {
        let file = rustix::fs::openat(directory, name, flags, Mode::empty())?;
        if lock(&file)? {
            rustix::fs::unlinkat(directory, name, AtFlags::empty())?;
        }
    }
    Ok(())
}

/// Time since the file or its names last changed.
fn age(stat: &Stat) -> Duration {
    let seconds = u64::try_from(stat.st_ctime).unwrap_or(0);
    let changed = UNIX_EPOCH + Duration::from_secs(seconds);
    SystemTime::now().duration_since(changed).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_our_own_are_hidden_by_the_grammar() {
        for name in [temporary(), staged("data"), staged(&"x".repeat(255))] {
            assert!(!path::is_component(&name), "{name}");
            assert!(name.len() <= NAME_MAX, "{name}");
        }
        assert_ne!(temporary(), temporary());
        let long = "x".repeat(254);
        assert_ne!(staged(&format!("{long}a")), staged(&format!("{long}b")));
    }

    #[test]
    fn a_child_of_a_fork_makes_other_names_than_its_parent() {
        let folder = tempfile::tempdir().unwrap();
        let file = || folder.path().join(temporary());
        assert!(crate::runtime::in_child(|| {
            (0..100).all(|_| std::fs::File::create_new(file()).is_ok())
        }));
        assert!((0..100).all(|_| !file().exists()));
    }

    #[test]
    fn gos_temporaries_are_hidden_and_what_only_resembles_them_is_not() {
        let uuid = "01234567-89ab-cdef-0123-456789abcdef";
        assert!(!is_visible(&format!("data.{uuid}.tmp")));
        assert!(!is_visible(&format!("a.{uuid}.tmp")));
        for shown in [
            format!(".{uuid}.tmp"),
            format!("{uuid}.tmp"),
            format!("data.{}.tmp", uuid.to_uppercase()),
            format!("data-{uuid}.tmp"),
            format!("data.{uuid}"),
            format!("data.{}.tmp", uuid.replace('-', "0")),
            "data.tmp".to_string(),
            ".tmp".to_string(),
        ] {
            assert!(is_visible(&shown), "{shown}");
        }
    }
}
