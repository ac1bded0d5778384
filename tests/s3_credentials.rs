//! Where the s3 driver finds credentials when none are given: each place in turn, with a
//! server of the test's own behind it that says who signed the request.
#![cfg(feature = "s3")]

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use storagedriver::context::Context;
use storagedriver::driver::Driver;
use storagedriver::error::Code;
use storagedriver::factory;
use storagedriver::params::Params;

/// A bucket and the places that give credentials, all at one address.
struct Server {
    address: String,
    /// The paths asked for, and of requests for objects the authorization.
    seen: Arc<Mutex<Vec<(String, String)>>>,
}

const KEYS: &str = r#"{"Code":"Success","AccessKeyId":"KEY","SecretAccessKey":"secret",
    "Token":"token","Expiration":"2099-01-01T00:00:00Z","LastUpdated":"2020-01-01T00:00:00Z"}"#;

impl Server {
    fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let record = seen.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let record = record.clone();
                thread::spawn(move || drop(serve(&stream.unwrap(), &record)));
            }
        });
        Server { address, seen }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Reads an object with this environment, and says by whose key it was asked for.
    fn signer(&self, environment: &[(&str, &str)]) -> (bool, String) {
        self.seen.lock().unwrap().clear();
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--exact", "the_process_that_reads", "--nocapture"]);
        let unwanted =
            |name: &str| name.starts_with("AWS_") || name.to_lowercase().ends_with("_proxy");
        env::vars().filter(|(name, _)| unwanted(name)).for_each(|(name, _)| {
            child.env_remove(name);
        });
        // Nothing of the user's, and no instance that would be waited for.
        child.env("HOME", "/nonexistent").env("AWS_EC2_METADATA_DISABLED", "true");
        child.env("STORAGEDRIVER_S3_READ_FROM", self.url(""));
        child.envs(environment.iter().copied());
        let done = child.status().unwrap().success();
        let seen = self.seen.lock().unwrap();
        let signed = seen.iter().find(|(path, _)| path.starts_with("/bucket/"));
        (done, signed.map(|(_, by)| by.clone()).unwrap_or_default())
    }
}

fn serve(stream: &TcpStream, record: &Mutex<Vec<(String, String)>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_string();
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                None => break,
                Some((name, value)) => {
                    headers.insert(name.to_lowercase(), value.trim().to_string());
                }
            }
        }
        let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
        let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
        reader.read_exact(&mut body)?;
        let by = header("authorization");
        let by = by.split("Credential=").nth(1).and_then(|rest| rest.split('/').next());
        let by = by.unwrap_or_default().to_string();
        record.lock().unwrap().push((path.clone(), by.clone()));
        let answer = answer(&path, &by, &header("x-aws-ec2-metadata-token"));
        let (status, body) = answer;
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
        let more = "x-aws-ec2-metadata-token-ttl-seconds: 21600\r\n\r\n";
        (&*stream).write_all(format!("{head}{more}{body}").as_bytes())?;
    }
}

fn answer(path: &str, by: &str, token: &str) -> (&'static str, String) {
    let role = "/latest/meta-data/iam/security-credentials";
    match path {
        "/container" => ("200 OK", KEYS.replace("KEY", "container")),
        "/latest/api/token" => ("200 OK", "imds-token".to_string()),
        _ if path.starts_with("/latest") && token != "imds-token" => {
            ("401 Unauthorized", String::new())
        }
        _ if path.trim_end_matches('/').ends_with(role) => ("200 OK", "role".to_string()),
        _ if path.starts_with("/latest") && path.ends_with("/role") => {
            ("200 OK", KEYS.replace("KEY", "instance"))
        }
        _ if by == "expired" => {
            let body = "<Error><Code>ExpiredToken</Code><Message>over</Message></Error>";
            ("400 Bad Request", body.to_string())
        }
        _ => ("200 OK", "content".to_string()),
    }
}

/// What the tests start: it reads one object and ends well if that was possible.
#[test]
fn the_process_that_reads() {
    let Ok(endpoint) = env::var("STORAGEDRIVER_S3_READ_FROM") else { return };
    let mut params = Params::new();
    for (key, value) in [("bucket", "bucket"), ("region", "us-east-1")] {
        params.set(key, value);
    }
    params.set("regionendpoint", endpoint);
    if let Ok(more) = env::var("STORAGEDRIVER_S3_READ_WITH") {
        let more = Params::from_json(&more).unwrap();
        more.keys().for_each(|key| params.set(key, more.get(key).unwrap().clone()));
    }
    let driver = factory::create("s3", &Context::none(), &params).unwrap();
    match driver.get_content(&Context::none(), "/a") {
        Ok(content) => assert_eq!(content, b"content"),
        Err(error) => {
            assert_eq!(error.code(), Code::Permission, "{error}");
            panic!("{error}");
        }
    }
}

#[test]
fn the_environment_is_looked_at() {
    let server = Server::start();
    let found =
        server.signer(&[("AWS_ACCESS_KEY_ID", "environment"), ("AWS_SECRET_ACCESS_KEY", "s")]);
    assert_eq!(found, (true, "environment".to_string()));
}

#[test]
fn what_is_given_comes_before_the_environment_and_one_key_alone_is_none() {
    let server = Server::start();
    let environment = [("AWS_ACCESS_KEY_ID", "environment"), ("AWS_SECRET_ACCESS_KEY", "s")];
    for (given, expected) in [
        (r#"{"accesskey":"given","secretkey":"s"}"#, "given"),
        (r#"{"accesskey":"given","secretkey":"s","sessiontoken":"t"}"#, "given"),
        (r#"{"accesskey":"given"}"#, "environment"),
        (r#"{"anonymous":true}"#, ""),
    ] {
        let mut all = environment.to_vec();
        all.push(("STORAGEDRIVER_S3_READ_WITH", given));
        assert_eq!(server.signer(&all), (true, expected.to_string()), "{given}");
    }
}

#[test]
fn profiles_and_their_processes_are_looked_at() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_string()
    };
    let keys = "[mine]\naws_access_key_id = profile\naws_secret_access_key = s\n";
    let credentials = file("credentials", keys);
    let profile = [("AWS_SHARED_CREDENTIALS_FILE", &*credentials), ("AWS_PROFILE", "mine")];
    assert_eq!(server.signer(&profile), (true, "profile".to_string()));
    let said = r#"{"Version":1,"AccessKeyId":"process","SecretAccessKey":"s"}"#;
    let script = file("script", &format!("echo '{said}'\n"));
    let config = file("config", &format!("[default]\ncredential_process = sh {script}\n"));
    assert_eq!(server.signer(&[("AWS_CONFIG_FILE", &config)]), (true, "process".to_string()));
}

#[test]
fn refused_credentials_are_looked_for_anew() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_string();
    let keys = r#"{"Version":1,"AccessKeyId":"'$KEY'","SecretAccessKey":"s"}"#;
    let (mark, script, config) = (path("mark"), path("script"), path("config"));
    let first = format!("KEY=renewed; [ -e {mark} ] || KEY=expired; touch {mark}");
    std::fs::write(&script, format!("{first}; echo '{keys}'\n")).unwrap();
    let text = format!("[default]\ncredential_process = sh {script}\n");
    std::fs::write(&config, text).unwrap();
    let (done, first) = server.signer(&[("AWS_CONFIG_FILE", &config)]);
    assert!(done);
    assert_eq!(first, "expired");
    let seen = server.seen.lock().unwrap();
    assert_eq!(seen.last().unwrap().1, "renewed");
}

#[test]
fn a_container_is_asked() {
    let server = Server::start();
    let url = server.url("/container");
    let found = server.signer(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)]);
    assert_eq!(found, (true, "container".to_string()));
}

#[test]
fn an_instance_is_asked_with_a_session() {
    let server = Server::start();
    let url = server.url("");
    let environment =
        [("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*url), ("AWS_EC2_METADATA_DISABLED", "false")];
    assert_eq!(server.signer(&environment), (true, "instance".to_string()));
}

#[test]
fn without_any_the_call_fails_and_the_bucket_is_not_asked() {
    let server = Server::start();
    assert_eq!(server.signer(&[]), (false, String::new()));
    assert!(server.seen.lock().unwrap().is_empty());
}
