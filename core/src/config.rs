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
    pub const DEFAULT: Self =
        Self { width: 96, ops: 16, slots: 16, depths: [1, 3, 8], default_depth: Depth::Adaptive, memory_writes: true };
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
    /// `supernova` for chips of 2 MB of flash: 3.67 M parameters, 1.36 MB packed.
    pub const SUPERNOVA_MINI: Self = Self {
        vocab: 2048,
        d_model: 192,
        layers: 7,
        d_ffn: 528,
        rcsm: Some(RcsmConfig { width: 64, ..RcsmConfig::DEFAULT }),
        ..Self::SUPERNOVA
    };
    /// `supernova` for chips of 1 MB of flash: 1.44 M parameters, 0.60 MB packed.
    pub const SUPERNOVA_MICRO: Self = Self {
        vocab: 1536,
        d_model: 128,
        layers: 6,
        d_ffn: 352,
        rcsm: Some(RcsmConfig { width: 48, ops: 8, slots: 8, ..RcsmConfig::DEFAULT }),
        ..Self::SUPERNOVA
    };
    /// `supernova` for chips of 512 KB of flash: 0.56 M parameters, 0.26 MB packed.
    pub const SUPERNOVA_NANO: Self = Self {
        vocab: 1024,
        d_model: 96,
        layers: 4,
        d_ffn: 256,
        rcsm: Some(RcsmConfig { width: 32, ops: 8, slots: 8, ..RcsmConfig::DEFAULT }),
        ..Self::SUPERNOVA
    };
}

/// The most blocks a model may have.
pub const MAX_LAYERS: u16 = 64;
/// The widest model: the head's int16 x int8 products of one row still fit an i32.
pub const MAX_D_MODEL: u16 = 512;
/// The widest feed-forward layer.
pub const MAX_D_FFN: u16 = 8192;
/// The largest vocabulary.
pub const MAX_VOCAB: u32 = 65536;
/// The widest RCSM.
pub const MAX_RCSM_WIDTH: u16 = 256;
/// The most RCSM operations, slots and passes.
pub const MAX_RCSM_PARTS: u8 = 64;

/// Which limit a configuration breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// `vocab` is not within 2..=[`MAX_VOCAB`].
    Vocab,
    /// `d_model` is not a multiple of 16 within 16..=[`MAX_D_MODEL`].
    Width,
    /// `layers` is not within 1..=[`MAX_LAYERS`].
    Layers,
    /// `d_ffn` is not a multiple of 16 within 16..=[`MAX_D_FFN`].
    FeedForward,
    /// `eot` is not a token of the vocabulary.
    EndOfStory,
    /// `rcsm.width` is not a multiple of 16 within 16..=[`MAX_RCSM_WIDTH`].
    RcsmWidth,
    /// `rcsm.ops` is not within [`TOP_K_OPS`]..=[`MAX_RCSM_PARTS`].
    RcsmOps,
    /// `rcsm.slots` is not within 1..=[`MAX_RCSM_PARTS`].
    RcsmSlots,
    /// `rcsm.depths` do not rise strictly within 1..=[`MAX_RCSM_PARTS`].
    RcsmDepths,
    /// `rcsm.default_depth` is not within 1..=the deepest of `rcsm.depths`.
    RcsmDefaultDepth,
}

impl core::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Vocab => "vocab must be within 2..=65536",
            Self::Width => "d_model must be a multiple of 16 within 16..=512",
            Self::Layers => "layers must be within 1..=64",
            Self::FeedForward => "d_ffn must be a multiple of 16 within 16..=8192",
            Self::EndOfStory => "eot must be less than vocab",
            Self::RcsmWidth => "rcsm.width must be a multiple of 16 within 16..=256",
            Self::RcsmOps => "rcsm.ops must be within 2..=64",
            Self::RcsmSlots => "rcsm.slots must be within 1..=64",
            Self::RcsmDepths => "rcsm.depths must rise strictly within 1..=64",
            Self::RcsmDefaultDepth => "rcsm.default_depth must be within 1..=the deepest of rcsm.depths",
        })
    }
}

impl core::error::Error for ConfigError {}

impl ModelConfig {
    /// Checks every limit the kernels and the session rely on.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let check = |holds: bool, error| if holds { Ok(()) } else { Err(error) };
        let multiple = |n: u16, most: u16| n >= 16 && n <= most && n.is_multiple_of(16);
        check((2..=MAX_VOCAB).contains(&self.vocab), ConfigError::Vocab)?;
        check(multiple(self.d_model, MAX_D_MODEL), ConfigError::Width)?;
        check((1..=MAX_LAYERS).contains(&self.layers), ConfigError::Layers)?;
        check(multiple(self.d_ffn, MAX_D_FFN), ConfigError::FeedForward)?;
        check(self.eot.is_none_or(|eot| eot < self.vocab), ConfigError::EndOfStory)?;
        let Some(r) = &self.rcsm else { return Ok(()) };
        let [first, second, deepest] = r.depths;
        check(multiple(r.width, MAX_RCSM_WIDTH), ConfigError::RcsmWidth)?;
        check((TOP_K_OPS as u8..=MAX_RCSM_PARTS).contains(&r.ops), ConfigError::RcsmOps)?;
        check((1..=MAX_RCSM_PARTS).contains(&r.slots), ConfigError::RcsmSlots)?;
        check(1 <= first && first < second && second < deepest && deepest <= MAX_RCSM_PARTS, ConfigError::RcsmDepths)?;
        check(r.allows(r.default_depth), ConfigError::RcsmDefaultDepth)
    }
}

impl RcsmConfig {
    /// Whether the loop can run at `depth`: adaptively, or 1..=the deepest of `depths` passes.
    pub fn allows(&self, depth: Depth) -> bool {
        match depth {
            Depth::Adaptive => true,
            Depth::Fixed(n) => 1 <= n && n <= self.depths[2],
        }
    }
}
