//! What a model is made of: plain values, stored in every checkpoint and every blob.

use serde::{Deserialize, Serialize};

/// How tokens exchange information over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Mixer {
    /// `h_t = decay * h_{t-1} + sqrt(1 - decay^2) * gate_t * value_t`.
    #[serde(rename = "gated")]
    GatedRecurrence,
    /// `h_t = forget_t * h_{t-1} + (1 - forget_t) * value_t`, forget bounded below by a floor that rises with depth
    /// (after Qin et al., 2023, "HGRN", and Ma et al., 2025, "MatMul-free LM").
    #[serde(rename = "parallel")]
    ParallelRecurrence(Heads),
    /// Causal softmax attention over the last tokens.
    #[serde(rename = "attention")]
    Attention(AttentionConfig),
}

impl Mixer {
    /// Mixers that [`Self::all`] lists.
    pub const KINDS: usize = 4;

    /// The line-up: every mixer there is, those with heads with these, those with a window with this one. Tests and the
    /// trainer's `--mixer` go through it.
    pub const fn all(heads: Heads, window: u16) -> [Self; Self::KINDS] {
        [
            Self::GatedRecurrence,
            Self::ParallelRecurrence(heads),
            Self::Attention(AttentionConfig { heads, window, map: AttentionMap::Difference }),
            Self::Attention(AttentionConfig { heads, window, map: AttentionMap::Softmax }),
        ]
    }

    /// Its name on a command line.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::GatedRecurrence => "gated",
            Self::ParallelRecurrence(_) => "parallel",
            Self::Attention(a) => match a.map {
                AttentionMap::Difference => "diff-attention",
                AttentionMap::Softmax => "attention",
            },
        }
    }

    /// Its name in words.
    pub const fn words(&self) -> &'static str {
        match self {
            Self::GatedRecurrence => "gated recurrence",
            Self::ParallelRecurrence(_) => "parallel gated recurrence",
            Self::Attention(a) => match a.map {
                AttentionMap::Difference => "differential attention",
                AttentionMap::Softmax => "attention",
            },
        }
    }
}

/// How an inner vector is cut into heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Heads {
    /// Number of heads H.
    pub count: u16,
    /// Channels of each.
    pub width: u16,
}

impl Heads {
    /// Channels of all heads together, H x width.
    pub const fn inner(self) -> usize {
        self.count as usize * self.width as usize
    }
}

/// Dimensions of an attention mixer: normalised queries and keys, rotary positions (Su et al., 2021), a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AttentionConfig {
    /// How many heads, and how wide.
    pub heads: Heads,
    /// Tokens attended to, the token itself included.
    pub window: u16,
    /// What weighs the values.
    pub map: AttentionMap,
}

/// What weighs the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum AttentionMap {
    /// `softmax(q k)`.
    #[serde(rename = "softmax")]
    Softmax,
    /// `softmax(q1 k1) - lambda * softmax(q2 k2)` (Ye et al., 2024, "Differential Transformer").
    #[serde(rename = "difference")]
    Difference,
}

impl AttentionMap {
    /// Softmaxes, each with queries and keys of its own.
    pub const fn softmaxes(self) -> usize {
        match self {
            Self::Softmax => 1,
            Self::Difference => 2,
        }
    }
}

/// How channels exchange information within a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ChannelMixer {
    /// `down(silu(gate(u)) * up(u))` (Shazeer, 2020, "GLU Variants Improve Transformer").
    #[serde(rename = "glu")]
    Glu,
    /// `down(relu(up(u))^2)` (So et al., 2021, "Primer").
    #[serde(rename = "relu2")]
    Relu2,
    /// The same, u mixed with the token before's (Peng et al., 2023, "RWKV").
    #[serde(rename = "shifted_relu2")]
    ShiftedRelu2,
}

/// Mixture of depths (Raposo et al., 2024): a block's change reaches only the tokens its router picks. In training
/// those of the largest logits in each sequence's chunk; at inference, causally, those of a positive logit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MixtureOfDepths {
    /// Tokens picked in training, percent.
    pub capacity: u8,
    /// The first block with a router.
    pub from: u16,
}

impl MixtureOfDepths {
    /// Tokens picked of a chunk of `tokens`.
    pub const fn picked(self, tokens: usize) -> usize {
        let picked = tokens * self.capacity as usize / 100;
        if picked == 0 { 1 } else { picked }
    }
}

/// How many passes the reasoning loop takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Depth {
    /// The depth controller chooses for every token.
    Adaptive,
    /// Every token takes this many passes.
    Fixed(u8),
}

impl core::fmt::Display for Depth {
    /// As [`FromStr`](core::str::FromStr) reads it.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Adaptive => f.write_str("auto"),
            Self::Fixed(passes) => write!(f, "{passes}"),
        }
    }
}

/// A text says no depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DepthError;

impl core::fmt::Display for DepthError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("expected auto or a number of passes")
    }
}

impl core::error::Error for DepthError {}

impl core::str::FromStr for Depth {
    type Err = DepthError;

    /// `auto`, or a number of passes from 1.
    fn from_str(text: &str) -> Result<Self, DepthError> {
        match (text, text.parse()) {
            ("auto", _) => Ok(Self::Adaptive),
            (_, Ok(passes @ 1..)) => Ok(Self::Fixed(passes)),
            _ => Err(DepthError),
        }
    }
}

/// Dimensions of the RCSM engine ([DESIGN section 2](crate::design::models)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RcsmConfig {
    /// Reasoning width R.
    pub width: u16,
    /// Operations O, each an R x R ternary matrix.
    pub ops: u8,
    /// Addresses S of the memory, each R floats.
    pub slots: u8,
    /// Tokens that a key and a query look back over, besides the trace of all.
    pub taps: u8,
    /// The engine follows this many blocks.
    pub after: u16,
    /// Passes a token takes: it stops at the first, or goes on to the second, or to the third.
    pub depths: [u8; 3],
    /// What inference does unless told otherwise; training sets it to what it calibrated.
    pub default_depth: Depth,
    /// What every token writes into the memory.
    pub writes: Writes,
}

/// What a token links in the memory of the RCSM engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(rename_all = "lowercase")]
pub enum Writes {
    /// Nothing: the memory stays empty, for comparison.
    None,
    /// Its context to itself: "what came after X?" can be read.
    Forward,
    /// And itself to its context: "what came before X?" too.
    Both,
}

impl Writes {
    /// Writes a token.
    pub const fn count(self) -> usize {
        match self {
            Self::None => 0,
            Self::Forward => 1,
            Self::Both => 2,
        }
    }
}

/// Operations applied and blended at every pass.
pub const TOP_K_OPS: usize = 2;

/// Dimensions of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ModelConfig {
    /// Vocabulary size V.
    pub vocab: u32,
    /// Model width D.
    pub d_model: u16,
    /// Number of blocks.
    pub layers: u16,
    /// Feed-forward width F.
    pub d_ffn: u16,
    /// What mixes tokens in every block.
    pub mixer: Mixer,
    /// What mixes channels in every block.
    pub ffn: ChannelMixer,
    /// The reasoning loop. `None`: the model has none.
    pub rcsm: Option<RcsmConfig>,
    /// The token that ends a story and, as input, resets all state. `None`: state never resets.
    pub eot: Option<u32>,
    /// `None`: every token goes through every block.
    pub mixture_of_depths: Option<MixtureOfDepths>,
}

impl RcsmConfig {
    /// The engine of `supernova`.
    pub const DEFAULT: Self = Self {
        width: 96,
        ops: 16,
        slots: 32,
        taps: 8,
        after: 5,
        depths: [1, 3, 8],
        default_depth: Depth::Adaptive,
        writes: Writes::Both,
    };
}

impl ModelConfig {
    /// 7.69 M parameters, 86 % ternary: gated recurrence, GLU and the RCSM engine.
    pub const SUPERNOVA: Self = Self {
        vocab: 4096,
        d_model: 256,
        layers: 8,
        d_ffn: 704,
        mixer: Mixer::GatedRecurrence,
        ffn: ChannelMixer::Glu,
        rcsm: Some(RcsmConfig::DEFAULT),
        eot: Some(0),
        mixture_of_depths: None,
    };

    /// 29.7 M parameters, 89 % ternary: parallel gated recurrence and token-shifted relu².
    pub const THUNDERBOLT: Self = Self {
        vocab: 8192,
        d_model: 384,
        layers: 18,
        d_ffn: 1152,
        mixer: Mixer::ParallelRecurrence(Heads { count: 8, width: 48 }),
        ffn: ChannelMixer::ShiftedRelu2,
        rcsm: None,
        ..Self::SUPERNOVA
    };

    /// 4.99 M parameters, 79 % ternary: differential attention, relu² and mixture of depths.
    pub const NOVA_IGNITION: Self = Self {
        layers: 6,
        d_ffn: 512,
        mixer: Mixer::Attention(AttentionConfig {
            heads: Heads { count: 4, width: 64 },
            window: 256,
            map: AttentionMap::Difference,
        }),
        ffn: ChannelMixer::Relu2,
        rcsm: None,
        mixture_of_depths: Some(MixtureOfDepths { capacity: 70, from: 2 }),
        ..Self::SUPERNOVA
    };

    /// 4.36 M parameters, 56 % ternary: supernova's blocks, smaller, without the reasoning loop.
    pub const BOLT: Self = Self { vocab: 10_000, d_model: 192, layers: 6, d_ffn: 448, rcsm: None, ..Self::SUPERNOVA };

    /// 7.67 M parameters, 86 % ternary: plain causal attention and GLU at supernova's size, to compare with.
    pub const TRANSFORMER: Self = Self {
        d_ffn: 736,
        mixer: Mixer::Attention(AttentionConfig {
            heads: Heads { count: 4, width: 64 },
            window: 256,
            map: AttentionMap::Softmax,
        }),
        rcsm: None,
        ..Self::SUPERNOVA
    };
    /// `supernova` for chips of 2 MB of flash: 3.66 M parameters, 1.35 MB packed.
    pub const SUPERNOVA_MINI: Self = Self {
        vocab: 2048,
        d_model: 192,
        layers: 7,
        d_ffn: 528,
        rcsm: Some(RcsmConfig { width: 64, after: 4, ..RcsmConfig::DEFAULT }),
        ..Self::SUPERNOVA
    };
    /// `supernova` for chips of 1 MB of flash: 1.44 M parameters, 0.59 MB packed.
    pub const SUPERNOVA_MICRO: Self = Self {
        vocab: 1536,
        d_model: 128,
        layers: 6,
        d_ffn: 352,
        rcsm: Some(RcsmConfig { width: 48, ops: 8, after: 4, ..RcsmConfig::DEFAULT }),
        ..Self::SUPERNOVA
    };
    /// `supernova` for chips of 512 KB of flash: 0.56 M parameters, 0.26 MB packed.
    pub const SUPERNOVA_NANO: Self = Self {
        vocab: 1024,
        d_model: 96,
        layers: 4,
        d_ffn: 256,
        rcsm: Some(RcsmConfig { width: 32, ops: 8, after: 3, ..RcsmConfig::DEFAULT }),
        ..Self::SUPERNOVA
    };
}

/// The most blocks a model may have.
pub const MAX_LAYERS: u16 = 64;
/// The widest model.
pub const MAX_D_MODEL: u16 = 2048;
/// The widest feed-forward layer.
pub const MAX_D_FFN: u16 = 8192;
/// The largest vocabulary.
pub const MAX_VOCAB: u32 = 65536;
/// The widest RCSM.
pub const MAX_RCSM_WIDTH: u16 = 256;
/// The most heads of a mixer.
pub const MAX_HEADS: u16 = 64;
/// The widest head.
pub const MAX_HEAD_WIDTH: u16 = 256;
/// The most channels of all heads together.
pub const MAX_INNER: usize = 1024;
/// The longest attention window.
pub const MAX_WINDOW: u16 = 4096;
/// The most RCSM operations and passes.
pub const MAX_RCSM_PARTS: u8 = 64;
/// The most addresses of the RCSM memory.
pub const MAX_RCSM_SLOTS: u8 = 128;
/// The most tokens a key or query of the RCSM looks back over.
pub const MAX_RCSM_TAPS: u8 = 8;

/// Which limit a configuration breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
    /// The mixer's heads are not within 1..=[`MAX_HEADS`], of a width that is a multiple of 16 within
    /// 16..=[`MAX_HEAD_WIDTH`], or have more than [`MAX_INNER`] channels together.
    Heads,
    /// The attention's window is not within 1..=[`MAX_WINDOW`].
    Window,
    /// `mixture_of_depths.capacity` is not within 1..=99.
    Capacity,
    /// `eot` is not a token of the vocabulary.
    EndOfStory,
    /// `rcsm.width` is not a multiple of 16 within 16..=[`MAX_RCSM_WIDTH`].
    RcsmWidth,
    /// `rcsm.ops` is not within [`TOP_K_OPS`]..=[`MAX_RCSM_PARTS`].
    RcsmOps,
    /// `rcsm.slots` is not within 1..=[`MAX_RCSM_SLOTS`].
    RcsmSlots,
    /// `rcsm.taps` is not within 1..=[`MAX_RCSM_TAPS`].
    RcsmTaps,
    /// `rcsm.after` is not within 1..=`layers`.
    RcsmAfter,
    /// `rcsm.depths` do not rise strictly within 1..=[`MAX_RCSM_PARTS`].
    RcsmDepths,
    /// `rcsm.default_depth` is not within 1..=the deepest of `rcsm.depths`.
    RcsmDefaultDepth,
}

impl core::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Vocab => write!(f, "vocab must be within 2..={MAX_VOCAB}"),
            Self::Width => write!(f, "d_model must be a multiple of 16 within 16..={MAX_D_MODEL}"),
            Self::Layers => write!(f, "layers must be within 1..={MAX_LAYERS}"),
            Self::FeedForward => write!(f, "d_ffn must be a multiple of 16 within 16..={MAX_D_FFN}"),
            Self::Heads => write!(
                f,
                "heads must be within 1..={MAX_HEADS}, each a multiple of 16 within 16..={MAX_HEAD_WIDTH} wide, \
                 {MAX_INNER} together"
            ),
            Self::Window => write!(f, "window must be within 1..={MAX_WINDOW}"),
            Self::Capacity => f.write_str("mixture_of_depths.capacity must be within 1..=99"),
            Self::EndOfStory => f.write_str("eot must be less than vocab"),
            Self::RcsmWidth => write!(f, "rcsm.width must be a multiple of 16 within 16..={MAX_RCSM_WIDTH}"),
            Self::RcsmOps => write!(f, "rcsm.ops must be within {TOP_K_OPS}..={MAX_RCSM_PARTS}"),
            Self::RcsmSlots => write!(f, "rcsm.slots must be within 1..={MAX_RCSM_SLOTS}"),
            Self::RcsmTaps => write!(f, "rcsm.taps must be within 1..={MAX_RCSM_TAPS}"),
            Self::RcsmAfter => f.write_str("rcsm.after must be within 1..=layers"),
            Self::RcsmDepths => write!(f, "rcsm.depths must rise strictly within 1..={MAX_RCSM_PARTS}"),
            Self::RcsmDefaultDepth => f.write_str("rcsm.default_depth must be within 1..=the deepest of rcsm.depths"),
        }
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
        if let Some(heads) = self.heads() {
            let fits = (1..=MAX_HEADS).contains(&heads.count) && multiple(heads.width, MAX_HEAD_WIDTH);
            check(fits && heads.inner() <= MAX_INNER, ConfigError::Heads)?;
        }
        if let Mixer::Attention(attention) = &self.mixer {
            check((1..=MAX_WINDOW).contains(&attention.window), ConfigError::Window)?;
        }
        check(self.mixture_of_depths.is_none_or(|m| (1..=99).contains(&m.capacity)), ConfigError::Capacity)?;
        let Some(r) = &self.rcsm else { return Ok(()) };
        let [first, second, deepest] = r.depths;
        check(multiple(r.width, MAX_RCSM_WIDTH), ConfigError::RcsmWidth)?;
        check((TOP_K_OPS as u8..=MAX_RCSM_PARTS).contains(&r.ops), ConfigError::RcsmOps)?;
        check((1..=MAX_RCSM_SLOTS).contains(&r.slots), ConfigError::RcsmSlots)?;
        check((1..=MAX_RCSM_TAPS).contains(&r.taps), ConfigError::RcsmTaps)?;
        check((1..=self.layers).contains(&r.after), ConfigError::RcsmAfter)?;
        check(1 <= first && first < second && second < deepest && deepest <= MAX_RCSM_PARTS, ConfigError::RcsmDepths)?;
        check(r.allows(r.default_depth), ConfigError::RcsmDefaultDepth)
    }

    /// The mixer's heads; `None` for a mixer without.
    pub const fn heads(&self) -> Option<Heads> {
        match self.mixer {
            Mixer::GatedRecurrence => None,
            Mixer::ParallelRecurrence(heads) | Mixer::Attention(AttentionConfig { heads, .. }) => Some(heads),
        }
    }

    /// Channels the mixer works on: all heads', or D where there are none.
    pub const fn inner(&self) -> usize {
        match self.heads() {
            Some(heads) => heads.inner(),
            None => self.d_model as usize,
        }
    }

    /// Pairs of a head's channels that rotary positions turn, 0 for a mixer without.
    pub(crate) const fn rotary_pairs(&self) -> usize {
        match self.mixer {
            Mixer::GatedRecurrence | Mixer::ParallelRecurrence(_) => 0,
            Mixer::Attention(a) => a.heads.width as usize / 2,
        }
    }

    /// Whether block `layer` has a router.
    pub const fn routed(&self, layer: usize) -> bool {
        match self.mixture_of_depths {
            Some(m) => layer >= m.from as usize,
            None => false,
        }
    }

    /// The least share of its state that the parallel recurrence of block `layer` keeps: 0 in the first, 0.9 in the
    /// last.
    pub const fn forget_floor(&self, layer: usize) -> f32 {
        let last = if self.layers > 1 { self.layers - 1 } else { 1 };
        0.9 * layer as f32 / last as f32
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
