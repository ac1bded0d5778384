//! Proxies of the environment: requests in absolute form, tunnels for https.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use tempfile::TempDir;

use super::secure::{Authority, wrap};
use super::server::{Server, Then, answer};
use super::*;
use crate::error::Code;

/// An engine in an environment with these variables.
fn engine_in(variables: &[(&str, &str)], options: Options) -> Engine {
    let all: BTreeMap<String, String> =
        variables.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    Engine::with_rules(&options, Rules::from(|name| all.get(name).cloned())).unwrap()
}

fn proxied(rules: &[(&str, &str)], url: &str) -> bool {
    let all: BTreeMap<&str, &str> = rules.iter().copied().collect();
    let rules = Rules::from(|name| all.get(name).map(|value| value.to_string()));
    rules.for_uri(&url.parse().unwrap()).unwrap().is_some()
}

#[test]
fn http_goes_to_its_proxy_in_absolute_form() {
    let proxy = Server::saying(answer("200 OK", &[], b"by proxy"));
    let address = format!("http://me:pass%3Aword@{}", proxy.address);
    let engine = engine_in(&[("HTTP_PROXY", &address)], Options::default());
    for _ in 0..3 {
        let (_, body) = exchange(&engine, get("http://store.test:8080/key?a=b")).unwrap();
        assert_eq!(body, "by proxy");
    }
    let asked = proxy.asked().pop().unwrap();
    assert_eq!(asked.first_line(), "GET http://store.test:8080/key?a=b HTTP/1.1");
    assert_eq!(asked.header("host"), Some("store.test:8080"));
    assert_eq!(asked.header("proxy-authorization"), Some("Basic bWU6cGFzczp3b3Jk"));
    assert_eq!(proxy.connections(), 1);
}

/// A proxy that tunnels whatever it is asked for to one place.
fn tunnels(to: SocketAddr, status: &'static str) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = heads.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut near, mut head) = (stream.unwrap(), Vec::new());
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                near.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            seen.lock().unwrap().push(String::from_utf8(head).unwrap());
            near.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).unwrap();
            if status.starts_with("200") {
                let far = TcpStream::connect(to).unwrap();
                for (mut from, mut to) in
                    [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)]
                {
                    thread::spawn(move || std::io::copy(&mut from, &mut to));
                }
            }
        }
    });
    (address, heads)
}

fn tls_store(folder: &TempDir) -> (Server, Options) {
    let authority = Authority::new();
    let config = authority.server_config("store.test");
    let answer_all = |_: &super::server::Asked, wire: &mut dyn super::server::Wire| {
        wire.write_all(&answer("200 OK", &[], b"through a tunnel")).unwrap();
        Then::Keep
    };
    let server = Server::start_on(move |stream| wrap(&config, stream), answer_all);
    let bundles = vec![("CA".to_string(), authority.bundle(folder))];
    (server, Options { bundles, ..Options::default() })
}

#[test]
fn https_goes_through_a_tunnel_and_the_proxy_sees_only_the_host() {
    let folder = TempDir::new().unwrap();
    let (server, options) = tls_store(&folder);
    let (address, heads) = tunnels(server.address, "200 Connection established");
    let proxy = format!("http://me:word@{address}");
    let engine = engine_in(&[("HTTPS_PROXY", &proxy)], options);
    let (_, body) = exchange(&engine, get("https://store.test/key?X-Signature=SECRET")).unwrap();
    assert_eq!(body, "through a tunnel");
    let heads = heads.lock().unwrap();
    assert!(heads[0].starts_with("CONNECT store.test:443 HTTP/1.1\r\n"), "{heads:?}");
    assert!(heads[0].contains("Proxy-Authorization: Basic bWU6d29yZA==\r\n"), "{heads:?}");
    assert!(!heads[0].contains("SECRET"));
    let asked = server.asked().pop().unwrap();
    assert_eq!(asked.first_line(), "GET /key?X-Signature=SECRET HTTP/1.1");
    assert_eq!(asked.header("proxy-authorization"), None);
}

#[test]
fn a_proxy_that_refuses_is_a_clear_error() {
    let folder = TempDir::new().unwrap();
    for (status, words) in [
        ("407 Proxy Authentication Required", "proxy authorization required"),
        ("502 Bad Gateway", "unsuccessful"),
    ] {
        let (server, options) = tls_store(&folder);
        let (address, _) = tunnels(server.address, status);
        let proxy = format!("http://me:SECRET@{address}");
        let engine = engine_in(&[("https_proxy", &proxy)], options);
        let error = exchange(&engine, get("https://store.test/key")).unwrap_err();
        assert_eq!(error.code(), Code::Unavailable);
        assert!(error.detail().contains("store.test") && error.detail().contains(words), "{error}");
        assert!(!error.to_string().contains("SECRET"), "{error}");
    }
}

#[test]
fn a_proxy_that_is_none_is_an_error_that_does_not_repeat_it() {
    let cases = [
        (
            "HTTPS_PROXY",
            "https://s.test/",
            "socks5://me:SECRET@h:1",
            "only proxies that speak HTTP",
        ),
        ("HTTPS_PROXY", "https://s.test/", "ftp://SECRET", "not the address of a proxy"),
        ("HTTP_PROXY", "http://s.test/", "http://SECRET:no port/", "not the address of a proxy"),
    ];
    for (name, url, value, words) in cases {
        let engine = engine_in(&[(name, value)], Options::default());
        for error in [
            engine.check(&url.parse().unwrap()).unwrap_err(),
            exchange(&engine, get(url)).unwrap_err(),
        ] {
            assert_eq!(error.code(), Code::InvalidParameter, "{error}");
            assert!(error.detail().starts_with(&format!("{name}: {words}")), "{error}");
            assert!(!error.to_string().contains("SECRET"), "{error}");
        }
        // What does not need it is not hurt.
        let server = Server::saying(answer("200 OK", &[], b"x"));
        exchange(&engine, get(&server.url("/"))).unwrap();
    }
}

#[test]
fn no_proxy_and_addresses_of_this_machine_go_straight() {
    let proxy = ("HTTP_PROXY", "proxy.test:3128");
    for (no, url, through) in [
        ("", "http://store.test/", true),
        ("", "https://store.test/", false),
        ("store.test", "http://store.test/", false),
        ("store.test", "http://a.store.test/", false),
        (".store.test", "http://a.store.test/", false),
        ("*.store.test", "http://a.store.test/", false),
        ("store.test", "http://notstore.test/", true),
        ("other, store.test", "http://store.test:9000/", false),
        ("store.test:9000", "http://store.test:9000/", false),
        ("store.test:9000", "http://store.test/", true),
        ("10.0.0.0/8", "http://10.1.2.3/", false),
        ("10.0.0.0/8", "http://11.1.2.3/", true),
        ("*", "http://anything.test/", false),
        ("", "http://localhost:1/", false),
        ("", "http://127.0.0.2/", false),
        ("", "http://[::1]/", false),
        ("", "http://169.254.169.254/latest", false),
    ] {
        assert_eq!(proxied(&[proxy, ("NO_PROXY", no)], url), through, "{no} {url}");
        assert_eq!(proxied(&[("http_proxy", "p.test"), ("no_proxy", no)], url), through, "{no}");
    }
    // A request's header must not choose the proxy of a CGI program.
    assert!(!proxied(&[proxy, ("REQUEST_METHOD", "GET")], "http://store.test/"));
}
