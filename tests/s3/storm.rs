//! Calls of every kind, in any order, over a network that fails half of them. What a
//! call answered is true, and what failed is whole or not there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use storagedriver::context::Context;
use storagedriver::driver::Driver;
use storagedriver::error::{Code, Error};

use crate::content::{Random, content, content_at};
use crate::operations::forget;
use crate::proxy::{Fault, Proxy, Rule};
use crate::store::{PART, Store};
use crate::transient::slow_down;

/// As many steps as fit; `SD_TEST_SECONDS` sets another time.
const SECONDS: u64 = 30;

/// What may lie at a path: the seed and size of its content, or nothing.
type State = Option<(u64, usize)>;

struct Storm {
    random: Random,
    proxy: Proxy,
    /// By way of the proxy.
    driver: std::sync::Arc<storagedriver::base::Base>,
    /// Past it.
    direct: std::sync::Arc<storagedriver::base::Base>,
    files: BTreeMap<String, State>,
    failures: usize,
}

/// An upload that goes on over several sessions, maybe failing in some.
struct Upload {
    path: String,
    seed: u64,
    acked: usize,
}

impl Storm {
    fn new(server: &str) -> Option<Storm> {
        let store = Store::on(server, "storm")?;
        let (proxy, driver) = store.proxied(&[]);
        let direct = store.driver(&[]);
        let random = Random::new("storm");
        Some(Storm { random, proxy, driver, direct, files: BTreeMap::new(), failures: 0 })
    }

    /// Half of the calls meet something, and some of those meet it until they give up.
    fn weather(&mut self) {
        self.proxy.forget_rules();
        for _ in 0..self.random.below(3) {
            let fault = match self.random.below(8) {
                0 => Fault::Answer(slow_down(503)),
                1 => Fault::Answer(slow_down(429)),
                2 | 3 => Fault::ResetRequest(self.random.below(3 << 20)),
                4 => Fault::ResetResponse(self.random.below(1 << 20)),
                5 | 6 => Fault::ResetResponse(self.random.below(2) * 100),
                _ => Fault::StallResponse(self.random.below(300)),
            };
            let nth = 1 + self.random.below(4) as usize;
            let times = *self.random.pick(&[1, 1, 2, usize::MAX]);
            self.proxy.rule(Rule::on(|_| true, fault).nth(nth).times(times));
        }
    }

    fn ctx(&self) -> Context {
        let ctx = Context::new(&Context::none());
        ctx.set_timeout(Duration::from_millis(1000));
        ctx
    }

    fn found(&self, path: &str) -> Option<Vec<u8>> {
        match self.direct.get_content(&Context::none(), path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.code() == Code::PathNotFound => None,
            Err(error) => panic!("{path}: {error}"),
        }
    }

    /// Which of these lies at the path; it must be one of them.
    fn settle(&mut self, path: &str, states: &[State]) -> State {
        let found = self.found(path);
        let is = |state: &&State| found == state.map(|(seed, size)| content(seed, size));
        let state = *states.iter().find(is).unwrap_or_else(|| {
            let size = found.as_ref().map(Vec::len);
            panic!("{path}: {size:?} bytes, none of {states:?}")
        });
        self.files.insert(path.to_string(), state);
        state
    }

    fn fails_rightly(&mut self, error: &Error) {
        let codes = [Code::Deadline, Code::Unavailable, Code::Throttled];
        assert!(codes.contains(&error.code()), "{error}");
        self.failures += 1;
        // What the server had been asked it has done by then.
        self.proxy.take();
    }

    fn step(&mut self, step: u64) {
        let path = format!("/f/{}", self.random.below(4));
        let before = self.files.get(&path).copied().flatten();
        let size = *self.random.pick(&[0, 10, 70_000, PART, PART + 70_000]);
        let ctx = self.ctx();
        self.weather();
        match self.random.below(5) {
            0 => {
                let result = self.driver.put_content(&ctx, &path, &content(step, size));
                self.after_change(&path, result, before, Some((step, size)));
            }
            1 => {
                let result = self.driver.delete(&ctx, &path);
                match result {
                    Err(error) if error.code() == Code::PathNotFound => {
                        // A delete whose answer was lost finds nothing when it asks again.
                        self.settle(&path, &[None]);
                    }
                    result => self.after_change(&path, result, before, None),
                }
            }
            2 => {
                let to = format!("/f/{}", self.random.below(4));
                self.step_move(&ctx, &path, &to, before);
            }
            3 => match self.driver.get_content(&ctx, &path) {
                Ok(bytes) => {
                    let (seed, size) = before.unwrap_or_else(|| panic!("{path} came back"));
                    assert!(bytes == content(seed, size), "{path}: {} bytes", bytes.len());
                }
                Err(error) if error.code() == Code::PathNotFound => assert_eq!(before, None),
                Err(error) => self.fails_rightly(&error),
            },
            _ => {
                let mut upload = Upload { path: format!("/u/{step}"), seed: step, acked: 0 };
                self.upload(&mut upload);
                self.proxy.forget_rules();
                forget(&*self.direct, &upload.path);
                self.files.remove(&upload.path);
            }
        }
    }

    fn after_change(&mut self, path: &str, result: Result<(), Error>, before: State, after: State) {
        match result {
            Ok(()) => {
                self.settle(path, &[after]);
            }
            Err(error) => {
                self.fails_rightly(&error);
                self.settle(path, &[before, after]);
            }
        }
    }

    fn step_move(&mut self, ctx: &Context, from: &str, to: &str, source: State) {
        let target = self.files.get(to).copied().flatten();
        match self.driver.r#move(ctx, from, to) {
            Ok(()) => {
                self.settle(to, &[source]);
                let left = if from == to { source } else { None };
                self.settle(from, &[left]);
            }
            Err(error) if error.code() == Code::PathNotFound => assert_eq!(source, None),
            Err(error) => {
                self.fails_rightly(&error);
                let there = self.settle(to, &[target, source]);
                let left = self.settle(from, &[source, None]);
                assert!(left == source || there == source, "{from} is lost on its way to {to}");
            }
        }
    }

    /// Sessions of any size until it is done, each going on where the last one was.
    fn upload(&mut self, upload: &mut Upload) {
        let whole = 1 + self.random.below(3 * PART as u64) as usize;
        let mut begun = false;
        for _ in 0..6 {
            self.weather();
            let ctx = self.ctx();
            let most = *self.random.pick(&[0, 1000, 3 << 20, PART + 5, 3 * PART]);
            let result = self.session(&ctx, upload, whole, most, begun);
            self.proxy.forget_rules();
            match result {
                Ok(true) => {
                    self.settle(&upload.path.clone(), &[Some((upload.seed, whole))]);
                    return;
                }
                Ok(false) => begun = true,
                Err(error) if !begun && error.code() == Code::PathNotFound => panic!("{error}"),
                Err(error) => {
                    self.fails_rightly(&error);
                    match self.look(upload, whole) {
                        Some(size) => {
                            assert!(size >= upload.acked, "{size} of {}", upload.acked);
                            begun = true;
                            upload.acked = size;
                        }
                        None => {
                            assert!(!begun, "{}: {} bytes are lost", upload.path, upload.acked);
                            upload.acked = 0;
                        }
                    }
                }
            }
        }
    }

    /// Answers whether it was committed.
    fn session(
        &mut self,
        ctx: &Context,
        upload: &mut Upload,
        whole: usize,
        most: usize,
        begun: bool,
    ) -> Result<bool, Error> {
        let mut writer = self.driver.writer(ctx, &upload.path, begun)?;
        let from = writer.size() as usize;
        assert_eq!(from, upload.acked, "{}", upload.path);
        let data = content_at(upload.seed, from, most.min(whole - from));
        let mut failed = None;
        for piece in data.chunks(400_000) {
            if let Err(error) = writer.write(piece) {
                failed = Some(error);
                break;
            }
        }
        if failed.is_none() && from + data.len() == whole {
            // A commit that failed may be repeated.
            let committed = writer.commit(ctx).or_else(|error| {
                self.fails_rightly(&error);
                self.proxy.forget_rules();
                writer.commit(&Context::none())
            });
            if let Err(error) = &committed {
                panic!("{}: a second commit: {error}", upload.path);
            }
            let _ = writer.close(ctx);
            return Ok(true);
        }
        let closed = writer.close(ctx);
        if closed.is_ok() {
            upload.acked = writer.size() as usize;
        }
        match failed {
            Some(error) => Err(error),
            None => closed.map(|()| false),
        }
    }

    /// How much of an upload there is, looked at past the proxy.
    fn look(&self, upload: &Upload, whole: usize) -> Option<usize> {
        match self.direct.writer(&Context::none(), &upload.path, true) {
            Ok(writer) => {
                let size = writer.size() as usize;
                assert!(size <= whole, "{}: {size} of {whole}", upload.path);
                Some(size)
            }
            Err(error) if error.code() == Code::PathNotFound => None,
            Err(error) => panic!("{}: {error}", upload.path),
        }
    }
}

fn run(server: &str) {
    let Some(mut storm) = Storm::new(server) else { return };
    let given = std::env::var("SD_TEST_SECONDS").ok().and_then(|text| text.parse().ok());
    let end = Instant::now() + Duration::from_secs(given.unwrap_or(SECONDS));
    let mut step = 0;
    while Instant::now() < end {
        step += 1;
        storm.step(step);
    }
    println!("{step} steps, {} failed, {} faults", storm.failures, storm.proxy.bitten());
    assert!(storm.failures > 0, "of {step} steps none failed");
    let paths: Vec<_> = storm.files.iter().map(|(path, state)| (path.clone(), *state)).collect();
    for (path, state) in paths {
        storm.settle(&path, &[state]);
    }
}

#[test]
fn nothing_is_lost_or_torn_over_a_network_that_fails() {
    run("radosgw");
}

#[test]
fn nothing_is_lost_or_torn_over_a_network_that_fails_before_seaweedfs() {
    run("seaweedfs");
}
