//! URLs under which clients fetch a file themselves. Fetching one needs an HTTP
//! client, which the library has not; only its form is looked at here.

use super::Case;
use super::probe::{CaseResult, During, Probe, Step, ensure, skip};
use crate::driver::RedirectRequest;

pub const CASES: &[Case] = &[
    Case { name: "redirect/get_gives_none_or_a_url_with_scheme_and_host", run: |p| url(p, "GET") },
    Case {
        name: "redirect/head_gives_none_or_a_url_with_scheme_and_host",
        run: |p| url(p, "HEAD"),
    },
    Case { name: "redirect/no_method_means_get", run: |p| url(p, "") },
    Case { name: "redirect/urls_are_given_by_capability", run: by_capability },
];

fn ask(p: &Probe<'_>, method: &str) -> Step<Option<String>> {
    if p.no_redirect {
        return skip("redirects are left out of this run");
    }
    let path = p.path("file");
    p.put(&path, &p.content(0).bytes(32))?;
    let request = RedirectRequest { method: method.to_string(), ..Default::default() };
    p.driver.redirect_url(&p.ctx, &path, &request).during("redirect_url")
}

fn url(p: &Probe<'_>, method: &str) -> CaseResult {
    let Some(url) = ask(p, method)? else { return Ok(()) };
    let (scheme, rest) = url.split_once("://").unwrap_or(("", &url));
    ensure!(matches!(scheme, "http" | "https"), "the URL has the scheme {scheme:?}");
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    ensure!(!host.is_empty(), "the URL has no host");
    let printable = url.bytes().all(|byte| byte.is_ascii_graphic());
    ensure!(printable, "the URL has characters that no URL has");
    Ok(())
}

fn by_capability(p: &Probe<'_>) -> CaseResult {
    let (given, has) = (ask(p, "GET")?.is_some(), p.capabilities.redirect);
    ensure!(given == has, "a URL is given: {given}; the driver has redirect: {has}");
    Ok(())
}
