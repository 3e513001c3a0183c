//! Small random models for tests: valid blobs whose weights mean nothing, and what hostile ones are tried with.

pub mod engine;
pub mod exercise;
pub mod hostile;

use std::vec::Vec;

use crate::blob::layout::Contents;
use crate::blob::{Facts, Role, write};
use crate::config::{ChannelMixer, Depth, Heads, Mixer, MixtureOfDepths, ModelConfig, RcsmConfig, Writes};
use crate::memory::Line;

/// A model with every feature: padded rows everywhere, resets, writes, an adaptive depth.
pub const SMALL: ModelConfig = ModelConfig {
    vocab: 300,
    d_model: 48,
    layers: 3,
    d_ffn: 80,
    mixer: Mixer::GatedRecurrence,
    ffn: ChannelMixer::Glu,
    rcsm: Some(RcsmConfig {
        width: 32,
        ops: 5,
        slots: 6,
        taps: 3,
        after: 2,
        depths: [1, 3, 8],
        default_depth: Depth::Adaptive,
        writes: Writes::Both,
    }),
    eot: Some(0),
    mixture_of_depths: None,
};

/// A model of every mixer; among them every channel mixer, with and without routing and the engine.
pub const MODELS: [ModelConfig; Mixer::KINDS] = {
    let (wide, narrow) = (Heads { count: 3, width: 32 }, Heads { count: 2, width: 16 });
    let mut models = [SMALL; Mixer::KINDS];
    let mut i = 0;
    while i < models.len() {
        models[i].mixer = Mixer::all(if i % 2 == 0 { wide } else { narrow }, 9)[i];
        (models[i].ffn, models[i].mixture_of_depths) = match i % 3 {
            0 => (ChannelMixer::Glu, None),
            1 => (ChannelMixer::ShiftedRelu2, Some(MixtureOfDepths { capacity: 50, from: 1 })),
            _ => (ChannelMixer::Relu2, Some(MixtureOfDepths { capacity: 50, from: 0 })),
        };
        if i % 4 == 3 {
            models[i].rcsm = None;
        }
        i += 1;
    }
    models
};

/// Bytes on a 64-byte boundary.
#[derive(Clone, Debug)]
pub struct Blob(Vec<Line>, usize);

impl Blob {
    /// A copy of `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        let mut lines = std::vec![Line::ZERO; bytes.len().div_ceil(64)];
        bytemuck::must_cast_slice_mut::<_, u8>(&mut lines)[..bytes.len()].copy_from_slice(bytes);
        Self(lines, bytes.len())
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::must_cast_slice(&self.0)[..self.1]
    }
}

/// A small deterministic stream of numbers.
#[derive(Clone, Debug)]
pub struct Numbers(pub u64);

impl Numbers {
    /// 31 random bits.
    #[expect(clippy::should_implement_trait, reason = "an endless stream needs no `Option`")]
    pub fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    /// Less than `n`, which is not 0.
    pub fn below(&mut self, n: u32) -> u32 {
        self.next() % n
    }

    /// Uniform in [low, high).
    pub fn float(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * (self.next() as f32 / (1u32 << 31) as f32)
    }
}

/// The bytes of a random model's sections.
pub fn random_sections(config: &ModelConfig, seed: u64) -> [Vec<u8>; Role::ALL.len()] {
    let mut numbers = Numbers(seed);
    Role::ALL.map(|role| {
        let mut bytes = Vec::new();
        match Contents::of(role, config) {
            Contents::Bytes => {}
            Contents::Floats(n) if role == Role::BlockVectors => floats(&mut numbers, &mut bytes, n, 0.1, 0.95),
            Contents::Floats(n) => floats(&mut numbers, &mut bytes, n, -1.0, 1.0),
            Contents::Embedding(shape) => {
                floats(&mut numbers, &mut bytes, shape.value_bytes() / 4, -1.0, 1.0);
                bytes.iter_mut().for_each(|b| *b = b.wrapping_mul(97));
                floats(&mut numbers, &mut bytes, shape.rows, 0.001, 0.002);
            }
            Contents::Ternary(shape, count) => {
                for _ in 0..count {
                    for _ in 0..shape.code_bytes() {
                        let n = (0..4).fold(0, |byte, i| byte | numbers.below(3) << (2 * i));
                        bytes.push(n as u8);
                    }
                    floats(&mut numbers, &mut bytes, shape.rows, 0.02, 0.2);
                }
            }
        }
        bytes
    })
}

fn floats(numbers: &mut Numbers, bytes: &mut Vec<u8>, n: usize, low: f32, high: f32) {
    for _ in 0..n {
        bytes.extend(numbers.float(low, high).to_le_bytes());
    }
}

/// A random model's blob.
pub fn random_blob(config: &ModelConfig, seed: u64) -> Blob {
    let facts = Facts { name: "random", data: "none", tokens: 7, steps: 3, phase: 2, held_out_bpc: Some(1.5) };
    Blob::new(&write(config, &facts, &random_sections(config, seed)).expect("a valid model"))
}
