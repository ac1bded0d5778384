//! From the kernel's error numbers to this library's codes.

use rustix::io::Errno;

use crate::error::{Code, Error};

/// What a system call answers; its error number gets a meaning where the call's
/// purpose is known.
pub type Sys<T> = Result<T, Errno>;

/// A failure inside the driver: a bare error number, or one already explained.
#[derive(Debug)]
pub enum Fault {
    Sys(Errno),
    Told(Error),
    /// Somebody else changed what a step had just looked at.
    Lost,
}

pub type Try<T> = Result<T, Fault>;

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Fault {
        Fault::Sys(errno)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Told(error)
    }
}

impl Fault {
    pub fn is(&self, errno: Errno) -> bool {
        matches!(self, Fault::Sys(own) if *own == errno)
    }

    /// Whether a step that makes something may succeed if taken again: what it
    /// was to be made in went away.
    pub fn is_race(&self) -> bool {
        self.is(Errno::NOENT) || self.is(Errno::STALE) || matches!(self, Fault::Lost)
    }

    /// The error of a call that wanted something that exists. What cannot exist
    /// (below a file, under too long a name) does not.
    pub fn looking(self, path: &str) -> Error {
        match self {
            Fault::Sys(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => {
                Error::path_not_found(path)
            }
            fault => fault.making(path),
        }
    }

    /// The error of a call that makes or changes something.
    pub fn making(self, path: &str) -> Error {
        match self {
            Fault::Sys(errno) => error(errno, path),
            Fault::Told(error) => error.or_path(path),
            Fault::Lost => {
                Error::new(Code::Conflict, "somebody else keeps changing it").with_path(path)
            }
        }
    }
}

/// The error for `errno` at `path`.
pub fn error(errno: Errno, path: &str) -> Error {
    let code = code(errno);
    let mut detail = text(errno);
    if errno == Errno::XDEV {
        detail = "a symbolic link leads out of the root directory; \
                  the parameter followsymlinks would allow it"
            .to_string();
    }
    Error::new(code, detail).with_path(path)
}

fn code(errno: Errno) -> Code {
    match errno {
        Errno::NOSPC | Errno::DQUOT => Code::NoSpace,
        // XDEV: RESOLVE_BENEATH met a link that leads out.
        Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::XDEV => Code::Permission,
        Errno::ISDIR => Code::IsDirectory,
        Errno::NOTDIR => Code::NotDirectory,
        // The grammar knows no limit, the file system does.
        Errno::NAMETOOLONG => Code::InvalidArgument,
        // It was there a moment ago, and several attempts did not help.
        Errno::NOENT | Errno::EXIST | Errno::NOTEMPTY => Code::Conflict,
        // They pass: too many open files, no memory, a server that is away.
        Errno::MFILE
        | Errno::NFILE
        | Errno::NOMEM
        | Errno::AGAIN
        | Errno::STALE
        | Errno::TIMEDOUT
        | Errno::HOSTDOWN
        | Errno::HOSTUNREACH => Code::Unavailable,
        _ => Code::Driver,
    }
}

/// The system's words, as in "no space left on device (os error 28)".
pub fn text(errno: Errno) -> String {
    let text = std::io::Error::from_raw_os_error(errno.raw_os_error()).to_string();
    // Lower the first letter of a sentence, but leave an abbreviation alone.
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            let rest = text.get(first.len_utf8()..).unwrap_or_default();
            format!("{}{rest}", first.to_lowercase())
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errnos_have_the_codes_and_the_words_of_their_cause() {
        for (errno, code, words) in [
            (Errno::NOSPC, Code::NoSpace, "no space left on device (os error 28)"),
            (Errno::DQUOT, Code::NoSpace, "isk quota exceeded (os error 122)"),
            (Errno::ACCESS, Code::Permission, "permission denied (os error 13)"),
            (Errno::ROFS, Code::Permission, "ead-only file system (os error 30)"),
            (Errno::ISDIR, Code::IsDirectory, "is a directory (os error 21)"),
            (Errno::NAMETOOLONG, Code::InvalidArgument, "file name too long (os error 36)"),
            (Errno::MFILE, Code::Unavailable, "too many open files (os error 24)"),
            (Errno::XDEV, Code::Permission, "followsymlinks"),
            (Errno::IO, Code::Driver, "nput/output error (os error 5)"),
        ] {
            let error = error(errno, "/a");
            assert_eq!(error.code(), code);
            assert!(error.detail().contains(words), "{error}");
            assert_eq!(error.path(), "/a");
        }
        assert!(error(Errno::MFILE, "/a").is_retryable());
    }

    #[test]
    fn what_cannot_exist_is_not_found() {
        for errno in [Errno::NOENT, Errno::NOTDIR, Errno::NAMETOOLONG] {
            assert_eq!(Fault::Sys(errno).looking("/a").code(), Code::PathNotFound);
        }
    }
}
