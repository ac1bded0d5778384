//! How an object is cut into parts, for an upload whose end is not known and for
//! copies inside the service. The service's limits are given as numbers.

use std::ops::Range;

/// What a service allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of every part but the last.
    pub min_part: u64,
    pub max_part: u64,
    /// Parts are numbered from 1 to this.
    pub max_parts: u32,
    pub max_object: u64,
}

/// The sizes of the parts of one upload.
///
/// The first half of the numbers have the size asked for, so that nearly every
/// upload is made of equal parts and needs no more memory than was asked for. In
/// the second half each part is larger than the one before by the same step,
/// which brings the largest object within reach.
#[derive(Clone, Debug)]
pub struct Plan {
    limits: Limits,
    part: u64,
    step: u64,
}

impl Plan {
    /// `part` is the size asked for; what the service does not allow is put right.
    pub fn new(limits: Limits, part: u64) -> Plan {
        let part = part.clamp(limits.min_part, limits.max_part);
        let second = u64::from(limits.max_parts - limits.max_parts / 2);
        // A part of the first half may have been sent at the least size.
        let equal = u64::from(limits.max_parts / 2) * limits.min_part + second * part;
        let missing = limits.max_object.saturating_sub(equal);
        let step = missing.div_ceil((second * (second + 1) / 2).max(1));
        Plan { limits, part, step }
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How large the part `number` is to be, with `offset` bytes of the object
    /// before it; `None` where there can be no such part. Whatever the parts before
    /// it were, the largest object stays within reach if it was.
    pub fn size(&self, number: u32, offset: u64) -> Option<u64> {
        if number == 0 || number > self.limits.max_parts {
            return None;
        }
        let rest = self.limits.max_object.checked_sub(offset).filter(|rest| *rest > 0)?;
        let after = u64::from(self.limits.max_parts - number);
        let needed = rest.saturating_sub(after.saturating_mul(self.limits.max_part));
        Some(self.usual(number).max(needed).min(self.limits.max_part).min(rest))
    }

    fn usual(&self, number: u32) -> u64 {
        let beyond = number.saturating_sub(self.limits.max_parts / 2);
        self.part.saturating_add(self.step.saturating_mul(beyond.into()))
    }

    /// From which size on the part `number` may be sent although more would fit:
    /// only where numbers are plenty.
    pub fn early(&self, number: u32, offset: u64) -> Option<u64> {
        let size = self.size(number, offset)?;
        let plenty = number <= self.limits.max_parts / 2 && size <= self.part;
        Some(if plenty { self.limits.min_part.min(size) } else { size })
    }
}

impl Limits {
    /// The ranges in which a content of `size` bytes is copied, each of about
    /// `wanted` bytes. All are large enough to be followed by further parts,
    /// unless the content itself is not.
    pub fn ranges(&self, size: u64, wanted: u64) -> Vec<Range<u64>> {
        let most = wanted.max(size.div_ceil(u64::from(self.max_parts).max(1)));
        let most = most.clamp(self.min_part.max(1), self.max_part.max(1));
        // Equal, so that none at the end is small.
        let count = size.div_ceil(most).min((size / self.min_part.max(1)).max(1)).max(1);
        let at = |n: u64| (u128::from(size) * u128::from(n) / u128::from(count)) as u64;
        (0..count).map(|n| at(n)..at(n + 1)).filter(|range| !range.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    const USUAL: Limits =
        Limits { min_part: 5 * MIB, max_part: 5 * GIB, max_parts: 10_000, max_object: 5 << 40 };

    /// Cuts a largest object from `number` and `offset` on, and checks each part.
    fn cut(plan: &Plan, mut number: u32, mut offset: u64, early: bool) -> u64 {
        while offset < plan.limits.max_object {
            let Some(full) = plan.size(number, offset) else { break };
            let size = if early { plan.early(number, offset).unwrap() } else { full };
            let last = offset + size == plan.limits.max_object;
            assert!(size >= plan.limits.min_part || last, "part {number} has {size}");
            assert!(size <= plan.limits.max_part && size <= full);
            offset += size;
            number += 1;
        }
        assert!(number <= plan.limits.max_parts + 1);
        offset
    }

    #[test]
    fn the_largest_object_is_within_10_000_parts_of_any_size_asked_for() {
        for part in [0, 5 * MIB, 5 * MIB + 1, 10 * MIB, 64 * MIB, 600 * MIB, 5 * GIB, 6 * GIB] {
            let plan = Plan::new(USUAL, part);
            assert_eq!(cut(&plan, 1, 0, false), USUAL.max_object, "parts of {part}");
            assert_eq!(cut(&plan, 1, 0, true), USUAL.max_object, "early parts of {part}");
        }
    }

    #[test]
    fn the_first_half_of_the_parts_has_the_size_asked_for() {
        let plan = Plan::new(USUAL, 10 * MIB);
        assert!((1..=5000).all(|n| plan.size(n, u64::from(n - 1) * 10 * MIB) == Some(10 * MIB)));
        let (mut offset, mut before) = (50_000 * MIB, 10 * MIB);
        for number in 5001..=10_000 {
            let Some(size) = plan.size(number, offset) else { break };
            let last = offset + size == USUAL.max_object;
            assert!(size > before || last, "part {number} is not larger than the one before");
            assert!(size < 3 * GIB, "part {number} has {size}");
            offset += size;
            before = size;
        }
    }

    #[test]
    fn a_resumed_upload_of_any_parts_reaches_what_can_be_reached() {
        let mut number = 1;
        while number <= 10_000 {
            for part in [1, 5 * MIB, 10 * MIB, 20 * MIB - 1, GIB] {
                let offset = (u64::from(number - 1) * part).min(USUAL.max_object);
                let left = u64::from(10_000 - (number - 1));
                let reachable = USUAL.max_object.min(offset + left * USUAL.max_part);
                for asked in [5 * MIB, 10 * MIB, GIB] {
                    let plan = Plan::new(USUAL, asked);
                    assert_eq!(cut(&plan, number, offset, false), reachable, "{number} {part}");
                    assert_eq!(cut(&plan, number, offset, true), reachable, "{number} {part}");
                }
            }
            number += 1 + number / 5;
        }
    }

    #[test]
    fn beyond_the_limits_there_is_no_part() {
        let plan = Plan::new(USUAL, 10 * MIB);
        assert_eq!(plan.size(0, 0), None);
        assert_eq!(plan.size(10_001, 0), None);
        assert_eq!(plan.size(1, USUAL.max_object), None);
        assert_eq!(plan.size(1, USUAL.max_object + 1), None);
        assert_eq!(plan.size(9, USUAL.max_object - 1), Some(1));
    }

    #[test]
    fn a_part_goes_early_only_where_numbers_are_plenty() {
        let plan = Plan::new(USUAL, 10 * MIB);
        assert_eq!(plan.early(1, 0), Some(5 * MIB));
        assert_eq!(plan.early(5000, 40 * GIB), Some(5 * MIB));
        assert_eq!(plan.early(5001, 40 * GIB), plan.size(5001, 40 * GIB));
        assert_eq!(plan.early(10_001, 0), None);
    }

    #[test]
    fn other_limits_work_as_well() {
        // Of services with other limits, and toys.
        for limits in [
            Limits { min_part: 1, max_part: 4000 * MIB, max_parts: 50_000, max_object: 190 << 40 },
            Limits {
                min_part: 100 << 10,
                max_part: 5 * GIB,
                max_parts: 10_000,
                max_object: 48 << 40,
            },
            Limits { min_part: 5, max_part: 50, max_parts: 10, max_object: 400 },
            Limits { min_part: 1, max_part: 9, max_parts: 1, max_object: 9 },
        ] {
            for part in [1, 7, 10 * MIB] {
                let plan = Plan::new(limits, part);
                assert_eq!(cut(&plan, 1, 0, false), limits.max_object, "{limits:?}");
            }
        }
    }

    #[test]
    fn ranges_of_a_copy_cover_it_and_none_is_small() {
        let sizes = [
            0,
            1,
            5 * MIB - 1,
            5 * MIB,
            5 * MIB + 1,
            32 * MIB + 1,
            5 * GIB - 1,
            5 * GIB,
            5 * GIB + 1,
            6 * GIB,
            10 * GIB + 1,
            5 << 40,
        ];
        for size in sizes {
            for wanted in [1, 5 * MIB, 32 * MIB, GIB, 5 * GIB, 9 * GIB] {
                let ranges = USUAL.ranges(size, wanted);
                let mut at = 0;
                for range in &ranges {
                    assert_eq!(range.start, at);
                    assert!(range.end > at && range.end - at <= USUAL.max_part, "{size} {wanted}");
                    assert!(range.end - at >= USUAL.min_part || size < USUAL.min_part);
                    at = range.end;
                }
                assert_eq!(at, size);
                assert!(ranges.len() <= 10_000);
                let least = size.div_ceil(USUAL.max_part) as usize;
                if wanted >= 5 * GIB {
                    assert_eq!(ranges.len(), least);
                }
            }
        }
    }
}
