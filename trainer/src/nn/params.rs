//! The parameters: one flat buffer, and where in it each tensor lies. Which tensors there are, and how they start, the
//! schema of flashlm-core says.

use std::ops::Range;

use flashlm_core::blob::Role;
use flashlm_core::config::ModelConfig;
use flashlm_core::schema::{self, Init, Stored};

/// What a tensor is to the optimiser and to quantisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// A matrix whose rows are quantised to {-1, 0, +1}.
    Ternary,
    /// The embedding, quantised to int8 rows.
    Embedding,
    /// Anything kept in float: gains, biases, decays, taps, gates, mix.
    Float,
}

impl From<Stored> for ParamKind {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Ternary => Self::Ternary,
            Stored::Int8 => Self::Embedding,
            Stored::Floats(_) => Self::Float,
        }
    }
}

/// One tensor of the flat buffer, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    pub name: String,
    /// Its name in the schema, and the block it belongs to, if to one.
    pub base: &'static str,
    pub block: Option<usize>,
    /// The section of a blob it goes to.
    pub role: Role,
    pub shape: Vec<usize>,
    pub offset: usize,
    pub kind: ParamKind,
}

impl TensorSpec {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the tensor has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the tensor lies in the flat buffer.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.len()
    }
}

/// Every tensor of a model, in the order of the flat buffer, which is the schema's: matrices that read the same vector
/// are neighbours, so that one product serves them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub tensors: Vec<TensorSpec>,
    pub len: usize,
}

impl Layout {
    /// The layout of a model of this configuration.
    pub fn new(config: &ModelConfig) -> Self {
        let mut len = 0;
        let tensors = schema::tensors(config).map(|(block, tensor)| {
            let offset = len;
            len += tensor.len(config);
            TensorSpec {
                name: tensor.named(block).to_string(),
                base: tensor.name,
                block,
                role: tensor.role,
                shape: tensor.shape.iter().map(|dim| dim.of(config)).collect(),
                offset,
                kind: tensor.stored.into(),
            }
        });
        Self { tensors: tensors.collect(), len }
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&TensorSpec> {
        self.tensors.iter().find(|t| t.name == name)
    }

    /// Where the tensor lies that the schema calls `name`, in block `block`.
    ///
    /// # Panics
    /// If the model has none.
    pub(super) fn one(&self, block: impl Into<Option<usize>>, name: &str) -> Range<usize> {
        let block = block.into();
        self.tensors
            .iter()
            .find(|t| t.block == block && t.base == name)
            .unwrap_or_else(|| panic!("the layout has no tensor {name}"))
            .range()
    }

    /// Where the matrices of `role` in block `block` lie, below each other.
    ///
    /// # Panics
    /// If the model has none.
    pub(super) fn stacked(&self, block: usize, role: Role) -> Range<usize> {
        let mut of_role = self.tensors.iter().filter(|t| t.block == Some(block) && t.role == role);
        let first = of_role.next().unwrap_or_else(|| panic!("block {block} has no tensor of {role:?}"));
        first.offset..of_role.next_back().unwrap_or(first).range().end
    }

    /// Parameters in all, and how many of them are ternary.
    pub fn counts(&self) -> (usize, usize) {
        let ternary = self.tensors.iter().filter(|t| t.kind == ParamKind::Ternary).map(TensorSpec::len).sum();
        (self.len, ternary)
    }
}

/// All parameters of a model: the latent float weights that training moves.
#[derive(Clone, Debug)]
pub struct Params {
    pub layout: Layout,
    pub data: Vec<f32>,
}

impl Params {
    /// As the schema says. Deterministic in `seed`.
    pub fn init(config: &ModelConfig, seed: u64) -> Self {
        let layout = Layout::new(config);
        let mut data = vec![0.0; layout.len];
        let mut rng = Rng::new(seed);
        let residual = (2.0 * config.layers as f32).sqrt().recip();
        for (spec, (_, tensor)) in layout.tensors.iter().zip(schema::tensors(config)) {
            let out = &mut data[spec.range()];
            let fan_in = tensor.columns(config);
            let deviation = (fan_in as f32).sqrt().recip();
            match tensor.init {
                Init::Fill(value) => out.fill(value),
                Init::Normal(deviation) => out.fill_with(|| rng.normal() * deviation),
                Init::FanIn => out.fill_with(|| rng.normal() * deviation),
                Init::Residual => out.fill_with(|| rng.normal() * deviation * residual),
                Init::TimeConstants => {
                    let last = (out.len() - 1).max(1) as f64;
                    for (i, v) in out.iter_mut().enumerate() {
                        let keep = (-(1.0 + 7.0 * i as f64 / last).exp2().recip()).exp();
                        *v = (keep / (1.0 - keep)).ln() as f32;
                    }
                }
                Init::NearTaps => {
                    let near = NEAR_TAPS.min(out.len() / fan_in - 1) * fan_in;
                    out[..near].fill(0.5);
                }
                Init::InverseRoots => {
                    for (n, scale) in out.iter_mut().enumerate() {
                        *scale = ((n + 1) as f32).sqrt().recip();
                    }
                }
                Init::Readout => {
                    let down = layout.one(None, "rcsm.down.weight").start;
                    let (d, r) = (out.len() / fan_in, fan_in);
                    let scale = 0.5 * (d as f32 / r as f32).sqrt();
                    for i in 0..r * d {
                        data[spec.offset + i] = data[down + i % r * d + i / r] * scale;
                    }
                }
            }
        }
        Self { layout, data }
    }

    /// The tensor of this name, row-major.
    pub fn tensor(&self, name: &str) -> Option<&[f32]> {
        self.layout.get(name).map(|t| &self.data[t.range()])
    }
}

/// Tokens that contexts and queries look back over at first.
const NEAR_TAPS: usize = 4;

/// SplitMix64 (Steele, Lea and Flood, 2014): small, seedable, the same on every machine.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in (0, 1).
    pub fn uniform(&mut self) -> f32 {
        ((self.next_u64() >> 41) as f32 + 0.5) * (1.0 / (1u64 << 23) as f32)
    }

    /// Standard normal (Box and Muller, 1958).
    pub fn normal(&mut self) -> f32 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f32::consts::TAU * self.uniform()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initialisation_depends_on_the_seed_alone() {
        let config = ModelConfig { layers: 1, d_model: 32, d_ffn: 32, vocab: 64, ..ModelConfig::SUPERNOVA };
        assert_eq!(Params::init(&config, 1).data, Params::init(&config, 1).data);
        assert_ne!(Params::init(&config, 1).data, Params::init(&config, 2).data);
    }
}
