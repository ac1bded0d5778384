//! The client: a pool of connections per host, and one attempt at a request.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::Poll;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, PROXY_AUTHORIZATION, USER_AGENT};
use http::{Extensions, HeaderValue, Method, Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioTimer;
use tokio::sync::Semaphore;

use super::body::{Body, Sending};
use super::connector::{Connector, Used};
use super::fault::{self, Peer};
use super::incoming::Incoming;
use super::proxy::Rules;
use super::stall::Watch;
use super::tls;
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::executor;
use crate::observe::{self, Level};

/// How an engine is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Until a connection stands: names, proxies and TLS included.
    pub connect_timeout: Duration,
    /// How long nothing may move in either direction while something is waited for.
    pub stall_timeout: Duration,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// How many idle connections are kept for one host.
    pub idle_per_host: usize,
    /// How many requests may wait for the head of their answer at once; more stand in
    /// line. Without a limit a full queue would use up the descriptors of the process.
    pub max_requests: usize,
    /// Trust whoever answers.
    pub skip_verify: bool,
    pub user_agent: String,
    /// Trust these files' certificates in place of the system's.
    pub bundles: tls::Bundles,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(90),
            idle_per_host: 64,
            max_requests: 256,
            skip_verify: false,
            user_agent: concat!("libstoragedriver/", env!("CARGO_PKG_VERSION")).to_string(),
            bundles: Vec::new(),
        }
    }
}

/// Sends requests. Clones share their connections.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    options: Options,
    user_agent: HeaderValue,
    connector: Connector,
    pool: RwLock<Pool>,
    turns: Semaphore,
}

/// The connections that are kept. When a kept one turns out to be dead, so may be all
/// of its age, and a new pool takes the place of the old.
struct Pool {
    age: u64,
    client: Client<Connector, Sending>,
}

impl Engine {
    /// Connects to nothing, and reads nothing but the proxies' variables.
    pub fn new(options: &Options) -> Result<Engine> {
        Engine::with_rules(options, Rules::from_environment())
    }

    /// With other proxies than the environment's.
    pub(super) fn with_rules(options: &Options, rules: Rules) -> Result<Engine> {
        let user_agent = HeaderValue::from_str(&options.user_agent)
            .map_err(|_| Error::new(Code::InvalidParameter, "not a name for a user agent"))?;
        if options.skip_verify {
            let warning = || "the certificates of servers are not verified".to_string();
            observe::log(Level::Warn, "http", &Context::none(), warning, &[]);
        }
        let connector = Connector::new(options, rules);
        let pool = RwLock::new(Pool { age: 0, client: client(options, &connector) });
        let turns = Semaphore::new(options.max_requests.clamp(1, Semaphore::MAX_PERMITS));
        let options = options.clone();
        Ok(Engine(Arc::new(Inner { options, user_agent, connector, pool, turns })))
    }

    /// Fails now if no connection to this address can ever come about: a bundle that
    /// cannot be read, a proxy that is none.
    pub fn check(&self, uri: &Uri) -> Result<()> {
        self.0.connector.check(uri)
    }

    /// One attempt, up to the head of the answer, whatever its status. An error is of
    /// the way there and back: `Unavailable`, nearly always worth another attempt.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>> {
        let inner = &*self.0;
        let (mut parts, body) = request.into_parts();
        let Some(authority) = parts.uri.authority() else {
            return Err(Error::new(Code::Internal, "a request to no host"));
        };
        let peer = Peer::new(authority.clone());
        parts.headers.entry(USER_AGENT).or_insert_with(|| inner.user_agent.clone());
        if let Some(authorization) = inner.connector.proxy_authorization(&parts.uri) {
            parts.headers.insert(PROXY_AUTHORIZATION, authorization);
        }
        // Servers ask for it; hyper leaves it out where there is no body.
        if body.is_empty() && matches!(parts.method, Method::POST | Method::PUT) {
            parts.headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from_static("0"));
        }
        // Given up with the head: whoever reads a body slowly keeps nobody waiting.
        let _turn = inner.turns.acquire().await;
        let mut body = Sending::new(body);
        let progress = body.progress();
        let request = Request::from_parts(parts, body);
        let (age, exchange) = {
            let pool = inner.pool.read().unwrap_or_else(PoisonError::into_inner);
            (pool.age, pool.client.request(request))
        };
        let mut exchange = pin!(exchange);
        let mut watch = Watch::new(inner.options.stall_timeout);
        let outcome = std::future::poll_fn(|task| match exchange.as_mut().poll(task) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending => {
                let moved = progress.as_ref().map_or(0, |progress| progress.pieces());
                watch.poll_stalled(task, moved).map(|()| None)
            }
        });
        match outcome.await {
            Some(Ok(mut response)) => {
                if let Some(used) = response.extensions_mut().remove::<Used>() {
                    used.mark();
                }
                let stall = inner.options.stall_timeout;
                Ok(response.map(|body| Incoming::new(body, peer, stall)))
            }
            Some(Err(error)) => Err(self.failed(age, &peer, &error)),
            None => Err(fault::stalled(&peer)),
        }
    }

    fn failed(&self, age: u64, peer: &Peer, error: &hyper_util::client::legacy::Error) -> Error {
        let fault = fault::of_request(peer, error);
        let kept = error.connect_info().is_some_and(|connected| {
            let mut extensions = Extensions::new();
            connected.get_extras(&mut extensions);
            extensions.get().is_some_and(Used::is_marked)
        });
        if !kept || !fault.is_retryable() {
            return fault;
        }
        // The peer had closed it, most likely before the request came: not a reason to
        // wait.
        self.renew(age);
        fault.with_retry_after(Duration::ZERO)
    }

    fn renew(&self, age: u64) {
        let inner = &*self.0;
        let mut pool = inner.pool.write().unwrap_or_else(PoisonError::into_inner);
        if pool.age == age {
            *pool = Pool { age: age + 1, client: client(&inner.options, &inner.connector) };
        }
    }
}

fn client(options: &Options, connector: &Connector) -> Client<Connector, Sending> {
    Client::builder(Tasks)
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(options.idle_timeout)
        .pool_max_idle_per_host(options.idle_per_host)
        .build(connector.clone())
}

/// Connections live on the executor, whose threads no signal reaches.
#[derive(Clone)]
struct Tasks;

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        // Not `current`: what is dropped at a shutdown must not start it anew.
        if let Some(executor) = executor::running() {
            executor.spawn(task);
        }
    }
}
