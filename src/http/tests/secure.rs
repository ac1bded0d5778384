//! TLS: whom to trust, and what it is like when nobody is.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use super::server::{Server, Then, Wire, answer};
use super::*;
use crate::error::Code;
use crate::observe::{self, Level};

/// An authority that exists nowhere else.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub fn new() -> Authority {
        Authority::with_key(KeyPair::generate().unwrap())
    }

    fn with_key(key: KeyPair) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Its name is its key's.
        let name = crate::http::hash::hex(key.public_key_raw());
        params.distinguished_name.push(DnType::CommonName, &name[..20]);
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// How a server speaks TLS that is known by `name`.
    pub fn server_config(&self, name: &str) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_string()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key);
        Arc::new(config.unwrap())
    }

    /// Its certificate in a file.
    pub fn bundle(&self, folder: &TempDir) -> PathBuf {
        let path = folder.path().join("ca.pem");
        fs::write(&path, &self.pem).unwrap();
        path
    }
}

pub fn wrap(config: &Arc<ServerConfig>, stream: TcpStream) -> Option<Box<dyn Wire>> {
    let tls = ServerConnection::new(config.clone()).unwrap();
    Some(Box::new(StreamOwned::new(tls, stream)))
}

fn tls_server(authority: &Authority, name: &str) -> (Server, String) {
    let config = authority.server_config(name);
    let server = Server::start_on(
        move |stream| wrap(&config, stream),
        |_, wire| match wire.write_all(&answer("200 OK", &[], b"secure")) {
            Ok(()) => Then::Keep,
            Err(_) => Then::Close,
        },
    );
    let url = format!("https://localhost:{}/key?X-Signature=SECRET", server.address.port());
    (server, url)
}

fn trusting(path: PathBuf) -> Engine {
    engine_with(Options { bundles: vec![("THE_BUNDLE".into(), path)], ..Options::default() })
}

#[test]
fn a_server_that_a_given_authority_vouches_for_is_trusted() {
    let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
    let (server, url) = tls_server(&authority, "localhost");
    let engine = trusting(authority.bundle(&folder));
    engine.check(&url.parse().unwrap()).unwrap();
    for _ in 0..5 {
        assert_eq!(exchange(&engine, get(&url)).unwrap().1, "secure");
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn an_unknown_authority_is_refused() {
    let (other, folder) = (Authority::new(), TempDir::new().unwrap());
    let (server, url) = tls_server(&Authority::new(), "localhost");
    let error = exchange(&trusting(other.bundle(&folder)), get(&url)).unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(!error.is_retryable());
    let host = format!("localhost:{}", server.address.port());
    assert_eq!(error.detail(), format!("the certificate of {host} is not trusted: unknown issuer"));
    assert!(server.asked().is_empty());
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
    let (_server, url) = tls_server(&authority, "elsewhere.test");
    let error = exchange(&trusting(authority.bundle(&folder)), get(&url)).unwrap_err();
    assert!(error.detail().contains("is not trusted: not valid for name"), "{error}");
}

#[test]
fn skip_verify_trusts_anybody_and_says_so_in_the_log() {
    static LINES: Mutex<Vec<(Level, String)>> = Mutex::new(Vec::new());
    let hook = |record: &observe::LogRecord<'_>| {
        LINES.lock().unwrap().push((record.level, record.message.to_string()));
    };
    observe::set_log_hook(Some(Box::new(hook)), i32::MAX).unwrap();
    let (_server, url) = tls_server(&Authority::new(), "elsewhere.test");
    let engine = engine_with(Options { skip_verify: true, ..Options::default() });
    observe::set_log_hook(None, i32::MAX).unwrap();
    assert_eq!(exchange(&engine, get(&url)).unwrap().1, "secure");
    let lines = LINES.lock().unwrap();
    let warns = |line: &&(Level, String)| line.0 == Level::Warn && line.1.contains("not verified");
    assert!(lines.iter().any(|line| warns(&line)), "{lines:?}");
}

#[test]
fn a_broken_bundle_is_a_clear_error_and_only_for_https() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let cut = Authority::new().pem;
    let cases = [
        (folder.path().join("missing"), "cannot be read: entity not found"),
        (folder.path().to_path_buf(), "cannot be read: is a directory"),
        (write("empty", b""), "no certificates in it"),
        (write("noise", &content(1000)), "no certificates in it"),
        (write("cut", &cut.as_bytes()[..cut.len() / 2]), "not a file of PEM certificates"),
        (
            write("junk", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "no certificates in it",
        ),
    ];
    let (_server, url) = tls_server(&Authority::new(), "localhost");
    for (path, words) in cases {
        let engine = trusting(path.clone());
        for error in [
            engine.check(&url.parse().unwrap()).unwrap_err(),
            exchange(&engine, get(&url)).unwrap_err(),
        ] {
            assert_eq!(error.code(), Code::InvalidParameter, "{error}");
            assert_eq!(error.detail(), format!("THE_BUNDLE: {}: {words}", path.display()));
        }
        // Nobody needs it without TLS.
        let plain = Server::saying(answer("200 OK", &[], b"x"));
        engine.check(&plain.url("/").parse().unwrap()).unwrap();
        exchange(&engine, get(&plain.url("/"))).unwrap();
    }
}

#[test]
fn plain_http_where_tls_is_wanted_is_an_error() {
    let server = Server::saying(answer("200 OK", &[], b"x"));
    let url = format!("https://{}/key?X-Signature=SECRET", server.address);
    let engine = engine_with(Options { skip_verify: true, ..Options::default() });
    let error = exchange(&engine, get(&url)).unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(
        error.detail().contains("127.0.0.1") && !error.to_string().contains("SECRET"),
        "{error}"
    );
    // And the other way round: what is not HTTP at all.
    let (server, _) = tls_server(&Authority::new(), "localhost");
    let error = exchange(&engine, get(&server.url("/"))).unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
}

/// The same test in a process of its own, with these variables.
fn with_environment(test: &str, variables: &[(&str, &std::path::Path)]) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", &format!("http::tests::secure::{test}"), "--nocapture"]);
    child.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR").env("THE_CHILD", "yes");
    child.envs(variables.iter().copied());
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn the_variables_of_the_environment_name_whom_to_trust() {
    const TEST: &str = "the_variables_of_the_environment_name_whom_to_trust";
    if std::env::var_os("THE_CHILD").is_none() {
        let folder = TempDir::new().unwrap();
        let (trusted, empty) = (folder.path().join("trusted"), folder.path().join("none"));
        fs::create_dir(&trusted).unwrap();
        fs::create_dir(&empty).unwrap();
        let authority = Authority::new();
        let key = authority.issuer.key().serialize_pem();
        fs::write(trusted.join("0.pem"), &authority.pem).unwrap();
        fs::write(trusted.join("readme"), "not a certificate").unwrap();
        let key_file = folder.path().join("key");
        fs::write(&key_file, key).unwrap();
        let [file, missing] = [trusted.join("0.pem"), folder.path().join("missing")];
        let with = |variables: &[(&str, &std::path::Path)], expect: &str| {
            let all = [variables, &[("THE_KEY", &key_file), ("EXPECT", expect.as_ref())]].concat();
            with_environment(TEST, &all);
        };
        with(&[("SSL_CERT_FILE", &file)], "trusted");
        with(&[("SSL_CERT_DIR", &trusted)], "trusted");
        with(&[("SSL_CERT_FILE", &file), ("SSL_CERT_DIR", &missing)], "trusted");
        with(&[("SSL_CERT_FILE", &missing)], "SSL_CERT_FILE: ");
        with(&[("SSL_CERT_DIR", &empty)], "SSL_CERT_DIR: ");
        with(&[("SSL_CERT_DIR", &missing)], "SSL_CERT_DIR: ");
        return;
    }
    let key = fs::read_to_string(std::env::var_os("THE_KEY").unwrap()).unwrap();
    let authority = Authority::with_key(KeyPair::from_pem(&key).unwrap());
    let (_server, url) = tls_server(&authority, "localhost");
    let outcome = exchange(&engine(), get(&url));
    match std::env::var("EXPECT").unwrap().as_str() {
        "trusted" => assert_eq!(outcome.unwrap().1, "secure"),
        words => {
            let error = outcome.unwrap_err();
            assert_eq!(error.code(), Code::InvalidParameter, "{error}");
            assert!(error.detail().starts_with(words), "{error}");
        }
    }
}
