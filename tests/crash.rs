//! A process that stores things is killed, at random moments and at each of its
//! system calls in turn. Whatever it had been told is stored must be there, whole;
//! whatever it was doing must be absent, whole or resumable; nothing else may be
//! visible.
#![cfg(feature = "filesystem")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use storagedriver::base::Base;
use storagedriver::context::Context;
use storagedriver::driver::Driver;
use storagedriver::error::Code;
use storagedriver::factory;
use storagedriver::params::Params;

const CHILD: &str = "STORAGEDRIVER_CRASH_CHILD";
/// The first step of a child and how many it does; "start,count".
const STEPS: &str = "STORAGEDRIVER_CRASH_STEPS";

/// Large enough for several writes behind the driver's buffer.
const PIECE: usize = 100_000;
const PIECES: usize = 3;

fn open(root: &Path) -> Arc<Base> {
    let mut params = Params::new();
    params.set("rootdirectory", root.to_str().unwrap());
    factory::create("filesystem", &Context::none(), &params).unwrap()
}

/// The bytes of step `step`, different at every position and in every step.
fn content(step: u64, len: usize) -> Vec<u8> {
    let word = |i: u64| (i ^ (step << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17);
    (0..len as u64).map(|i| (word(i / 8) >> (8 * (i % 8))) as u8).collect()
}

/// One ack is one write, so that a kill cannot tear it.
fn ack(text: String) {
    std::io::stdout().write_all(format!("ack {text}\n").as_bytes()).unwrap();
}

/// Not a test of its own: what the killed processes run.
#[test]
fn child() {
    let Ok(root) = std::env::var(CHILD) else { return };
    let steps = std::env::var(STEPS).unwrap();
    let (start, count) = steps.split_once(',').unwrap();
    let (start, count): (u64, u64) = (start.parse().unwrap(), count.parse().unwrap());
    let driver = open(Path::new(&root));
    for step in start..start.saturating_add(count) {
        one_step(&*driver, step);
    }
}

fn one_step(driver: &dyn Driver, step: u64) {
    let ctx = Context::none();
    // A tag that is overwritten again and again.
    driver.put_content(&ctx, "/tags/latest", &content(step, 5000)).unwrap();
    ack(format!("tag {step}"));
    // An upload in sessions, as a registry makes it.
    let upload = format!("/uploads/{step}/data");
    let mut writer = driver.writer(&ctx, &upload, false).unwrap();
    writer.close(&ctx).unwrap();
    ack(format!("closed {step} 0"));
    let data = content(step, PIECE * PIECES);
    for (i, piece) in data.chunks(PIECE).enumerate() {
        let mut writer = driver.writer(&ctx, &upload, true).unwrap();
        assert_eq!(writer.size(), (i * PIECE) as u64);
        piece.chunks(30_000).for_each(|part| writer.write(part).unwrap());
        writer.close(&ctx).unwrap();
        ack(format!("closed {step} {}", (i + 1) * PIECE));
    }
    let mut writer = driver.writer(&ctx, &upload, true).unwrap();
    writer.commit(&ctx).unwrap();
    ack(format!("committed {step}"));
    let blob = format!("/blobs/{}/{step}/data", step % 7);
    driver.r#move(&ctx, &upload, &blob).unwrap();
    ack(format!("moved {step}"));
    driver.delete(&ctx, &format!("/uploads/{step}")).unwrap();
    ack(format!("deleted {step}"));
    // New content over committed content, through a writer.
    let mut writer = driver.writer(&ctx, "/staged", false).unwrap();
    data.chunks(PIECE).for_each(|part| writer.write(part).unwrap());
    writer.commit(&ctx).unwrap();
    ack(format!("staged {step}"));
}

fn spawn(root: &Path, start: u64, count: u64, wrapper: &[String]) -> Child {
    let exe = std::env::current_exe().unwrap();
    let mut words: Vec<String> = wrapper.to_vec();
    words.push(exe.to_str().unwrap().to_string());
    words.extend(["--exact", "child", "--nocapture"].map(String::from));
    Command::new(&words[0])
        .args(&words[1..])
        .env(CHILD, root)
        .env(STEPS, format!("{start},{count}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What a child had been told, by step.
#[derive(Default)]
struct Acks {
    tag: Option<u64>,
    staged: Option<u64>,
    closed: BTreeMap<u64, usize>,
    committed: BTreeSet<u64>,
    moved: BTreeSet<u64>,
    deleted: BTreeSet<u64>,
}

impl Acks {
    fn read(&mut self, mut child: Child) {
        let mut text = String::new();
        child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        child.wait().unwrap();
        for line in text.lines().filter_map(|line| line.split_once("ack ")) {
            let words: Vec<&str> = line.1.split(' ').collect();
            let step = words[1].parse().unwrap();
            match words[0] {
                "tag" => self.tag = Some(step),
                "staged" => self.staged = Some(step),
                "closed" => drop(self.closed.insert(step, words[2].parse().unwrap())),
                "committed" => drop(self.committed.insert(step)),
                "moved" => drop(self.moved.insert(step)),
                "deleted" => drop(self.deleted.insert(step)),
                other => panic!("{other}"),
            }
        }
    }

    fn last_step(&self) -> u64 {
        self.tag.unwrap_or(0)
    }

    fn check(&self, driver: &dyn Driver) {
        self.check_replaced(driver, "/tags/latest", self.tag, 5000);
        self.check_replaced(driver, "/staged", self.staged, PIECE * PIECES);
        for (&step, &size) in &self.closed {
            let whole = content(step, PIECE * PIECES);
            let blob = format!("/blobs/{}/{step}/data", step % 7);
            let upload = format!("/uploads/{step}/data");
            let get = |path: &str| match driver.get_content(&Context::none(), path) {
                Ok(bytes) => Some(bytes),
                Err(error) if error.code() == Code::PathNotFound => None,
                Err(error) => panic!("{error}"),
            };
            let (at_blob, at_upload) = (get(&blob), get(&upload));
            if let Some(bytes) = &at_blob {
                assert!(*bytes == whole, "blob {step} is torn");
            }
            if self.moved.contains(&step) {
                assert!(at_blob.is_some(), "blob {step} was moved and is gone");
                assert!(at_upload.is_none(), "upload {step} was moved and is still there");
            }
            if self.deleted.contains(&step) {
                let gone = driver.stat(&Context::none(), &format!("/uploads/{step}"));
                assert_eq!(gone.unwrap_err().code(), Code::PathNotFound);
            }
            if at_blob.is_none() {
                let bytes = at_upload.unwrap_or_else(|| panic!("upload {step} is gone"));
                assert!(bytes.len() >= size, "upload {step}: {} of {size}", bytes.len());
                assert!(whole.starts_with(&bytes), "upload {step} has other bytes");
                if self.committed.contains(&step) {
                    assert!(bytes == whole, "committed upload {step} is not whole");
                }
            }
        }
    }

    /// Content that each step replaces: that of the last ack, or of the step that
    /// was running, whole.
    fn check_replaced(&self, driver: &dyn Driver, path: &str, acked: Option<u64>, len: usize) {
        match driver.get_content(&Context::none(), path) {
            Ok(bytes) => {
                let last = self.last_step();
                let candidates = acked.unwrap_or(0)..=last + 1;
                let whole = |step: u64| bytes == content(step, len);
                // Its very first upload lies at its path, where Go expects it.
                let first = acked.is_none() && content(last, len).starts_with(&bytes);
                assert!(first || candidates.clone().any(whole), "{path} is torn or old");
            }
            Err(error) => {
                assert_eq!(error.code(), Code::PathNotFound);
                assert_eq!(acked, None, "{path} is gone");
            }
        }
    }
}

/// Everything that can be seen is what the steps name; nothing else is left.
fn check_names(driver: &dyn Driver) {
    let walker = driver.walker(&Context::none(), "/", &Default::default()).unwrap();
    let mut walker = walker.unwrap();
    while let Some(info) = walker.next().unwrap() {
        let known = info.path.ends_with("/data")
            || ["/tags/latest", "/staged"].contains(&info.path.as_str())
            || info.is_dir;
        assert!(known, "{} was left behind", info.path);
    }
}

/// Whoever comes next can go on with what was left.
fn check_resumable(driver: &dyn Driver, acks: &Acks) {
    let ctx = Context::none();
    for (&step, &size) in &acks.closed {
        let upload = format!("/uploads/{step}/data");
        if driver.stat(&ctx, &upload).is_err() {
            continue;
        }
        let mut writer = driver.writer(&ctx, &upload, true).unwrap();
        let from = writer.size() as usize;
        assert!(from >= size);
        let whole = content(step, PIECE * PIECES);
        writer.write(&whole[from..]).unwrap();
        writer.commit(&ctx).unwrap();
        assert!(driver.get_content(&ctx, &upload).unwrap() == whole);
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed_at_200_random_moments() {
    let root = tempfile::tempdir().unwrap();
    let mut acks = Acks::default();
    let mut round = 0u64;
    // A slow machine needs more of them, and later ones.
    while round < 200 || acks.last_step() <= 100 {
        assert!(round < 5000, "only {} steps were done", acks.last_step());
        let mut child = spawn(root.path(), acks.last_step() + 1, u64::MAX, &[]);
        // Spread over start-up and the first dozen steps.
        let spread = 47_000 + 1000 * round.saturating_sub(200);
        std::thread::sleep(Duration::from_micros(3000 + (round * 7919) % spread));
        child.kill().unwrap();
        acks.read(child);
        if round % 20 == 19 {
            acks.check(&*open(root.path()));
        }
        round += 1;
    }
    let driver = open(root.path());
    acks.check(&*driver);
    check_names(&*driver);
    check_resumable(&*driver, &acks);
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed_at_any_system_call() {
    let traced = Command::new("strace").arg("-V").stdout(Stdio::null()).status();
    assert!(traced.is_ok_and(|status| status.success()), "this test needs strace");
    for call in ["openat2", "write", "fsync", "linkat", "renameat", "unlinkat", "mkdirat"] {
        for nth in 1.. {
            let root = tempfile::tempdir().unwrap();
            let inject = format!("inject={call}:signal=KILL:when={nth}");
            let wrapper = ["strace", "-f", "-o", "/dev/null", "-e", inject.as_str()];
            let child = spawn(root.path(), 1, 2, &wrapper.map(String::from));
            let mut acks = Acks::default();
            acks.read(child);
            let driver = open(root.path());
            acks.check(&*driver);
            check_names(&*driver);
            check_resumable(&*driver, &acks);
            if acks.staged == Some(2) {
                assert!(nth > 1 || call == "renameat", "{call} was never made");
                break;
            }
        }
    }
}
