//! What a model is made of: plain values, stored in every checkpoint and every blob.

use serde::{Deserialize, Serialize};

/// How tokens exchange information over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Mixer {
    /// `h_t = decay * h_{t-1} + sqrt(1 - decay^2) * gate_t * value_t`.
    #[serde(rename = "gated")]
    GatedRecurrence,
}

/// How channels exchange information within a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ChannelMixer {
    /// `down(silu(gate(u)) * up(u))` (Shazeer, 2020, "GLU Variants Improve Transformer").
    #[serde(rename = "glu")]
    Glu,
}

/// How many passes the reasoning loop takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Depth {
    /// The depth controller chooses for every token.
    Adaptive,
    /// Every token takes this many passes.
    Fixed(u8),
}

/// Dimensions of the RCSM engine (DESIGN section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RcsmConfig {
    /// Reasoning width R.
    pub width: u16,
    /// Operations O, each an R x R ternary matrix.
    pub ops: u8,
    /// Memory slots S, each R floats.
    pub slots: u8,
    /// Passes the depth controller chooses from, rising.
    pub depths: [u8; 3],
    /// What inference does unless told otherwise; training sets it to what it last trained.
    pub default_depth: Depth,
    /// Whether the memory is written; training switches it on in its third phase.
    pub memory_writes: bool,
}

/// Operations applied and blended at every pass.
pub const TOP_K_OPS: usize = 2;

/// Dimensions of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Vocabulary size V.
    pub vocab: u32,
    /// Model width D.
    pub d_model: u16,
    /// Number of blocks.
    pub layers: u16,
    /// Feed-forward width F.
    pub d_ffn: u16,
    pub mixer: Mixer,
    pub ffn: ChannelMixer,
    pub rcsm: Option<RcsmConfig>,
    /// The token that ends a story and, as input, resets all state. `None`: state never resets.
    pub eot: Option<u32>,
}

impl RcsmConfig {
    /// The engine of `supernova`.
    pub const DEFAULT: Self = Self {
        width: 96,
        ops: 16,
        slots: 16,
        depths: [1, 3, 8],
        default_depth: Depth::Adaptive,
        memory_writes: true,
    };
}

impl ModelConfig {
    /// 7.71 M parameters, 86 % ternary: gated recurrence, GLU and the RCSM engine.
    pub const SUPERNOVA: Self = Self {
        vocab: 4096,
        d_model: 256,
        layers: 8,
        d_ffn: 704,
        mixer: Mixer::GatedRecurrence,
        ffn: ChannelMixer::Glu,
        rcsm: Some(RcsmConfig::DEFAULT),
        eot: Some(0),
    };
}
