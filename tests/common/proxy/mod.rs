//! An HTTP/1.1 proxy on loopback in front of one server. It records every request,
//! and does to some of them what a bad network or a bad server would. Without a
//! rule it passes bytes on as they are and keeps connections open on both sides.

mod http;
mod relay;
mod rules;

use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

#[allow(unused_imports)] // each test that includes this uses some of it
pub use http::{Body, Head, Headers, header, read_whole};
pub use rules::{Fault, Response, Rule};

/// A request that came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    /// Still percent-encoded, without the query.
    pub path: String,
    pub query: String,
    pub headers: Headers,
}

impl Seen {
    /// The value of a key of the query, "" when it has none.
    pub fn query(&self, key: &str) -> Option<&str> {
        let pairs = self.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.filter(|(found, _)| *found == key).map(|(_, value)| value).next()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

/// Ends with its value.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: SocketAddr,
    seen: Mutex<Vec<Seen>>,
    rules: Mutex<Vec<Rule>>,
    bitten: AtomicUsize,
    /// Requests that have come and whose answer has not gone out.
    running: AtomicUsize,
    ended: AtomicBool,
    open: Mutex<Vec<Weak<TcpStream>>>,
}

impl Proxy {
    /// `upstream` is host:port, with or without "http://" before it.
    pub fn start(upstream: &str) -> Proxy {
        let plain = upstream.trim_start_matches("http://").trim_end_matches('/');
        let shared = Arc::new(Shared {
            upstream: plain.to_socket_addrs().unwrap().next().unwrap(),
            seen: Mutex::default(),
            rules: Mutex::default(),
            bitten: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            open: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.ended.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(client) = client else { continue };
                let shared = accepting.clone();
                std::thread::spawn(move || relay::serve(&shared, Arc::new(client)));
            }
        });
        Proxy { address, shared }
    }

    /// What to give a client as the server's address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds a rule. Of those that match a request the first fault bites; delays add up.
    pub fn rule(&self, rule: Rule) {
        self.shared.rules.lock().unwrap().push(rule);
    }

    pub fn forget_rules(&self) {
        self.shared.rules.lock().unwrap().clear();
    }

    /// How often a fault was done.
    pub fn bitten(&self) -> usize {
        self.shared.bitten.load(Ordering::SeqCst)
    }

    /// The requests since the start or the last `take`, once no answer is due any more.
    pub fn take(&self) -> Vec<Seen> {
        self.settle();
        std::mem::take(&mut *self.shared.seen.lock().unwrap())
    }

    /// Waits for requests that nobody waits for, such as those sent in the background:
    /// until nothing was asked for a little while.
    fn settle(&self) {
        let limit = Instant::now() + Duration::from_secs(10);
        let mut before = usize::MAX;
        while Instant::now() < limit {
            let now = self.shared.seen.lock().unwrap().len();
            if now == before && self.shared.running.load(Ordering::SeqCst) == 0 {
                return;
            }
            before = now;
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        for stream in self.shared.open.lock().unwrap().drain(..).filter_map(|s| s.upgrade()) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        // Wakes the listener, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn watch(&self, stream: &Arc<TcpStream>) {
        let mut open = self.open.lock().unwrap();
        open.retain(|stream| stream.strong_count() > 0);
        open.push(Arc::downgrade(stream));
    }

    /// Records a request and answers what is to be done to it.
    fn record(&self, head: &Head) -> (Duration, Option<Fault>) {
        let (path, query) = head.words[1].split_once('?').unwrap_or((&head.words[1], ""));
        let seen = Seen {
            method: head.words[0].clone(),
            path: path.to_string(),
            query: query.to_string(),
            headers: head.headers.clone(),
        };
        let (mut delay, mut fault) = (Duration::ZERO, None);
        for rule in self.rules.lock().unwrap().iter_mut() {
            match rule.applies(&seen, fault.is_some()) {
                Some(Fault::Delay(more)) => delay += more,
                Some(found) => fault = Some(found),
                None => {}
            }
        }
        if fault.is_some() {
            self.bitten.fetch_add(1, Ordering::SeqCst);
        }
        self.seen.lock().unwrap().push(seen);
        (delay, fault)
    }
}
