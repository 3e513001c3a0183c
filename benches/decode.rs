//! Generation through core: one token after another, and a prompt at once, in tokens a second at every level of this
//! CPU.
//!
//! The model is a supernova with random weights, packed: speed does not depend on their values, except that the depth
//! controller would choose some depth, so it is forced. `cargo bench -p flashlm-benches --bench decode`

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flashlm_core::{Depth, Facts, Kernels, Level, ModelConfig, Session};
use flashlm_host::Blob;
use trainer::export::write_blob;
use trainer::nn::Params;

/// Tokens of the prompt.
const PROMPT: usize = 64;

/// A packed supernova.
fn packed() -> Blob {
    let params = Params::init(&ModelConfig::SUPERNOVA, 1);
    let blob = write_blob(&ModelConfig::SUPERNOVA, &Facts::default(), &[], &|name| params.tensor(name)).expect("packs");
    Blob::copy("random weights", &blob).expect("memory")
}

fn decoding(c: &mut Criterion) {
    let blob = packed();
    let model = blob.model().expect("a valid blob");
    let prompt: Vec<u16> = (1..=PROMPT as u16).collect();
    for level in Level::ALL.into_iter().rev() {
        let Some(kernels) = Kernels::new(level) else { continue };
        let mut group = c.benchmark_group(level.name());
        for depth in [1, 8] {
            let mut session = Session::on_heap(model, kernels);
            session.set_depth(Depth::Fixed(depth)).expect("a depth of the model");
            group.throughput(Throughput::Elements(1));
            group.bench_function(BenchmarkId::new("decode", format!("depth {depth}")), |b| {
                // a token's whole cost: the step, and the logits of the next
                b.iter(|| {
                    session.step(7).expect("a token of the model");
                    let read = |_: u32, logits: &[f32]| {
                        black_box(logits);
                    };
                    session.logits(read).expect("logits follow a step")
                });
            });
            group.throughput(Throughput::Elements(PROMPT as u64));
            group.bench_function(BenchmarkId::new("prefill", format!("depth {depth}")), |b| {
                b.iter(|| session.prefill(&prompt).expect("tokens of the model"));
            });
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
    targets = decoding
}
criterion_main!(benches);
