//! What the engine promises, against servers that misbehave on demand.

mod cost;
mod downloads;
mod exchange;
mod faults;
mod proxies;
mod secure;
mod server;

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};

use super::proxy::Rules;
use super::retry::Policy;
use super::{Body, Engine, Incoming, Options, collect};
use crate::error::Result;
use crate::executor;

/// Long enough for a slow machine, short enough for a test.
const SOON: Duration = Duration::from_millis(300);
const LIMIT: usize = 64 << 20;
const QUICK: Policy =
    Policy { attempts: 5, base: Duration::from_millis(1), cap: Duration::from_millis(5) };

fn run<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    executor::block(work).unwrap()
}

fn engine() -> Engine {
    engine_with(Options::default())
}

/// Whatever proxies this machine has.
fn engine_with(options: Options) -> Engine {
    Engine::with_rules(&options, Rules::none()).unwrap()
}

fn impatient() -> Engine {
    engine_with(Options { stall_timeout: SOON, ..Options::default() })
}

fn get(url: &str) -> Request<Body> {
    Request::get(url).body(Body::empty()).unwrap()
}

fn send(engine: &Engine, request: Request<Body>) -> Result<Response<Incoming>> {
    let engine = engine.clone();
    run(async move { engine.send(request).await })
}

/// Sends and reads all of the answer.
fn exchange(engine: &Engine, request: Request<Body>) -> Result<(StatusCode, Bytes)> {
    let engine = engine.clone();
    run(async move {
        let response = engine.send(request).await?;
        let status = response.status();
        Ok((status, collect(response.into_body(), LIMIT).await?))
    })
}

/// The same as often as the policy allows.
fn persist(engine: &Engine, url: &str) -> Result<(StatusCode, Bytes)> {
    let (engine, url) = (engine.clone(), url.to_string());
    run(async move {
        let attempt = || async {
            let response = engine.send(get(&url)).await?;
            let status = response.status();
            Ok((status, collect(response.into_body(), LIMIT).await?))
        };
        QUICK.run(attempt).await
    })
}

/// Bytes of which no two places look alike.
fn content(len: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(7);
    (0..len).map(|_| rng.u8(..)).collect()
}
