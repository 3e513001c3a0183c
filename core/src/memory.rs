//! What a session's memory is made of: lines, and the regions that an arena is cut into.

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

pub(crate) const fn lines(bytes: usize) -> usize {
    bytes.div_ceil(64)
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
