//! The parameters: one flat buffer, and where in it each tensor lies.

use flashlm_core::config::{AttentionMap, ChannelMixer, Mixer, ModelConfig, RcsmConfig};
use std::ops::Range;

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

/// One tensor of the flat buffer, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    pub name: String,
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

/// Every tensor of a model, named as in the reference, in the order of the flat buffer.
///
/// Matrices that read the same vector are neighbours, so that one product serves them: `gate`, `value`, `out_gate`;
/// `forget`, `value`, `out_gate`; `q`, `k`, `v`; `gate`, `up`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub tensors: Vec<TensorSpec>,
    pub len: usize,
}

impl Layout {
    /// The layout of a model of this configuration.
    pub fn new(config: &ModelConfig) -> Self {
        use ParamKind::{Embedding, Float, Ternary};
        let mut layout = Self { tensors: Vec::new(), len: 0 };
        let (d, f) = (config.d_model as usize, config.d_ffn as usize);
        layout.push("embed", &[config.vocab as usize, d], Embedding);
        for i in 0..config.layers {
            let mut block = |name: &str, shape: &[usize], kind| layout.push(&format!("blocks.{i}.{name}"), shape, kind);
            block("mixer.norm.gain", &[d], Float);
            match config.mixer {
                Mixer::GatedRecurrence => {
                    block("mixer.shift", &[d], Float);
                    block("mixer.gate.weight", &[d, d], Ternary);
                    block("mixer.value.weight", &[d, d], Ternary);
                    block("mixer.out_gate.weight", &[d, d], Ternary);
                    block("mixer.proj.weight", &[d, d], Ternary);
                    block("mixer.state_norm.gain", &[d], Float);
                    block("mixer.decay", &[d], Float);
                }
                Mixer::ParallelRecurrence(heads) => {
                    let w = heads.inner();
                    block("mixer.shift", &[d], Float);
                    block("mixer.forget.weight", &[w, d], Ternary);
                    block("mixer.value.weight", &[w, d], Ternary);
                    block("mixer.out_gate.weight", &[w, d], Ternary);
                    block("mixer.proj.weight", &[d, w], Ternary);
                    block("mixer.forget_bias", &[w], Float);
                    block("mixer.group_gain", &[w], Float);
                    block("mixer.group_bias", &[w], Float);
                }
                Mixer::Attention(a) => {
                    let (w, head, maps) = (a.heads.inner(), a.heads.width as usize, a.map.softmaxes());
                    block("mixer.q.weight", &[maps * w, d], Ternary);
                    block("mixer.k.weight", &[maps * w, d], Ternary);
                    block("mixer.v.weight", &[w, d], Ternary);
                    block("mixer.proj.weight", &[d, w], Ternary);
                    block("mixer.q_norm.gain", &[head], Float);
                    block("mixer.k_norm.gain", &[head], Float);
                    if a.map == AttentionMap::Difference {
                        block("mixer.lam", &[a.heads.count as usize], Float);
                    }
                    block("mixer.head_norm.gain", &[head], Float);
                }
            }
            block("ffn.norm.gain", &[d], Float);
            match config.ffn {
                ChannelMixer::Glu => {
                    block("ffn.gate.weight", &[f, d], Ternary);
                    block("ffn.up.weight", &[f, d], Ternary);
                }
                ChannelMixer::Relu2 => block("ffn.up.weight", &[f, d], Ternary),
                ChannelMixer::ShiftedRelu2 => {
                    block("ffn.shift", &[d], Float);
                    block("ffn.up.weight", &[f, d], Ternary);
                }
            }
            block("ffn.down.weight", &[d, f], Ternary);
            if config.routed(i.into()) {
                block("router", &[d], Float);
            }
        }
        if let Some(RcsmConfig { width, ops, slots, taps, depths, .. }) = config.rcsm {
            let (r, o, s, n) = (width as usize, ops as usize, slots as usize, taps as usize);
            let (passes, choices) = (depths[2] as usize, depths.len() - 1);
            layout.push("rcsm.in_norm.gain", &[d], Float);
            layout.push("rcsm.down.weight", &[r, d], Ternary);
            layout.push("rcsm.up.weight", &[d, r], Ternary);
            layout.push("rcsm.code.weight", &[s, r], Ternary);
            // of the tokens before, the nearest first, and of the trace
            layout.push("rcsm.context_taps", &[n + 1, r], Float);
            layout.push("rcsm.query_taps", &[n + 1, r], Float);
            layout.push("rcsm.salience.weight", &[1, r], Float);
            layout.push("rcsm.salience.bias", &[1], Float);
            layout.push("rcsm.write_gates.weight", &[2, r], Float);
            layout.push("rcsm.write_gates.bias", &[2], Float);
            layout.push("rcsm.hop_gate.weight", &[1, r], Float);
            layout.push("rcsm.hop_gate.bias", &[1], Float);
            layout.push("rcsm.hold_gate.weight", &[1, r], Float);
            layout.push("rcsm.hold_gate.bias", &[1], Float);
            layout.push("rcsm.router.weight", &[o, r], Ternary);
            layout.push("rcsm.ops", &[o, r, r], Ternary);
            layout.push("rcsm.mix.weight", &[r, r], Float);
            layout.push("rcsm.pass_scale", &[passes], Float);
            layout.push("rcsm.out_gain", &[r], Float);
            layout.push("rcsm.deeper.weight", &[choices, r], Float);
            layout.push("rcsm.deeper.bias", &[choices], Float);
        }
        layout.push("norm.gain", &[d], Float);
        layout
    }

    fn push(&mut self, name: &str, shape: &[usize], kind: ParamKind) {
        self.tensors.push(TensorSpec { name: name.into(), shape: shape.into(), offset: self.len, kind });
        self.len += shape.iter().product::<usize>();
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&TensorSpec> {
        self.tensors.iter().find(|t| t.name == name)
    }

    /// From the start of tensor `first` to the end of tensor `last`.
    pub(super) fn span(&self, first: &str, last: &str) -> Range<usize> {
        let find = |name: &str| self.get(name).unwrap_or_else(|| panic!("the layout has no tensor {name}"));
        find(first).offset..find(last).range().end
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
    /// The reference's initialisation, except that projections back into the residual stream start smaller by
    /// sqrt(2 * layers) (Radford et al., 2019). Deterministic in `seed`.
    pub fn init(config: &ModelConfig, seed: u64) -> Self {
        let layout = Layout::new(config);
        let mut data = vec![0.0; layout.len];
        let mut rng = Rng::new(seed);
        let residual = (2.0 * config.layers as f32).sqrt().recip();
        for t in &layout.tensors {
            let out = &mut data[t.range()];
            let fan_in = *t.shape.last().unwrap_or(&1) as f32;
            // of a block's tensors, what follows its number
            let name = t.name.strip_prefix("blocks.").and_then(|n| n.split_once('.')).map_or(&t.name[..], |(_, n)| n);
            match name {
                "embed" => out.fill_with(|| rng.normal() * 0.02),
                "router" => out.fill_with(|| rng.normal() * 0.02),
                _ if name.ends_with("gain") => out.fill(1.0),
                "rcsm.salience.bias" | "rcsm.write_gates.bias" => out.fill(-1.0),
                "rcsm.hop_gate.bias" | "rcsm.hold_gate.bias" => out.fill(2.0),
                _ if name.ends_with("bias") => out.fill(0.0),
                // the nearest tokens; those farther and the trace come in as they prove useful
                "rcsm.context_taps" | "rcsm.query_taps" => {
                    let near = NEAR_TAPS.min(out.len() / fan_in as usize - 1) * fan_in as usize;
                    out[..near].fill(0.5);
                    out[near..].fill(0.0);
                }
                "rcsm.salience.weight"
                | "rcsm.write_gates.weight"
                | "rcsm.hop_gate.weight"
                | "rcsm.hold_gate.weight" => out.fill(0.0),
                // untrained, every token stops at the first depth
                "rcsm.deeper.weight" => out.fill(0.0),
                "rcsm.pass_scale" => {
                    for (n, scale) in out.iter_mut().enumerate() {
                        *scale = ((n + 1) as f32).sqrt().recip();
                    }
                }
                "rcsm.mix.weight" => out.fill_with(|| rng.normal() * 0.02),
                "mixer.shift" if config.mixer == Mixer::GatedRecurrence => out.fill(1.0),
                "mixer.shift" | "ffn.shift" => out.fill(0.0),
                // lambda is its sigmoid
                "mixer.lam" => out.fill(-0.5),
                "mixer.decay" => {
                    // time constants spread log-uniformly over 2 .. 256 tokens
                    let last = (out.len() - 1).max(1) as f64;
                    for (i, v) in out.iter_mut().enumerate() {
                        let keep = (-(1.0 + 7.0 * i as f64 / last).exp2().recip()).exp();
                        *v = (keep / (1.0 - keep)).ln() as f32;
                    }
                }
                "mixer.proj.weight" | "ffn.down.weight" => {
                    out.fill_with(|| rng.normal() * fan_in.sqrt().recip() * residual)
                }
                _ => out.fill_with(|| rng.normal() * fan_in.sqrt().recip()),
            }
        }
        if let (Some(down), Some(up)) = (layout.get("rcsm.down.weight"), layout.get("rcsm.up.weight")) {
            // what is read comes out as what was written
            let (r, d) = (down.shape[0], down.shape[1]);
            let scale = 0.5 * (d as f32 / r as f32).sqrt();
            for i in 0..r * d {
                data[up.offset + i] = data[down.offset + i % r * d + i / r] * scale;
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

/// Where the RCSM engine's tensors lie.
#[derive(Clone, Debug)]
pub struct RcsmSpans {
    pub in_norm: Range<usize>,
    pub down: Range<usize>,
    pub up: Range<usize>,
    pub code: Range<usize>,
    pub context_taps: Range<usize>,
    pub query_taps: Range<usize>,
    pub salience: Range<usize>,
    pub salience_bias: usize,
    pub write_gates: Range<usize>,
    pub write_biases: Range<usize>,
    pub hop: Range<usize>,
    pub hop_bias: usize,
    pub hold: Range<usize>,
    pub hold_bias: usize,
    pub router: Range<usize>,
    pub ops: Range<usize>,
    pub mix: Range<usize>,
    pub pass_scale: Range<usize>,
    pub out_gain: Range<usize>,
    pub deeper: Range<usize>,
    pub deeper_biases: Range<usize>,
}

impl RcsmSpans {
    pub fn new(layout: &Layout) -> Self {
        let one = |name: &str| layout.span(&format!("rcsm.{name}"), &format!("rcsm.{name}"));
        Self {
            in_norm: one("in_norm.gain"),
            down: one("down.weight"),
            up: one("up.weight"),
            code: one("code.weight"),
            context_taps: one("context_taps"),
            query_taps: one("query_taps"),
            salience: one("salience.weight"),
            salience_bias: one("salience.bias").start,
            write_gates: one("write_gates.weight"),
            write_biases: one("write_gates.bias"),
            hop: one("hop_gate.weight"),
            hop_bias: one("hop_gate.bias").start,
            hold: one("hold_gate.weight"),
            hold_bias: one("hold_gate.bias").start,
            router: one("router.weight"),
            ops: one("ops"),
            mix: one("mix.weight"),
            pass_scale: one("pass_scale"),
            out_gain: one("out_gain"),
            deeper: one("deeper.weight"),
            deeper_biases: one("deeper.bias"),
        }
    }
}

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
