//! `rewrite`: the driver's own URL with another scheme or host, or without the front
//! of its path. Its query stays; a signature that covers what was changed breaks.

use http::Uri;
use http::uri::{Authority, InvalidUriParts, PathAndQuery, Scheme};

use super::{Urls, text, web_scheme};
use crate::error::{Code, Error, Result};
use crate::params::Reader;

struct Rewrite {
    scheme: Option<Scheme>,
    host: Option<Authority>,
    /// Compared with the decoded path, as Distribution does.
    trim_path_prefix: Option<String>,
}

pub fn create(params: &mut Reader<'_>) -> Result<Box<dyn Urls>> {
    let wrong = |key, detail| move || Error::invalid_parameter(key, detail);
    let scheme = text(params, "scheme")?.map(|text| {
        let scheme = text.parse().ok().filter(web_scheme);
        scheme.ok_or_else(wrong("scheme", "must be http or https"))
    });
    let host = text(params, "host")?.map(|text| {
        let host = text.parse().ok().filter(|host: &Authority| is_plain(host));
        host.ok_or_else(wrong("host", "must be a host, with a port if need be"))
    });
    Ok(Box::new(Rewrite {
        scheme: scheme.transpose()?,
        host: host.transpose()?,
        trim_path_prefix: text(params, "trimpathprefix")?,
    }))
}

/// No user, and a name.
fn is_plain(host: &Authority) -> bool {
    !host.host().is_empty() && !host.as_str().contains('@')
}

impl Urls for Rewrite {
    fn asks_driver(&self) -> bool {
        true
    }

    fn url(&self, _path: &str, own: Option<String>) -> Result<Option<String>> {
        // Where there is no URL, none is made up from a scheme and a host.
        let Some(own) = own else { return Ok(None) };
        if self.scheme.is_none() && self.host.is_none() && self.trim_path_prefix.is_none() {
            return Ok(Some(own));
        }
        // The URL is not quoted: it may be signed.
        let unreadable = || Error::new(Code::Driver, "the driver's url cannot be rewritten");
        let url: Uri = own.parse().map_err(|_| unreadable())?;
        let url = self.rewrite(url).map_err(|_| unreadable())?;
        Ok(Some(url.to_string()))
    }
}

impl Rewrite {
    fn rewrite(&self, url: Uri) -> std::result::Result<Uri, InvalidUriParts> {
        let mut parts = url.into_parts();
        if let Some(scheme) = &self.scheme {
            parts.scheme = Some(scheme.clone());
        }
        if let Some(host) = &self.host {
            parts.authority = Some(host.clone());
        }
        if let (Some(prefix), Some(old)) = (&self.trim_path_prefix, &parts.path_and_query) {
            parts.path_and_query = trimmed(old, prefix).or(parts.path_and_query);
        }
        Uri::from_parts(parts)
    }
}

/// The path without `prefix`; `None` if it does not begin so.
fn trimmed(old: &PathAndQuery, prefix: &str) -> Option<PathAndQuery> {
    let rest = prefix.bytes().try_fold(old.path(), without_first)?;
    let slash = if rest.starts_with('/') { "" } else { "/" };
    let query = old.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{slash}{rest}{query}").parse().ok()
}

/// An encoded path without its first byte, if that is `wanted`.
fn without_first(path: &str, wanted: u8) -> Option<&str> {
    match path.as_bytes() {
        [b'%', ..] => {
            let byte = u8::from_str_radix(path.get(1..3)?, 16).ok()?;
            path.get(3..).filter(|_| byte == wanted)
        }
        [byte, ..] => path.get(1..).filter(|_| *byte == wanted),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Params;

    const INNER: &str = "http://some.host/some/path/file";

    fn rewritten(params: &str, own: Option<&str>) -> Result<Option<String>> {
        let params = Params::from_json(params).unwrap();
        create(&mut params.reader())?.url("/file", own.map(str::to_string))
    }

    fn url(params: &str, own: &str) -> String {
        rewritten(params, Some(own)).unwrap().unwrap()
    }

    fn refused(params: &str) -> String {
        let error = rewritten(params, None).unwrap_err();
        assert_eq!(error.code(), Code::InvalidParameter);
        error.to_string()
    }

    #[test]
    fn without_parameters_nothing_changes() {
        assert_eq!(url("{}", INNER), INNER);
        assert_eq!(url(r#"{"scheme":"","host":"","trimpathprefix":""}"#, INNER), INNER);
        assert_eq!(url("{}", "no url at all"), "no url at all");
    }

    #[test]
    fn scheme_and_host_are_replaced() {
        let params = r#"{"scheme":"https","host":"example.com"}"#;
        assert_eq!(url(params, INNER), "https://example.com/some/path/file");
        assert_eq!(url(r#"{"scheme":"https"}"#, INNER), "https://some.host/some/path/file");
        let port = r#"{"host":"example.com:8443"}"#;
        assert_eq!(url(port, INNER), "http://example.com:8443/some/path/file");
    }

    #[test]
    fn the_front_of_the_path_is_trimmed() {
        let params = r#"{"trimpathprefix":"/some/path"}"#;
        assert_eq!(url(params, INNER), "http://some.host/file");
        assert_eq!(url(params, "http://some.host/other/file"), "http://some.host/other/file");
        assert_eq!(url(params, "http://some.host/some"), "http://some.host/some");
        assert_eq!(url(params, "http://some.host/some/path?a"), "http://some.host/?a");
        let with_slash = r#"{"trimpathprefix":"/some/path/"}"#;
        assert_eq!(url(with_slash, INNER), "http://some.host/file");
    }

    #[test]
    fn an_encoded_path_is_trimmed_by_what_it_means_and_stays_encoded() {
        let params = r#"{"trimpathprefix":"/my bucket/ä"}"#;
        let own = "http://h/my%20bucket/%C3%A4/a%2Bb%20c?X-Sig=1%2F2";
        assert_eq!(url(params, own), "http://h/a%2Bb%20c?X-Sig=1%2F2");
        assert_eq!(url(params, "http://h/my%2"), "http://h/my%2");
    }

    #[test]
    fn the_query_stays_byte_for_byte() {
        let own = "http://some.host/some/path/file?X-Amz-Signature=ab%2fC%2F+~&x=/some/path";
        let params = r#"{"scheme":"https","host":"cdn.example.com","trimpathprefix":"/some/path"}"#;
        let rest = own.split_once("?").unwrap().1;
        assert_eq!(url(params, own), format!("https://cdn.example.com/file?{rest}"));
    }

    #[test]
    fn no_url_stays_no_url() {
        let params = r#"{"scheme":"https","host":"example.com","trimpathprefix":"/a"}"#;
        assert_eq!(rewritten(params, None).unwrap(), None);
    }

    #[test]
    fn what_cannot_be_part_of_a_url_is_refused() {
        for key in ["scheme", "host", "trimpathprefix"] {
            let error = refused(&format!(r#"{{"{key}":1}}"#));
            assert_eq!(error, format!("parameter {key}: must be a string"));
        }
        for scheme in ["https://", "ht tp", "ftp"] {
            assert!(refused(&format!(r#"{{"scheme":"{scheme}"}}"#)).contains("http or https"));
        }
        for host in ["https://h", "h/path", "a b", "u:p@h", ":80"] {
            assert!(refused(&format!(r#"{{"host":"{host}"}}"#)).contains("must be a host"));
        }
    }

    #[test]
    fn a_url_that_cannot_be_read_is_an_error_without_it() {
        for own in ["http://some host/S3CRET", "/S3CRET"] {
            let error = rewritten(r#"{"scheme":"https"}"#, Some(own)).unwrap_err();
            assert_eq!(error.code(), Code::Driver);
            assert!(!error.to_string().contains("S3CRET"), "{error}");
        }
    }
}
