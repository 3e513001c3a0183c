//! Views of a model's parameters where they lie: what the kernels multiply by, and the reasoning loop's. A block's
//! layers have theirs beside their forward.

use crate::blob::layout::TernaryShape;
use crate::config::RcsmConfig;
use crate::parts::Parts;

/// A ternary matrix in the layout of [`TernaryShape`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct TernaryMatrix<'a> {
    /// rows / 16 x columns / 16 tiles of 16 words.
    pub codes: &'a [u32],
    /// One scale a row.
    pub scales: &'a [f32],
    pub columns: usize,
}

impl<'a> TernaryMatrix<'a> {
    pub(crate) fn new(words: &'a [u32], shape: TernaryShape) -> Self {
        debug_assert!(words.len() * 4 == shape.bytes());
        let (codes, scales) = words.cut(shape.code_bytes() / 4);
        Self { codes, scales: bytemuck::must_cast_slice(scales), columns: shape.columns }
    }

    pub(crate) fn rows(&self) -> usize {
        self.scales.len()
    }

    /// `rows` rows from `first` on, both multiples of 16.
    pub(crate) fn row_range(&self, first: usize, rows: usize) -> Self {
        debug_assert!(first.is_multiple_of(16) && rows.is_multiple_of(16) && first + rows <= self.rows());
        let words = self.columns / 16; // a row's
        Self {
            codes: self.codes.part(first * words, rows * words),
            scales: self.scales.part(first, rows),
            columns: self.columns,
        }
    }
}

/// The int8 embedding in the layout of [`EmbeddingShape`](crate::blob::layout::EmbeddingShape).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Embedding<'a> {
    pub values: &'a [u32],
    pub scales: &'a [f32],
    pub columns: usize,
}

/// Parameters of the reasoning loop.
pub(crate) struct Rcsm<'a> {
    pub config: RcsmConfig,
    /// Transposed: R x R.
    pub mix: &'a [f32],
    /// D.
    pub gain: &'a [f32],
    /// (taps + 1) x R each, the nearest token first, the trace last.
    pub context_taps: &'a [f32],
    pub query_taps: &'a [f32],
    /// R each.
    pub salience: &'a [f32],
    pub out_gain: &'a [f32],
    pub hop: &'a [f32],
    pub hold: &'a [f32],
    /// 2 x R each.
    pub writes: &'a [f32],
    pub deeper: &'a [f32],
    pub salience_bias: f32,
    pub hop_bias: f32,
    pub hold_bias: f32,
    /// 2 each.
    pub write_biases: &'a [f32],
    pub deeper_biases: &'a [f32],
    /// One for every pass.
    pub pass_scales: &'a [f32],
    /// down, R x D.
    pub input: TernaryMatrix<'a>,
    /// [router; code], each padded to 16 rows, x R.
    pub pass: TernaryMatrix<'a>,
    /// code alone.
    pub code: TernaryMatrix<'a>,
    /// OR x R.
    pub ops: TernaryMatrix<'a>,
    /// up, D x R.
    pub output: TernaryMatrix<'a>,
}
