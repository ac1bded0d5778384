//! The proxy that the tests of network drivers use: transparent until told otherwise.

#[path = "common/proxy/mod.rs"]
#[allow(dead_code)] // each test that includes it uses some of it
mod proxy;

use std::io::{self, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proxy::{Body, Fault, Head, Proxy, Response, Rule, read_whole};

/// A server that answers with the request's body, or as its path says.
struct Origin {
    address: String,
    connections: Arc<AtomicUsize>,
    /// Bytes of the bodies that came whole.
    bodies: Arc<Mutex<Vec<usize>>>,
}

impl Origin {
    fn start() -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = Origin {
            address: listener.local_addr().unwrap().to_string(),
            connections: Arc::default(),
            bodies: Arc::default(),
        };
        let (connections, bodies) = (origin.connections.clone(), origin.bodies.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                connections.fetch_add(1, Ordering::SeqCst);
                let bodies = bodies.clone();
                std::thread::spawn(move || serve(stream.unwrap(), &bodies));
            }
        });
        origin
    }
}

fn serve(mut stream: TcpStream, bodies: &Mutex<Vec<usize>>) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(head) = Head::read(&mut reader)? {
        if head.words[1].starts_with("/refuse") {
            return stream.write_all(b"HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno");
        }
        if head.header("expect").is_some() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let body = read_whole(head.body_of_request(), &mut reader)?;
        bodies.lock().unwrap().push(body.len());
        if head.words[1].starts_with("/chunked") {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
            for piece in body.chunks(1000) {
                write!(stream, "{:x}\r\n", piece.len())?;
                stream.write_all(piece)?;
                stream.write_all(b"\r\n")?;
            }
            stream.write_all(b"0\r\n\r\n")?;
            continue;
        }
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nx-origin: yes\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )?;
        if head.words[0] != "HEAD" {
            stream.write_all(&body)?;
        }
    }
    Ok(())
}

/// A client that keeps its connection.
struct Client(BufReader<TcpStream>);

impl Client {
    fn new(proxy: &Proxy) -> Client {
        let stream = TcpStream::connect(proxy.url().trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Client(BufReader::new(stream))
    }

    fn ask(&mut self, method: &str, target: &str, body: &[u8]) -> io::Result<(Head, Vec<u8>)> {
        let length = body.len();
        let head =
            format!("{method} {target} HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n");
        self.send(&[head.as_bytes(), body].concat())?;
        self.answer(method)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    fn answer(&mut self, method: &str) -> io::Result<(Head, Vec<u8>)> {
        let head = Head::read(&mut self.0)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let body = head.body_of_response(method);
        let content = read_whole(body, &mut self.0)?;
        Ok((head, content))
    }
}

fn started() -> (Origin, Proxy, Client) {
    let origin = Origin::start();
    let proxy = Proxy::start(&origin.address);
    let client = Client::new(&proxy);
    (origin, proxy, client)
}

fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * i % 251) as u8).collect()
}

#[test]
fn without_rules_nothing_changes_and_connections_stay() {
    let (origin, proxy, mut client) = started();
    for (i, length) in [0, 1, 5000, 3 << 20, 7].into_iter().enumerate() {
        let body = noise(length);
        let (head, back) = client.ask("PUT", &format!("/a?n={i}"), &body).unwrap();
        assert!(back == body && head.header("x-origin") == Some("yes"));
        let (head, back) = client.ask("HEAD", "/a", b"").unwrap();
        assert_eq!((head.status(), back.len()), (200, 0));
        let (_, back) = client.ask("POST", "/chunked", &body).unwrap();
        assert!(back == body);
    }
    assert_eq!(origin.connections.load(Ordering::SeqCst), 1);
    let seen = proxy.take();
    assert_eq!(seen.len(), 15);
    assert_eq!((seen[3].path.as_str(), seen[3].query("n")), ("/a", Some("1")));
    assert_eq!(seen[3].header("host"), Some("h"));
    assert!(proxy.take().is_empty());
}

#[test]
fn a_client_that_waits_for_100_is_told_to_go_on() {
    let (_origin, _proxy, mut client) = started();
    client.send(b"PUT /a HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n").unwrap();
    assert_eq!(client.answer("PUT").unwrap().0.status(), 100);
    client.send(b"abc").unwrap();
    assert_eq!(client.answer("PUT").unwrap().1, b"abc");
    // And one that is refused need not send its body.
    client
        .send(b"PUT /refuse HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n")
        .unwrap();
    assert_eq!(client.answer("PUT").unwrap().0.status(), 403);
}

#[test]
fn a_request_in_chunks_passes() {
    let (origin, _proxy, mut client) = started();
    let request = b"PUT /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n\
                    3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nx-sum: 1\r\n\r\n";
    client.send(request).unwrap();
    assert_eq!(client.answer("PUT").unwrap().1, b"abcde");
    assert_eq!(client.ask("PUT", "/a", b"x").unwrap().1, b"x");
    assert_eq!(*origin.bodies.lock().unwrap(), [5, 1]);
}

#[test]
fn rules_choose_their_requests() {
    let (origin, proxy, mut client) = started();
    let slow_down = Response::new(503, "slow").with("retry-after", "1");
    let rule = Rule::on(|seen| seen.query("part") == Some("2"), Fault::Answer(slow_down));
    proxy.rule(rule.nth(2).times(2));
    let mut statuses = Vec::new();
    for part in [1, 2, 2, 1, 2, 2] {
        let (head, _) = client.ask("PUT", &format!("/a?part={part}"), b"body").unwrap();
        assert_eq!(head.header("retry-after").is_some(), head.status() == 503);
        statuses.push(head.status());
    }
    assert_eq!(statuses, [200, 200, 503, 200, 503, 200]);
    assert_eq!((proxy.bitten(), proxy.take().len()), (2, 6));
    assert_eq!(origin.bodies.lock().unwrap().len(), 4, "the server was not asked");
}

#[test]
fn a_request_is_reset_at_any_byte() {
    let (origin, proxy, mut client) = started();
    for bytes in [0, 10, 60, 1 << 20, 2 << 20] {
        proxy.rule(Rule::on(|_| true, Fault::ResetRequest(bytes)));
        assert!(client.ask("PUT", "/a", &noise(3 << 20)).is_err());
        client = Client::new(&proxy);
    }
    assert!(origin.bodies.lock().unwrap().is_empty(), "no body came whole");
    assert!(client.ask("PUT", "/a", b"x").is_ok());
}

#[test]
fn a_response_is_reset_at_any_byte_after_the_server_did_its_work() {
    let (origin, proxy, mut client) = started();
    for (n, bytes) in [0, 10, 60, 1 << 20].into_iter().enumerate() {
        proxy.rule(Rule::on(|_| true, Fault::ResetResponse(bytes)));
        let error = client.ask("PUT", "/a", &noise(3 << 20)).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{bytes}");
        assert_eq!(origin.bodies.lock().unwrap().len(), n + 1);
        client = Client::new(&proxy);
    }
}

#[test]
fn stalls_last_until_the_client_goes() {
    let (origin, proxy, mut client) = started();
    for fault in [Fault::StallRequest(100), Fault::StallResponse(0), Fault::StallResponse(100)] {
        client.0.get_mut().set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let times_out = matches!(fault, Fault::StallRequest(_) | Fault::StallResponse(_));
        proxy.rule(Rule::on(|_| true, fault));
        let error = client.ask("PUT", "/a", &noise(5000)).map(|_| ()).unwrap_err();
        assert_eq!(error.kind() == io::ErrorKind::WouldBlock, times_out, "{error}");
        client = Client::new(&proxy);
    }
    let end = Instant::now() + Duration::from_secs(20);
    while origin.bodies.lock().unwrap().len() < 2 {
        assert!(Instant::now() < end, "what was answered had not been received");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(origin.bodies.lock().unwrap().len(), 2);
    proxy.take();
}

#[test]
fn responses_can_be_changed() {
    let (_origin, proxy, mut client) = started();
    proxy.rule(Rule::on(|_| true, Fault::truncate(3)));
    assert_eq!(client.ask("PUT", "/chunked", b"abcdef").unwrap().1, b"abc");
    let reverse = |response: &mut Response| response.body.reverse();
    proxy.rule(Rule::on(|_| true, Fault::edit(reverse)));
    let (head, body) = client.ask("PUT", "/a", b"abcdef").unwrap();
    assert_eq!((body.as_slice(), head.header("x-origin")), (&b"fedcba"[..], Some("yes")));
    proxy.rule(Rule::on(|_| true, Fault::edit(|response| response.status = 206)));
    let (head, _) = client.ask("HEAD", "/a", b"abcdef").unwrap();
    assert_eq!((head.status(), head.header("content-length")), (206, Some("6")));
    proxy.rule(Rule::on(|_| true, Fault::wrong_length(2)));
    let error = client.ask("PUT", "/a", b"abcdef").map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    client = Client::new(&proxy);
    proxy.rule(Rule::on(|_| true, Fault::wrong_length(-2)));
    assert_eq!(client.ask("PUT", "/a", b"abcdef").unwrap().1, b"abcd");
}

#[test]
fn delays_add_up_and_leave_the_rest_to_others() {
    let (_origin, proxy, mut client) = started();
    proxy.rule(Rule::on(|_| true, Fault::Delay(Duration::from_millis(40))).always());
    proxy.rule(Rule::on(|_| true, Fault::Answer(Response::new(500, ""))));
    proxy.rule(Rule::on(|_| true, Fault::Delay(Duration::from_millis(40))).always());
    let before = Instant::now();
    assert_eq!(client.ask("GET", "/a", b"").unwrap().0.status(), 500);
    assert_eq!(client.ask("GET", "/a", b"").unwrap().0.status(), 200);
    assert!(before.elapsed() >= Duration::from_millis(160));
}

#[test]
fn it_ends_with_its_value() {
    let (_origin, proxy, mut client) = started();
    client.ask("GET", "/a", b"").unwrap();
    drop(proxy);
    assert_eq!(client.0.get_mut().read(&mut [0]).unwrap_or(0), 0);
}

#[test]
fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let (_origin, _proxy, mut client) = started();
    let head = b"PUT /refuse HTTP/1.1\r\ncontent-length: 100000\r\n\r\nabc";
    client.send(head).unwrap();
    assert_eq!(client.answer("PUT").unwrap().0.status(), 403);
}

#[test]
fn bodies_are_framed_as_http_says() {
    let head = |text: &str| Head::read(&mut text.as_bytes()).unwrap().unwrap();
    let answer = head("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(answer.body_of_response("GET"), Body::Length(5));
    assert_eq!(answer.body_of_response("HEAD"), Body::Empty);
    assert_eq!(head("HTTP/1.1 204 OK\r\n\r\n").body_of_response("PUT"), Body::Empty);
    assert_eq!(head("HTTP/1.1 200 OK\r\n\r\n").body_of_response("GET"), Body::UntilClosed);
    assert_eq!(head("GET / HTTP/1.1\r\n\r\n").body_of_request(), Body::Empty);
}
