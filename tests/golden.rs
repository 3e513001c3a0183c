//! The trainer computes what the PyTorch reference computes: logits and every gradient, to the tolerances of the design.
//!
//! `golden/supernova.safetensors` is the reference's own output (a shrunken supernova, fixed weights and inputs).

use flashlm_core::config::{ChannelMixer, Depth, Mixer, ModelConfig, RcsmConfig};
use safetensors::SafeTensors;
use trainer::kernels::{Isa, Kernels, Precision};
use trainer::nn::{BatchShape, EmbeddingMode, Engine, Params, Passes, StepOptions, TrainDepth};

const GOLDEN: &[u8] = include_bytes!("golden/supernova.safetensors");
const B: usize = 2;
const T: usize = 24;

fn config() -> ModelConfig {
    ModelConfig {
        vocab: 96,
        d_model: 64,
        layers: 2,
        d_ffn: 96,
        mixer: Mixer::GatedRecurrence,
        ffn: ChannelMixer::Glu,
        rcsm: Some(RcsmConfig {
            width: 32,
            ops: 8,
            slots: 6,
            depths: [1, 3, 8],
            default_depth: Depth::Adaptive,
            memory_writes: true,
        }),
        eot: None,
    }
}

fn floats(file: &SafeTensors, name: &str) -> Vec<f32> {
    let data = file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}")).data().to_vec();
    data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// (B, T) int64 as time-major u16.
fn tokens(file: &SafeTensors, name: &str) -> Vec<u16> {
    let data = file.tensor(name).expect(name).data().to_vec();
    let ids: Vec<u16> = data.chunks_exact(8).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
    (0..T).flat_map(|t| (0..B).map(|b| ids[b * T + t]).collect::<Vec<_>>()).collect()
}

/// Norm of the difference over norm of the reference.
fn distance(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|v| (v as f64).powi(2)).sum::<f64>().sqrt();
    norm(&mut got.iter().zip(want).map(|(a, b)| a - b)) / norm(&mut want.iter().copied()).max(1e-30)
}

fn engine(file: &SafeTensors, kernels: Kernels) -> Engine {
    let mut params = Params::init(&config(), 0);
    for t in params.layout.tensors.clone() {
        params.data[t.range()].copy_from_slice(&floats(file, &format!("param.{}", t.name)));
    }
    let shape = BatchShape { threads: 1, sequences: B, tokens: T, accumulate: 1 };
    Engine::new(config(), kernels, params, shape, EmbeddingMode::Float)
}

/// Time-major logits as the reference's (B, T, V).
fn batch_major(logits: &[f32]) -> Vec<f32> {
    let v = logits.len() / (B * T);
    (0..B * T).flat_map(|i| &logits[((i % T) * B + i / T) * v..][..v]).copied().collect()
}

#[test]
fn logits_equal_the_reference_in_training_and_at_every_depth() {
    let file = SafeTensors::deserialize(GOLDEN).expect("golden");
    let ids = tokens(&file, "ids");
    for isa in Isa::available() {
        let mut engine = engine(&file, Kernels::new(isa, Precision::F32).expect("available"));
        for (name, passes) in [
            ("train.logits", Passes::Blend { tau: 1.0, noise_seed: None }),
            ("eval.logits", Passes::Hard),
            ("depth1.logits", Passes::Fixed(1)),
            ("depth3.logits", Passes::Fixed(3)),
            ("depth8.logits", Passes::Fixed(8)),
        ] {
            let got = batch_major(&engine.logits(&ids, passes, true));
            let d = distance(&got, &floats(&file, name));
            println!("{isa:8} {name:14} {d:.2e}");
            assert!(d <= 1e-3, "{isa}: {name} is {d:.2e} from the reference");
        }
    }
}

/// One training step on the golden batch: its gradients' distances from the reference, the worst first.
fn gradient_distances(file: &SafeTensors, kernels: Kernels) -> Vec<(f64, String)> {
    let mut engine = engine(file, kernels);
    let (ids, targets) = (tokens(file, "ids"), tokens(file, "targets"));
    let depth = TrainDepth::Adaptive { tau: 1.0, noise_seed: None };
    let options = StepOptions { depth, memory_writes: true, balance: 0.0, pass_cost: 0.0, z_loss: 0.0 };
    let stats = engine.step(
        |_, i, t| {
            i.copy_from_slice(&ids);
            t.copy_from_slice(&targets);
        },
        &options,
    );
    let want = floats(file, "train.loss")[0] as f64;
    assert!((stats.loss - want).abs() < 1e-3 * want, "loss {} against {want}", stats.loss);
    let layout = engine.params().layout.clone();
    let mut all: Vec<_> = layout
        .tensors
        .iter()
        .map(|t| (distance(&engine.grads()[t.range()], &floats(file, &format!("grad.{}", t.name))), t.name.clone()))
        .collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all
}

#[test]
fn every_gradient_equals_the_reference() {
    let file = SafeTensors::deserialize(GOLDEN).expect("golden");
    for isa in Isa::available() {
        let all = gradient_distances(&file, Kernels::new(isa, Precision::F32).expect("available"));
        for (d, name) in &all {
            println!("{isa:8} {d:.2e} {name}");
        }
        assert!(all[0].0 <= 5e-3, "{isa}: the gradient of {} is {:.2e} from the reference", all[0].1, all[0].0);
    }
}
