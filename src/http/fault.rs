//! What goes wrong between two machines, in words. They name the host, and nothing
//! else of an address: a query may be a signature.

use std::error::Error as StdError;
use std::fmt::Display;
use std::io;

use http::uri::Authority;

use crate::error::{Code, Error};

/// How hyper says so to clients.
const TOO_LARGE: &str = "message head is too large";

/// Where a request goes, as messages name it.
#[derive(Clone, Debug)]
pub struct Peer(Authority);

impl Peer {
    pub fn new(authority: Authority) -> Peer {
        Peer(authority)
    }
}

impl Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.host())?;
        self.0.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// What a connector failed with when another try will not help.
#[derive(Debug)]
pub struct Refusal(pub Error);

impl Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.detail())
    }
}

impl StdError for Refusal {}

/// The connection took too long to come about.
#[derive(Debug)]
pub struct ConnectTimeout;

impl Display for ConnectTimeout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it took too long")
    }
}

impl StdError for ConnectTimeout {}

pub fn unavailable(text: String) -> Error {
    Error::new(Code::Unavailable, text)
}

pub fn stalled(peer: &Peer) -> Error {
    unavailable(format!("{peer} has stopped answering"))
}

/// A request that got no answer.
pub fn of_request(peer: &Peer, error: &hyper_util::client::legacy::Error) -> Error {
    if let Some(Refusal(refusal)) = find(error) {
        return refusal.clone();
    }
    if let Some(tls) = find::<rustls::Error>(error) {
        return of_tls(peer, tls);
    }
    if error.is_connect() {
        return unavailable(format!("cannot connect to {peer}: {}", innermost(error)));
    }
    match find::<hyper::Error>(error) {
        Some(cause) => of_exchange(peer, cause),
        None => unavailable(format!("no answer from {peer}: {}", innermost(error))),
    }
}

/// An answer whose body broke off.
pub fn of_body(peer: &Peer, error: &hyper::Error) -> Error {
    match find::<rustls::Error>(error) {
        Some(tls) => of_tls(peer, tls),
        None => unavailable(format!("the answer of {peer} broke off: {}", innermost(error))),
    }
}

fn of_exchange(peer: &Peer, error: &hyper::Error) -> Error {
    let why = innermost(error);
    if error.is_user() {
        return Error::new(Code::Internal, format!("a request that cannot be sent: {why}"));
    }
    if error.is_parse() && why == TOO_LARGE {
        let text = format!("the head of the answer of {peer} is too large");
        return unavailable(text).with_retryable(false);
    }
    if error.is_parse() {
        return unavailable(format!("{peer} does not answer in HTTP: {why}"));
    }
    unavailable(format!("no answer from {peer}: {why}"))
}

fn of_tls(peer: &Peer, error: &rustls::Error) -> Error {
    match error {
        rustls::Error::InvalidCertificate(why) => {
            let why = format!("{why:?}");
            let why = why.split_once([' ', '{', '(']).map_or(why.as_str(), |(name, _)| name);
            let text = format!("the certificate of {peer} is not trusted: {}", spaced(why));
            unavailable(text).with_retryable(false)
        }
        other => unavailable(format!("TLS with {peer} failed: {}", lower(&other.to_string()))),
    }
}

/// `UnknownIssuer` as `unknown issuer`.
fn spaced(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.extend(c.to_lowercase());
    }
    text
}

/// The first cause of one kind. `io::Error` hides what it wraps from `source`.
fn find<'e, E: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = inner(error);
    }
    None
}

fn inner<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

/// The cause of all causes, without the system's number for it.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut error = error;
    while let Some(next) = inner(error) {
        error = next;
    }
    let text = error.to_string();
    let text = text.split(" (os error ").next().unwrap_or_default();
    lower(text)
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        // An abbreviation stays one.
        (Some(_), Some(second)) if second.is_uppercase() => text.to_string(),
        (Some(first), _) => first.to_lowercase().chain(chars).collect(),
        (None, _) => String::new(),
    }
}
