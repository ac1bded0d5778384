//! Bytes in chunks that are never changed once shared, so that a reader's
//! snapshot, a move and a resumed upload copy references and not bytes.

use std::sync::Arc;

/// Large enough that a gibibyte has a thousand; small enough to copy when an
/// append goes on in the middle of one.
const CHUNK: usize = 1 << 20;

/// Full chunks, each with the offset at which it ends. The list is shared too, so
/// that a session costs the same however much was written before it.
#[derive(Clone, Default)]
struct Chunks(Arc<Vec<(u64, Arc<Vec<u8>>)>>);

impl Chunks {
    fn len(&self) -> u64 {
        self.0.last().map_or(0, |(end, _)| *end)
    }

    fn push(&mut self, chunk: Arc<Vec<u8>>) {
        let end = self.len() + chunk.len() as u64;
        Arc::make_mut(&mut self.0).push((end, chunk));
    }
}

#[derive(Clone, Default)]
pub struct Content {
    whole: Chunks,
    /// What follows them.
    tail: Arc<Vec<u8>>,
}

impl Content {
    pub fn from_slice(data: &[u8]) -> Content {
        Content { tail: Arc::new(data.to_vec()), ..Content::default() }
    }

    pub fn len(&self) -> u64 {
        self.whole.len() + self.tail.len() as u64
    }

    /// Everything, with room for one byte more.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len() as usize + 1);
        self.whole.0.iter().for_each(|(_, chunk)| bytes.extend_from_slice(chunk));
        bytes.extend_from_slice(&self.tail);
        bytes
    }

    /// Fills `buf` from `offset` as far as there is content.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> usize {
        let first = self.whole.0.partition_point(|(end, _)| *end <= offset);
        let whole = self.whole.0.iter().skip(first).map(|(end, chunk)| (*end, chunk));
        let mut filled = 0;
        for (end, chunk) in whole.chain([(self.len(), &self.tail)]) {
            let start = end - chunk.len() as u64;
            let skip = (offset + filled as u64 - start) as usize;
            let source = chunk.get(skip..).unwrap_or_default();
            let room = buf.get_mut(filled..).unwrap_or_default();
            let len = source.len().min(room.len());
            if let (Some(to), Some(from)) = (room.get_mut(..len), source.get(..len)) {
                to.copy_from_slice(from);
            }
            filled += len;
            if filled == buf.len() {
                break;
            }
        }
        filled
    }
}

/// Content that grows: whole chunks, and a tail that is still written to.
pub struct Growing {
    whole: Chunks,
    tail: Vec<u8>,
}

impl Growing {
    /// Goes on after `content`, which stays as it is.
    pub fn after(content: &Content) -> Growing {
        let mut whole = content.whole.clone();
        if content.tail.len() < CHUNK {
            return Growing { whole, tail: content.tail.to_vec() };
        }
        whole.push(content.tail.clone());
        Growing { whole, tail: Vec::new() }
    }

    pub fn len(&self) -> u64 {
        self.whole.len() + self.tail.len() as u64
    }

    pub fn extend(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let room = CHUNK.saturating_sub(self.tail.len());
            let (now, later) = data.split_at(room.min(data.len()));
            if self.tail.is_empty() && self.whole.len() > 0 {
                // An upload that filled a chunk will fill the next.
                self.tail.reserve_exact(CHUNK);
            }
            self.tail.extend_from_slice(now);
            if self.tail.len() >= CHUNK {
                self.whole.push(Arc::new(std::mem::take(&mut self.tail)));
            }
            data = later;
        }
    }

    /// What is there now, to be shared. The tail is copied: it may go on growing.
    pub fn snapshot(&self) -> Content {
        Content { whole: self.whole.clone(), tail: Arc::new(self.tail.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8).collect()
    }

    #[test]
    fn content_survives_any_split_into_writes_reads_and_sessions() {
        let data = bytes(3 * CHUNK + 1234);
        for piece in [1000, CHUNK - 1, CHUNK, CHUNK + 1, data.len()] {
            let mut content = Content::default();
            for part in data.chunks(piece) {
                let mut growing = Growing::after(&content);
                growing.extend(part);
                content = growing.snapshot();
            }
            assert_eq!(content.len(), data.len() as u64);
            assert!(content.to_vec() == data, "pieces of {piece}");
            let mut buf = vec![0; 70_000];
            for offset in [0, 1, CHUNK - 1, CHUNK, 2 * CHUNK - 60_000, data.len() - 1] {
                let len = content.read_at(offset as u64, &mut buf);
                assert_eq!(len, buf.len().min(data.len() - offset));
                assert!(buf[..len] == data[offset..offset + len], "offset {offset}");
            }
            assert_eq!(content.read_at(data.len() as u64, &mut buf), 0);
            assert_eq!(content.read_at(u64::MAX / 2, &mut buf), 0);
        }
    }

    #[test]
    fn a_snapshot_is_not_changed_by_later_writes() {
        let mut growing = Growing::after(&Content::from_slice(b"abc"));
        let before = growing.snapshot();
        growing.extend(b"def");
        assert_eq!(before.to_vec(), b"abc");
        assert_eq!(growing.snapshot().to_vec(), b"abcdef");
    }

    #[test]
    fn a_session_copies_no_more_than_a_chunk_however_much_there_is() {
        let mut growing = Growing::after(&Content::default());
        growing.extend(&bytes(4 * CHUNK + 5));
        let before = growing.snapshot();
        let mut growing = Growing::after(&before);
        growing.extend(b"x");
        assert!(Arc::ptr_eq(&before.whole.0, &growing.snapshot().whole.0));
        // A whole object stays in one piece, and is shared.
        let large = Content::from_slice(&bytes(2 * CHUNK));
        let growing = Growing::after(&large);
        assert!(Arc::ptr_eq(&large.tail, &growing.whole.0[0].1));
    }

    #[test]
    fn many_small_appends_do_not_pile_up_chunks() {
        let mut content = Content::default();
        for _ in 0..5000 {
            let mut growing = Growing::after(&content);
            growing.extend(b"x");
            content = growing.snapshot();
        }
        assert_eq!((content.len(), content.whole.0.len()), (5000, 0));
    }
}
