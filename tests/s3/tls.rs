//! Over TLS: nobody is trusted by default, those are whom the operator names.

use std::process::Command;

use storagedriver::context::Context;
use storagedriver::driver::Driver;
use storagedriver::error::Code;

use crate::content::content;
use crate::store::{PART, Store};

const HELPER: &str = "STORAGEDRIVER_S3_TLS_HELPER";

fn store() -> Option<Store> {
    Some(Store::at(&crate::store::endpoint("tls")?, "tls"))
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let Some(store) = store() else { return };
    let error = store.driver(&[]).put_content(&Context::none(), "/a", b"x").unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[test]
fn skipverify_trusts_whoever_answers() {
    let Some(store) = store() else { return };
    works(&store, &[("skipverify", "true")]);
}

/// Not a test of its own: runs with the environment that the next one makes.
#[test]
fn helper() {
    if std::env::var(HELPER).is_ok() {
        works(&store().unwrap(), &[]);
    }
}

#[test]
fn certificates_that_the_environment_names_are_trusted() {
    if store().is_none() {
        return;
    }
    let certificate = std::env::var("STORAGEDRIVER_S3_CERTIFICATE").unwrap();
    for name in ["AWS_CA_BUNDLE", "SSL_CERT_FILE"] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "tls::helper", "--nocapture"]);
        let done = child.env(HELPER, "1").env(name, &certificate).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() && said.contains("works"), "{name}: {said}{complaint}");
    }
}

fn works(store: &Store, more: &[(&str, &str)]) {
    let (driver, ctx, data) = (store.driver(more), Context::none(), content(1, 2 * PART + 1));
    let mut writer = driver.writer(&ctx, "/a", false).unwrap();
    writer.write(&data).unwrap();
    writer.commit(&ctx).unwrap();
    assert!(driver.get_content(&ctx, "/a").unwrap() == data);
    assert_eq!(driver.list(&ctx, "/").unwrap().len(), 1);
    driver.delete(&ctx, "/a").unwrap();
    println!("works");
}
