//! What several whole-system tests share.
#![allow(dead_code)] // each test uses its own part

use flashlm_core::config::{ModelConfig, RcsmConfig};
use trainer::kernels::{Isa, Kernels, Precision};
use trainer::nn::{BatchShape, EmbeddingMode, Engine, Params, Rng};

/// A supernova small enough for tests.
pub const SMALL: ModelConfig = ModelConfig {
    vocab: 128,
    d_model: 64,
    layers: 2,
    d_ffn: 96,
    rcsm: Some(RcsmConfig { width: 32, ops: 8, slots: 6, ..RcsmConfig::DEFAULT }),
    ..ModelConfig::SUPERNOVA
};

/// Parameters moved off their neutral start, so that every path carries signal.
pub fn params(config: &ModelConfig, seed: u64) -> Params {
    let mut params = Params::init(config, seed);
    let mut rng = Rng::new(seed ^ 0x5eed);
    for t in params.layout.tensors.clone() {
        if t.shape.len() == 1 || t.name == "rcsm.slots" {
            for v in &mut params.data[t.range()] {
                *v += 0.3 * rng.normal();
            }
        }
    }
    params
}

/// An engine on one thread with f32 products.
pub fn engine(config: ModelConfig, isa: Isa, sequences: usize, tokens: usize) -> Engine {
    let kernels = Kernels::new(isa, Precision::F32).expect("available");
    let shape = BatchShape { threads: 1, sequences, tokens, accumulate: 1 };
    Engine::new(config, kernels, params(&config, 7), shape, EmbeddingMode::Int8)
}

/// Random tokens, none of them the end of a story.
pub fn tokens(rng: &mut Rng, vocab: u32, n: usize) -> Vec<u16> {
    (0..n).map(|_| (1 + rng.next_u64() % (vocab as u64 - 1)) as u16).collect()
}

/// Norm of the difference over norm of the second.
pub fn distance(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|v| (v as f64).powi(2)).sum::<f64>().sqrt();
    norm(&mut got.iter().zip(want).map(|(a, b)| a - b)) / norm(&mut want.iter().copied()).max(1e-30)
}
