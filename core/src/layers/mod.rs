//! The layers, each over T tokens that follow one another: products take all of them together, recurrences one by
//! one. A token's result does not depend on how many ran beside it, so `prefill` and `step` agree bit for bit.

mod embedding;
mod gated;
mod glu;
mod rcsm;

pub(crate) use embedding::{embed, final_norm};
pub(crate) use gated::gated_recurrence;
pub(crate) use glu::glu;
pub(crate) use rcsm::reason;

use crate::arena::MAX_CHUNK;

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

const _: () = assert!(MAX_CHUNK <= u16::BITS as usize);
