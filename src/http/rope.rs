//! What a writer holds of the part it is filling: blocks that are taken as they are
//! needed, so that no byte is copied but the one time from the caller.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::budget::{Account, Hold};

/// By how much a part in the making grows.
const BLOCK: usize = 1 << 20;
/// The first block; many uploads are smaller.
const FIRST: usize = 64 << 10;

pub struct Rope {
    account: Account,
    /// Blocks that are full, or were when their bytes were last asked for.
    done: VecDeque<Bytes>,
    /// The block being filled, up to its capacity.
    block: BytesMut,
    len: usize,
    hold: Hold,
}

impl Rope {
    pub fn new(account: Account) -> Rope {
        let hold = account.nothing();
        Rope { account, done: VecDeque::new(), block: BytesMut::new(), len: 0, hold }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Room for one byte at least, in a part that is to have `target` bytes and may
    /// have as many beyond the budget. False: the part is full or the budget is.
    pub fn make_room(&mut self, target: usize) -> bool {
        if self.room() > 0 {
            return true;
        }
        let step = if self.len == 0 { FIRST } else { BLOCK };
        let len = step.min(target.saturating_sub(self.len));
        if len == 0 {
            return false;
        }
        let taken = self.account.take(len).or_else(|| self.account.take_beyond(len, target));
        let Some(hold) = taken else { return false };
        self.hold.join(hold);
        self.seal();
        self.block = BytesMut::with_capacity(len);
        true
    }

    fn room(&self) -> usize {
        self.block.capacity() - self.block.len()
    }

    /// Copies as much of `data` as there is room for now.
    pub fn fill(&mut self, data: &[u8]) -> usize {
        let taken = data.get(..self.room().min(data.len())).unwrap_or_default();
        self.block.extend_from_slice(taken);
        self.len += taken.len();
        taken.len()
    }

    fn seal(&mut self) {
        if !self.block.is_empty() {
            self.done.push_back(self.block.split().freeze());
        }
    }

    /// The bytes, which stay here as well.
    pub fn pieces(&mut self) -> Vec<Bytes> {
        self.seal();
        self.done.iter().cloned().collect()
    }

    /// The bytes and what they count for; the rope is empty afterwards.
    pub fn take(&mut self) -> (Vec<Bytes>, Hold) {
        self.seal();
        self.block = BytesMut::new();
        self.len = 0;
        let hold = std::mem::replace(&mut self.hold, self.account.nothing());
        (std::mem::take(&mut self.done).into(), hold)
    }

    pub fn clear(&mut self) {
        drop(self.take());
    }

    /// Puts bytes in front, which count for nothing.
    pub fn prepend(&mut self, bytes: Bytes) {
        self.len += bytes.len();
        self.done.push_front(bytes);
    }

    /// Forgets the first `len` bytes.
    pub fn drop_front(&mut self, mut len: usize) {
        self.seal();
        self.len = self.len.saturating_sub(len);
        while let Some(front) = self.done.front_mut() {
            if front.len() > len {
                drop(front.split_to(len));
                break;
            }
            len -= front.len();
            self.done.pop_front();
        }
        if self.is_empty() {
            self.clear();
        } else {
            self.hold.keep(self.len + self.room());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::budget::Budget;

    fn joined(pieces: &[Bytes]) -> Vec<u8> {
        pieces.concat()
    }

    /// Fills `rope` up to `target`, or until the budget refuses.
    fn fill(rope: &mut Rope, mut data: &[u8], target: usize) -> usize {
        let before = rope.len();
        while !data.is_empty() && rope.make_room(target) {
            let len = rope.fill(data);
            data = &data[len..];
        }
        rope.len() - before
    }

    fn content(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n * 31 + n / 251) as u8).collect()
    }

    #[test]
    fn bytes_come_back_in_order_and_a_part_is_exactly_full() {
        let budget = Budget::new(usize::MAX);
        let mut rope = Rope::new(budget.account());
        let data = content(3 * BLOCK);
        let target = 2 * BLOCK + 17;
        for piece in data.chunks(70_001) {
            fill(&mut rope, piece, target);
        }
        assert_eq!(rope.len(), target);
        assert_eq!(budget.used(), target);
        assert_eq!(joined(&rope.pieces()), data[..target]);
        let (pieces, hold) = rope.take();
        assert_eq!(joined(&pieces), data[..target]);
        assert!(rope.is_empty());
        drop(hold);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn nothing_is_copied_but_the_bytes_of_the_caller() {
        let mut rope = Rope::new(Budget::new(usize::MAX).account());
        fill(&mut rope, &content(2 * BLOCK), 3 * BLOCK);
        let before: Vec<*const u8> = rope.pieces().iter().map(|piece| piece.as_ptr()).collect();
        fill(&mut rope, &content(100), 3 * BLOCK);
        let after: Vec<*const u8> = rope.take().0.iter().map(|piece| piece.as_ptr()).collect();
        assert_eq!(before, after[..before.len()]);
    }

    #[test]
    fn filling_goes_on_after_the_bytes_were_looked_at() {
        let mut rope = Rope::new(Budget::new(usize::MAX).account());
        let data = content(300);
        for piece in data.chunks(7) {
            fill(&mut rope, piece, 1000);
            rope.pieces();
        }
        rope.prepend(Bytes::from_static(b"front"));
        assert_eq!(joined(&rope.pieces()), [b"front", &data[..]].concat());
        rope.drop_front(5 + 100);
        assert_eq!(joined(&rope.pieces()), data[100..]);
        fill(&mut rope, b"end", 1000);
        assert_eq!(joined(&rope.pieces()), [&data[100..], b"end"].concat());
        rope.drop_front(1000);
        assert!(rope.is_empty() && rope.pieces().is_empty());
    }

    #[test]
    fn without_a_budget_there_is_room_for_one_part() {
        let budget = Budget::new(0);
        let account = budget.account();
        let mut rope = Rope::new(account.clone());
        let data = content(4 * BLOCK);
        assert_eq!(fill(&mut rope, &data, 2 * BLOCK), 2 * BLOCK);
        let (_, on_the_wire) = rope.take();
        assert_eq!(fill(&mut rope, &data, 2 * BLOCK), 0);
        drop(on_the_wire);
        assert_eq!(fill(&mut rope, &data, 2 * BLOCK), 2 * BLOCK);
    }
}
