//! One connection of a client, and the one to the server that goes with it.

use std::io::{self, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Shared;
use super::http::{self, Body, Head};
use super::rules::{Fault, Response};

/// Larger than a chunk of TLS or of hyper, so that little is copied twice.
const BUFFER: usize = 256 * 1024;

/// How long the end of a request may come after the end of its response.
const LAG: Duration = Duration::from_secs(1);

type Buffered<'a> = BufReader<&'a TcpStream>;

/// Whether the connection of the client goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    KeepAlive,
    Close,
    Reset,
}

/// Serves a client until one side has had enough.
pub(super) fn serve(shared: &Shared, client: Arc<TcpStream>) {
    shared.watch(&client);
    let _ = client.set_nodelay(true);
    let mut reader = BufReader::with_capacity(BUFFER, &*client);
    let mut upstream: Option<Arc<TcpStream>> = None;
    while let Ok(Some(head)) = Head::read(&mut reader) {
        shared.running.fetch_add(1, Ordering::SeqCst);
        let after = one_request(shared, &client, &mut reader, &mut upstream, &head);
        shared.running.fetch_sub(1, Ordering::SeqCst);
        match after.unwrap_or(After::Close) {
            After::KeepAlive if !head.last_of_connection() => {}
            After::Reset => {
                // What was sent before should arrive, as it would have by then.
                std::thread::sleep(Duration::from_millis(5));
                return reset(&client);
            }
            _ => return,
        }
    }
}

fn one_request(
    shared: &Shared,
    client: &TcpStream,
    reader: &mut Buffered<'_>,
    upstream: &mut Option<Arc<TcpStream>>,
    head: &Head,
) -> io::Result<After> {
    let (delay, fault) = shared.record(head);
    std::thread::sleep(delay);
    if let Some(Fault::Answer(response)) = fault {
        // Nobody sends a body who has been told to wait.
        let waits = head.header("expect").is_some();
        let body = if waits { Body::Empty } else { head.body_of_request() };
        http::copy(body, reader, &mut io::sink())?;
        send(client, &head.words[0], response)?;
        return Ok(if waits { After::Close } else { After::KeepAlive });
    }
    let server = match upstream.take().filter(|server| is_open(server)) {
        Some(server) => server,
        None => {
            let server = Arc::new(TcpStream::connect(shared.upstream)?);
            server.set_nodelay(true)?;
            shared.watch(&server);
            server
        }
    };
    let sent = AtomicBool::new(false);
    let after = std::thread::scope(|scope| {
        scope.spawn(|| {
            let limit = match fault {
                Some(Fault::ResetRequest(bytes) | Fault::StallRequest(bytes)) => Some(bytes),
                _ => None,
            };
            let mut gate = Gate { to: &server, left: limit };
            let passed = gate
                .write_all(&head.raw)
                .and_then(|()| http::copy(head.body_of_request(), reader, &mut gate));
            let shut = gate.left == Some(0);
            if shut && matches!(fault, Some(Fault::StallRequest(_))) {
                wait_for_hangup(shared, client);
            }
            if shut || (passed.is_err() && is_gone(client)) {
                reset(&server);
                let _ = server.shutdown(Shutdown::Both);
            }
            sent.store(passed.is_ok(), Ordering::SeqCst);
        });
        let after = pass_back(shared, client, &server, head, fault.as_ref());
        let limit = Instant::now() + LAG;
        let over = !matches!(after, Ok(After::KeepAlive));
        while !sent.load(Ordering::SeqCst) && !over && Instant::now() < limit {
            std::thread::sleep(Duration::from_micros(100));
        }
        if !sent.load(Ordering::SeqCst) {
            // The server has answered without hearing all: let nobody wait for more.
            let _ = server.shutdown(Shutdown::Both);
            let _ = client.shutdown(Shutdown::Read);
        }
        after
    })?;
    if after == After::KeepAlive && sent.load(Ordering::SeqCst) {
        *upstream = Some(server);
        return Ok(After::KeepAlive);
    }
    Ok(if after == After::KeepAlive { After::Close } else { after })
}

/// The server's answers to one request: any number of interim ones, then the last.
fn pass_back(
    shared: &Shared,
    client: &TcpStream,
    server: &TcpStream,
    request: &Head,
    fault: Option<&Fault>,
) -> io::Result<After> {
    let mut reader = BufReader::with_capacity(BUFFER, server);
    loop {
        let Some(head) = Head::read(&mut reader)? else {
            let asked = matches!(fault, Some(Fault::ResetRequest(_)));
            return Ok(if asked { After::Reset } else { After::Close });
        };
        let body = head.body_of_response(&request.words[0]);
        if (100..200).contains(&head.status()) {
            (&*client).write_all(&head.raw)?;
            continue;
        }
        let last = head.last_of_connection() || body == Body::UntilClosed;
        let goes_on = if last { After::Close } else { After::KeepAlive };
        return match fault {
            Some(Fault::Edit(change)) => {
                let mut response = whole(&head, body, &mut reader)?;
                let no_body = request.words[0] == "HEAD";
                if no_body {
                    response.headers = head.headers.clone();
                }
                change(&mut response);
                let lies = !no_body && http::header(&response.headers, "content-length").is_some();
                send(client, &request.words[0], response)?;
                Ok(if lies { After::Close } else { goes_on })
            }
            Some(Fault::ResetResponse(bytes)) => {
                let mut gate = Gate { to: client, left: Some(*bytes) };
                pass(&head, body, &mut reader, &mut gate).map(|()| goes_on).or(Ok(After::Reset))
            }
            Some(Fault::StallResponse(bytes)) => {
                let mut gate = Gate { to: client, left: Some(*bytes) };
                match pass(&head, body, &mut reader, &mut gate) {
                    Ok(()) => Ok(goes_on),
                    Err(_) => {
                        wait_for_hangup(shared, client);
                        Ok(After::Close)
                    }
                }
            }
            _ => {
                pass(&head, body, &mut reader, &mut &*client)?;
                Ok(goes_on)
            }
        };
    }
}

fn pass(head: &Head, body: Body, from: &mut Buffered<'_>, to: &mut dyn Write) -> io::Result<()> {
    to.write_all(&head.raw)?;
    http::copy(body, from, to)?;
    Ok(())
}

fn whole(head: &Head, body: Body, from: &mut Buffered<'_>) -> io::Result<Response> {
    let framing = ["content-length", "transfer-encoding"];
    let headers = head.headers.iter().filter(|(name, _)| !framing.contains(&name.as_str()));
    Ok(Response {
        status: head.status(),
        headers: headers.cloned().collect(),
        body: http::read_whole(body, from)?,
    })
}

fn send(mut client: &TcpStream, method: &str, response: Response) -> io::Result<()> {
    let mut text = format!("HTTP/1.1 {} Status\r\n", response.status);
    for (name, value) in &response.headers {
        text += &format!("{name}: {value}\r\n");
    }
    if http::header(&response.headers, "content-length").is_none() {
        text += &format!("content-length: {}\r\n", response.body.len());
    }
    let mut message = (text + "\r\n").into_bytes();
    if method != "HEAD" {
        message.extend(response.body);
    }
    client.write_all(&message)
}

/// Passes so many bytes on, then fails.
struct Gate<'a> {
    to: &'a TcpStream,
    left: Option<u64>,
}

impl Write for Gate<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let Some(left) = &mut self.left else { return self.to.write(data) };
        let may = data.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        let written = match may {
            0 => return Err(io::Error::other("the gate is shut")),
            _ => self.to.write(&data[..may])?,
        };
        *left -= written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Closing it will then be a reset.
fn reset(stream: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}

/// Nothing can be read from an idle connection but its end.
fn is_open(idle: &TcpStream) -> bool {
    let _ = idle.set_nonblocking(true);
    let found = idle.peek(&mut [0]);
    let _ = idle.set_nonblocking(false);
    found.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

fn wait_for_hangup(shared: &Shared, client: &TcpStream) {
    while !shared.ended.load(Ordering::SeqCst) && !is_gone(client) {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether the peer has closed it, read or not.
fn is_gone(stream: &TcpStream) -> bool {
    let mut polled = [PollFd::new(stream, PollFlags::RDHUP)];
    let none = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&none)).is_ok_and(|ready| ready > 0)
}
