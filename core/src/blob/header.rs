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

/// What a section holds. All blocks' parts of one role lie in one section, so the table is short. Which tensors these
/// are, in which order and in which form, the [`schema`](crate::schema) says; docs/FORMAT.md writes it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Role {
    /// Tables of the tokenizer; empty when the model carries none.
    Tokenizer,
    /// int8 rows in tiles, then a f32 scale a row. Both the input embedding and the output head.
    Embedding,
    /// Per block the ternary matrix that reads the mixer's input: gates and values, or queries, keys and values.
    MixerIn,
    /// Per block the ternary matrix that writes the mixer's output.
    MixerOut,
    /// Per block the ternary matrix that reads the channel mixer's input.
    FfnIn,
    /// Per block the ternary matrix that writes the channel mixer's output.
    FfnOut,
    /// Per block the floats of the mixer, of the channel mixer and, where there is one, of the router.
    BlockVectors,
    /// The ternary matrix down, R x D.
    RcsmIn,
    /// The ternary matrix [router; code], each padded to 16 rows, x R.
    RcsmPass,
    /// The O operations, one ternary matrix OR x R.
    RcsmOps,
    /// The ternary matrix up, D x R.
    RcsmOut,
    /// The engine's floats.
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
