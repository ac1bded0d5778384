//! Which proxy the environment wants for an address: HTTP_PROXY, HTTPS_PROXY and
//! NO_PROXY, read once per engine.

use std::net::IpAddr;

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use crate::error::{Code, Error, Result};

pub struct Rules {
    http: Option<Result<Matcher>>,
    https: Option<Result<Matcher>>,
    /// Entries of NO_PROXY with a port, which the matcher does not know.
    exempt: Vec<(String, u16)>,
}

impl Rules {
    /// No proxy for anything.
    #[cfg(test)]
    pub fn none() -> Rules {
        Rules { http: None, https: None, exempt: Vec::new() }
    }

    pub fn from_environment() -> Rules {
        Rules::from(|name| std::env::var(name).ok())
    }

    /// As from an environment, which gives the value of a variable.
    pub fn from(variable: impl Fn(&str) -> Option<String>) -> Rules {
        let variable = |name: &str| {
            let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
            set(name).or_else(|| set(&name.to_lowercase()))
        };
        let no = variable("NO_PROXY").unwrap_or_default();
        let (exempt, no): (Vec<_>, Vec<_>) =
            no.split(',').map(str::trim).partition(|entry| with_port(entry).is_some());
        let exempt = exempt.into_iter().filter_map(with_port).collect();
        // Whoever writes *.name means what .name says.
        let no: Vec<_> = no
            .into_iter()
            .map(|entry| {
                entry.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(entry)
            })
            .collect();
        let no = no.join(",");
        let rule = |name: &str| variable(name).map(|proxy| matcher(name, proxy.trim(), &no));
        // A request's header `Proxy:` arrives as HTTP_PROXY in a CGI program.
        let cgi = variable("REQUEST_METHOD").is_some();
        let http = if cgi { None } else { rule("HTTP_PROXY") };
        Rules { http, https: rule("HTTPS_PROXY"), exempt }
    }

    /// The proxy for an address, if it wants one. An error if what the environment
    /// names is no proxy.
    pub fn for_uri(&self, uri: &Uri) -> Result<Option<Intercept>> {
        let https = uri.scheme_str() == Some("https");
        let (Some(rule), Some(host)) = (if https { &self.https } else { &self.http }, uri.host())
        else {
            return Ok(None);
        };
        if stays_here(host) {
            return Ok(None);
        }
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        if self.exempt.iter().any(|(name, only)| *only == port && covers(name, host)) {
            return Ok(None);
        }
        match rule {
            Ok(matcher) => Ok(matcher.intercept(uri)),
            Err(error) => Err(error.clone()),
        }
    }
}

/// The value itself stays out of the message: it may hold a password.
fn matcher(name: &str, proxy: &str, no: &str) -> Result<Matcher> {
    let matcher = Matcher::builder().all(proxy).no(no).build();
    let bare = Matcher::builder().all(proxy).build();
    let probe = Uri::from_static("http://host/");
    let fault = |what: &str| Error::new(Code::InvalidParameter, format!("{name}: {what}"));
    match bare.intercept(&probe) {
        None => Err(fault("not the address of a proxy")),
        Some(proxy) if !matches!(proxy.uri().scheme_str(), Some("http" | "https")) => {
            Err(fault("only proxies that speak HTTP are supported"))
        }
        Some(_) => Ok(matcher),
    }
}

/// Addresses of this machine and of its link, where metadata services live, are never
/// meant for a proxy.
fn stays_here(host: &str) -> bool {
    if host.eq_ignore_ascii_case("localhost") {
        return true;
    }
    match host.trim_matches(['[', ']']).parse() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unicast_link_local(),
        Err(_) => false,
    }
}

fn with_port(entry: &str) -> Option<(String, u16)> {
    let (name, port) = entry.rsplit_once(':')?;
    let plain = !name.contains(':') || (name.starts_with('[') && name.ends_with(']'));
    let name = name.trim_start_matches("*.").trim_start_matches('.');
    Some((name.to_ascii_lowercase(), port.parse().ok()?)).filter(|_| plain && !name.is_empty())
}

fn covers(name: &str, host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    match host.strip_suffix(name) {
        Some(front) => front.is_empty() || front.ends_with('.'),
        None => false,
    }
}
