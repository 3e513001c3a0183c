//! What several whole-system tests share.
#![allow(dead_code, reason = "each test uses its own part")]

use flashlm_core::config::{AttentionConfig, Depth, Heads, Mixer, MixtureOfDepths, ModelConfig, RcsmConfig};
use trainer::kernels::{Isa, Kernels, Precision};
use trainer::nn::{BatchShape, EmbeddingMode, Engine, Params, Rng};

/// A supernova small enough for tests.
pub const SMALL: ModelConfig = ModelConfig {
    vocab: 128,
    d_model: 64,
    layers: 2,
    d_ffn: 96,
    rcsm: Some(RcsmConfig { width: 32, ops: 8, slots: 6, taps: 3, after: 1, ..RcsmConfig::DEFAULT }),
    ..ModelConfig::SUPERNOVA
};

/// Every preset, and every mixer that no preset has, small enough for tests; windows are shorter than the stories.
pub fn models() -> Vec<(&'static str, ModelConfig)> {
    let small = |base, mixer| ModelConfig {
        vocab: 128,
        d_model: 64,
        layers: 3,
        d_ffn: 96,
        mixer,
        mixture_of_depths: None,
        ..base
    };
    let heads = Heads { count: 2, width: 32 };
    let attention = |base: ModelConfig| match base.mixer {
        Mixer::Attention(a) => Mixer::Attention(AttentionConfig { heads, window: 20, ..a }),
        other => other,
    };
    let routed = MixtureOfDepths { capacity: 70, from: 1 };
    let nova = small(ModelConfig::NOVA_IGNITION, attention(ModelConfig::NOVA_IGNITION));
    let mut models = vec![
        ("supernova", SMALL),
        // the inner width is another than the model's
        ("thunderbolt", small(ModelConfig::THUNDERBOLT, Mixer::ParallelRecurrence(Heads { count: 3, width: 32 }))),
        ("nova-ignition", ModelConfig { mixture_of_depths: Some(routed), ..nova }),
        ("bolt", small(ModelConfig::BOLT, ModelConfig::BOLT.mixer)),
        ("transformer", small(ModelConfig::TRANSFORMER, attention(ModelConfig::TRANSFORMER))),
    ];
    for mixer in Mixer::all(heads, 20) {
        if models.iter().all(|(_, config)| config.mixer.name() != mixer.name()) {
            models.push((mixer.name(), ModelConfig { mixer, ..SMALL }));
        }
    }
    models
}

/// The depths a model can be run at.
pub fn depths(config: &ModelConfig) -> Vec<Depth> {
    match config.rcsm {
        Some(_) => vec![Depth::Adaptive, Depth::Fixed(1), Depth::Fixed(3), Depth::Fixed(8)],
        None => vec![Depth::Fixed(1)],
    }
}

/// Parameters moved off their neutral start, so that every path carries signal.
pub fn params(config: &ModelConfig, seed: u64) -> Params {
    let mut params = Params::init(config, seed);
    let mut rng = Rng::new(seed ^ 0x5eed);
    for t in params.layout.tensors.clone() {
        let neutral = [
            "rcsm.write_gates",
            "rcsm.hop_gate",
            "rcsm.hold_gate",
            "rcsm.deeper",
            "rcsm.context_taps",
            "rcsm.query_taps",
            "rcsm.salience",
        ];
        if t.shape.len() == 1 || neutral.iter().any(|name| t.name.starts_with(name)) {
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
    Engine::new(config, kernels, params(&config, 7), shape, EmbeddingMode::Int8).unwrap()
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
