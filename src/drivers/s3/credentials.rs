//! With whose keys requests are signed: those that were given, or those that are found
//! where programs on AWS look (environment, profiles with processes and single sign-on,
//! web identity, container, instance). Nothing is asked before the first request.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_s3::config::{Region, SharedHttpClient};

use super::parameters::Keys;
use super::region;
use crate::error::{Code, Error, Result};

/// So long before they end, new ones are asked for by one call while the others go on.
const EARLY: Duration = Duration::from_secs(300);
/// So short before it, every call waits for new ones.
const LATE: Duration = Duration::from_secs(20);
/// Some places give the old ones until they end.
const PAUSE: Duration = Duration::from_secs(30);

/// Shared by its clones.
#[derive(Clone, Debug)]
pub struct Signers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    source: Source,
    held: Mutex<Option<Arc<Held>>>,
    /// Held by the call that asks for new ones: when that was done last.
    asking: tokio::sync::Mutex<Option<Instant>>,
    /// So long after it they are not asked for early again.
    pause: Duration,
}

#[derive(Debug)]
enum Source {
    None,
    Given(Arc<Held>),
    Found {
        http: SharedHttpClient,
        region: Region,
    },
    #[cfg(test)]
    Test(Box<dyn ProvideCredentials>),
}

/// Credentials, and the key that was derived from them for a day.
#[derive(Debug)]
pub struct Held {
    pub credentials: Credentials,
    pub day_key: super::client::DayKey,
}

impl Held {
    fn new(credentials: Credentials) -> Arc<Held> {
        Arc::new(Held { credentials, day_key: Default::default() })
    }

    #[cfg(test)]
    pub fn of_test(credentials: Credentials) -> Held {
        Held { credentials, day_key: Default::default() }
    }

    fn left(&self, now: SystemTime) -> Duration {
        let left = |end: SystemTime| end.duration_since(now).unwrap_or_default();
        self.credentials.expiry().map_or(Duration::MAX, left)
    }
}

impl Signers {
    pub fn new(keys: &Keys, region: &str, http: SharedHttpClient) -> Signers {
        Signers::from_source(match keys {
            Keys::None => Source::None,
            Keys::Given { access, secret, token } => Source::Given(Held::new(Credentials::new(
                access,
                secret,
                token.clone(),
                None,
                "parameters",
            ))),
            Keys::Found => Source::Found { http, region: sts_region(region) },
        })
    }

    fn from_source(source: Source) -> Signers {
        Signers(Arc::new(Shared {
            source,
            held: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            pause: PAUSE,
        }))
    }

    /// `None`: requests are not signed.
    pub async fn current(&self) -> Result<Option<Arc<Held>>> {
        let shared = &*self.0;
        match &shared.source {
            Source::None => return Ok(None),
            Source::Given(held) => return Ok(Some(held.clone())),
            _ => {}
        }
        let known = shared.held();
        let left = known.as_ref().map_or(Duration::ZERO, |held| held.left(SystemTime::now()));
        if left > EARLY {
            return Ok(known);
        }
        if left > LATE {
            // Somebody else may be asking already: these are good for a while.
            let Ok(mut asked) = shared.asking.try_lock() else { return Ok(known) };
            if asked.is_some_and(|asked| asked.elapsed() < shared.pause) {
                return Ok(known);
            }
            *asked = Some(Instant::now());
            return Ok(shared.ask(known.as_ref()).await.ok().or(known));
        }
        let mut asked = shared.asking.lock().await;
        let fresh = shared.held();
        let found = |held: &Arc<Held>| held.left(SystemTime::now()) > LATE;
        if let Some(held) = fresh.as_ref().filter(|held| found(held)) {
            return Ok(Some(held.clone()));
        }
        *asked = Some(Instant::now());
        shared.ask(fresh.as_ref()).await.map(Some)
    }

    /// The server does not take these any more. Whether others may be found.
    pub fn forget(&self) -> bool {
        *self.0.held.lock().unwrap_or_else(PoisonError::into_inner) = None;
        !matches!(self.0.source, Source::None | Source::Given(_))
    }
}

impl Shared {
    fn held(&self) -> Option<Arc<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Of the places where credentials are found; each time anew, since files change.
    async fn ask(&self, before: Option<&Arc<Held>>) -> Result<Arc<Held>> {
        let found = match &self.source {
            Source::Found { http, region } => {
                let config = ProviderConfig::default()
                    .with_http_client(http.clone())
                    .with_region(Some(region.clone()));
                let chain = DefaultCredentialsChain::builder().configure(config);
                let chain = chain.region(region.clone()).build().await;
                chain.provide_credentials().await
            }
            #[cfg(test)]
            Source::Test(provider) => provider.provide_credentials().await,
            Source::None | Source::Given(_) => Err(CredentialsError::not_loaded_no_source()),
        };
        let credentials = match found {
            Ok(credentials) => credentials,
            Err(error) => return Err(refused(&error)),
        };
        // The same again, without an end: what was derived from it is good still.
        if let Some(held) = before.filter(|held| held.credentials == credentials) {
            return Ok(held.clone());
        }
        let held = Held::new(credentials);
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(held.clone());
        Ok(held)
    }
}

/// For the SDK, which asks for each of its requests.
impl ProvideCredentials for Signers {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            match self.current().await {
                Ok(Some(held)) => Ok(held.credentials.clone()),
                Ok(None) => Err(CredentialsError::not_loaded_no_source()),
                Err(error) => Err(CredentialsError::provider_error(error)),
            }
        })
    }
}

/// Where roles are asked for: the bucket's region, if it is one of AWS.
fn sts_region(region: &str) -> Region {
    let ours = region::is_of_aws(region).then(|| region.to_string());
    let usual = || std::env::var("AWS_REGION").ok().filter(|region| !region.is_empty());
    Region::new(ours.or_else(usual).unwrap_or_else(|| "us-east-1".to_string()))
}

fn refused(error: &CredentialsError) -> Error {
    let code = match error {
        CredentialsError::ProviderTimedOut(_) => Code::Unavailable,
        _ => Code::Permission,
    };
    let what = match error {
        CredentialsError::CredentialsNotLoaded(_) => "no credentials were found",
        CredentialsError::ProviderTimedOut(_) => "the credentials did not come in time",
        CredentialsError::InvalidConfiguration(_) => "the configured credentials are malformed",
        _ => "the credentials could not be loaded",
    };
    Error::new(code, format!("{what}{}", reasons(error)))
}

/// What the error is caused by, one line. What a process printed may be a secret.
fn reasons(error: &CredentialsError) -> String {
    let mut text = String::new();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    let of_process = text.contains("process");
    let line: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    if of_process { String::new() } else { line }
}

#[cfg(test)]
mod tests;
