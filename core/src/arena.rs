//! The memory of a session or a batch: one slice of 64-byte lines, cut into regions whose sizes the configuration
//! fixes.
//!
//! State comes first (what generation carries from token to token), a batch's streams' one after the other, then
//! scratch for one pass over the layers, then scratch that grows with the tokens run together. All lengths are in
//! lines, so every region starts on a cache line and a whole-program budget is one constant.

use crate::blob::layout::input_rows;
use crate::config::ModelConfig;
use crate::layers;
use crate::memory::{Line, Scratch, lines};
use crate::parts::Parts;
use crate::streams::{Places, Streams};

/// Sizes of an arena's regions, in lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// What a block's mixer carries from token to token, and what its channel mixer does.
    mixer: usize,
    /// Lines of it, the first, that are no floats but the attention's ring.
    ring: usize,
    ffn: usize,
    layers: usize,
    /// Steps of the rotary positions a token, in 2^-32 turns: half a head's width of them, u32.
    rotary: usize,
    /// RCSM memory, S x R floats.
    memory: usize,
    /// The engine's salient u of the tokens before, and their trace, (taps + 1) x R floats.
    past: usize,
    /// The head's int16 activations, D of them.
    head: usize,
    /// Working vectors of one RCSM pass.
    rcsm: usize,
    /// Weights of one head's window, window floats for every softmax.
    scores: usize,
    /// Cosines and sines of the rotary positions, per token.
    rotation: usize,
    /// The residual stream before a block that tokens are routed around, D floats, per token.
    kept: usize,
    /// D floats, per token: the residual stream; and again: the normalised vector.
    width: usize,
    /// int8 activations, per token.
    quantized: usize,
    /// The widest stacked product, per token.
    wide: usize,
}

impl Layout {
    pub(crate) const fn new(c: &ModelConfig) -> Self {
        let d = c.d_model as usize;
        let (mixer, ffn) = (layers::mixer_size(c), layers::channel_mixer_bytes(c));
        let (mut memory, mut past, mut rcsm, mut width, mut kept_floats) = (0, 0, 0, 0, 0);
        if let Some(r) = &c.rcsm {
            width = r.width as usize;
            memory = lines(layers::memory_floats(r) * 4);
            past = lines(layers::past_floats(r) * 4);
            kept_floats = layers::token_floats(r);
            // beside the floats, the int8 activations of one pass
            rcsm = lines(layers::pass_floats(r) * 4) + lines(width);
        }
        let rotary = c.rotary_pairs();
        let (mixer_rows, ffn_rows) = input_rows(c);
        // u, context and query of the engine are quantised side by side
        let widest_input = most([d, c.d_ffn as usize, 3 * width, c.inner()]);
        let widest_output = most([mixer_rows, ffn_rows, d, kept_floats]);
        Self {
            mixer: lines(mixer.state),
            ring: mixer.ring,
            ffn: lines(ffn),
            layers: c.layers as usize,
            rotary: lines(rotary * 4),
            memory,
            past,
            head: lines(d * 2),
            rcsm,
            scores: lines(mixer.scores * 4),
            rotation: lines(2 * rotary * 4),
            kept: if c.routed(c.layers as usize - 1) { lines(d * 4) } else { 0 },
            width: lines(d * 4),
            quantized: lines(widest_input),
            wide: lines(widest_output * 4),
        }
    }

    /// Lines of one stream's state: its header, every block's mixer, every block's channel mixer, rotary steps, the
    /// engine's memory and past, the head's activations.
    pub(crate) const fn state_lines(&self) -> usize {
        self.head_start() + self.head
    }

    const fn ffns_start(&self) -> usize {
        1 + self.layers * self.mixer
    }

    const fn rotary_start(&self) -> usize {
        self.ffns_start() + self.layers * self.ffn
    }

    const fn memory_start(&self) -> usize {
        self.rotary_start() + self.rotary
    }

    const fn past_start(&self) -> usize {
        self.memory_start() + self.memory
    }

    const fn head_start(&self) -> usize {
        self.past_start() + self.past
    }

    /// The floats of a state between its header and the head's activations. The rotary steps count as such: none looks
    /// like a NaN.
    pub(crate) fn state_floats<'a>(&self, state: &'a [Line]) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        let (mixers, others) = state.cut(self.layers * self.mixer);
        let ring = self.ring;
        let mixers = mixers.rows(self.mixer).map(move |mixer| mixer.cut(ring).1);
        mixers.chain([others]).map(bytemuck::must_cast_slice)
    }

    /// Lines of the head's activations, the last of the state.
    pub(crate) const fn head_lines(&self) -> usize {
        self.head
    }

    /// Lines that a session needs however few tokens are prefilled together.
    pub(crate) const fn fixed_lines(&self) -> usize {
        self.shared_lines(1)
    }

    /// Lines that so many streams need however few tokens are run together.
    pub(crate) const fn shared_lines(&self, streams: usize) -> usize {
        streams * self.state_lines() + self.rcsm + self.scores
    }

    /// Lines needed for every token prefilled together.
    pub(crate) const fn token_lines(&self) -> usize {
        2 * self.width + self.quantized + self.wide + self.rotation + self.kept
    }

    /// Where in a state its parts are.
    pub(crate) const fn places(&self) -> Places {
        Places {
            stride: self.state_lines(),
            mixers: 1,
            mixer: self.mixer,
            ffns: self.ffns_start(),
            ffn: self.ffn,
            rotary: [self.rotary_start(), self.rotary],
            memory: [self.memory_start(), self.memory],
            past: [self.past_start(), self.past],
            head: [self.head_start(), self.head],
        }
    }

    /// Cuts `arena` into the states of so many streams and the scratch of chunks of `chunk` tokens; `None` if it is too
    /// short.
    pub(crate) fn carve<'a>(
        &self,
        arena: &'a mut [Line],
        streams: usize,
        chunk: usize,
    ) -> Option<(Streams<'a>, Scratch<'a>)> {
        let mut rest = arena;
        let mut take = |n: usize| {
            let (head, tail) = core::mem::take(&mut rest).split_at_mut_checked(n)?;
            rest = tail;
            Some(head)
        };
        let lines = take(streams * self.state_lines())?;
        let scratch = Scratch {
            rcsm: take(self.rcsm)?,
            scores: floats(take(self.scores)?),
            rotation: floats(take(chunk * self.rotation)?),
            kept: floats(take(chunk * self.kept)?),
            x: floats(take(chunk * self.width)?),
            n: floats(take(chunk * self.width)?),
            q: bytemuck::must_cast_slice_mut(take(chunk * self.quantized)?),
            wide: floats(take(chunk * self.wide)?),
        };
        Some((Streams::new(self.places(), lines), scratch))
    }
}

/// The largest of four.
const fn most(sizes: [usize; 4]) -> usize {
    let (mut most, mut i) = (0, 0);
    while i < sizes.len() {
        if sizes[i] > most {
            most = sizes[i];
        }
        i += 1;
    }
    most
}

fn floats(lines: &mut [Line]) -> &mut [f32] {
    bytemuck::must_cast_slice_mut(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supernova_decodes_within_47_kb() {
        // of which the engine's memory takes 12 and its past 3.4
        let l = Layout::new(&ModelConfig::SUPERNOVA);
        assert!(l.state_lines() * 64 <= 33 * 1024, "state {} bytes", l.state_lines() * 64);
        let bytes = (l.fixed_lines() + l.token_lines()) * 64;
        assert!(bytes <= 47 * 1024, "arena {bytes} bytes");
    }

    #[test]
    fn carving_refuses_a_short_arena() {
        let l = Layout::new(&ModelConfig::SUPERNOVA);
        let n = l.fixed_lines() + 2 * l.token_lines();
        let mut arena = std::vec![Line::ZERO; n];
        assert!(l.carve(&mut arena, 1, 2).is_some());
        assert!(l.carve(&mut arena[1..], 1, 2).is_none());
        assert!(l.carve(&mut [], 1, 1).is_none());
    }
}
