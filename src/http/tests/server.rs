//! A server that does as it is told, byte by byte, on threads of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// What a server was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The first line and the headers.
    pub head: String,
    pub body: Vec<u8>,
    /// Which connection it came on, from 0.
    pub connection: usize,
    /// Which request this is on any connection, from 0.
    pub number: usize,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn first_line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }
}

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Keep,
    Close,
}

/// Both directions of a connection.
pub trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

type Answer = dyn Fn(&Asked, &mut dyn Wire) -> Then + Send + Sync;
type Accept = dyn Fn(TcpStream) -> Option<Box<dyn Wire>> + Send + Sync;

pub struct Server {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    pub fn start(answer: impl Fn(&Asked, &mut dyn Wire) -> Then + Send + Sync + 'static) -> Server {
        Server::start_on(|stream| Some(Box::new(stream)), answer)
    }

    /// With something between the socket and HTTP.
    pub fn start_on(
        accept: impl Fn(TcpStream) -> Option<Box<dyn Wire>> + Send + Sync + 'static,
        answer: impl Fn(&Asked, &mut dyn Wire) -> Then + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
            connections: Arc::default(),
        };
        let (asked, connections) = (server.asked.clone(), server.connections.clone());
        let (accept, answer): (Arc<Accept>, Arc<Answer>) = (Arc::new(accept), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = connections.fetch_add(1, Ordering::SeqCst);
                let (accept, answer, asked) = (accept.clone(), answer.clone(), asked.clone());
                thread::spawn(move || {
                    if let Some(wire) = accept(stream) {
                        serve(wire, connection, &asked, &*answer);
                    }
                });
            }
        });
        server
    }

    /// Always the same bytes.
    pub fn saying(bytes: impl Into<Vec<u8>>) -> Server {
        let bytes = bytes.into();
        Server::start(move |_, wire| {
            let _ = wire.write_all(&bytes);
            Then::Keep
        })
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn serve(wire: Box<dyn Wire>, connection: usize, all: &Mutex<Vec<Asked>>, answer: &Answer) {
    let mut wire = BufReader::new(wire);
    while let Some((head, body)) = read_request(&mut wire) {
        let asked = {
            let mut all = all.lock().unwrap();
            let number = all.len();
            all.push(Asked { head, body, connection, number });
            all.last().unwrap().clone()
        };
        if answer(&asked, wire.get_mut()) == Then::Close || wire.get_mut().flush().is_err() {
            return;
        }
    }
}

fn read_request(wire: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    loop {
        let before = head.len();
        if wire.read_line(&mut head).ok()? == 0 {
            return None;
        }
        if head.get(before..) == Some("\r\n") {
            break;
        }
    }
    let asked = Asked { head, body: Vec::new(), connection: 0, number: 0 };
    let len = asked.header("content-length").map_or(0, |len| len.parse().unwrap());
    let mut body = vec![0; len];
    wire.read_exact(&mut body).ok()?;
    Some((asked.head, body))
}

/// An answer with a length.
pub fn answer(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status}\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend(format!("{name}: {value}\r\n").bytes());
    }
    bytes.extend(format!("content-length: {}\r\n\r\n", body.len()).bytes());
    bytes.extend(body);
    bytes
}
