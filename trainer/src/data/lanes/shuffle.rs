//! A shuffle of any size that needs no memory.

use crate::data::hash::mix;

/// Where `position` goes in the shuffle of 0..size that `key` names: a Feistel network over the next power of
/// four, walked until it lands inside.
pub fn shuffled(position: u32, size: u32, key: u64) -> u32 {
    let half_bits = (32 - (size - 1).leading_zeros()).div_ceil(2);
    let mask = (1u32 << half_bits) - 1;
    let mut x = position;
    loop {
        let (mut left, mut right) = (x >> half_bits, x & mask);
        for round in 0..6 {
            let next = left ^ (mix(key.wrapping_add(round) ^ u64::from(right) << 32) as u32 & mask);
            (left, right) = (right, next);
        }
        // At least a quarter of all values are inside, and the walk is a cycle through `position`.
        x = u64::from(left).wrapping_shl(half_bits) as u32 | right;
        if x < size {
            return x;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_shuffle_hits_every_place_once(size in 1u32..2000, key: u64) {
            let mut places: Vec<u32> = (0..size).map(|position| shuffled(position, size, key)).collect();
            places.sort();
            prop_assert!(places.into_iter().eq(0..size));
        }
    }
}
