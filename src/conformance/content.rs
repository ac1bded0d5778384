//! Content whose every word depends on where it stands, so that swapped,
//! repeated or shifted blocks are seen. It is never held: any part of it can be
//! made, and checked, on its own.

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// An endless stream of bytes.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    key: u64,
}

impl Content {
    /// Another stream for every pair of `seed` and `stream`.
    pub fn new(seed: u64, stream: u64) -> Content {
        Content { key: mix(seed ^ mix(stream.wrapping_add(GOLDEN))) }
    }

    /// The first `len` bytes.
    pub fn bytes(self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.fill(0, &mut bytes);
        bytes
    }

    /// The bytes from `offset` on.
    pub fn fill(self, offset: u64, buf: &mut [u8]) {
        let skip = (offset % 8) as usize;
        let mut index = offset / 8;
        let mut body = buf;
        if skip != 0 {
            let split = (8 - skip).min(body.len());
            let (head, rest) = body.split_at_mut(split);
            let word = self.word(index).into_iter().skip(skip);
            head.iter_mut().zip(word).for_each(|(to, from)| *to = from);
            index += 1;
            body = rest;
        }
        for chunk in body.chunks_mut(8) {
            let word = self.word(index);
            match <&mut [u8; 8]>::try_from(&mut *chunk) {
                Ok(whole) => *whole = word,
                Err(_) => chunk.iter_mut().zip(word).for_each(|(to, from)| *to = from),
            }
            index += 1;
        }
    }

    /// Whether `found` stands at `offset`; says where it first differs if not.
    pub fn check(self, offset: u64, found: &[u8]) -> Result<(), String> {
        let mut at = offset;
        let mut expected = [0; 4096];
        for piece in found.chunks(expected.len()) {
            let Some(expected) = expected.get_mut(..piece.len()) else { continue };
            self.fill(at, expected);
            if *expected != *piece {
                return Err(difference(at, expected, piece));
            }
            at += piece.len() as u64;
        }
        Ok(())
    }

    fn word(self, index: u64) -> [u8; 8] {
        mix(self.key ^ index.wrapping_add(1).wrapping_mul(GOLDEN)).to_le_bytes()
    }
}

/// Where two slices of one length first differ.
fn difference(at: u64, expected: &[u8], found: &[u8]) -> String {
    let place = expected.iter().zip(found).position(|(a, b)| a != b).unwrap_or_default();
    let byte = |bytes: &[u8]| bytes.get(place).copied().unwrap_or_default();
    format!("byte {} is {:#04x}, expected {:#04x}", at + place as u64, byte(found), byte(expected))
}

/// A bijection that leaves no likeness between neighbours.
pub fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Choices that follow from a seed.
pub struct Choices(u64);

impl Choices {
    pub fn new(seed: u64) -> Choices {
        Choices(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number below `end`; 0 where nothing is.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or_default()
    }

    /// One of `items`; the first where there is no choice.
    pub fn one_of<'i, T>(&mut self, items: &'i [T]) -> Option<&'i T> {
        items.get(self.below(items.len() as u64) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_is_what_the_whole_has_there() {
        let content = Content::new(7, 1);
        let whole = content.bytes(200);
        for start in 0..30 {
            for len in 0..40 {
                let mut part = vec![0; len];
                content.fill(start as u64, &mut part);
                assert_eq!(part, whole[start..start + len]);
            }
        }
    }

    #[test]
    fn swapped_words_and_other_streams_are_seen() {
        let content = Content::new(7, 1);
        let mut bytes = content.bytes(20_000);
        assert_eq!(content.check(0, &bytes), Ok(()));
        assert!(Content::new(7, 2).check(0, &bytes).is_err());
        assert!(Content::new(8, 1).check(0, &bytes).is_err());
        assert!(content.check(8, &bytes).is_err());
        bytes.swap(0, 8192);
        assert!(content.check(0, &bytes).unwrap_err().starts_with("byte 0 "));
        assert!(content.check(8, &bytes[8..]).is_err());
        assert_eq!(content.check(1, &bytes[1..8192]), Ok(()));
    }
}
