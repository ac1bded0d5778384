//! The SDK's requests over the engine of all drivers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::Response;
use http::header::USER_AGENT;
use http_body_util::BodyExt;

use super::direct::LONGEST_FAILURE;
use crate::context::Context;
use crate::error::{Code, Error, Result};
use crate::http::{Body, Engine, Incoming, collect, front, xml};
use crate::observe::{self, Level};

/// Several times a page of the longest keys.
const LARGEST: usize = 32 << 20;

#[derive(Clone)]
pub struct Transport {
    engine: Engine,
    /// What the caller wants an answer within; the engine has limits of its own.
    limit: Option<Duration>,
    /// Where the answer to a get goes; the SDK sees one without a body.
    aside: Option<Aside>,
    log: Log,
}

/// A line for each request, if that is wanted. Without queries, where signatures are.
#[derive(Clone, Copy)]
pub struct Log(pub bool);

impl Log {
    pub fn request(self, method: &str, path: &str, status: u16) {
        if self.0 {
            let message = || format!("{method} {path} {status}");
            observe::log(Level::Debug, "s3", &Context::none(), message, &[]);
        }
    }
}

/// For one answer.
pub type Aside = Arc<Mutex<Option<Response<Incoming>>>>;

impl Transport {
    pub fn new(engine: Engine, log: Log) -> Transport {
        Transport { engine, limit: None, aside: None, log }
    }

    /// For one request, whose answer is wanted as it comes.
    pub fn aside(engine: Engine, log: Log, aside: Aside) -> Transport {
        Transport { engine, limit: None, aside: Some(aside), log }
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transport")
    }
}

impl HttpClient for Transport {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        // An instance's metadata service is asked with short ones, since it may not exist.
        let connect = settings.connect_timeout();
        let read = settings.read_timeout();
        let limit = match (connect, read) {
            (Some(connect), Some(read)) => Some(connect + read),
            (one, other) => one.or(other),
        };
        SharedHttpConnector::new(Transport { limit, ..self.clone() })
    }
}

impl HttpConnector for Transport {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Transport { engine, limit, aside, log } = self.clone();
        HttpConnectorFuture::new(async move {
            let exchange = send(&engine, request, aside, log);
            match limit {
                None => exchange.await,
                Some(limit) => match tokio::time::timeout(limit, exchange).await {
                    Ok(outcome) => outcome,
                    Err(late) => Err(ConnectorError::timeout(late.into())),
                },
            }
        })
    }
}

async fn send(
    engine: &Engine,
    request: HttpRequest,
    aside: Option<Aside>,
    log: Log,
) -> std::result::Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let (mut parts, body) = request.into_parts();
    parts.headers.remove(USER_AGENT);
    let body = whole(body).await.map_err(|error| ConnectorError::user(error.into()))?;
    let request = http::Request::from_parts(parts, Body::from(body));
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = engine.send(request).await.map_err(|error| ConnectorError::io(error.into()))?;
    log.request(method.as_str(), uri.path(), response.status().as_u16());
    let response = match aside.filter(|_| response.status().is_success()) {
        None if response.status().is_success() => {
            let (parts, body) = response.into_parts();
            let body = read(body).await.map_err(|error| ConnectorError::io(error.into()))?;
            Response::from_parts(parts, SdkBody::from(body))
        }
        None => {
            let (parts, body) = response.into_parts();
            Response::from_parts(parts, SdkBody::from(front(body, LONGEST_FAILURE).await))
        }
        Some(aside) => {
            let mut shown = Response::new(SdkBody::empty());
            *shown.status_mut() = response.status();
            *shown.headers_mut() = response.headers().clone();
            *aside.lock().unwrap_or_else(PoisonError::into_inner) = Some(response);
            shown
        }
    };
    HttpResponse::try_from(response).map_err(|error| ConnectorError::user(error.into()))
}

/// An answer that is not somebody's content. The SDK takes what it finds before the end
/// of a document that is cut off for all there is.
async fn read(body: Incoming) -> Result<Bytes> {
    let answer = collect(body, LARGEST).await?;
    let is_xml = answer.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<');
    if is_xml && !xml::is_whole(&answer) {
        return Err(Error::new(Code::Unavailable, "the server's answer is cut off or no xml"));
    }
    Ok(answer)
}

/// What the SDK sends is small, or in memory anyhow.
async fn whole(body: SdkBody) -> Result<Bytes> {
    if let Some(bytes) = body.bytes() {
        return Ok(Bytes::copy_from_slice(bytes));
    }
    let unreadable = |_| Error::new(Code::Internal, "a body of the sdk cannot be read");
    Ok(body.collect().await.map_err(unreadable)?.to_bytes())
}
