//! The whole training step of a small supernova, forward, backward and update, in tokens a second.
//!
//! `cargo bench -p flashlm-benches --bench step`; `trainer bench` times the full model, part by part.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flashlm_core::config::{ModelConfig, RcsmConfig};
use trainer::kernels::{Isa, Kernels, Precision};
use trainer::nn::{BatchShape, EmbeddingMode, Engine, Params, Rng, StepOptions, TrainDepth};
use trainer::optim::{Kind, Optimizer, Settings};

/// A quarter of supernova's blocks and a quarter of its vocabulary; every kind of layer, at its full width.
const CONFIG: ModelConfig = ModelConfig {
    layers: 2,
    vocab: 1024,
    rcsm: Some(RcsmConfig { after: 1, ..RcsmConfig::DEFAULT }),
    ..ModelConfig::SUPERNOVA
};
const SHAPE: BatchShape = BatchShape { threads: 1, sequences: 8, tokens: 64, accumulate: 1 };

fn step(c: &mut Criterion, kernels: Kernels, depth: TrainDepth, name: &str) {
    let params = Params::init(&CONFIG, 1);
    let settings = Settings { kind: Kind::Muon, ..Settings::default() };
    let mut optimizer = Optimizer::new(kernels, &params.layout, settings);
    let mut engine = Engine::new(CONFIG, kernels, params, SHAPE, EmbeddingMode::Int8).expect("memory and threads");
    let options = StepOptions { depth, balance: 0.01, z_loss: 1e-4, answer_weight: 5.0, answer_smoothing: 0.0 };
    let mut rng = Rng::new(7);
    let mut group = c.benchmark_group(format!("{} {}", kernels.isa(), kernels.precision()));
    group.throughput(Throughput::Elements(SHAPE.step_tokens() as u64));
    group.bench_function(BenchmarkId::new("step", name), |b| {
        b.iter(|| {
            engine.step(
                |_, rows| {
                    rows.ids.iter_mut().chain(rows.targets).for_each(|id| *id = (rng.next_u64() % 1024) as u16);
                    // as training on stories draws them
                    rows.depths.fill_with(|| [1, 1, 1, 1, 1, 1, 1, 3, 3, 8][(rng.next_u64() % 10) as usize]);
                },
                &options,
            );
            engine.update(|params, grads, _| optimizer.update(params, grads, 1e-4))
        });
    });
}

fn every_level(c: &mut Criterion) {
    for isa in Isa::available().into_iter().rev() {
        for precision in [Precision::Bf16, Precision::F32] {
            let Ok(kernels) = Kernels::new(isa, precision) else { continue };
            step(c, kernels, TrainDepth::Fixed(1), "depth 1");
            step(c, kernels, TrainDepth::Rows, "depths of stories");
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .without_plots();
    targets = every_level
}
criterion_main!(benches);
