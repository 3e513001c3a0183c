//! A 64-bit hash that is the same on every machine and in every version: cache keys, the held-out choice and
//! shuffles are made of it. Not for untrusted keys.

use std::hash::{BuildHasherDefault, Hasher};

/// Folds each 8-byte word in with one 64 x 64 -> 128 bit product (the mixing step of wyhash).
#[derive(Clone, Copy, Debug)]
pub struct Hash64(u64);

/// A `HashMap`'s hasher.
pub type BuildHash64 = BuildHasherDefault<Hash64>;

const MULTIPLIER: u64 = 0xa076_1d64_78bd_642f;
const INCREMENT: u64 = 0xe703_7ed1_a0b4_28db;

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// A random-looking number for each x.
pub fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let x = (x ^ (x >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    x ^ (x >> 32)
}

/// Hash of some bytes.
pub fn hash(bytes: &[u8]) -> u64 {
    let mut state = Hash64::default();
    state.write(bytes);
    state.finish()
}

impl Default for Hash64 {
    fn default() -> Self {
        Self(INCREMENT)
    }
}

impl Hasher for Hash64 {
    /// One call is one item: its length counts, so "ab", "c" differs from "a", "bc".
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for &word in words {
            self.write_u64(u64::from_le_bytes(word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.write_u64(u64::from_le_bytes(last));
        self.write_u64(bytes.len() as u64);
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = fold(self.0 ^ word, MULTIPLIER).wrapping_add(INCREMENT);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        mix(self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn close_inputs_spread_over_all_bits() {
        let hashes: Vec<u64> = (0..20_000u32).map(|i| hash(format!("story {i}").as_bytes())).collect();
        assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), hashes.len());
        for bit in 0..64 {
            let ones = hashes.iter().filter(|&&h| h >> bit & 1 == 1).count();
            assert!((9_500..10_500).contains(&ones), "bit {bit}: {ones}");
        }
    }

    #[test]
    fn where_one_item_ends_and_the_next_begins_counts() {
        let of = |items: &[&str]| {
            let mut state = Hash64::default();
            items.iter().for_each(|item| state.write(item.as_bytes()));
            state.finish()
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["abc"]), of(&["abc", ""]));
        assert_ne!(of(&["a"]), of(&["a\0"]));
    }

    #[test]
    fn hashes_never_change_between_versions() {
        assert_eq!(hash(b"Once upon a time"), 5_313_400_545_829_996_457);
    }
}
