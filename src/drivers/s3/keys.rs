//! Paths to keys and back. The root directory may be any text; what is below it has the
//! path grammar, and keys that have not are somebody else's and are not shown.

use crate::path;

/// What is in front of every key: "", or text that ends with a slash.
#[derive(Clone, Debug)]
pub struct Keys {
    root: String,
}

impl Keys {
    /// `root` without slashes at either end.
    pub fn new(root: &str) -> Keys {
        let root = if root.is_empty() { String::new() } else { format!("{root}/") };
        Keys { root }
    }

    /// The key of the file at `path`.
    pub fn file(&self, path: &str) -> String {
        let mut key = String::with_capacity(self.root.len() + path.len());
        key.push_str(&self.root);
        key.push_str(path.strip_prefix('/').unwrap_or(path));
        key
    }

    /// What the keys of everything below the directory at `path` begin with; "" for the
    /// root of a bucket.
    pub fn directory(&self, path: &str) -> String {
        if path == "/" {
            return self.root.clone();
        }
        let mut key = self.file(path);
        key.push('/');
        key
    }

    /// The name of the direct child of the directory with this prefix that an object or
    /// a common prefix stands for.
    pub fn child<'k>(prefix: &str, key: &'k str) -> Option<&'k str> {
        let name = key.strip_prefix(prefix)?;
        let name = name.strip_suffix('/').unwrap_or(name);
        path::is_component(name).then_some(name)
    }
}

/// A key as it stands in the path of a URL or a copy source: slashes stay, every other
/// byte that is not plain is escaped.
pub fn escape(key: &str, into: &mut String) {
    for byte in key.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                into.push(char::from(byte));
            }
            _ => push_escaped(byte, into),
        }
    }
}

/// The same for a value in a query, where slashes are escaped, too.
pub fn escape_all(text: &str, into: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                into.push(char::from(byte));
            }
            _ => push_escaped(byte, into),
        }
    }
}

fn push_escaped(byte: u8, into: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).map_or('0', |d| char::from(*d));
    into.push('%');
    into.push(digit(byte >> 4));
    into.push(digit(byte & 15));
}

/// What a server escaped in a listing, where a plus is a space.
pub fn unescape(text: &str) -> Option<String> {
    if !text.contains(['%', '+']) {
        return Some(text.to_string());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(*rest.next()?).to_digit(16)?;
                let low = char::from(*rest.next()?).to_digit(16)?;
                u8::try_from(high << 4 | low).ok()?
            }
            byte => *byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_distributions() {
        for (root, path, key) in [
            ("", "/docker/registry", "docker/registry"),
            ("a", "/x", "a/x"),
            ("a b+c%2F/ü", "/x/y", "a b+c%2F/ü/x/y"),
        ] {
            let keys = Keys::new(root);
            assert_eq!(keys.file(path), key);
        }
        assert_eq!(Keys::new("").directory("/"), "");
        assert_eq!(Keys::new("a").directory("/"), "a/");
        assert_eq!(Keys::new("a").directory("/b"), "a/b/");
    }

    #[test]
    fn keys_that_are_no_paths_are_no_children() {
        assert_eq!(Keys::child("a/", "a/x/"), Some("x"));
        assert_eq!(Keys::child("a/", "a/x"), Some("x"));
        for key in ["a/", "a//", "a/x/y", "a/x y"] {
            assert_eq!(Keys::child("a/", key), None, "{key}");
        }
    }

    #[test]
    fn any_byte_is_escaped_and_comes_back() {
        let key: String = (1..=300).filter_map(char::from_u32).collect();
        let mut escaped = String::new();
        escape(&key, &mut escaped);
        assert!(escaped.bytes().all(|b| b.is_ascii_graphic() && b != b'+'));
        assert_eq!(unescape(&escaped).as_deref(), Some(key.as_str()));
        let mut all = String::new();
        escape_all("a/b c", &mut all);
        assert_eq!(all, "a%2Fb%20c");
        assert_eq!(unescape("a+b"), Some("a b".to_string()));
        for malformed in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(unescape(malformed), None, "{malformed}");
        }
    }
}
