//! New connections: to the peer itself or through a proxy, with TLS where the address
//! says https.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderValue, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower_service::Service;

use super::engine::Options;
use super::fault::{ConnectTimeout, Refusal};
use super::proxy::Rules;
use super::tls;
use crate::error::Result;

/// So that a connection that a firewall has forgotten is found out while it is idle.
const KEEPALIVE: Duration = Duration::from_secs(30);

type BoxError = Box<dyn StdError + Send + Sync>;
/// To the peer or to a proxy, which may be reached by TLS itself.
type Near = MaybeHttpsStream<TokioIo<TcpStream>>;

/// What makes connections.
#[derive(Clone)]
pub struct Connector(Arc<Inner>);

struct Inner {
    tcp: HttpConnector,
    rules: Rules,
    bundles: tls::Bundles,
    skip_verify: bool,
    timeout: Duration,
    tls: OnceLock<Arc<ClientConfig>>,
}

impl Connector {
    pub fn new(options: &Options, rules: Rules) -> Connector {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE));
        tcp.set_connect_timeout(Some(options.connect_timeout));
        Connector(Arc::new(Inner {
            tcp,
            rules,
            bundles: options.bundles.clone(),
            skip_verify: options.skip_verify,
            timeout: options.connect_timeout,
            tls: OnceLock::new(),
        }))
    }

    /// Fails if what every connection to this address needs is not to be had.
    pub fn check(&self, uri: &Uri) -> Result<()> {
        let proxy = self.0.rules.for_uri(uri)?;
        let proxy = proxy.as_ref().map(|proxy| proxy.uri());
        if [Some(uri), proxy].into_iter().flatten().any(is_https) {
            self.0.tls()?;
        }
        Ok(())
    }

    /// What a proxy wants to see with each request, where requests go to it.
    pub fn proxy_authorization(&self, uri: &Uri) -> Option<HeaderValue> {
        if is_https(uri) {
            return None;
        }
        self.0.rules.for_uri(uri).ok()??.basic_auth().cloned()
    }
}

fn is_https(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
}

impl Inner {
    fn tls(&self) -> Result<Arc<ClientConfig>> {
        if let Some(config) = self.tls.get() {
            return Ok(config.clone());
        }
        let config = Arc::new(tls::config(&self.bundles, self.skip_verify)?);
        Ok(self.tls.get_or_init(|| config).clone())
    }

    async fn connect(&self, uri: Uri) -> std::result::Result<Link, BoxError> {
        let refusal = |error| Box::new(Refusal(error)) as BoxError;
        let proxy = self.rules.for_uri(&uri).map_err(refusal)?;
        let mut tcp = self.tcp.clone();
        let (io, proxied) = match proxy {
            None if is_https(&uri) => {
                let tls = self.tls().map_err(refusal)?;
                (MaybeHttpsStream::Http(HttpsConnector::from((tcp, tls)).call(uri).await?), false)
            }
            None => {
                let tcp = tcp.call(uri).await?;
                (MaybeHttpsStream::Http(MaybeHttpsStream::Http(tcp)), false)
            }
            Some(proxy) if is_https(&uri) => {
                let tls = self.tls().map_err(refusal)?;
                let near = HttpsConnector::from((tcp, tls.clone()));
                let mut tunnel = Tunnel::new(proxy.uri().clone(), near);
                if let Some(authorization) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(authorization.clone());
                }
                (HttpsConnector::from((tunnel, tls)).call(uri).await?, false)
            }
            Some(proxy) if is_https(proxy.uri()) => {
                let tls = self.tls().map_err(refusal)?;
                let near = HttpsConnector::from((tcp, tls)).call(proxy.uri().clone()).await?;
                (MaybeHttpsStream::Http(near), true)
            }
            Some(proxy) => {
                let tcp = tcp.call(proxy.uri().clone()).await?;
                (MaybeHttpsStream::Http(MaybeHttpsStream::Http(tcp)), true)
            }
        };
        Ok(Link { io, proxied, used: Used::default() })
    }
}

impl Service<Uri> for Connector {
    type Response = Link;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = std::result::Result<Link, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let inner = self.0.clone();
        Box::pin(async move {
            let connecting = inner.connect(uri);
            match tokio::time::timeout(inner.timeout, connecting).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Box::new(ConnectTimeout) as BoxError),
            }
        })
    }
}

/// Whether a connection has brought an answer yet.
#[derive(Clone, Default)]
pub struct Used(Arc<AtomicBool>);

impl Used {
    pub fn mark(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_marked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection.
pub struct Link {
    io: MaybeHttpsStream<Near>,
    proxied: bool,
    used: Used,
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.proxied).extra(self.used.clone())
    }
}

impl Read for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(task, buf)
    }
}

impl Write for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(task, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(task, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(task)
    }
}
