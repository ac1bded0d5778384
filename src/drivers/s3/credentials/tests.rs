use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::executor;

/// Gives credentials that last so long, and counts how often it is asked.
#[derive(Clone, Debug)]
struct Provider {
    asked: Arc<AtomicUsize>,
    lifetime: Option<Duration>,
    failing: Arc<std::sync::atomic::AtomicBool>,
}

impl Provider {
    fn new(lifetime: Option<Duration>) -> Provider {
        Provider { asked: Arc::default(), lifetime, failing: Arc::default() }
    }

    fn signers(&self) -> Signers {
        self.signers_with(Duration::ZERO)
    }

    fn signers_with(&self, pause: Duration) -> Signers {
        Signers(Arc::new(Shared {
            source: Source::Test(Box::new(self.clone())),
            held: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            pause,
        }))
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let n = self.asked.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
            if self.failing.load(Ordering::SeqCst) {
                return Err(CredentialsError::provider_error("the provider is down"));
            }
            let end = self.lifetime.map(|lifetime| SystemTime::now() + lifetime);
            Ok(Credentials::new(format!("key-{n}"), "secret", None, end, "test"))
        })
    }
}

/// The keys that so many calls get at once.
fn current(signers: &Signers, calls: usize) -> Vec<Result<String>> {
    let signers = signers.clone();
    executor::block(async move {
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..calls {
            let signers = signers.clone();
            running.spawn(async move {
                let held = signers.current().await?;
                Ok(held.unwrap().credentials.access_key_id().to_string())
            });
        }
        running.join_all().await
    })
    .unwrap()
}

fn one(signers: &Signers) -> String {
    current(signers, 1).pop().unwrap().unwrap()
}

#[test]
fn nothing_is_asked_before_the_first_request_and_once_for_many() {
    let provider = Provider::new(Some(Duration::from_secs(3600)));
    let signers = provider.signers();
    assert_eq!(provider.asked(), 0);
    let keys = current(&signers, 20);
    assert!(keys.iter().all(|key| key.as_ref().unwrap() == "key-0"));
    assert_eq!((one(&signers).as_str(), provider.asked()), ("key-0", 1));
}

#[test]
fn credentials_without_an_end_are_kept() {
    let provider = Provider::new(None);
    let signers = provider.signers();
    assert_eq!((one(&signers), one(&signers)), ("key-0".into(), "key-0".into()));
}

#[test]
fn new_ones_are_asked_for_before_the_old_ones_end() {
    let provider = Provider::new(Some(Duration::from_secs(120)));
    let signers = provider.signers();
    assert_eq!(one(&signers), "key-0");
    // One of these asks anew while the others go on with what there is.
    let keys = current(&signers, 10);
    assert!(keys.iter().all(Result::is_ok));
    assert!(provider.asked() > 1);
}

#[test]
fn a_place_whose_credentials_end_soon_is_not_asked_for_each_request() {
    let provider = Provider::new(Some(Duration::from_secs(120)));
    let signers = provider.signers_with(PAUSE);
    let keys: Vec<String> = (0..5).map(|_| one(&signers)).collect();
    assert_eq!((keys, provider.asked()), (vec!["key-0".to_string(); 5], 1));
}

#[test]
fn the_old_ones_are_used_while_they_are_good_and_new_ones_do_not_come() {
    let provider = Provider::new(Some(Duration::from_secs(120)));
    let signers = provider.signers();
    assert_eq!(one(&signers), "key-0");
    provider.failing.store(true, Ordering::SeqCst);
    assert_eq!(one(&signers), "key-0");
    assert_eq!(provider.asked(), 2);
}

#[test]
fn the_end_is_waited_for_by_everybody_and_a_failure_is_told() {
    let provider = Provider::new(Some(Duration::from_secs(10)));
    let signers = provider.signers();
    assert_eq!((one(&signers), one(&signers)), ("key-0".into(), "key-1".into()));
    provider.failing.store(true, Ordering::SeqCst);
    let error = current(&signers, 1).pop().unwrap().unwrap_err();
    assert_eq!(error.code(), Code::Permission);
    assert_eq!(error.detail(), "the credentials could not be loaded: the provider is down");
}

#[test]
fn refused_ones_are_asked_for_anew() {
    let provider = Provider::new(None);
    let signers = provider.signers();
    assert_eq!(one(&signers), "key-0");
    assert!(signers.forget());
    assert_eq!(one(&signers), "key-1");
    let given = Signers::from_source(Source::Given(Held::new(Credentials::new(
        "a", "s", None, None, "test",
    ))));
    assert!(!given.forget());
    assert_eq!(one(&given), "a");
}

#[test]
fn what_a_process_printed_is_not_in_an_error() {
    let error = CredentialsError::provider_error("the process said: hunter2");
    assert!(!refused(&error).to_string().contains("hunter2"));
    let none = refused(&CredentialsError::not_loaded("looked everywhere"));
    assert_eq!(none.detail(), "no credentials were found: looked everywhere");
}
