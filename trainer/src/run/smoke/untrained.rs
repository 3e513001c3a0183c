//! Figures of the architecture itself: a small new model, its forward and one backward.

use std::time::Instant;

use flashlm_core::Facts;
use flashlm_core::blob::{Role, layout::Contents};
use flashlm_core::config::{ModelConfig, RcsmConfig, Writes};
use flashlm_host::Blob;

use super::Context;
use crate::export;
use crate::nn::{BatchShape, EmbeddingMode, Engine, Params, Passes, Rng, Rows, StepOptions, TensorSpec, TrainDepth};
use crate::optim::{self, Optimizer};

/// Supernova's blocks and all of its engine, two blocks deep.
const CONFIG: ModelConfig =
    ModelConfig { vocab: 256, d_model: 96, layers: 2, d_ffn: 256, rcsm: Some(RCSM), ..ModelConfig::SUPERNOVA };
const RCSM: RcsmConfig = RcsmConfig { after: 1, ..RcsmConfig::DEFAULT };
/// The choice of depth: no loss of a forced depth reaches it, it is calibrated.
const CHOICE: &str = "rcsm.deeper";

/// Sequences of a thread and tokens of each.
const SEQUENCES: usize = 4;
const TOKENS: usize = 64;

/// A new model of `config`.
fn engine(context: &Context, config: ModelConfig, shape: BatchShape) -> anyhow::Result<Engine> {
    Ok(Engine::new(config, context.kernels, Params::init(&config, context.seed), shape, EmbeddingMode::Int8)?)
}

/// The batch of most checks: a thread does all of it where others would only wait.
fn batch() -> BatchShape {
    BatchShape { threads: 1, sequences: SEQUENCES, tokens: TOKENS, accumulate: 1 }
}

/// `n` tokens by chance, none of them the end of a story.
fn random_tokens(rng: &mut Rng, n: usize) -> Vec<u16> {
    (0..n).map(|_| 1 + (rng.next_u64() % u64::from(CONFIG.vocab - 1)) as u16).collect()
}

/// One forward and backward of random tokens at `depth`.
fn step(context: &Context, engine: &mut Engine, depth: TrainDepth) {
    let mut rng = Rng::new(context.seed ^ 0xba7c);
    let fill = |_, rows: Rows<'_>| {
        rows.ids.copy_from_slice(&random_tokens(&mut rng, rows.ids.len()));
        rows.targets.copy_from_slice(&random_tokens(&mut rng, rows.ids.len()));
        rows.facts.fill(0);
    };
    engine.step(fill, &StepOptions { depth, balance: 0.01, z_loss: 0.0, answer_weight: 1.0, answer_smoothing: 0.0 });
}

/// The norm of a tensor's gradient; not a number if a part of it is not finite.
fn gradient_norm(engine: &Engine, tensor: &TensorSpec) -> f64 {
    norm(&engine.grads()[tensor.range()])
}

/// Euclidean length; not a number if a part is not finite.
fn norm(x: &[f32]) -> f64 {
    let length = x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    if length.is_finite() { length } else { f64::NAN }
}

/// The least, not a number if any is none, or where there are none.
fn least(values: impl IntoIterator<Item = f64>) -> f64 {
    let smaller = |a: f64, b: f64| if b.is_nan() || b < a { b } else { a };
    values.into_iter().reduce(smaller).unwrap_or(f64::NAN)
}

/// Gradient norms of the tensors whose name is told.
fn gradients(engine: &Engine, of: impl Fn(&str) -> bool) -> Vec<f64> {
    let tensors = engine.params().layout.tensors.iter().filter(|t| of(&t.name));
    tensors.map(|t| gradient_norm(engine, t)).collect()
}

/// The largest difference, not a number if a part is none.
fn largest_change(a: &[f32], b: &[f32]) -> f64 {
    let larger = |most: f64, (a, b): (&f32, &f32)| {
        let change = f64::from(a - b).abs();
        if change.is_nan() || change > most { change } else { most }
    };
    a.iter().zip(b).fold(0.0, larger)
}

/// Entropy of shares over the most it can be, 0 to 1; not a number of nothing.
pub(super) fn entropy(counts: &[f64]) -> f64 {
    let total: f64 = counts.iter().sum();
    let nats: f64 = counts.iter().filter(|&&n| n > 0.0).map(|n| n / total).map(|p| -p * p.ln()).sum();
    if total > 0.0 { nats / (counts.len() as f64).ln() } else { f64::NAN }
}

/// The packed model's sections of one role.
fn section(engine: &Engine, role: Role) -> anyhow::Result<Vec<u8>> {
    let params = engine.params();
    let blob = export::write_blob(&CONFIG, &Facts::default(), &[], &|name| params.tensor(name))?;
    let aligned = Blob::copy("smoke", &blob)?;
    let model = aligned.model()?;
    let found = model.sections().find(|s| s.role == role);
    let found = found.ok_or_else(|| anyhow::anyhow!("the packed model has no section {}", role.name()))?;
    Ok(aligned.bytes()[found.offset..found.offset + found.len].to_vec())
}

/// How many weights of the ternary matrices of a section are -1, 0 and +1.
fn count_ternary(bytes: &[u8], contents: Contents, counts: &mut [f64; 3]) -> anyhow::Result<()> {
    let Contents::Ternary(shape, _) = contents else { anyhow::bail!("{contents:?} is no ternary section") };
    for matrix in bytes.chunks_exact(shape.bytes()) {
        for row in 0..shape.rows {
            for column in 0..shape.columns {
                let (at, shift) = shape.code_at(row, column);
                let code = usize::from(matrix[at] >> shift & 3);
                let count = counts.get_mut(code).ok_or_else(|| anyhow::anyhow!("code {code} is no ternary weight"))?;
                *count += 1.0;
            }
        }
    }
    Ok(())
}

/// Shares of -1, 0 and +1.
pub(super) fn ternary_balance(context: &mut Context) -> anyhow::Result<Vec<f64>> {
    let engine = engine(context, CONFIG, batch())?;
    let mut counts = [0.0; 3];
    // of these no row is padding
    for role in [Role::MixerIn, Role::MixerOut, Role::FfnIn, Role::FfnOut, Role::RcsmOps] {
        count_ternary(&section(&engine, role)?, Contents::of(role, &CONFIG), &mut counts)?;
    }
    let total: f64 = counts.iter().sum();
    Ok(counts.map(|n| n / total).to_vec())
}

/// Change of logits 64 tokens behind a changed token, and before it; the least gradient; milliseconds of a forward.
pub(super) fn recurrence(context: &mut Context) -> anyhow::Result<Vec<f64>> {
    const LENGTH: usize = 128;
    const CHANGED: usize = 32;
    let config = ModelConfig { rcsm: None, ..CONFIG };
    let shape = BatchShape { sequences: 1, tokens: LENGTH, ..batch() };
    let mut engine = engine(context, config, shape)?;
    let ids = random_tokens(&mut Rng::new(context.seed), LENGTH);
    let mut other = ids.clone();
    other[CHANGED] = if ids[CHANGED] == 1 { 2 } else { 1 };
    let logits = engine.logits(&ids, Passes::Fixed(1), &[]);
    let started = Instant::now();
    let changed = engine.logits(&other, Passes::Fixed(1), &[]);
    let milliseconds = started.elapsed().as_secs_f64() * 1e3;
    let vocab = CONFIG.vocab as usize;
    let (before, at) = (CHANGED * vocab, (CHANGED + 64) * vocab);
    step(context, &mut engine, TrainDepth::Fixed(1));
    Ok(vec![
        largest_change(&logits[at..at + vocab], &changed[at..at + vocab]),
        largest_change(&logits[..before], &changed[..before]),
        least(gradients(&engine, |name| name.contains("mixer."))),
        milliseconds,
    ])
}

/// Kilobytes packed, and how many operations get a gradient.
pub(super) fn operations(context: &mut Context) -> anyhow::Result<Vec<f64>> {
    let mut engine = engine(context, CONFIG, batch())?;
    let bytes = section(&engine, Role::RcsmOps)?.len();
    step(context, &mut engine, TrainDepth::Fixed(RCSM.depths[2]));
    let ops = engine.params().layout.get("rcsm.ops").map(TensorSpec::range).unwrap_or_default();
    let each = usize::from(RCSM.width).pow(2);
    let moved = engine.grads()[ops].chunks_exact(each).filter(|g| norm(g) > 0.0).count();
    Ok(vec![bytes as f64 / 1e3, moved as f64])
}

/// Entropy of the routes.
pub(super) fn routing(context: &mut Context) -> anyhow::Result<Vec<f64>> {
    let mut engine = engine(context, CONFIG, batch())?;
    step(context, &mut engine, TrainDepth::Fixed(RCSM.depths[2]));
    let shares: Vec<f64> = engine.op_usage().iter().map(|&share| share.into()).collect();
    Ok(vec![entropy(&shares)])
}

/// Kilobytes, the change of logits without writes, and the least gradient of what writes and reads.
pub(super) fn memory(context: &mut Context) -> anyhow::Result<Vec<f64>> {
    const PARTS: [&str; 8] = [
        "rcsm.code.weight",
        "rcsm.context_taps",
        "rcsm.query_taps",
        "rcsm.salience.weight",
        "rcsm.write_gates.weight",
        "rcsm.write_gates.bias",
        "rcsm.hop_gate.weight",
        "rcsm.hold_gate.weight",
    ];
    let ids = random_tokens(&mut Rng::new(context.seed), SEQUENCES * TOKENS);
    let mut with = engine(context, CONFIG, batch())?;
    let without = ModelConfig { rcsm: Some(RcsmConfig { writes: Writes::None, ..RCSM }), ..CONFIG };
    let mut without = engine(context, without, batch())?;
    let passes = Passes::Fixed(RCSM.depths[2].into());
    let change = largest_change(&with.logits(&ids, passes, &[]), &without.logits(&ids, passes, &[]));
    step(context, &mut with, TrainDepth::Fixed(RCSM.depths[2]));
    let norms = gradients(&with, |name| PARTS.contains(&name));
    anyhow::ensure!(norms.len() == PARTS.len(), "{} of the tensors {PARTS:?} were found", norms.len());
    let kilobytes = f64::from(RCSM.slots) * f64::from(RCSM.width) * size_of::<f32>() as f64 / 1e3;
    Ok(vec![kilobytes, change, least(norms)])
}

/// The gradient of the choice where all depths are blended.
pub(super) fn depth_choice(context: &mut Context) -> anyhow::Result<f64> {
    let mut engine = engine(context, CONFIG, batch())?;
    step(context, &mut engine, TrainDepth::Blend { tau: 1.0, noise_seed: Some(context.seed) });
    Ok(least(gradients(&engine, |name| name.starts_with(CHOICE))))
}

/// Changes of logits between the depths, and at each the tensors of the engine without a gradient.
pub(super) fn engine_depths(context: &mut Context) -> anyhow::Result<Vec<f64>> {
    let ids = random_tokens(&mut Rng::new(context.seed), SEQUENCES * TOKENS);
    let mut engine = engine(context, CONFIG, batch())?;
    let [first, second, third] = RCSM.depths.map(|n| engine.logits(&ids, Passes::Fixed(n.into()), &[]));
    let mut figures = vec![largest_change(&first, &second), largest_change(&second, &third)];
    for depth in RCSM.depths {
        step(context, &mut engine, TrainDepth::Fixed(depth));
        // one pass hops nowhere and holds nothing from before
        let unused = |name: &str| depth == 1 && (name.contains("hop_gate") || name.contains("hold_gate"));
        let used = |name: &str| name.starts_with("rcsm.") && !name.starts_with(CHOICE) && !unused(name);
        figures.push(without_gradient(&gradients(&engine, used)));
    }
    Ok(figures)
}

/// How many are 0 or no number.
fn without_gradient(norms: &[f64]) -> f64 {
    norms.iter().filter(|norm| norm.is_nan() || **norm == 0.0).count() as f64
}

/// Tensors without gradient, the share of parameters with one, and how many are not finite.
pub(super) fn every_parameter(context: &mut Context) -> anyhow::Result<Vec<f64>> {
    let mut engine = engine(context, CONFIG, BatchShape { threads: context.threads, ..batch() })?;
    step(context, &mut engine, TrainDepth::Blend { tau: 1.0, noise_seed: Some(context.seed) });
    let grads = engine.grads();
    let some = grads.iter().filter(|&&g| g != 0.0).count() as f64 / grads.len() as f64;
    let broken = grads.iter().filter(|g| !g.is_finite()).count() as f64;
    Ok(vec![without_gradient(&gradients(&engine, |_| true)), some, broken])
}

/// By how many percent thirty steps lower the loss on tokens that repeat.
pub(super) fn repeating_pattern(context: &mut Context) -> anyhow::Result<Vec<f64>> {
    const STEPS: u32 = 30;
    const PERIOD: usize = 16;
    let pattern = random_tokens(&mut Rng::new(context.seed), PERIOD);
    let mut engine = engine(context, CONFIG, batch())?;
    let settings = optim::Settings { kind: optim::Kind::Adamw, ..optim::Settings::default() };
    let mut optimizer = Optimizer::new(context.kernels, &engine.params().layout, settings);
    let options = StepOptions {
        depth: TrainDepth::Fixed(RCSM.depths[1]),
        balance: 0.01,
        z_loss: 0.0,
        answer_weight: 1.0,
        answer_smoothing: 0.0,
    };
    let mut losses = Vec::new();
    let mut at = 0;
    // one step more, to measure what the thirty left
    for n in 0..=STEPS {
        let fill = |_, rows: Rows<'_>| {
            for row in 0..rows.ids.len() {
                // each sequence begins elsewhere in the pattern
                let place = at + row / SEQUENCES + row % SEQUENCES * (PERIOD / SEQUENCES);
                rows.ids[row] = pattern[place % PERIOD];
                rows.targets[row] = pattern[(place + 1) % PERIOD];
                rows.facts[row] = 0;
            }
        };
        losses.push(engine.step(fill, &options).loss);
        at += TOKENS;
        if n < STEPS {
            engine.update(|params, grads, _| optimizer.update(params, grads, 5e-3));
        }
    }
    Ok(vec![100.0 * (1.0 - losses[STEPS as usize] / losses[0])])
}

#[cfg(test)]
mod tests {
    use flashlm_core::blob::layout::ZERO_CODES;

    use super::*;

    #[test]
    fn broken_gradients_and_changes_are_no_numbers() {
        assert!(norm(&[1.0, f32::NAN]).is_nan() && norm(&[f32::INFINITY]).is_nan());
        assert_eq!(norm(&[3.0, 4.0]), 5.0);
        assert!(least([1.0, f64::NAN, 0.5]).is_nan() && least([]).is_nan());
        assert_eq!(least([1.0, 0.0, 0.5]), 0.0);
        assert!(largest_change(&[0.0, f32::NAN, 2.0], &[0.0; 3]).is_nan());
        assert_eq!(largest_change(&[0.0, -3.0, 2.0], &[0.0; 3]), 3.0);
        assert_eq!(without_gradient(&[0.0, 1.0, f64::NAN]), 2.0);
    }

    #[test]
    fn entropy_is_one_for_even_shares_and_zero_for_one() {
        assert!((entropy(&[3.0; 16]) - 1.0).abs() < 1e-12);
        assert_eq!(entropy(&[5.0, 0.0, 0.0]), 0.0);
        assert!(entropy(&[0.0; 4]).is_nan());
    }

    #[test]
    fn ternary_weights_are_counted_by_their_codes() {
        let contents = Contents::of(Role::RcsmOps, &CONFIG);
        let Contents::Ternary(shape, _) = contents else { panic!("{contents:?}") };
        let mut bytes = vec![ZERO_CODES; shape.bytes()];
        for (column, code) in [(0, 0), (1, 2), (2, 2)] {
            let (at, shift) = shape.code_at(5, column);
            bytes[at] = bytes[at] & !(3 << shift) | code << shift;
        }
        let mut counts = [0.0; 3];
        count_ternary(&bytes, contents, &mut counts).unwrap();
        assert_eq!(counts, [1.0, (shape.rows * shape.columns) as f64 - 3.0, 2.0]);
        let (at, shift) = shape.code_at(7, 3);
        bytes[at] |= 3 << shift;
        assert!(count_ternary(&bytes, contents, &mut counts).is_err());
    }
}
