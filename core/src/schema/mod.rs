//! The tensors of a model: one table that says for each its name, its shape, where and how it lies in the blob, and how
//! it starts.
//!
//! Everything else that knows about tensors reads it: the blob's layout and the views of it, the writer, a checkpoint's
//! names, the trainer's parameters and their initialisation. A table's order is the order in the trainer's buffer and,
//! among the tensors of one section, the order in the blob; so matrices that read the same vector are neighbours, and
//! one product serves them.

mod places;

pub(crate) use places::{Place, Size, tensor};

use serde::{Deserialize, Serialize};

use crate::config::{AttentionMap, ChannelMixer, Mixer, ModelConfig, RcsmConfig};

/// What a section holds. All blocks' parts of one role lie in one section, so the table is short. Which tensors these
/// are, in which order and in which form, the tables here say; docs/FORMAT.md writes it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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

/// A dimension, in terms of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim {
    /// So many, whatever the configuration.
    Is(usize),
    /// Vocabulary V.
    Vocab,
    /// Model width D.
    Model,
    /// Feed-forward width F.
    Hidden,
    /// Channels of all heads W, or D where there are none.
    Inner,
    /// W for every softmax of attention.
    Maps,
    /// Width of a head.
    Head,
    /// Heads H where two softmaxes are weighed against each other, else 0.
    Lambdas,
    /// Reasoning width R.
    Width,
    /// RCSM operations O.
    Ops,
    /// RCSM addresses S.
    Slots,
    /// Tokens the RCSM looks back over, and their trace.
    Taps,
    /// The most RCSM passes.
    Passes,
    /// Choices of depth: whether to go on, at every depth but the last.
    Choices,
}

/// How a tensor's trained values lie in the blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Rows of int8 by their absmax, each with a scale.
    Int8,
    /// Rows of {-1, 0, +1} by their mean absolute value, each with a scale.
    Ternary,
    /// Floats, once in every form.
    Floats(&'static [Form]),
}

/// What of a float is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The float itself.
    AsIs,
    /// Of a square matrix.
    Transposed,
    /// 1 / (1 + e^-x) of it.
    Sigmoid,
    /// sqrt(1 - sigmoid^2).
    Drive,
}

/// How a tensor starts. A fan-in is the last dimension.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All this.
    Fill(f32),
    /// Normal with this deviation.
    Normal(f32),
    /// Normal with deviation 1 / sqrt(fan-in).
    FanIn,
    /// The same, smaller by sqrt(2 x layers): what leads back into the residual stream (Radford et al., 2019).
    Residual,
    /// Half the transpose of `rcsm.down.weight`, scaled by sqrt(D / R): what is read comes out as what was written.
    Readout,
    /// Logits of decays whose time constants spread log-uniformly over 2 to 256 tokens.
    TimeConstants,
    /// 0.5 for the four nearest tokens, 0 for those farther and for the trace, which come in as they prove useful.
    NearTaps,
    /// 1 / sqrt(n) for pass n.
    InverseRoots,
}

/// One tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tensor {
    /// Without the block it belongs to.
    pub name: &'static str,
    /// Row-major; a tensor with a dimension of 0 is not there.
    pub shape: &'static [Dim],
    /// The section of the blob it lies in.
    pub role: Role,
    /// How it lies there.
    pub stored: Stored,
    /// How it starts.
    pub init: Init,
}

impl Dim {
    /// What it is in a model of `config`.
    pub const fn of(self, config: &ModelConfig) -> usize {
        match self {
            Self::Is(n) => n,
            Self::Vocab => config.vocab as usize,
            Self::Model => config.d_model as usize,
            Self::Hidden => config.d_ffn as usize,
            Self::Inner => config.inner(),
            Self::Maps => match config.mixer {
                Mixer::Attention(a) => a.map.softmaxes() * config.inner(),
                _ => 0,
            },
            Self::Head => match config.heads() {
                Some(heads) => heads.width as usize,
                None => 0,
            },
            Self::Lambdas => match config.mixer {
                Mixer::Attention(a) => match a.map {
                    AttentionMap::Softmax => 0,
                    AttentionMap::Difference => a.heads.count as usize,
                },
                _ => 0,
            },
            Self::Width | Self::Ops | Self::Slots | Self::Taps | Self::Passes | Self::Choices => match &config.rcsm {
                Some(rcsm) => self.of_rcsm(rcsm),
                None => 0,
            },
        }
    }

    const fn of_rcsm(self, rcsm: &RcsmConfig) -> usize {
        match self {
            Self::Width => rcsm.width as usize,
            Self::Ops => rcsm.ops as usize,
            Self::Slots => rcsm.slots as usize,
            Self::Taps => rcsm.taps as usize + 1,
            Self::Passes => rcsm.depths[2] as usize,
            Self::Choices => CHOICES,
            _ => 0,
        }
    }
}

impl Tensor {
    /// Values.
    pub const fn len(&self, config: &ModelConfig) -> usize {
        self.rows(config) * self.columns(config)
    }

    /// Product of all dimensions but the last.
    pub const fn rows(&self, config: &ModelConfig) -> usize {
        let (mut n, mut i) = (1, 0);
        while i + 1 < self.shape.len() {
            n *= self.shape[i].of(config);
            i += 1;
        }
        n
    }

    /// The last dimension.
    pub const fn columns(&self, config: &ModelConfig) -> usize {
        match self.shape {
            [.., last] => last.of(config),
            [] => 1,
        }
    }

    /// Its name in a checkpoint: `blocks.N.name` in block N.
    pub const fn named(&self, block: Option<usize>) -> Name {
        Name { block, name: self.name }
    }
}

/// A tensor's whole name, to be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    block: Option<usize>,
    name: &'static str,
}

impl core::fmt::Display for Name {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.block {
            Some(block) => write!(f, "blocks.{block}.{}", self.name),
            None => f.write_str(self.name),
        }
    }
}

const ONES: Init = Init::Fill(1.0);
const ZEROS: Init = Init::Fill(0.0);

const fn ternary(name: &'static str, shape: &'static [Dim], role: Role, init: Init) -> Tensor {
    Tensor { name, shape, role, stored: Stored::Ternary, init }
}

const fn floats(name: &'static str, shape: &'static [Dim], role: Role, init: Init) -> Tensor {
    Tensor { name, shape, role, stored: Stored::Floats(&[Form::AsIs]), init }
}

impl Tensor {
    const fn stored(self, forms: &'static [Form]) -> Self {
        Self { stored: Stored::Floats(forms), ..self }
    }
}

use Dim::{Choices, Head, Hidden, Inner, Is, Lambdas, Maps, Model, Ops, Passes, Slots, Taps, Vocab, Width};
use Role::{BlockVectors, FfnIn, FfnOut, MixerIn, MixerOut, RcsmIn, RcsmOps, RcsmOut, RcsmPass, RcsmVectors};

/// Both the input embedding and the output head.
pub const EMBEDDING: &[Tensor] = &[Tensor {
    name: "embed",
    shape: &[Vocab, Model],
    role: Role::Embedding,
    stored: Stored::Int8,
    init: Init::Normal(0.02),
}];

/// The gated recurrence's.
pub const GATED: &[Tensor] = &[
    floats("mixer.norm.gain", &[Model], BlockVectors, ONES),
    floats("mixer.shift", &[Model], BlockVectors, ONES).stored(&[Form::Sigmoid]),
    ternary("mixer.gate.weight", &[Model, Model], MixerIn, Init::FanIn),
    ternary("mixer.value.weight", &[Model, Model], MixerIn, Init::FanIn),
    ternary("mixer.out_gate.weight", &[Model, Model], MixerIn, Init::FanIn),
    ternary("mixer.proj.weight", &[Model, Model], MixerOut, Init::Residual),
    floats("mixer.decay", &[Model], BlockVectors, Init::TimeConstants).stored(&[Form::Sigmoid, Form::Drive]),
    floats("mixer.state_norm.gain", &[Model], BlockVectors, ONES),
];

/// The parallel gated recurrence's.
pub const PARALLEL: &[Tensor] = &[
    floats("mixer.norm.gain", &[Model], BlockVectors, ONES),
    floats("mixer.shift", &[Model], BlockVectors, ZEROS).stored(&[Form::Sigmoid]),
    ternary("mixer.forget.weight", &[Inner, Model], MixerIn, Init::FanIn),
    ternary("mixer.value.weight", &[Inner, Model], MixerIn, Init::FanIn),
    ternary("mixer.out_gate.weight", &[Inner, Model], MixerIn, Init::FanIn),
    ternary("mixer.proj.weight", &[Model, Inner], MixerOut, Init::Residual),
    floats("mixer.forget_bias", &[Inner], BlockVectors, ZEROS),
    floats("mixer.group_gain", &[Inner], BlockVectors, ONES),
    floats("mixer.group_bias", &[Inner], BlockVectors, ZEROS),
];

/// Attention's.
pub const ATTENTION: &[Tensor] = &[
    floats("mixer.norm.gain", &[Model], BlockVectors, ONES),
    ternary("mixer.q.weight", &[Maps, Model], MixerIn, Init::FanIn),
    ternary("mixer.k.weight", &[Maps, Model], MixerIn, Init::FanIn),
    ternary("mixer.v.weight", &[Inner, Model], MixerIn, Init::FanIn),
    ternary("mixer.proj.weight", &[Model, Inner], MixerOut, Init::Residual),
    floats("mixer.q_norm.gain", &[Head], BlockVectors, ONES),
    floats("mixer.k_norm.gain", &[Head], BlockVectors, ONES),
    floats("mixer.head_norm.gain", &[Head], BlockVectors, ONES),
    floats("mixer.lam", &[Lambdas], BlockVectors, Init::Fill(-0.5)).stored(&[Form::Sigmoid]),
];

/// The gated linear unit's.
pub const GLU: &[Tensor] = &[
    floats("ffn.norm.gain", &[Model], BlockVectors, ONES),
    ternary("ffn.gate.weight", &[Hidden, Model], FfnIn, Init::FanIn),
    ternary("ffn.up.weight", &[Hidden, Model], FfnIn, Init::FanIn),
    ternary("ffn.down.weight", &[Model, Hidden], FfnOut, Init::Residual),
];

/// The squared rectifier's.
pub const RELU2: &[Tensor] = &[
    floats("ffn.norm.gain", &[Model], BlockVectors, ONES),
    ternary("ffn.up.weight", &[Hidden, Model], FfnIn, Init::FanIn),
    ternary("ffn.down.weight", &[Model, Hidden], FfnOut, Init::Residual),
];

/// The token-shifted squared rectifier's.
pub const SHIFTED_RELU2: &[Tensor] = &[
    floats("ffn.norm.gain", &[Model], BlockVectors, ONES),
    floats("ffn.shift", &[Model], BlockVectors, ZEROS).stored(&[Form::Sigmoid]),
    ternary("ffn.up.weight", &[Hidden, Model], FfnIn, Init::FanIn),
    ternary("ffn.down.weight", &[Model, Hidden], FfnOut, Init::Residual),
];

/// A router's, in blocks that tokens are routed around.
pub const ROUTER: &[Tensor] = &[floats("router", &[Model], BlockVectors, Init::Normal(0.02))];

/// The RCSM engine's.
pub const RCSM: &[Tensor] = &[
    ternary("rcsm.down.weight", &[Width, Model], RcsmIn, Init::FanIn),
    ternary("rcsm.up.weight", &[Model, Width], RcsmOut, Init::Readout),
    ternary("rcsm.router.weight", &[Ops, Width], RcsmPass, Init::FanIn),
    ternary("rcsm.code.weight", &[Slots, Width], RcsmPass, Init::FanIn),
    ternary("rcsm.ops", &[Ops, Width, Width], RcsmOps, Init::FanIn),
    floats("rcsm.mix.weight", &[Width, Width], RcsmVectors, Init::Normal(0.02)).stored(&[Form::Transposed]),
    floats("rcsm.in_norm.gain", &[Model], RcsmVectors, ONES),
    // the nearest token first, the trace last
    floats("rcsm.context_taps", &[Taps, Width], RcsmVectors, Init::NearTaps),
    floats("rcsm.query_taps", &[Taps, Width], RcsmVectors, Init::NearTaps),
    floats("rcsm.salience.weight", &[Is(1), Width], RcsmVectors, ZEROS),
    floats("rcsm.out_gain", &[Width], RcsmVectors, ONES),
    floats("rcsm.hop_gate.weight", &[Is(1), Width], RcsmVectors, ZEROS),
    floats("rcsm.hold_gate.weight", &[Is(1), Width], RcsmVectors, ZEROS),
    floats("rcsm.write_gates.weight", &[Is(2), Width], RcsmVectors, ZEROS),
    // untrained, every token stops at the first depth
    floats("rcsm.deeper.weight", &[Choices, Width], RcsmVectors, ZEROS),
    floats("rcsm.salience.bias", &[Is(1)], RcsmVectors, Init::Fill(-1.0)),
    floats("rcsm.hop_gate.bias", &[Is(1)], RcsmVectors, Init::Fill(2.0)),
    floats("rcsm.hold_gate.bias", &[Is(1)], RcsmVectors, Init::Fill(2.0)),
    floats("rcsm.write_gates.bias", &[Is(2)], RcsmVectors, Init::Fill(-1.0)),
    floats("rcsm.deeper.bias", &[Choices], RcsmVectors, ZEROS),
    floats("rcsm.pass_scale", &[Passes], RcsmVectors, Init::InverseRoots),
];

/// The last normalisation's.
pub const NORM: &[Tensor] = &[floats("norm.gain", &[Model], Role::Norm, ONES)];

/// A mixer's.
pub const fn mixer(config: &ModelConfig) -> &'static [Tensor] {
    match config.mixer {
        Mixer::GatedRecurrence => GATED,
        Mixer::ParallelRecurrence(_) => PARALLEL,
        Mixer::Attention(_) => ATTENTION,
    }
}

/// A channel mixer's.
pub const fn channel_mixer(config: &ModelConfig) -> &'static [Tensor] {
    match config.ffn {
        ChannelMixer::Glu => GLU,
        ChannelMixer::Relu2 => RELU2,
        ChannelMixer::ShiftedRelu2 => SHIFTED_RELU2,
    }
}

/// All tensors of a model, each with the block it belongs to if it belongs to one.
pub fn tensors(config: &ModelConfig) -> impl Iterator<Item = (Option<usize>, &'static Tensor)> + use<> {
    let config = *config;
    let of = |block: Option<usize>, tensors: &'static [Tensor]| tensors.iter().map(move |t| (block, t));
    let blocks = (0..usize::from(config.layers)).flat_map(move |layer| {
        let router = if config.routed(layer) { ROUTER } else { &[] };
        let parts = [mixer(&config), channel_mixer(&config), router];
        parts.into_iter().flat_map(move |tensors| of(Some(layer), tensors))
    });
    let rcsm = if config.rcsm.is_some() { RCSM } else { &[] };
    let there = move |tensor: &Tensor| tensor.len(&config) > 0;
    of(None, EMBEDDING).chain(blocks).chain(of(None, rcsm)).chain(of(None, NORM)).filter(move |(_, t)| there(t))
}

/// Rows of the ternary matrix in which those of `role` among `tensors` lie below each other, each padded to whole
/// tiles; and its columns.
pub(crate) const fn stacked(config: &ModelConfig, tensors: &[Tensor], role: Role) -> (usize, usize) {
    let (mut rows, mut columns, mut i) = (0, 0, 0);
    while i < tensors.len() {
        if tensors[i].role as u8 == role as u8 && matches!(tensors[i].stored, Stored::Ternary) {
            rows += padded(tensors[i].rows(config));
            columns = tensors[i].columns(config);
        }
        i += 1;
    }
    (rows, columns)
}

/// Depths but the last, at each of which a token may go on.
const CHOICES: usize = 2;

/// Rows of a matrix as stored: padded to whole tiles.
pub(crate) const fn padded(rows: usize) -> usize {
    rows.next_multiple_of(16)
}

/// Floats of a block's mixer, and of its channel mixer.
pub(crate) const fn block_floats(config: &ModelConfig) -> [usize; 2] {
    let mixer = match config.mixer {
        Mixer::GatedRecurrence => const { Size::total(GATED) },
        Mixer::ParallelRecurrence(_) => const { Size::total(PARALLEL) },
        Mixer::Attention(_) => const { Size::total(ATTENTION) },
    };
    let ffn = match config.ffn {
        ChannelMixer::Glu => const { Size::total(GLU) },
        ChannelMixer::Relu2 => const { Size::total(RELU2) },
        ChannelMixer::ShiftedRelu2 => const { Size::total(SHIFTED_RELU2) },
    };
    [mixer.of(config), ffn.of(config)]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::string::ToString;
    use std::vec::Vec;

    use super::*;
    use crate::config::Heads;

    /// Models of every mixer.
    pub(super) fn models() -> impl Iterator<Item = ModelConfig> {
        let mixers = Mixer::all(Heads { count: 4, width: 64 }, 256).into_iter();
        mixers.map(|mixer| ModelConfig { mixer, ..ModelConfig::SUPERNOVA })
    }

    /// Every table.
    pub(super) fn tables() -> Vec<&'static [Tensor]> {
        let others = [EMBEDDING, GLU, RELU2, SHIFTED_RELU2, ROUTER, RCSM, NORM];
        models().map(|config| mixer(&config)).chain(others).collect()
    }

    #[test]
    fn names_are_unique_within_a_model() {
        let routed = [ModelConfig::THUNDERBOLT, ModelConfig::NOVA_IGNITION];
        for config in models().chain(routed) {
            let names: Vec<_> = tensors(&config).map(|(block, t)| t.named(block).to_string()).collect();
            assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len(), "{names:?}");
        }
    }

    #[test]
    fn matrices_that_lie_below_each_other_are_neighbours_of_one_width() {
        let config = ModelConfig { mixer: ModelConfig::NOVA_IGNITION.mixer, ..ModelConfig::SUPERNOVA };
        for tensors in tables() {
            for (i, a) in tensors.iter().enumerate().filter(|(_, t)| t.stored == Stored::Ternary) {
                let later = tensors[i + 1..].iter().enumerate().filter(|(_, b)| b.stored == Stored::Ternary);
                for (n, b) in later.filter(|(_, b)| b.role == a.role) {
                    assert!(tensors[i + 1..][..n].iter().all(|t| t.role == a.role), "{} {}", a.name, b.name);
                    assert_eq!(a.columns(&config), b.columns(&config), "{} {}", a.name, b.name);
                }
            }
        }
    }

    #[test]
    fn floats_of_one_table_lie_in_one_section() {
        for tensors in tables() {
            let roles: HashSet<_> =
                tensors.iter().filter(|t| matches!(t.stored, Stored::Floats(_))).map(|t| t.role as u8).collect();
            assert!(roles.len() <= 1, "{tensors:?}");
        }
    }
}
