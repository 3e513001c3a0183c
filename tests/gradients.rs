//! What gradients in int8 and in bfloat16 are off, tensor by tensor, in a trained model that reads stories.
//!
//! `cargo test --release -p flashlm-tests --test gradients -- --nocapture` prints the figures.

use flashlm_core::Tokenizer;
use trainer::data::builtin;
use trainer::kernels::{Backward, Isa, Kernels, Precision};
use trainer::nn::{BatchShape, EmbeddingMode, Engine, StepOptions, TrainDepth};
use trainer::run::start::{InitFrom, Start};

const SEQUENCES: usize = 4;
const TOKENS: usize = 128;

/// Gradients of one batch, the built-in generator's stories end to end.
fn gradients(start: &Start, kernels: Kernels) -> Vec<f32> {
    let shape = BatchShape { threads: 1, sequences: SEQUENCES, tokens: TOKENS, accumulate: 1 };
    let tokenizer = Tokenizer::from_bytes(&start.tokenizer).expect("a tokenizer");
    let params = start.params.clone();
    let mut engine = Engine::new(start.config, kernels, params, shape, EmbeddingMode::Int8).expect("memory");
    let read = |sequence: usize| {
        let stories = builtin::stories(sequence as u64);
        let tokens = stories.flat_map(|story| {
            let mut tokens = vec![tokenizer.eot()];
            tokens.extend(tokenizer.encoded(story.as_bytes()));
            tokens
        });
        tokens.take(TOKENS + 1).collect::<Vec<u16>>()
    };
    let texts: Vec<Vec<u16>> = (0..SEQUENCES).map(read).collect();
    let options = StepOptions {
        depth: TrainDepth::Fixed(3),
        balance: 0.0,
        z_loss: 1e-4,
        answer_weight: 1.0,
        answer_smoothing: 0.0,
    };
    engine.step(
        |_, rows| {
            for (i, (id, target)) in rows.ids.iter_mut().zip(rows.targets).enumerate() {
                let text = &texts[i % SEQUENCES];
                (*id, *target) = (text[i / SEQUENCES], text[i / SEQUENCES + 1]);
            }
        },
        &options,
    );
    engine.grads().to_vec()
}

/// The cosine of the angle between two gradients, and the norm of their difference over the second's.
fn compared(got: &[f32], want: &[f32]) -> (f64, f64) {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    let (across, got_norm, want_norm) = (dot(got, want), dot(got, got), dot(want, want));
    let difference = (got_norm - 2.0 * across + want_norm).max(0.0);
    (across / (got_norm * want_norm).sqrt(), (difference / want_norm).sqrt())
}

#[test]
fn gradients_in_int8_point_where_those_in_f32_do() {
    let start = InitFrom::from("default").read().expect("the built-in model");
    let isa = Isa::detect();
    let exact = Kernels::new(isa, Precision::F32).expect("available");
    let want = gradients(&start, exact);
    let layout = &start.params.layout;
    let formats =
        Backward::ALL.into_iter().filter_map(|backward| Some((backward, exact.with_backward(backward).ok()?)));
    for (backward, kernels) in formats.filter(|(backward, _)| *backward != Backward::F32) {
        let got = gradients(&start, kernels);
        println!("{backward}, {isa}: cosine, and norm of the difference over the norm, to f32");
        let mut least = f64::INFINITY;
        let trained = |range: std::ops::Range<usize>| want[range].iter().any(|&g| g != 0.0);
        let matrices = layout.tensors.iter().filter(|tensor| tensor.shape.len() == 2 && trained(tensor.range()));
        for tensor in matrices {
            let (cosine, error) = compared(&got[tensor.range()], &want[tensor.range()]);
            println!("  {:32} {cosine:.6} {error:.4}", tensor.name);
            least = least.min(cosine);
        }
        let (cosine, error) = compared(&got, &want);
        println!("  {:32} {cosine:.6} {error:.4}", "all parameters");
        assert!(least > 0.99 && cosine > 0.998, "{backward}: {least} at the worst, {cosine} in all");
    }
}
