//! The path grammar, and the few things one does with a path.
//!
//! A path is one or more components, each after a slash, of ASCII letters,
//! digits, `.`, `_` and `-`; `.` and `..` are no components. "/" alone names the
//! root and is a path only where a directory is asked for.

use std::cmp::Ordering;

use crate::error::{Error, Result};

/// Checks the path of a file or of a directory other than the root.
pub fn check(path: &str) -> Result<()> {
    if is_valid(path) { Ok(()) } else { Err(Error::invalid_path(path)) }
}

/// Checks a path where the root is allowed: stat, list, walk.
pub fn check_or_root(path: &str) -> Result<()> {
    if path == "/" { Ok(()) } else { check(path) }
}

fn is_valid(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    // In one pass over the bytes: every call begins with it.
    rest.as_bytes().split(|byte| *byte == b'/').all(is_component_of_bytes)
}

/// Whether `name` can be a component of a path.
pub fn is_component(name: &str) -> bool {
    is_component_of_bytes(name.as_bytes())
}

fn is_component_of_bytes(name: &[u8]) -> bool {
    let allowed = |byte: &u8| ALLOWED.get(usize::from(*byte)).is_some_and(|allowed| *allowed);
    !matches!(name, b"" | b"." | b"..") && name.iter().all(allowed)
}

/// Which bytes a component is made of. Indexed at compile time only.
#[allow(clippy::indexing_slicing)]
static ALLOWED: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let ascii = byte as u8;
        allowed[byte] = ascii.is_ascii_alphanumeric() || matches!(ascii, b'.' | b'_' | b'-');
        byte += 1;
    }
    allowed
};

/// The components of a path; none for the root.
pub fn components(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|c| !c.is_empty())
}

/// The directory that holds `path`; "/" for a path of one component.
pub fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(slash) => path.get(..slash).unwrap_or("/"),
    }
}

/// The last component.
pub fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The path of the child `name` of `directory`, which may be the root.
pub fn join(directory: &str, name: &str) -> String {
    let directory = if directory == "/" { "" } else { directory };
    let mut path = String::with_capacity(directory.len() + 1 + name.len());
    path.push_str(directory);
    path.push('/');
    path.push_str(name);
    path
}

/// What remains of `path` below `directory`: "b/c" for "/a/b/c" below "/a".
/// `None` where it is not below it; a directory is not below itself.
pub fn below<'p>(path: &'p str, directory: &str) -> Option<&'p str> {
    let directory = if directory == "/" { "" } else { directory };
    let rest = path.strip_prefix(directory)?.strip_prefix('/')?;
    (!rest.is_empty()).then_some(rest)
}

/// The canonical order of a walk: component by component, so that a directory
/// comes right before what is below it ("/" sorts lowest).
pub fn compare(a: &str, b: &str) -> Ordering {
    components(a).cmp(components(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar_accepts_and_refuses_what_distribution_does_minus_dots() {
        for good in [
            "/a",
            "/2",
            "/aa",
            "/a.a",
            "/0-9/abcdefg",
            "/abcdefg/z.75",
            "/abc/1.2.3.4.5-6_zyx/123.z/4",
            "/docker/docker-registry",
            "/123.abc",
            "/abc./abc",
            "/.abc",
            "/a--b",
            "/a-.b",
            "/_.abc",
            "/Docker/docker-registry",
            "/Abc/Cba",
            "/...",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/",
            "abc",
            "123.abc",
            "//bcd",
            "/abc_123/",
            "/.",
            "/..",
            "/a/../b",
            "/a/./b",
            "/a\n",
            "/a b",
            "/a~b",
            "/ä",
            "/a\0b",
            "/a//b",
            "/a:b",
            "/a%2f",
            "/a+b",
            "/a\\b",
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        assert!(check_or_root("/").is_ok());
    }

    #[test]
    fn parts_of_a_path() {
        assert_eq!(parent("/a"), "/");
        assert_eq!(parent("/a/b"), "/a");
        assert_eq!(name("/a/b"), "b");
        assert_eq!(join("/", "a"), "/a");
        assert_eq!(join("/a", "b"), "/a/b");
        assert_eq!(below("/a/b/c", "/a"), Some("b/c"));
        assert_eq!(below("/ab", "/a"), None);
        assert_eq!(below("/a", "/a"), None);
        assert_eq!(below("/a", "/"), Some("a"));
        assert_eq!(components("/").count(), 0);
    }

    #[test]
    fn order_is_component_wise() {
        let mut paths = ["/a-b", "/a/c", "/a", "/a.b/x", "/b", "/a/b/z"];
        paths.sort_by(|x, y| compare(x, y));
        assert_eq!(paths, ["/a", "/a/b/z", "/a/c", "/a-b", "/a.b/x", "/b"]);
    }
}
