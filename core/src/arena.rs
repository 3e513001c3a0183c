//! The memory of a session: one slice of 64-byte lines, cut into regions whose sizes the configuration fixes.
//!
//! State comes first (what generation carries from token to token), then scratch for one pass over the layers,
//! then scratch that grows with the tokens prefilled together. All lengths are in lines, so every region starts
//! on a cache line and a whole-program budget is one constant.

use crate::blob::layout::input_rows;
use crate::config::{AttentionConfig, ChannelMixer, Mixer, ModelConfig, RcsmConfig};
use crate::parts::Parts;
use crate::schema::padded;
use bytemuck::{Pod, Zeroable};

/// The most tokens a session prefills together.
pub const MAX_CHUNK: usize = 16;

/// 64 bytes of a session's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Line(pub [u8; 64]);

impl Line {
    /// An empty line: what a new arena is filled with.
    pub const ZERO: Self = Self([0; 64]);
}

const fn lines(bytes: usize) -> usize {
    bytes.div_ceil(64)
}

/// Sizes of an arena's regions, in lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// What a block's mixer carries from token to token, and what its channel mixer does; see [`mixer_bytes`].
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
    quantised: usize,
    /// The widest stacked product, per token.
    wide: usize,
}

/// Floats one token's RCSM passes work in: the state, what the pass sees of it, what was read and that normalised, two
/// operations' outputs and a product, R each; an address, the code of what was read, and the rows of [router; code].
pub(crate) const fn rcsm_floats(r: &RcsmConfig) -> usize {
    let (width, slots) = (r.width as usize, padded(r.slots as usize));
    7 * width + 3 * slots + padded(r.ops as usize)
}

/// Floats that every token of a chunk keeps while the RCSM engine runs: u and context, R each, and three addresses.
pub(crate) const fn rcsm_token_floats(r: &RcsmConfig) -> usize {
    2 * r.width as usize + 3 * padded(r.slots as usize)
}

/// Bytes of one block's mixer state. Gated recurrence: h, then the normalised input of the token before, D floats each.
/// Parallel recurrence: the same with W floats of h. Attention: a ring of `window` slots, each the keys of every
/// softmax (W each) and the values (W) as int8; then, for each slot, the scales of its heads, f32.
const fn mixer_bytes(c: &ModelConfig) -> usize {
    let (d, w) = (c.d_model as usize, c.inner());
    match c.mixer {
        Mixer::GatedRecurrence | Mixer::ParallelRecurrence(_) => (w + d) * 4,
        Mixer::Attention(a) => 64 * ring_lines(&a) + a.window as usize * slot_heads(&a) * 4,
    }
}

/// Channels of one slot of the attention's ring.
pub(crate) const fn slot_channels(a: &AttentionConfig) -> usize {
    slot_heads(a) * a.heads.width as usize
}

/// Heads of one slot, each with a scale of its own: the keys' of every softmax, then the values'.
pub(crate) const fn slot_heads(a: &AttentionConfig) -> usize {
    (a.map.softmaxes() + 1) * a.heads.count as usize
}

/// Lines of the ring without its scales.
pub(crate) const fn ring_lines(a: &AttentionConfig) -> usize {
    lines(a.window as usize * slot_channels(a))
}

impl Layout {
    pub(crate) const fn new(c: &ModelConfig) -> Self {
        let (d, f) = (c.d_model as usize, c.d_ffn as usize);
        let ffn_bytes = match c.ffn {
            ChannelMixer::Glu | ChannelMixer::Relu2 => 0,
            // the normalised input of the token before
            ChannelMixer::ShiftedRelu2 => d * 4,
        };
        let rotary = c.rotary_pairs();
        let (ring, scores) = match c.mixer {
            Mixer::GatedRecurrence | Mixer::ParallelRecurrence(_) => (0, 0),
            Mixer::Attention(a) => (ring_lines(&a), a.map.softmaxes() * a.window as usize),
        };
        let routed = c.routed(c.layers as usize - 1);
        let (mut memory, mut past, mut rcsm, mut width, mut kept_floats) = (0, 0, 0, 0, 0);
        if let Some(r) = &c.rcsm {
            width = r.width as usize;
            memory = lines(r.slots as usize * width * 4);
            past = lines((r.taps as usize + 1) * width * 4);
            kept_floats = rcsm_token_floats(r);
            // beside the floats, the int8 activations of one pass
            rcsm = lines(rcsm_floats(r) * 4) + lines(width);
        }
        let widest_input = if d > f { d } else { f };
        // u, context and query of a token are quantised side by side
        let widest_input = if widest_input > 3 * width { widest_input } else { 3 * width };
        let widest_input = if widest_input > c.inner() { widest_input } else { c.inner() };
        let (mixer_rows, ffn_rows) = input_rows(c);
        let widest_output = if mixer_rows > ffn_rows { mixer_rows } else { ffn_rows };
        let widest_output = if widest_output > d { widest_output } else { d };
        let widest_output = if widest_output > kept_floats { widest_output } else { kept_floats };
        Self {
            mixer: lines(mixer_bytes(c)),
            ring,
            ffn: lines(ffn_bytes),
            layers: c.layers as usize,
            rotary: lines(rotary * 4),
            memory,
            past,
            head: lines(d * 2),
            rcsm,
            scores: lines(scores * 4),
            rotation: lines(2 * rotary * 4),
            kept: if routed { lines(d * 4) } else { 0 },
            width: lines(d * 4),
            quantised: lines(widest_input),
            wide: lines(widest_output * 4),
        }
    }

    /// Lines that [`State`] takes.
    pub(crate) const fn state_lines(&self) -> usize {
        1 + self.layers * (self.mixer + self.ffn) + self.rotary + self.memory + self.past + self.head
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

    /// Lines needed however few tokens are prefilled together.
    pub(crate) const fn fixed_lines(&self) -> usize {
        self.state_lines() + self.rcsm + self.scores
    }

    /// Lines needed for every token prefilled together.
    pub(crate) const fn token_lines(&self) -> usize {
        2 * self.width + self.quantised + self.wide + self.rotation + self.kept
    }

    /// Cuts `arena` into its regions for chunks of `chunk` tokens; `None` if it is too short.
    pub(crate) fn carve<'a>(&self, arena: &'a mut [Line], chunk: usize) -> Option<(State<'a>, Scratch<'a>)> {
        let mut rest = arena;
        let mut take = |n: usize| {
            let (head, tail) = core::mem::take(&mut rest).split_at_mut_checked(n)?;
            rest = tail;
            Some(head)
        };
        let state = State {
            header: take(1)?.first_mut()?,
            mixers: take(self.layers * self.mixer)?,
            ffns: floats(take(self.layers * self.ffn)?),
            rotary: bytemuck::must_cast_slice_mut(take(self.rotary)?),
            memory: floats(take(self.memory)?),
            past: floats(take(self.past)?),
            head: bytemuck::must_cast_slice_mut(take(self.head)?),
        };
        let scratch = Scratch {
            rcsm: take(self.rcsm)?,
            scores: floats(take(self.scores)?),
            rotation: floats(take(chunk * self.rotation)?),
            kept: floats(take(chunk * self.kept)?),
            x: floats(take(chunk * self.width)?),
            n: floats(take(chunk * self.width)?),
            q: bytemuck::must_cast_slice_mut(take(chunk * self.quantised)?),
            wide: floats(take(chunk * self.wide)?),
        };
        Some((state, scratch))
    }
}

fn floats(lines: &mut [Line]) -> &mut [f32] {
    bytemuck::must_cast_slice_mut(lines)
}

/// What generation carries from one token to the next.
pub(crate) struct State<'a> {
    pub header: &'a mut Line,
    /// Every block's mixer state, [`mixer_bytes`] each in whole lines.
    pub mixers: &'a mut [Line],
    /// Every block's normalised input of the token before, where the channel mixer is shifted.
    pub ffns: &'a mut [f32],
    /// Steps of the rotary positions a token.
    pub rotary: &'a mut [u32],
    /// RCSM memory, S x R.
    pub memory: &'a mut [f32],
    /// The engine's salient u of the tokens before, the nearest first, and their trace, (taps + 1) x R.
    pub past: &'a mut [f32],
    /// The last token's final activations, quantised for the head.
    pub head: &'a mut [i16],
}

/// Working memory of one pass over the layers; nothing in it outlives a call.
pub(crate) struct Scratch<'a> {
    pub rcsm: &'a mut [Line],
    /// Weights of one head's window.
    pub scores: &'a mut [f32],
    /// Per token the rotary positions' cosines, then their sines.
    pub rotation: &'a mut [f32],
    /// The residual stream before a block, T x D.
    pub kept: &'a mut [f32],
    /// Residual stream, T x D.
    pub x: &'a mut [f32],
    /// Normalised vectors, T x D.
    pub n: &'a mut [f32],
    /// int8 activations, T x K of the product at hand.
    pub q: &'a mut [i8],
    /// Products, T x their rows.
    pub wide: &'a mut [f32],
}

/// What the first line of the state says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct StateHeader {
    /// Tokens since the session began or was reset.
    pub position: u64,
    /// Checksum of the model's blob, so that a state is not restored under another model.
    pub model: u32,
    /// Scale of the head's activations, f32 bits.
    pub head_scale: u32,
    /// Tokens since the state was last reset, by [`reset`](crate::Session::reset) or a story's end.
    pub story: u64,
}

impl StateHeader {
    pub(crate) fn read(line: &Line) -> Self {
        let mut bytes = [0; size_of::<Self>()];
        bytes.copy_from_slice(&line.0[..size_of::<Self>()]);
        bytemuck::must_cast(bytes)
    }

    pub(crate) fn write(&self, line: &mut Line) {
        line.0[..size_of::<Self>()].copy_from_slice(bytemuck::bytes_of(self));
    }
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
        assert!(l.carve(&mut arena, 2).is_some());
        assert!(l.carve(&mut arena[1..], 2).is_none());
        assert!(l.carve(&mut [], 1).is_none());
    }
}
