//! What a request costs, beside the same request by hyper alone. Not a test: run with
//! `--release --ignored --nocapture`.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::*;

const REQUESTS: u32 = 20_000;

/// Answers with 4 KiB whatever it is asked, as cheaply as can be.
fn sink() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/bucket/key", listener.local_addr().unwrap());
    let whole = super::server::answer("200 OK", &[("etag", "\"x\"")], &[7; 4096]);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, whole) = (stream.unwrap(), whole.clone());
            thread::spawn(move || {
                let mut seen = Vec::new();
                let mut buf = [0; 65536];
                loop {
                    let len = stream.read(&mut buf).unwrap_or(0);
                    if len == 0 {
                        return;
                    }
                    seen.extend_from_slice(&buf[..len]);
                    let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") else {
                        continue;
                    };
                    let body = if seen.starts_with(b"PUT") { 4096 } else { 0 };
                    if seen.len() >= end + 4 + body {
                        seen.clear();
                        stream.write_all(&whole).unwrap();
                    }
                }
            });
        }
    });
    url
}

/// The time that the executor's threads have been running.
fn spent() -> Duration {
    let mut ticks = Duration::ZERO;
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path();
        let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
        if name.starts_with("sd-worker") {
            let text = fs::read_to_string(path.join("schedstat")).unwrap();
            ticks += Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap());
        }
    }
    ticks
}

fn measure(name: &str, work: impl Future<Output = ()> + Send + 'static) {
    let before = spent();
    run(work);
    let each = (spent() - before) / REQUESTS;
    eprintln!("{name:30} {:6.1} us", each.as_nanos() as f64 / 1000.0);
}

#[test]
#[ignore = "a measurement"]
fn what_a_request_costs() {
    let url = sink();
    for _ in 0..3 {
        let (engine, to) = (engine(), url.clone());
        measure("get, engine", async move {
            for _ in 0..REQUESTS {
                let response = engine.send(get(&to)).await.unwrap();
                assert_eq!(collect(response.into_body(), LIMIT).await.unwrap().len(), 4096);
            }
        });
        let to = url.clone();
        measure("get, hyper", async move {
            let mut tcp = HttpConnector::new();
            tcp.set_nodelay(true);
            let client = Client::builder(TokioExecutor::new()).build(tcp);
            for _ in 0..REQUESTS {
                let request = Request::get(&to).body(Empty::<Bytes>::new()).unwrap();
                let response = client.request(request).await.unwrap();
                assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), 4096);
            }
        });
        let (engine, to) = (engine_with(Options::default()), url.clone());
        measure("put, engine", async move {
            let body = Body::from(vec![7; 4096]);
            for _ in 0..REQUESTS {
                let request = Request::put(&to).body(body.clone()).unwrap();
                let response = engine.send(request).await.unwrap();
                collect(response.into_body(), LIMIT).await.unwrap();
            }
        });
        let to = url.clone();
        measure("put, hyper", async move {
            let mut tcp = HttpConnector::new();
            tcp.set_nodelay(true);
            let client = Client::builder(TokioExecutor::new()).build(tcp);
            let body = Bytes::from(vec![7; 4096]);
            for _ in 0..REQUESTS {
                let request = Request::put(&to).body(Full::new(body.clone())).unwrap();
                let response = client.request(request).await.unwrap();
                response.into_body().collect().await.unwrap();
            }
        });
    }
}
