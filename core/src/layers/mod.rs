//! The layers, each over T tokens that follow one another: products take all of them together, recurrences one by
//! one. A token's result does not depend on how many ran beside it, so `prefill` and `step` agree bit for bit.

mod attention;
mod block;
mod chunk;
mod embedding;
mod gated;
mod glu;
mod parallel;
mod rcsm;
mod relu2;
pub(crate) mod sizes;

pub(crate) use block::block;
pub(crate) use chunk::{Chunk, Reach, Shift};
pub(crate) use embedding::{embed, final_norm};
pub(crate) use rcsm::{Store, reason};

use crate::math;
use crate::memory::MAX_CHUNK;
use crate::parts::Parts;

/// Which of a chunk's tokens reset the state before they are processed: bit t for token t.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resets(u16);

impl Resets {
    pub(crate) fn new(tokens: &[u16], eot: Option<u32>) -> Self {
        debug_assert!(tokens.len() <= MAX_CHUNK, "a bit for each");
        let is_reset = |&token: &u16| eot == Some(token.into());
        Self(tokens.iter().enumerate().fold(0, |bits, (t, token)| bits | u16::from(is_reset(token)) << t))
    }

    pub(crate) fn at(self, t: usize) -> bool {
        self.0 >> t & 1 == 1
    }
}

/// How far every token of a chunk is into its story.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Positions([u64; MAX_CHUNK]);

impl Positions {
    /// Positions of `tokens` tokens, `story` tokens into a story or at resets anew, and the length of the story
    /// behind them.
    pub(crate) fn new(tokens: usize, mut story: u64, resets: Resets) -> (Self, u64) {
        let mut positions = [0; MAX_CHUNK];
        for (t, position) in positions.iter_mut().enumerate().take(tokens) {
            *position = if resets.at(t) { 0 } else { story };
            story = position.saturating_add(1);
        }
        (Self(positions), story)
    }

    pub(crate) fn at(&self, t: usize) -> u64 {
        debug_assert!(t < MAX_CHUNK);
        self.0.get(t).copied().unwrap_or(0)
    }

    /// Cosines, then sines of the rotary positions of `tokens` tokens, by the pairs' `steps`.
    pub(crate) fn rotations(&self, tokens: usize, steps: &[u32], out: &mut [f32]) {
        if steps.is_empty() {
            return;
        }
        for (out, &position) in out.rows_mut(2 * steps.len()).zip(self.0.front(tokens)) {
            let (cos, sin) = out.cut_mut(steps.len());
            for ((cos, sin), step) in cos.iter_mut().zip(sin).zip(steps) {
                // whole turns wrap away
                (*cos, *sin) = math::cos_sin((position as u32).wrapping_mul(*step));
            }
        }
    }
}

const _: () = assert!(MAX_CHUNK <= u16::BITS as usize);
