//! `trainer bench`: whole training steps on random tokens, timed, and where the time goes.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use clap::Args;
use flashlm_core::config::Depth;
use serde::Serialize;

use super::args::{BatchArgs, MachineArgs, ModelArgs};
use crate::kernels::{Kernels, Macs, Multiply, Precision};
use crate::nn::{
    BatchShape, EmbeddingMode, Engine, Footprint, Layout, Params, Part, Rng, StepOptions, StepProfile, TrainDepth,
};
use crate::optim::{self, Optimizer};
use crate::plan::Measured;

/// How long the peak of one kind of multiplication is looked for.
const PEAK_TIME: Duration = Duration::from_millis(100);

#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub machine: MachineArgs,
    #[command(flatten)]
    pub batch: BatchArgs,
    /// RCSM passes per token: a number, or auto for the three depths at 70, 20 and 10 % of the sequences
    #[arg(long, default_value = "auto")]
    pub depth: Depth,
    /// Timed steps, after one that is not
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub repeats: u32,
    /// Rule for the ternary matrices
    #[arg(long, alias = "optimiser", value_enum, default_value = "muon")]
    pub optimizer: optim::Kind,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    kernels: String,
    parameters: usize,
    threads: usize,
    sequences: usize,
    tokens: usize,
    depth: String,
    optimizer: optim::Kind,
    repeats: u32,
    /// Of all steps together, update included.
    tokens_per_second: f64,
    /// Means of one step (seconds).
    forward_backward: f64,
    update: f64,
    /// Of the update what ranks share out: Muon's products, and the little that AdamW does beside them.
    shared: f64,
    /// The fastest whole step (seconds).
    best_step: f64,
    /// The most the machine multiplied in a register loop, all threads at once.
    peak: Peaks,
    /// Where a step goes; the shares sum to one.
    parts: Vec<Row>,
    /// Of the RCSM loop's time, every pass: forward and backward [seconds of a step].
    rcsm_passes: Vec<[f64; 2]>,
}

/// Multiply-adds a second, in units of 1e9; absent where the level has no such instruction.
#[derive(Clone, Copy, Debug, Serialize)]
struct Peaks {
    int8: Option<f64>,
    /// In the precision of the kernels.
    float: Option<f64>,
    f32: Option<f64>,
}

/// One line of the table.
#[derive(Debug, Serialize)]
struct Row {
    part: &'static str,
    /// Of one step, mean over the threads (seconds).
    seconds: f64,
    /// Of the whole step.
    share: f64,
    /// Multiply-adds of one step in products with weights, all threads.
    macs: u64,
    /// 1e9 multiply-adds a second; absent where there are none.
    gmacs_per_second: Option<f64>,
    /// The time those multiply-adds take at the measured peaks, as a share of the part's.
    of_peak: Option<f64>,
}

impl Peaks {
    /// Measures on all threads of `pool` at once.
    fn measure(kernels: Kernels, pool: &rayon::ThreadPool) -> Self {
        let giga = |multiply| {
            let each: Option<Vec<f64>> = pool.broadcast(|_| kernels.peak(multiply, PEAK_TIME)).into_iter().collect();
            each.map(|each| each.iter().sum::<f64>() / 1e9)
        };
        let f32 = giga(Multiply::F32);
        let float = match kernels.precision() {
            Precision::F32 => f32,
            Precision::Bf16 => giga(Multiply::Bf16),
        };
        Self { int8: giga(Multiply::Int8), float, f32 }
    }

    /// The seconds that `macs` take at the peaks.
    fn seconds(&self, macs: Macs) -> Option<f64> {
        let one = |count: u64, peak: Option<f64>| match (count, peak) {
            (0, _) => Some(0.0),
            (count, peak) => Some(count as f64 / (1e9 * peak?)),
        };
        Some(one(macs.int8, self.int8)? + one(macs.float, self.float)? + one(macs.single, self.f32)?)
    }

    fn row(&self, part: &'static str, seconds: f64, step: f64, macs: Macs) -> Row {
        let total = macs.total();
        let busy = total > 0 && seconds > 0.0;
        Row {
            part,
            seconds,
            share: seconds / step,
            macs: total,
            gmacs_per_second: busy.then(|| total as f64 / seconds / 1e9),
            of_peak: self.seconds(macs).filter(|_| busy).map(|ideal| ideal / seconds),
        }
    }
}

/// The table of `profile`, taken over `steps` steps of `step` seconds each: what no part accounts for, the batch's
/// filling and the wait of a thread for the slowest, comes last.
fn rows(profile: &StepProfile, peaks: &Peaks, optimizer: Macs, steps: u32, step: f64) -> Vec<Row> {
    let mut rows: Vec<Row> = profile
        .parts
        .iter()
        .map(|p| {
            let mut macs = p.macs;
            for count in [&mut macs.int8, &mut macs.float, &mut macs.single] {
                *count /= u64::from(steps);
            }
            if p.part == Part::Optimizer {
                macs += optimizer;
            }
            peaks.row(p.part.name(), p.time.as_secs_f64() / f64::from(steps), step, macs)
        })
        .collect();
    let rest = step - rows.iter().map(|r| r.seconds).sum::<f64>();
    rows.push(peaks.row("batch and waiting", rest, step, Macs::default()));
    rows
}

/// Runs the benchmark and prints its report.
///
/// # Errors
/// The model cannot be, or cannot be trained here.
pub fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let report = measure(args)?;
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        write!(out, "{}", table(&report))?;
    }
    Ok(())
}

/// A step's parts, for what they would come to elsewhere.
///
/// # Errors
/// As [`run`]'s.
pub(super) fn measured(args: &BenchArgs) -> anyhow::Result<Measured> {
    let Report { parameters, threads, sequences, tokens, forward_backward, update, shared, .. } = measure(args)?;
    Ok(Measured { parameters, threads, sequences, tokens, forward_backward, update, shared })
}

fn measure(args: &BenchArgs) -> anyhow::Result<Report> {
    let config = args.model.config()?;
    config.validate()?;
    let kernels = args.machine.kernels()?;
    let shape = BatchShape {
        threads: args.machine.threads(),
        sequences: args.batch.sequences as usize,
        tokens: args.batch.tokens as usize,
        accumulate: 1,
    };
    let depths = config.rcsm.map_or([1; 3], |r| r.depths);
    let (depth, name) = match args.depth {
        Depth::Fixed(n) => (TrainDepth::Fixed(n), format!("{n} passes")),
        _ => (TrainDepth::Rows, format!("{depths:?} passes at 70, 20 and 10 % of the sequences")),
    };
    let settings = optim::Settings { kind: args.optimizer, ..optim::Settings::default() };
    let more = Optimizer::memory(kernels, &Layout::new(&config), settings);
    Footprint::of(&config, kernels, shape, EmbeddingMode::Int8).check(more)?;
    let params = Params::init(&config, 1);
    let parameters = params.layout.len;
    let mut optimizer = Optimizer::new(kernels, &params.layout, settings);
    let mut engine = Engine::new(config, kernels, params, shape, EmbeddingMode::Int8)?;
    let options = StepOptions { depth, balance: 0.01, z_loss: 1e-4, answer_weight: 5.0, answer_smoothing: 0.0 };
    let mut rng = Rng::new(7);
    let mut one = |engine: &mut Engine| {
        let started = Instant::now();
        engine.step(
            |_, rows| {
                for id in rows.ids.iter_mut().chain(rows.targets) {
                    *id = (rng.uniform() * config.vocab as f32) as u16 % config.vocab as u16;
                }
                let (first, others) = rows.depths.split_at_mut(shape.sequences);
                first.fill_with(|| match rng.uniform() {
                    ..0.7 => depths[0],
                    ..0.9 => depths[1],
                    _ => depths[2],
                });
                others.chunks_exact_mut(shape.sequences).for_each(|row| row.copy_from_slice(first));
            },
            &options,
        );
        let stepped = started.elapsed();
        engine.update(|params, grads, _| optimizer.update(params, grads, 1e-4));
        (stepped, started.elapsed() - stepped)
    };
    let pool = engine.pool();
    let peak = Peaks::measure(kernels, &pool);
    let times: Vec<(Duration, Duration)> = pool.install(|| {
        // the first step allocates and touches every page
        one(&mut engine);
        engine.take_profile();
        (0..args.repeats).map(|_| one(&mut engine)).collect()
    });
    let profile = engine.take_profile();
    let mean = |pick: fn(&(Duration, Duration)) -> Duration| {
        times.iter().map(|t| pick(t).as_secs_f64()).sum::<f64>() / times.len() as f64
    };
    let (forward_backward, update) = (mean(|t| t.0), mean(|t| t.1));
    let step = forward_backward + update;
    let per_step = |d: Duration| d.as_secs_f64() / f64::from(args.repeats);
    let parts = rows(&profile, &peak, optimizer.macs(), args.repeats, step);
    let products = |row: &&Row| row.part == Part::Optimizer.name() && row.macs > 0;
    Ok(Report {
        kernels: kernels.to_string(),
        parameters,
        threads: shape.threads,
        sequences: shape.sequences,
        tokens: shape.tokens,
        depth: name,
        optimizer: args.optimizer,
        repeats: args.repeats,
        tokens_per_second: shape.step_tokens() as f64 / step,
        forward_backward,
        update,
        best_step: times.iter().map(|t| (t.0 + t.1).as_secs_f64()).fold(f64::INFINITY, f64::min),
        peak,
        shared: parts.iter().find(products).map_or(0.0, |row| row.seconds),
        parts,
        rcsm_passes: profile.passes.iter().map(|p| p.map(per_step)).collect(),
    })
}

/// The report to read.
fn table(report: &Report) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    let mut line = |text: std::fmt::Arguments| {
        // a string takes everything
        let _ = writeln!(out, "{}", text.to_string().trim_end());
    };
    let Report { parameters, kernels, depth, threads, sequences, tokens, repeats, .. } = report;
    line(format_args!("{parameters} parameters, {kernels} kernels, {depth}"));
    line(format_args!("{threads} threads x {sequences} sequences x {tokens} tokens, mean of {repeats} steps"));
    let peak = |peak: Option<f64>| peak.map_or("none".into(), |p| format!("{p:.0}"));
    let Peaks { int8, float, f32 } = report.peak;
    let (int8, float, f32) = (peak(int8), peak(float), peak(f32));
    line(format_args!("measured peak, all threads: int8 {int8}, products' float {float}, f32 {f32} GMAC/s"));
    let optional =
        |value: Option<f64>, digits: usize, unit: &str| value.map_or(String::new(), |v| format!("{v:.digits$}{unit}"));
    line(format_args!("  {:20} {:>9} {:>8} {:>9} {:>9}", "part", "ms", "of step", "GMAC/s", "of peak"));
    for row in &report.parts {
        let (name, ms, share) = (row.part, 1e3 * row.seconds, 100.0 * row.share);
        let rate = optional(row.gmacs_per_second, 0, "");
        let of_peak = optional(row.of_peak.map(|p| 100.0 * p), 1, " %");
        line(format_args!("  {name:20} {ms:9.1} {share:6.1} % {rate:>9} {of_peak:>9}"));
    }
    for (pass, [forward, backward]) in report.rcsm_passes.iter().enumerate().filter(|(_, p)| p[0] > 0.0) {
        let (name, forward, backward) = (format!("of the rcsm loop, pass {}", pass + 1), 1e3 * forward, 1e3 * backward);
        line(format_args!("  {name:27} {forward:6.1} ms forward, {backward:6.1} ms backward"));
    }
    let (step, update) = (1e3 * (report.forward_backward + report.update), 1e3 * report.update);
    line(format_args!(
        "  whole step {step:.1} ms, of it update {update:.1} ms; fastest {:.1} ms",
        1e3 * report.best_step
    ));
    line(format_args!("  {:.0} tokens/s", report.tokens_per_second));
    out
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    /// A small supernova on two threads, every kind of product in it.
    const SMALL: &str =
        "bench --d-model 64 --layers 2 --d-ffn 96 --vocab 320 --sequences 2 --tokens 16 --threads 2 --repeats 2";

    fn report(more: &[&str]) -> Report {
        #[derive(Parser)]
        struct Bench {
            #[command(flatten)]
            args: BenchArgs,
        }
        let words = SMALL.split(' ').chain(more.iter().copied());
        measure(&Bench::parse_from(words).args).expect("the benchmark runs")
    }

    fn macs(report: &Report, part: Part) -> u64 {
        report.parts.iter().find(|r| r.part == part.name()).expect("every part has a row").macs
    }

    #[test]
    fn shares_sum_to_one() {
        // random depths may leave the deepest passes out of so small a batch
        let report = report(&["--depth", "8"]);
        let sum: f64 = report.parts.iter().map(|r| r.share).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
        assert!(report.parts.iter().all(|r| (0.0..1.0).contains(&r.share)), "{:#?}", report.parts);
        let [reduction, optimizer, packing] = [Part::Reduction, Part::Optimizer, Part::Packing]
            .map(|p| p.name())
            .map(|name| report.parts.iter().find(|r| r.part == name).expect("every part has a row").share);
        assert!(reduction > 0.0 && optimizer > 0.0 && packing > 0.0);
        assert_eq!(report.rcsm_passes.len(), 8);
        assert!(report.rcsm_passes.iter().flatten().all(|&s| s > 0.0));
        let loops: f64 = report.rcsm_passes.iter().flatten().sum();
        let charged: f64 = report.parts.iter().filter(|r| r.part.starts_with("rcsm loop")).map(|r| r.seconds).sum();
        assert!(loops <= charged, "passes {loops} s of a loop of {charged} s");
        let text = table(&report);
        assert!(report.parts.iter().all(|r| text.contains(r.part)), "{text}");
    }

    #[test]
    fn multiplications_counted_are_those_of_the_configuration() {
        let (d, f, v, layers, tokens) = (64, 96, 320, 2, 2 * 2 * 16);
        let (r, o, s, passes) = (96, 16, 32, 8);
        for isa in crate::kernels::Isa::available() {
            let report = report(&["--depth", "8", "--isa", &isa.to_string()]);
            // with AMX the backward makes the wide projections' outputs again
            let times = if isa >= crate::kernels::Isa::Amx { 2 } else { 1 };
            let (wide, narrow) = (3 * d * d + 2 * d * f, d * d + d * f);
            let all = layers * (wide + narrow) * tokens;
            assert_eq!(macs(&report, Part::Forward), layers * (times * wide + narrow) * tokens, "{isa}");
            assert_eq!(macs(&report, Part::BackwardInput), all, "{isa}");
            assert_eq!(macs(&report, Part::BackwardWeight), all, "{isa}");
            assert_eq!(macs(&report, Part::HeadProducts), 3 * v * d * tokens, "{isa}");
            // three codes; the sweep's read, and reading and adding of two writes; every pass: router, two operations,
            // the mix; behind the first: two codes and the read
            let forward = 3 * s * r + 5 * s * r + passes * (o * r + 3 * r * r) + (passes - 1) * 3 * s * r;
            assert_eq!(macs(&report, Part::RcsmForward), forward * tokens, "{isa}");
            // of each of these products with weights its input's and its weights' gradient
            let backward = 2 * (3 * s * r + passes * (o * r + 3 * r * r) + (passes - 1) * 2 * s * r);
            assert_eq!(macs(&report, Part::RcsmBackward), backward * tokens, "{isa}");
            // down and up forward and twice backward
            assert_eq!(macs(&report, Part::RcsmProducts), 6 * d * r * tokens, "{isa}");
            for part in [Part::Head, Part::Recurrence, Part::ChannelMixer, Part::Reduction, Part::Packing] {
                assert_eq!(macs(&report, part), 0, "{isa} {}", part.name());
            }
        }
    }

    #[test]
    fn a_part_at_the_peak_is_all_of_it() {
        let peaks = Peaks { int8: Some(4.0), float: Some(2.0), f32: None };
        let macs = Macs { int8: 4_000_000_000, float: 2_000_000_000, single: 0 };
        let row = peaks.row("products", 2.0, 8.0, macs);
        assert_eq!((row.share, row.gmacs_per_second, row.of_peak), (0.25, Some(3.0), Some(1.0)));
        let none = peaks.row("loop", 1.0, 8.0, Macs { single: 5, ..macs });
        assert_eq!((none.gmacs_per_second.is_some(), none.of_peak), (true, None));
        assert_eq!(peaks.row("scan", 1.0, 8.0, Macs::default()).gmacs_per_second, None);
    }
}
