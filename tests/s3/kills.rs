//! Our process is killed at random moments of what it stores, and the server in the
//! middle of a part. What was acknowledged is there and goes on; nothing is torn.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use storagedriver::context::Context;
use storagedriver::driver::Driver;
use storagedriver::error::Code;

use crate::content::{Random, content, content_at};
use crate::operations::forget;
use crate::proxy::{Fault, Proxy, Rule};
use crate::store::{PART, Store};

const CHILD: &str = "STORAGEDRIVER_S3_CHILD";

/// The sessions of an upload, so that some end in a small part and some do not.
const SESSIONS: &[usize] = &[1 << 20, PART, 2 << 20, PART + (1 << 20), 0, 100];

fn whole() -> usize {
    SESSIONS.iter().sum()
}

fn upload_of(step: u64) -> String {
    format!("/uploads/{step}/data")
}

fn blob_of(step: u64) -> String {
    format!("/blobs/{step}")
}

/// One ack is one write, so that a kill cannot tear it.
fn ack(text: String) {
    std::io::stdout().write_all(format!("ack {text}\n").as_bytes()).unwrap();
}

/// Not a test of its own: what the killed processes run.
#[test]
fn child() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let words: Vec<&str> = told.split(' ').collect();
    let store = Store { endpoint: words[0].to_string(), root: words[1].to_string() };
    let driver = store.driver(&[]);
    for step in words[2].parse().unwrap().. {
        one_step(&*driver, step);
    }
}

/// An upload as a registry makes it.
fn one_step(driver: &dyn Driver, step: u64) {
    let ctx = Context::none();
    driver.put_content(&ctx, "/tag", &content(step, 5000)).unwrap();
    ack(format!("tag {step} 0"));
    let mut from = 0;
    for (n, size) in SESSIONS.iter().enumerate() {
        let mut writer = driver.writer(&ctx, &upload_of(step), n > 0).unwrap();
        assert_eq!(writer.size(), from as u64);
        let data = content_at(step, from, *size);
        data.chunks(300_000).for_each(|piece| writer.write(piece).unwrap());
        from += size;
        if from == whole() {
            writer.commit(&ctx).unwrap();
            ack(format!("committed {step} {from}"));
        }
        writer.close(&ctx).unwrap();
        ack(format!("closed {step} {from}"));
    }
    driver.r#move(&ctx, &upload_of(step), &blob_of(step)).unwrap();
    ack(format!("moved {step} {from}"));
}

fn spawn(store: &Store, start: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kills::child", "--nocapture"])
        .env(CHILD, format!("{} {} {start}", store.endpoint, store.root))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What was said of one step.
#[derive(Default)]
struct Acked {
    closed: Option<usize>,
    committed: bool,
    moved: bool,
}

fn read(child: &mut Child) -> BTreeMap<u64, Acked> {
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    child.wait().unwrap();
    let mut steps: BTreeMap<u64, Acked> = BTreeMap::new();
    for line in text.lines() {
        // The harness may have written before it on the same line.
        let Some(at) = line.find("ack ") else { continue };
        let words: Vec<&str> = line[at + 4..].split(' ').collect();
        let acked = steps.entry(words[1].parse().unwrap()).or_default();
        match words[0] {
            "closed" => acked.closed = Some(words[2].parse().unwrap()),
            "committed" => acked.committed = true,
            "moved" => acked.moved = true,
            _ => {}
        }
    }
    steps
}

/// Looks at what a step left, and brings it to its end.
fn check_and_go_on(driver: &dyn Driver, step: u64, acked: &Acked) {
    let (ctx, all) = (Context::none(), content(step, whole()));
    let get = |path: &str| match driver.get_content(&ctx, path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.code() == Code::PathNotFound => None,
        Err(error) => panic!("{error}"),
    };
    let upload = upload_of(step);
    if let Some(blob) = get(&blob_of(step)) {
        assert!(blob == all, "blob {step} is torn");
        let left = get(&upload);
        assert!(!acked.moved || left.is_none(), "upload {step} was moved and is still there");
        return;
    }
    assert!(!acked.moved, "blob {step} is gone");
    let at_least = acked.closed.unwrap_or(0);
    let mut from = 0;
    // A part that was on the wire when the process died may still arrive: a commit that
    // it gets in the way of fails, and what is there then is gone on with.
    for attempt in 1.. {
        let mut writer = match driver.writer(&ctx, &upload, true) {
            Ok(writer) => writer,
            Err(error) if error.code() == Code::PathNotFound && acked.closed.is_none() => return,
            Err(error) => panic!("upload {step}, {at_least} acknowledged: {error}"),
        };
        from = writer.size() as usize;
        assert!(from >= at_least, "upload {step}: {from} of {at_least}");
        assert!(from <= whole(), "upload {step} has {from} bytes");
        if acked.committed {
            assert!(get(&upload).unwrap() == all, "upload {step} is torn");
        }
        writer.write(&all[from..]).unwrap();
        match writer.commit(&ctx) {
            Ok(()) => {
                writer.close(&ctx).unwrap();
                break;
            }
            Err(error) if error.code() == Code::Conflict && attempt < 3 => {
                println!("upload {step}, from {from}: {error}");
            }
            Err(error) => panic!("upload {step}, from {from}, attempt {attempt}: {error}"),
        }
    }
    assert!(get(&upload).unwrap() == all, "upload {step} has other bytes after {from}");
    driver.r#move(&ctx, &upload, &blob_of(step)).unwrap();
}

fn killed(server: &str, rounds: u64) {
    let Some(store) = Store::on(server, "kills") else { return };
    let driver = store.driver(&[]);
    let mut random = Random::new("kills");
    let (mut next, mut round, mut unfinished) = (1, 0, 0);
    // A slow machine needs more of them, and later ones.
    while round < rounds || unfinished <= rounds / 4 {
        assert!(round < 4 * rounds, "{unfinished} of {round} kills hit a step");
        let mut child = spawn(&store, next);
        // Spread over the start and the first steps.
        let spread = 350 + 20 * round.saturating_sub(rounds);
        std::thread::sleep(Duration::from_millis(20 + random.below(spread)));
        child.kill().unwrap();
        let steps = read(&mut child);
        for (step, acked) in &steps {
            unfinished += u64::from(!acked.moved);
            check_and_go_on(&*driver, *step, acked);
            forget(&*driver, &blob_of(*step));
        }
        next = steps.keys().last().map_or(next, |last| last + 1);
        // It may have been in the middle of the one after.
        check_and_go_on(&*driver, next, &Acked::default());
        forget(&*driver, &blob_of(next));
        next += 1;
        round += 1;
    }
    println!("{next} steps, {unfinished} of them interrupted by {round} kills");
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed_at_100_random_moments() {
    killed("radosgw", 100);
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed_before_seaweedfs() {
    killed("seaweedfs", 20);
}

/// A radosgw of this test's own, whose objects are on a disk.
struct OwnRadosgw(PathBuf);

impl OwnRadosgw {
    fn script(name: &str) -> Command {
        Command::new(format!("{}/tests/services/{name}", env!("CARGO_MANIFEST_DIR")))
    }

    /// Starts what does not run; answers the endpoint, which stays the same.
    fn up(&self) -> String {
        let mut script = OwnRadosgw::script("radosgw.sh");
        let done = script.arg(&self.0).env("STORE", "bluestore").output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let line = said.lines().find_map(|line| line.strip_prefix("S3_ENDPOINT="));
        line.unwrap().to_string()
    }

    fn kill(&self) {
        let mut script = OwnRadosgw::script("down.sh");
        assert!(script.arg(&self.0).args(["--kill", "radosgw"]).status().unwrap().success());
    }
}

impl Drop for OwnRadosgw {
    fn drop(&mut self) {
        let _ = OwnRadosgw::script("down.sh").arg(&self.0).arg("--wipe").status();
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_radosgw_is_killed_in_the_middle_of_a_part() {
    if crate::store::endpoint("radosgw").is_none() {
        return;
    }
    let work = std::env::var("STORAGEDRIVER_S3_WORK").unwrap();
    let server = OwnRadosgw(PathBuf::from(work).join("killed"));
    let store = Store::at(&server.up(), "killed");
    let more = [("chunksize", "33554432")];
    let (part, ctx) = (32 << 20, Context::none());
    let all = content(1, 3 * part);
    for round in 0..3 {
        let path = format!("/{round}");
        let proxy = Proxy::start(&store.endpoint);
        let driver = store.driver_by(&proxy.url(), &more);
        let mut writer = driver.writer(&ctx, &path, false).unwrap();
        writer.write(&all[..part]).unwrap();
        writer.close(&ctx).unwrap();
        driver.put_content(&ctx, "/acknowledged", path.as_bytes()).unwrap();
        // The part passes slowly enough to be caught in it.
        proxy.take();
        proxy.rule(Rule::on(
            |seen| seen.query("partNumber") == Some("2"),
            Fault::StallRequest((4 << 20) * (round + 1)),
        ));
        let mut writer = driver.writer(&ctx, &path, true).unwrap();
        assert_eq!(writer.size(), part as u64);
        let limited = Context::new(&ctx);
        limited.set_timeout(Duration::from_secs(20));
        std::thread::scope(|scope| {
            let killer = scope.spawn(|| {
                let limit = Instant::now() + Duration::from_secs(20);
                while proxy.bitten() == 0 && Instant::now() < limit {
                    std::thread::sleep(Duration::from_millis(5));
                }
                server.kill();
            });
            let result = writer.write(&all[part..2 * part]).and_then(|()| writer.close(&limited));
            let error = result.expect_err("the server was dead");
            assert!([Code::Unavailable, Code::Deadline].contains(&error.code()), "{error}");
            killer.join().unwrap();
        });
        assert_eq!(server.up(), store.endpoint);
        let direct = store.driver(&more);
        let mut writer = direct.writer(&ctx, &path, true).unwrap();
        assert_eq!(writer.size(), part as u64);
        writer.write(&all[part..]).unwrap();
        writer.commit(&ctx).unwrap();
        assert!(direct.get_content(&ctx, &path).unwrap() == all);
        assert_eq!(direct.get_content(&ctx, "/acknowledged").unwrap(), path.as_bytes());
    }
}
