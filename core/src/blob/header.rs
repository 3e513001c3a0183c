//! The header: what the model is, how it came about and where its sections lie, in postcard's wire format.

use crate::config::ModelConfig;
use serde::{Deserialize, Serialize};

/// How a model came about; told by `inspect`, never used to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts<'a> {
    /// Name of the preset or of the run, at most [`MAX_TEXT`] bytes.
    #[serde(borrow)]
    pub name: &'a str,
    /// Name of the training data, at most [`MAX_TEXT`] bytes.
    #[serde(borrow)]
    pub data: &'a str,
    /// Tokens trained on.
    pub tokens: u64,
    /// Optimiser steps taken.
    pub steps: u64,
    /// Training phase reached, 1..=4; 0 when untrained.
    pub phase: u8,
    /// Bits per byte on the held-out text, as measured by the trainer.
    pub held_out_bpc: Option<f64>,
}

/// The longest text in [`Facts`], bytes.
pub const MAX_TEXT: usize = 64;

/// What a section holds. All layers' parts of one role lie in one section at a fixed stride, so the table is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Role {
    /// Tables of the tokenizer; empty when the model carries none.
    Tokenizer,
    /// int8 rows in tiles, then a f32 scale a row. Both the input embedding and the output head.
    Embedding,
    /// Per layer the ternary matrix that reads the mixer's input, W the channels of all heads: gated recurrence
    /// [gate; value; out_gate], 3D x D; parallel recurrence [forget; value; out_gate], 3W x D; attention [q; k; v],
    /// 3W x D, or where there are two softmaxes [q1; q2; k1; k2; v], 5W x D.
    MixerIn,
    /// Per layer the ternary matrix proj, D x W.
    MixerOut,
    /// Per layer the ternary matrix [gate; up], 2F x D, or up alone, F x D.
    FfnIn,
    /// Per layer the ternary matrix down, D x F.
    FfnOut,
    /// Per layer the mixer's floats, the channel mixer's and the router's (D, in blocks that have one).
    ///
    /// Gated recurrence: gain, shift, decay, drive, state gain (D each). Parallel recurrence: gain, shift (D each),
    /// forget bias, group gain, group bias (W each). Attention: gain (D), query gain, key gain, head gain (a head's
    /// width each), lambda (H, where there are two softmaxes). Channel mixers: gain, and where it is shifted the
    /// shift (D each). Shifts, decays and lambdas are sigmoids of the trained values.
    BlockVectors,
    /// The ternary matrix down, R x D.
    RcsmIn,
    /// The ternary matrix [router; code], each padded to 16 rows, x R.
    RcsmPass,
    /// The O operations, one ternary matrix OR x R.
    RcsmOps,
    /// The ternary matrix up, D x R.
    RcsmOut,
    /// Floats: mix transposed (R x R), input gain (D), context taps, query taps ((taps + 1) x R each, the trace's last),
    /// salience, output gain, hop gate, hold gate (R each), write gates, depth choice (2 x R each), the biases of salience,
    /// hop, hold (1 each), writes and depth choice (2 each), and a scale for every pass the deepest takes.
    RcsmVectors,
    /// D floats: the gain before the head.
    Norm,
}

impl Role {
    /// Every role, in the order sections lie in a blob.
    pub const ALL: [Self; 13] = [
        Self::Tokenizer,
        Self::Embedding,
        Self::MixerIn,
        Self::MixerOut,
        Self::FfnIn,
        Self::FfnOut,
        Self::BlockVectors,
        Self::RcsmIn,
        Self::RcsmPass,
        Self::RcsmOps,
        Self::RcsmOut,
        Self::RcsmVectors,
        Self::Norm,
    ];

    /// A name to print.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokenizer => "tokenizer",
            Self::Embedding => "embedding",
            Self::MixerIn => "mixer.in",
            Self::MixerOut => "mixer.out",
            Self::FfnIn => "ffn.in",
            Self::FfnOut => "ffn.out",
            Self::BlockVectors => "block.vectors",
            Self::RcsmIn => "rcsm.in",
            Self::RcsmPass => "rcsm.pass",
            Self::RcsmOps => "rcsm.ops",
            Self::RcsmOut => "rcsm.out",
            Self::RcsmVectors => "rcsm.vectors",
            Self::Norm => "norm",
        }
    }
}

/// Sections of a blob.
pub(crate) const SECTIONS: usize = Role::ALL.len();

/// Where a section lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub role: Role,
    /// From the start of the blob, a multiple of 64.
    pub offset: u32,
    /// In bytes, without the padding up to the next section.
    pub len: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header<'a> {
    pub config: ModelConfig,
    #[serde(borrow)]
    pub facts: Facts<'a>,
    pub sections: [Entry; SECTIONS],
}
