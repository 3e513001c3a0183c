//! Shapes and small things every layer shares.

use std::ops::Range;

use crate::kernels::{Isa, Kernels, zeros};

/// How the rows of a micro-batch are laid out: time-major, row `t * sequences + b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Sequences B.
    pub sequences: usize,
    /// Tokens T of each.
    pub tokens: usize,
}

impl Shape {
    /// Rows M = B T.
    pub fn rows(self) -> usize {
        self.sequences * self.tokens
    }
}

/// How a batch is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchShape {
    /// Replicas, one per thread.
    pub threads: usize,
    /// Sequences of a replica's micro-batch.
    pub sequences: usize,
    /// Tokens of a sequence's chunk.
    pub tokens: usize,
    /// Micro-batches per replica and optimiser step.
    pub accumulate: usize,
}

impl BatchShape {
    /// Tokens of one optimiser step.
    pub fn step_tokens(self) -> usize {
        self.threads * self.sequences * self.tokens * self.accumulate
    }
}

/// Row `i` of a row-major matrix of width `w`.
#[inline(always)]
pub fn row(x: &[f32], i: usize, w: usize) -> &[f32] {
    &x[i * w..(i + 1) * w]
}

/// Row `i` of a row-major matrix of width `w`, to write.
#[inline(always)]
pub fn row_mut(x: &mut [f32], i: usize, w: usize) -> &mut [f32] {
    &mut x[i * w..(i + 1) * w]
}

/// `a += b`.
#[inline(always)]
pub fn add(a: &mut [f32], b: &[f32]) {
    for (a, b) in a.iter_mut().zip(b) {
        *a += b;
    }
}

/// `a += s * b`.
#[inline(always)]
pub fn add_scaled(a: &mut [f32], s: f32, b: &[f32]) {
    for (a, b) in a.iter_mut().zip(b) {
        *a += s * b;
    }
}

/// The state before row `i` of width `w`: none at a story's start, `carried` (B, W) at the chunk's, else that behind
/// the sequence's token before, in `earlier`.
#[inline(always)]
pub fn before<'a>(
    reset: bool,
    (i, b): (usize, usize),
    w: usize,
    carried: &'a [f32],
    earlier: &'a [f32],
) -> Option<&'a [f32]> {
    match (reset, i < b) {
        (true, _) => None,
        (_, true) => Some(row(carried, i, w)),
        _ => Some(row(earlier, i - b, w)),
    }
}

/// Rows that go through a chain of products and gates together: their widest activations stay in L2 between the two.
pub const BLOCK_ROWS: usize = 256;

/// The blocks of `m` rows, in order.
pub fn blocks(m: usize) -> impl DoubleEndedIterator<Item = Range<usize>> + ExactSizeIterator {
    (0..m.div_ceil(BLOCK_ROWS)).map(move |block| block * BLOCK_ROWS..m.min((block + 1) * BLOCK_ROWS))
}

/// The outputs of one wide projection, (M, W): kept from forward to backward, or made again there.
///
/// On CPUs whose int8 products outrun their memory it is faster to multiply again, block by block in L2, than to write
/// the activations out and read them back.
pub struct Activations {
    kept: bool,
    width: usize,
    data: Vec<f32>,
}

impl Activations {
    pub fn new(kernels: Kernels, m: usize, width: usize) -> Self {
        let kept = kernels.isa() < Isa::Amx;
        Self { kept, width, data: zeros(if kept { m } else { m.min(BLOCK_ROWS) } * width) }
    }

    /// Room for the forward's outputs of these rows.
    pub fn block_mut(&mut self, rows: &Range<usize>) -> &mut [f32] {
        let start = if self.kept { rows.start } else { 0 };
        &mut self.data[start * self.width..(start + rows.len()) * self.width]
    }

    /// The forward's outputs of these rows: those kept, or `again` writes them.
    pub fn block(&mut self, rows: &Range<usize>, again: impl FnOnce(&mut [f32])) -> &[f32] {
        let kept = self.kept;
        let block = self.block_mut(rows);
        if !kept {
            again(block);
        }
        block
    }
}
