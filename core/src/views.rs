//! Views of a model's parameters where they lie, layer by layer: what the layers compute with.

use crate::blob::layout::TernaryShape;
use crate::config::{AttentionConfig, Heads, RcsmConfig};
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
    pub(crate) const EMPTY: Self = Self { codes: &[], scales: &[], columns: 0 };

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

/// One block's parameters.
pub(crate) struct Block<'a> {
    pub mixer: BlockMixer<'a>,
    pub ffn: BlockFfn<'a>,
    /// D floats, where tokens are routed around the block.
    pub router: Option<&'a [f32]>,
}

/// A block's mixer.
pub(crate) enum BlockMixer<'a> {
    Gated(GatedRecurrence<'a>),
    Parallel(ParallelRecurrence<'a>),
    Attention(Attention<'a>),
}

/// A block's channel mixer.
pub(crate) enum BlockFfn<'a> {
    Glu(Glu<'a>),
    Relu2(Relu2<'a>),
}

/// Parameters of the parallel gated recurrence; W channels in heads.
pub(crate) struct ParallelRecurrence<'a> {
    pub heads: Heads,
    /// The least forget gate.
    pub floor: f32,
    /// D.
    pub gain: &'a [f32],
    /// sigmoid of the trained shift, D.
    pub shift: &'a [f32],
    /// W each.
    pub forget_bias: &'a [f32],
    pub group_gain: &'a [f32],
    pub group_bias: &'a [f32],
    /// [forget; value; out_gate], 3W x D.
    pub input: TernaryMatrix<'a>,
    /// proj, D x W.
    pub output: TernaryMatrix<'a>,
}

/// Parameters of attention; W channels in heads.
pub(crate) struct Attention<'a> {
    pub config: AttentionConfig,
    /// D.
    pub gain: &'a [f32],
    /// A head's width each.
    pub q_gain: &'a [f32],
    pub k_gain: &'a [f32],
    pub head_gain: &'a [f32],
    /// sigmoid of the trained lambda, H; empty with one softmax.
    pub lambda: &'a [f32],
    /// [q; k; v], q and k once for every softmax.
    pub input: TernaryMatrix<'a>,
    /// proj, D x W.
    pub output: TernaryMatrix<'a>,
}

/// Parameters of the gated recurrence; vectors of D floats.
pub(crate) struct GatedRecurrence<'a> {
    pub gain: &'a [f32],
    /// sigmoid of the trained shift.
    pub shift: &'a [f32],
    /// a = sigmoid of the trained decay.
    pub decay: &'a [f32],
    /// sqrt(1 - a^2).
    pub drive: &'a [f32],
    pub state_gain: &'a [f32],
    /// [gate; value; out_gate], 3D x D.
    pub input: TernaryMatrix<'a>,
    /// proj, D x D.
    pub output: TernaryMatrix<'a>,
}

/// Parameters of the gated linear unit.
pub(crate) struct Glu<'a> {
    pub gain: &'a [f32],
    /// [gate; up], 2F x D.
    pub input: TernaryMatrix<'a>,
    /// down, D x F.
    pub output: TernaryMatrix<'a>,
}

/// Parameters of the squared rectifier.
pub(crate) struct Relu2<'a> {
    pub gain: &'a [f32],
    /// sigmoid of the trained shift, where the token before is mixed in.
    pub shift: Option<&'a [f32]>,
    /// up, F x D.
    pub input: TernaryMatrix<'a>,
    /// down, D x F.
    pub output: TernaryMatrix<'a>,
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
