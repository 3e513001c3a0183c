//! Which tokens a read from the reasoning loop's memory comes from.
//!
//! The memory is written by the delta rule, `M += gate * address (value - address M)`, so a read is a sum over all that
//! was written, `read = sum of share * value`, and the shares follow from the addresses alone: the last write's is
//! `gate * (address of the read . address of the write)`; what it covers is taken off the address of the read before
//! the write before it is asked. Later writes at the same address so take the place of earlier ones, as they do in the
//! memory.

use flashlm_core::MemoryWrite;
use flashlm_core::config::Writes;

/// Links of a smaller share, of either sign, are not worth naming.
const LEAST_SHARE: f32 = 0.01;

/// What a link leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From a token's context to the token: what came after.
    After,
    /// From a token to its context: what came before.
    Before,
}

impl Direction {
    /// A name to print.
    pub fn name(self) -> &'static str {
        match self {
            Self::After => "after",
            Self::Before => "before",
        }
    }
}

/// A link of the memory that a pass read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// The token that wrote it, by its place in the story.
    pub writer: usize,
    /// What it leads to.
    pub direction: Direction,
    /// Weight of the link's value in what was read.
    pub share: f32,
    /// Cosine of the link's address and the read's.
    pub similarity: f32,
}

/// Where a token's links begin, and how far they replaced what was there.
#[derive(Clone, Debug)]
struct Written {
    gates: [f32; 2],
    context: Box<[f32]>,
    token: Box<[f32]>,
}

/// All that the tokens of a story wrote into the memory.
#[derive(Clone, Debug)]
pub struct Links {
    writes: Writes,
    written: Vec<Written>,
}

impl Links {
    /// Links named of a read, those of the largest shares.
    pub const LISTED: usize = 3;

    /// None yet, of an engine whose tokens write these.
    pub fn new(writes: Writes) -> Self {
        Self { writes, written: Vec::new() }
    }

    /// Adds what the next token of the story wrote.
    pub fn add(&mut self, write: MemoryWrite<'_>) {
        let MemoryWrite { gates, context, token } = write;
        self.written.push(Written { gates, context: context.into(), token: token.into() });
    }

    /// Forgets all: a story begins.
    pub fn clear(&mut self) {
        self.written.clear();
    }

    /// At most [`Self::LISTED`] links with the largest shares of what a read at `address` (S floats) gives, largest
    /// first.
    pub fn largest(&self, address: &[f32]) -> Vec<Link> {
        let mut links = self.shares(address);
        links.retain(|link| link.share.abs() >= LEAST_SHARE);
        links.sort_by(|a, b| b.share.abs().total_cmp(&a.share.abs()));
        links.truncate(Self::LISTED);
        links
    }

    /// All links, last written first, with their shares of what a read at `address` (S floats) gives.
    pub fn shares(&self, address: &[f32]) -> Vec<Link> {
        let mut rest = address.to_vec();
        let mut links = Vec::new();
        for (writer, written) in self.written.iter().enumerate().rev() {
            let both = [(Direction::After, &written.context), (Direction::Before, &written.token)];
            // written in this order, so taken off in the other
            for ((direction, key), gate) in both.into_iter().zip(written.gates).take(self.writes.count()).rev() {
                let share = gate * dot(key, &rest);
                rest.iter_mut().zip(key).for_each(|(rest, key)| *rest -= share * key);
                links.push(Link { writer, direction, share, similarity: dot(key, address) });
            }
        }
        links
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use flashlm_core::testing::Numbers;

    use super::*;

    fn unit(numbers: &mut Numbers, n: usize) -> Vec<f32> {
        let v: Vec<f32> = (0..n).map(|_| numbers.float(-1.0, 1.0)).collect();
        let norm = dot(&v, &v).sqrt();
        v.iter().map(|v| v / norm).collect()
    }

    #[test]
    fn shares_are_those_of_a_memory_written_by_the_delta_rule() {
        const SLOTS: usize = 6;
        const TOKENS: usize = 9;
        for writes in [Writes::Forward, Writes::Both] {
            let mut numbers = Numbers(3);
            let mut links = Links::new(writes);
            // every link's value is a unit vector of its own, so that a read is the list of all shares
            let mut memory = [[0f32; 2 * TOKENS]; SLOTS];
            for t in 0..TOKENS {
                let (context, token) = (unit(&mut numbers, SLOTS), unit(&mut numbers, SLOTS));
                let gates = [numbers.float(0.0, 1.0), numbers.float(0.0, 1.0)];
                links.add(MemoryWrite { gates, context: &context, token: &token });
                for (link, key) in [&context, &token].into_iter().enumerate().take(writes.count()) {
                    for value in 0..2 * TOKENS {
                        let old: f32 = (0..SLOTS).map(|s| key[s] * memory[s][value]).sum();
                        let new = if value == 2 * t + link { 1.0 } else { 0.0 };
                        (0..SLOTS).for_each(|s| memory[s][value] += gates[link] * key[s] * (new - old));
                    }
                }
            }
            let address = unit(&mut numbers, SLOTS);
            let shares = links.shares(&address);
            assert_eq!(shares.len(), writes.count() * TOKENS);
            for link in shares {
                let value = 2 * link.writer + usize::from(link.direction == Direction::Before);
                let read: f32 = (0..SLOTS).map(|s| address[s] * memory[s][value]).sum();
                assert!((read - link.share).abs() < 1e-5, "{link:?}: {read}");
            }
            let largest = links.largest(&address);
            assert!(!largest.is_empty() && largest.len() <= Links::LISTED);
            assert!(largest.windows(2).all(|w| w[0].share.abs() >= w[1].share.abs()));
            links.clear();
            assert!(links.largest(&address).is_empty());
        }
    }
}
