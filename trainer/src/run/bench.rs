//! `trainer bench`: whole training steps on random tokens, timed.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::nn::{BatchShape, EmbeddingMode, Engine, Params, Rng, StepOptions, TrainDepth};
use crate::optim::{self, Optimiser};
use crate::run::args::{BenchArgs, DepthArg};

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    kernels: String,
    parameters: usize,
    threads: usize,
    sequences: usize,
    tokens: usize,
    depth: String,
    repeats: u32,
    /// Of all steps together, update included.
    tokens_per_second: f64,
    /// Means of one step [seconds].
    forward_backward: f64,
    update: f64,
    /// The fastest whole step [seconds].
    best_step: f64,
    /// Share of every part in the replicas' work.
    parts: Vec<(&'static str, f64)>,
}

/// Runs the benchmark and prints its report.
pub fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let config = args.model.config();
    config.validate()?;
    let kernels = args.machine.kernels()?;
    let shape = BatchShape {
        threads: args.machine.threads(),
        sequences: args.batch.sequences as usize,
        tokens: args.batch.tokens as usize,
        accumulate: 1,
    };
    let (depth, memory_writes, name) = match args.depth {
        DepthArg::Fixed(n) => (TrainDepth::Fixed(n), false, format!("{n} passes")),
        _ => (
            TrainDepth::Adaptive { tau: 1.0, noise_seed: Some(1) },
            true,
            "all depths blended, memory writes".to_string(),
        ),
    };
    let params = Params::init(&config, 1);
    let parameters = params.layout.len;
    let settings = optim::Settings { kind: args.optimiser, ..optim::Settings::default() };
    let mut optimiser = Optimiser::new(kernels, &params.layout, settings);
    let mut engine = Engine::new(config, kernels, params, shape, EmbeddingMode::Int8);
    let options = StepOptions { depth, memory_writes, balance: 0.01, pass_cost: 0.001, z_loss: 1e-4 };
    let mut rng = Rng::new(7);
    let mut one = |engine: &mut Engine| {
        let started = Instant::now();
        engine.step(
            |_, ids, targets| {
                for id in ids.iter_mut().chain(targets) {
                    *id = (rng.uniform() * config.vocab as f32) as u16 % config.vocab as u16;
                }
            },
            &options,
        );
        let stepped = started.elapsed();
        engine.update(|params, grads, _| optimiser.update(params, grads, 1e-4));
        (stepped, started.elapsed() - stepped)
    };
    // the first step allocates and touches every page
    one(&mut engine);
    engine.take_profile();
    let times: Vec<(Duration, Duration)> = (0..args.repeats).map(|_| one(&mut engine)).collect();
    let parts = engine.take_profile();
    let seconds = |d: Duration| d.as_secs_f64();
    let mean = |pick: fn(&(Duration, Duration)) -> Duration| {
        times.iter().map(|t| seconds(pick(t))).sum::<f64>() / times.len() as f64
    };
    let (forward_backward, update) = (mean(|t| t.0), mean(|t| t.1));
    let all: f64 = parts.iter().map(|(_, spent)| seconds(*spent)).sum();
    let report = Report {
        parts: parts.iter().map(|(part, spent)| (part.name(), seconds(*spent) / all)).collect(),
        kernels: format!("{} {}", kernels.isa(), kernels.precision()),
        parameters,
        threads: shape.threads,
        sequences: shape.sequences,
        tokens: shape.tokens,
        depth: name,
        repeats: args.repeats,
        tokens_per_second: shape.step_tokens() as f64 / (forward_backward + update),
        forward_backward,
        update,
        best_step: times.iter().map(|t| seconds(t.0 + t.1)).fold(f64::INFINITY, f64::min),
    };
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
        return Ok(());
    }
    let Report { threads, sequences, tokens, .. } = report;
    println!("{parameters} parameters, {} kernels, {}", report.kernels, report.depth);
    println!("{threads} threads x {sequences} sequences x {tokens} tokens, mean of {} steps", report.repeats);
    println!("  forward and backward  {:9.1} ms", 1e3 * report.forward_backward);
    println!("  optimiser and packing {:9.1} ms", 1e3 * report.update);
    let replicas = f64::from(args.repeats) * threads as f64;
    for (part, share) in &report.parts {
        println!("    {part:20} {:9.1} ms of a replica's step, {:4.1} %", 1e3 * share * all / replicas, 100.0 * share);
    }
    println!("  fastest whole step    {:9.1} ms", 1e3 * report.best_step);
    println!("  {:.0} tokens/s", report.tokens_per_second);
    Ok(())
}
