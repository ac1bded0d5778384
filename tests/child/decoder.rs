//! The decoder against random input. `SD_TEST_SEED` repeats a run.

use std::time::Duration;

use storagedriver::child::frame::{HEADER, Header, Inlet, Kind, MAX_BODY};
use storagedriver::context::Context;
use storagedriver::driver::Driver;

use crate::scripted::script;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn new() -> Random {
        let seed = std::env::var("SD_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        let seed = seed.unwrap_or(now);
        println!("seed {seed}");
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    /// A frame that a driver may send, though not when.
    fn frame(&mut self) -> Vec<u8> {
        let kinds = [Kind::Reply, Kind::Error, Kind::Data, Kind::Credit, Kind::Broken, Kind::Ping];
        let kind = kinds[self.below(kinds.len())];
        let stream = if kind == Kind::Ping { 0 } else { 1 + self.below(4) as u32 };
        let has_body = !matches!(kind, Kind::Credit | Kind::Ping);
        let length = if has_body { self.below(100_000) } else { 0 };
        let header = Header::new(kind, stream, length).ending(self.below(2) == 0);
        let header = header.with_arg(self.next() as u32).encode();
        [&header[..], &self.bytes(length)].concat()
    }
}

#[test]
fn frames_come_out_as_they_went_in_however_they_are_cut() {
    let mut random = Random::new();
    for _ in 0..30 {
        let frames: Vec<Vec<u8>> = (0..20).map(|_| random.frame()).collect();
        let all = frames.concat();
        let (mut inlet, mut at, mut seen) = (Inlet::new(), 0, 0);
        while seen < frames.len() {
            while let Some((header, body)) = inlet.buffered().unwrap() {
                assert_eq!([&header.encode()[..], &body].concat(), frames[seen]);
                seen += 1;
            }
            let count = (1 + random.below(50_000)).min(all.len() - at);
            inlet.feed(&all[at..at + count]);
            at += count;
        }
        assert_eq!(at, all.len());
    }
}

#[test]
fn no_input_breaks_the_decoder() {
    let mut random = Random::new();
    for round in 0..800 {
        let mut input = match round % 2 {
            0 => random.bytes(200),
            _ => (0..3).flat_map(|_| random.frame()).collect(),
        };
        for _ in 0..random.below(4) {
            let at = random.below(input.len().min(64));
            input[at] = random.next() as u8;
        }
        let mut inlet = Inlet::new();
        inlet.feed(&input);
        let mut taken = 0;
        while let Ok(Some((header, body))) = inlet.buffered() {
            assert!(body.len() <= MAX_BODY && body.len() == header.length as usize);
            taken += HEADER + body.len();
        }
        assert!(taken <= input.len());
    }
}

#[test]
fn no_answer_hangs_or_breaks_the_host() {
    let mut random = Random::new();
    for _ in 0..60 {
        let mut noise: Vec<u8> = (0..4).flat_map(|_| random.frame()).collect();
        let at = random.below(noise.len());
        noise[at] = random.next() as u8;
        let (driver, thread) = script(move |side| {
            let (stream, _) = side.request();
            let answers: [&[u8]; 4] = [b"{}", b"{\"names\":[\"a\"]}", b"\xff", b"{\"code\":\"x\"}"];
            let answer = answers[stream as usize % answers.len()];
            side.send(Kind::Reply, stream, false, answer);
            side.raw(&noise);
        });
        let ctx = Context::new(&Context::none());
        ctx.set_timeout(Duration::from_secs(20));
        let _ = driver.list(&ctx, "/a");
        let _ = driver.get_content(&ctx, "/a");
        let _ = driver.reader(&ctx, "/a", 0).and_then(|mut reader| reader.read(&mut [0; 100]));
        let _ = driver.writer(&ctx, "/a", false).and_then(|mut writer| writer.commit(&ctx));
        // The script has ended, so that everything has.
        assert!(ctx.status().is_ok(), "it took 20 seconds");
        drop(driver);
        thread.join().unwrap();
    }
}
