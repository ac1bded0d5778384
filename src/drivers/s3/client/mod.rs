//! The requests that the driver makes, typed. Keys are object keys, not paths of the
//! driver. Every call is repeated by the policy where another try may help.
//!
//! * `place`: where the bucket is. `sign`, `direct`: the common requests, made without
//!   the SDK. `sdk`: all others, and those too where the direct way is turned off.
//! * `transport`: the SDK's requests over the engine.
//! * `clock`: by whose time. `failure`: what servers mean. `digest`: what content is checked against.

mod clock;
mod digest;
mod direct;
mod failure;
mod objects;
mod place;
mod sdk;
mod sign;
mod transport;
mod types;
mod uploads;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_async::time::TimeSource;
use http::HeaderMap;

use super::credentials::Signers;
use super::parameters::{Checksum, Parameters};
use crate::error::Result;
use crate::http::retry::Policy;
use crate::http::{Engine, Options};
use clock::Clock;
use place::Place;
use transport::{Log, Transport};

pub use sign::DayKey;
pub use types::{
    Completed, Head, LIMITS, ListPage, ListRequest, MAX_SINGLE, Object, Part, Upload, same_etag,
};

const BUNDLE: &str = "AWS_CA_BUNDLE";

/// Of what is stored.
pub const CONTENT_TYPE: &str = "application/octet-stream";

/// Distribution's.
const DEFAULT_COPY_CHUNK: u64 = 32 << 20;

/// Cheap to clone; all of it is shared.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    parameters: Parameters,
    engine: Engine,
    signers: Signers,
    place: Place,
    /// What clients are redirected to.
    redirect_place: Place,
    sdk: aws_sdk_s3::Client,
    policy: Policy,
    /// What objects are stored with.
    stored: HeaderMap,
    /// Whether the common requests go the direct way.
    direct: bool,
    clock: Clock,
    log: Log,
}

/// The certificates that every AWS program is told to trust.
fn bundle() -> Option<(String, PathBuf)> {
    let path = std::env::var_os(BUNDLE).filter(|path| !path.is_empty())?;
    Some((BUNDLE.to_string(), path.into()))
}

impl Client {
    /// Makes no request.
    pub fn new(parameters: Parameters) -> Result<Client> {
        let mut user_agent = concat!("libstoragedriver/", env!("CARGO_PKG_VERSION")).to_string();
        if !parameters.user_agent.is_empty() {
            user_agent.push(' ');
            user_agent.push_str(&parameters.user_agent);
        }
        let options = Options {
            connect_timeout: parameters.connect_timeout,
            stall_timeout: parameters.stall_timeout,
            skip_verify: parameters.skip_verify,
            bundles: bundle().into_iter().collect(),
            user_agent,
            ..Options::default()
        };
        let engine = Engine::new(&options)?;
        let place = Place::of(&parameters)?;
        engine.check(&place.uri()?)?;
        let redirect_place = match &parameters.redirect_endpoint {
            Some(url) => place.clone().moved_to(url)?,
            None => place.clone(),
        };
        let clock = Clock::default();
        let log = Log(parameters.debug);
        let http = aws_sdk_s3::config::SharedHttpClient::new(Transport::new(engine.clone(), log));
        let signers = Signers::new(&parameters.keys, &parameters.region, http.clone());
        Ok(Client(Arc::new(Inner {
            sdk: sdk::client(&parameters, &place, &signers, &clock, http),
            stored: direct::stored_with(&parameters)?,
            direct: parameters.direct && place.is_ordinary(),
            policy: Policy::default(),
            clock,
            log,
            redirect_place,
            parameters,
            engine,
            signers,
            place,
        })))
    }

    pub fn parameters(&self) -> &Parameters {
        &self.0.parameters
    }

    pub fn policy(&self) -> Policy {
        self.0.policy
    }

    /// The ranges in which an object that is too large for one copy is copied. Where no
    /// single copy is possible they are as few as the service allows, unless a size was
    /// asked for.
    pub fn copy_ranges(&self, size: u64) -> Vec<std::ops::Range<u64>> {
        let parameters = self.parameters();
        let wanted = match parameters.copy_chunk_size {
            Some(wanted) => wanted,
            None if size > MAX_SINGLE => LIMITS.max_part,
            None => DEFAULT_COPY_CHUNK,
        };
        LIMITS.ranges(size, wanted)
    }

    /// A URL under which anybody may do this for a while. Makes no request, unless
    /// credentials have to be found first.
    pub async fn presign(&self, method: &str, key: &str, lifetime: Duration) -> Result<String> {
        let inner = &*self.0;
        let place = &inner.redirect_place;
        let path = place.path(key);
        let Some(held) = inner.signers.current().await? else {
            return Ok(format!("{}://{}{path}", place.scheme, place.authority));
        };
        Ok(sign::presign(method, &path, place, &held, inner.clock.now(), lifetime))
    }
}

impl Inner {
    /// Whether checksums that objects were stored with are wanted with them.
    fn wants_checksums(&self) -> bool {
        self.parameters.checksum == Checksum::Crc32c
    }
}
