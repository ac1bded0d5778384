//! Bytes that differ at every position and for every seed, and random numbers that
//! come again with their seed.

/// `length` bytes from `offset` on of the content with this seed.
pub fn content_at(seed: u64, offset: usize, length: usize) -> Vec<u8> {
    let first = offset / 8;
    let mut bytes = Vec::with_capacity(length + 16);
    for i in first..=(offset + length) / 8 {
        let word = (i as u64 ^ (seed << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bytes.extend_from_slice(&word.rotate_left(17).to_le_bytes());
    }
    bytes.drain(..offset - first * 8);
    bytes.truncate(length);
    bytes
}

pub fn content(seed: u64, length: usize) -> Vec<u8> {
    content_at(seed, 0, length)
}

/// Splitmix64.
pub struct Random(pub u64);

impl Random {
    /// `SD_TEST_SEED` repeats a run.
    pub fn new(test: &str) -> Random {
        let given = std::env::var("SD_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| std::process::id().into());
        println!("{test}: SD_TEST_SEED={seed}");
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }
}
