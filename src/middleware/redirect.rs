//! `redirect`: every URL is the base URL and the path, whatever the driver would
//! give. Nothing is signed and nothing is asked: what serves there must serve all.

use http::Uri;

use super::{Urls, text, web_scheme};
use crate::error::{Error, Result};
use crate::params::Reader;

const KEY: &str = "baseurl";

struct Redirect {
    /// Without a slash at its end.
    base: String,
}

pub fn create(params: &mut Reader<'_>) -> Result<Box<dyn Urls>> {
    let wrong = |detail| Error::invalid_parameter(KEY, detail);
    let text = text(params, KEY)?.ok_or_else(|| wrong("no baseurl provided"))?;
    let base = base_url(&text).map_err(wrong)?;
    Ok(Box::new(Redirect { base }))
}

/// The base URL with its path cleaned; else what is wrong with it.
fn base_url(text: &str) -> std::result::Result<String, &'static str> {
    let split = text.split_once("://").filter(|(scheme, _)| !scheme.is_empty());
    let (_, rest) = split.ok_or("no scheme specified for redirect baseurl")?;
    if rest.is_empty() || rest.starts_with(['/', '?', '#', ':']) {
        return Err("no host specified for redirect baseurl");
    }
    // Distribution drops both in silence, and what they were for.
    if rest.contains(['?', '#']) {
        return Err("a redirect baseurl has no query and no fragment");
    }
    const UNREADABLE: &str = "unable to parse redirect baseurl";
    let url: Uri = text.parse().map_err(|_| UNREADABLE)?;
    let (scheme, host) = (url.scheme().ok_or(UNREADABLE)?, url.authority().ok_or(UNREADABLE)?);
    if !web_scheme(scheme) {
        return Err("the scheme of a redirect baseurl is http or https");
    }
    if host.as_str().contains('@') {
        return Err("a redirect baseurl has no user and no password");
    }
    let ends_in_port = host.as_str().rsplit(']').next().is_some_and(|rest| rest.contains(':'));
    if !url.path().is_ascii() || ends_in_port && host.port_u16().is_none() {
        return Err(UNREADABLE);
    }
    Ok(format!("{scheme}://{host}{}", cleaned(url.path())))
}

/// As Go's `path.Join` leaves it: no empty components, none that are dots.
fn cleaned(path: &str) -> String {
    let mut kept = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(component),
        }
    }
    kept.into_iter().flat_map(|component| ["/", component]).collect()
}

impl Urls for Redirect {
    fn asks_driver(&self) -> bool {
        false
    }

    fn url(&self, path: &str, _own: Option<String>) -> Result<Option<String>> {
        // The grammar of paths has no byte that a URL would encode.
        Ok(Some(format!("{}/{}", self.base, path.trim_start_matches('/'))))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::error::Code;
    use crate::params::Params;

    fn url(base: &str, path: &str) -> String {
        let mut params = Params::new();
        params.set(KEY, base);
        let redirect = create(&mut params.reader()).unwrap_or_else(|e| panic!("{base}: {e}"));
        redirect.url(path, None).unwrap().unwrap()
    }

    fn refused(base: impl Into<Value>) -> String {
        let mut params = Params::new();
        params.set(KEY, base);
        let error = create(&mut params.reader()).err().unwrap();
        assert_eq!(error.code(), Code::InvalidParameter);
        error.to_string()
    }

    #[test]
    fn a_baseurl_is_needed() {
        let error = create(&mut Params::new().reader()).err().unwrap();
        assert_eq!(error.to_string(), "parameter baseurl: no baseurl provided");
        assert!(refused("").contains("no baseurl provided"));
    }

    #[test]
    fn a_baseurl_is_a_string_with_scheme_and_host() {
        assert!(refused(1).contains("must be a string"));
        assert!(refused("example.com").contains("no scheme specified"));
        assert!(refused("example.com:443/base").contains("no scheme specified"));
        for base in ["https://", "https:///base", "https://:443", "https://?a"] {
            assert!(refused(base).contains("no host specified"), "{base}");
        }
        for base in ["://example.com", "//example.com", "/base"] {
            assert!(refused(base).contains("no scheme specified"), "{base}");
        }
        for base in ["https://exa mple.com", "https://h/ä", "https://h:x"] {
            assert!(refused(base).contains("unable to parse"), "{base}");
        }
        assert!(refused("ftp://example.com").contains("http or https"));
    }

    #[test]
    fn what_would_be_lost_or_leak_is_refused() {
        for base in ["https://h/base?query", "https://h#place"] {
            assert!(refused(base).contains("no query"), "{base}");
        }
        let error = refused("https://user:S3CRET@example.com");
        assert!(error.contains("no password") && !error.contains("S3CRET"), "{error}");
    }

    #[test]
    fn a_port_is_kept() {
        let base = "https://example.com:5443";
        assert_eq!(url(base, "/rick/data"), "https://example.com:5443/rick/data");
    }

    #[test]
    fn a_path_without_a_slash_gets_one() {
        assert_eq!(url("http://example.com", "morty/data"), "http://example.com/morty/data");
    }

    #[test]
    fn base_and_path_are_joined_by_one_slash() {
        for base in ["https://example.com/base", "https://example.com/base/"] {
            for path in ["morty/data", "/morty/data"] {
                assert_eq!(url(base, path), "https://example.com/base/morty/data");
            }
        }
        assert_eq!(url("https://example.com/", "/a"), "https://example.com/a");
        assert_eq!(url("https://h//a/./b/../c%20d//", "/e"), "https://h/a/c%20d/e");
        assert_eq!(url("https://h/../..", "/e"), "https://h/e");
    }

    #[test]
    fn addresses_are_hosts_too() {
        assert_eq!(url("HTTP://[::1]:8080", "/a"), "http://[::1]:8080/a");
    }
}
