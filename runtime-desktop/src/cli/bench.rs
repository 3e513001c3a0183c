//! `flashlm bench`: one thread's tokens per second per instruction set and depth, of several streams that advance
//! together, and of the products alone.

use std::hint::black_box;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use flashlm_core::config::Depth;
use flashlm_core::products::Products;
use flashlm_core::{Batch, Kernels, Line, MAX_CHUNK, Model, Sampler, SamplerConfig, Session};
use flashlm_host::{check_depth, peak_memory};
use serde::Serialize;
use serde_json::json;

use super::args::Bench;
use crate::model;

/// What is read over and over.
const TEXT: &str = "Once upon a time, there was a little dog named Max. He lived in a small house near the forest. \
One day, Max found a red ball under a tree. \"Whose ball is this?\" he asked. A girl came and said, \"It is mine! \
Thank you for finding it.\" They played together until the sun went down, and they were both very happy.\n\n";

/// Whole steps at one level and depth.
#[derive(Serialize)]
struct Speed {
    level: &'static str,
    depth: String,
    decode_tokens_per_second: f64,
    prefill_tokens_per_second: f64,
    /// A decoding step over the sum of its products; the depth must be a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    step_over_products: Option<f64>,
}

/// Streams that are measured together.
const STREAMS: [usize; 5] = [1, 2, 4, 8, 16];

/// Whole steps of several streams at one level.
#[derive(Serialize)]
struct Together {
    level: &'static str,
    depth: String,
    streams: usize,
    /// Of all streams, a token sampled from each.
    tokens_per_second: f64,
    /// What one stream makes of it.
    over_one: f64,
}

/// The ternary products of one shape at one level.
#[derive(Serialize)]
struct Product {
    level: &'static str,
    shape: String,
    /// 10^9 multiply-adds per second, one token at a time and [`MAX_CHUNK`] together.
    decode_gmacs: f64,
    prefill_gmacs: f64,
}

pub fn run(path: Option<PathBuf>, args: Bench) -> Result<()> {
    let blob = model::open(path.as_deref())?;
    let model = blob.model()?;
    if let Some(Err(why)) = args.depth.map(|depth| check_depth(depth, model.config().rcsm.as_ref())) {
        bail!("--depth: {why}");
    }
    let mut arena = blob.arena()?;
    let tokens = tokens(&model, args.tokens as usize);
    let levels: Vec<Kernels> = args.isa.map_or_else(|| Kernels::available().collect(), |level| vec![level]);
    let depths = args.depth.map_or_else(|| depths(&model), |depth| vec![depth]);

    let (mut results, mut batches, mut products) = (Vec::new(), Vec::new(), Vec::new());
    for &kernels in &levels {
        for &depth in &depths {
            results.push(speed(&model, &mut arena, kernels, depth, &tokens, args.repeats)?);
        }
        batches.extend(together(&model, kernels, depths[0], &tokens, args.repeats)?);
        products.extend(of_shapes(&model, kernels, args.repeats));
    }

    let mut out = io::stdout().lock();
    if args.json {
        let report = json!({
            "model": blob.name(),
            "tokens": tokens.len(),
            "repeats": args.repeats,
            "results": results,
            "streams": batches,
            "products": products,
            "peak_memory_bytes": peak_memory(),
        });
        writeln!(out, "{report:#}")?;
        return Ok(());
    }
    writeln!(out, "{}, one thread, {} tokens, median of {} runs", blob.name(), tokens.len(), args.repeats)?;
    writeln!(out, "level     depth  decode tokens/s prefill tokens/s   step / its products")?;
    for speed in &results {
        let Speed { level, depth, decode_tokens_per_second: decode, prefill_tokens_per_second: prefill, .. } = speed;
        let ratio = speed.step_over_products.map_or(String::new(), |ratio| format!("{ratio:.2}"));
        writeln!(out, "{level:8} {depth:>6} {decode:>16.1} {prefill:>16.1} {ratio:>21}")?;
    }
    writeln!(out, "\nlevel     depth  streams sampled tokens/s   over one")?;
    for Together { level, depth, streams, tokens_per_second, over_one } in &batches {
        writeln!(out, "{level:8} {depth:>6} {streams:>8} {tokens_per_second:>16.1} {over_one:>10.2}")?;
    }
    writeln!(out, "\nternary products     one token  {MAX_CHUNK} tokens  [GMAC/s]")?;
    for Product { level, shape, decode_gmacs, prefill_gmacs } in &products {
        writeln!(out, "{level:8} {shape:>11} {decode_gmacs:>10.1} {prefill_gmacs:>10.1}")?;
    }
    Ok(())
}

/// [`TEXT`] in tokens, over and over, `count` of them; each copy begins a story.
fn tokens(model: &Model, count: usize) -> Vec<u16> {
    let mut copy: Vec<u16> = model.config().eot.map(|eot| eot as u16).into_iter().collect();
    copy.extend(model.tokenizer().map_or(Vec::new(), |t| t.encoded(TEXT.as_bytes())));
    copy.into_iter().cycle().take(count).collect()
}

/// The depths a model can run at; just its own where it has no reasoning loop.
fn depths(model: &Model) -> Vec<Depth> {
    match &model.config().rcsm {
        Some(rcsm) => rcsm.depths.map(Depth::Fixed).into_iter().chain([Depth::Adaptive]).collect(),
        None => vec![model.default_depth()],
    }
}

fn speed(
    model: &Model,
    arena: &mut [Line],
    kernels: Kernels,
    depth: Depth,
    tokens: &[u16],
    repeats: u32,
) -> Result<Speed> {
    let mut session = Session::new(*model, kernels, arena)?;
    session.set_depth(depth)?;
    let per_token = 1.0 / tokens.len() as f64;
    let mut failed = Ok(());
    let decode = per_token
        * median(repeats, || {
            session.reset();
            if let Err(e) = decode(&mut session, tokens) {
                failed = Err(e);
            }
        });
    let mut failed_prefill = Ok(());
    let prefill = per_token
        * median(repeats, || {
            session.reset();
            failed_prefill = session.prefill(tokens);
        });
    failed?;
    failed_prefill?;
    let step_over_products = match depth {
        Depth::Fixed(passes) => {
            let mut products = Products::new(model, kernels, passes);
            let alone = median(repeats, || {
                for _ in tokens {
                    products.ternary(None, 1);
                    products.float();
                    products.head();
                }
            });
            Some(decode / (per_token * alone))
        }
        Depth::Adaptive => None,
    };
    Ok(Speed {
        level: kernels.level().name(),
        depth: depth.to_string(),
        decode_tokens_per_second: 1.0 / decode,
        prefill_tokens_per_second: 1.0 / prefill,
        step_over_products,
    })
}

/// Streams of one batch, each at a place of its own in the text and sampled at the default temperature. One stream is a
/// session.
fn together(
    model: &Model,
    kernels: Kernels,
    depth: Depth,
    tokens: &[u16],
    repeats: u32,
) -> Result<impl Iterator<Item = Together>> {
    let mut session = Session::on_heap(*model, kernels);
    session.set_depth(depth)?;
    let mut sampler = Sampler::new(SamplerConfig::default())?;
    let mut batches = Vec::new();
    for streams in STREAMS {
        let mut batch = Batch::on_heap(*model, kernels, streams);
        for stream in 0..streams {
            batch.set_depth(stream, depth)?;
        }
        batches.push((batch, vec![sampler.clone(); streams]));
    }
    // in turns, so that what slows the machine down for a while slows all of them down
    let mut seconds = vec![Vec::new(); STREAMS.len()];
    for repeat in 0..=repeats {
        for ((batch, samplers), seconds) in batches.iter_mut().zip(&mut seconds) {
            let streams = batch.streams();
            let begun = Instant::now();
            for step in 0..tokens.len() {
                let token = |stream: usize| tokens[(step + stream * 19) % tokens.len()];
                if streams == 1 {
                    session.step(token(0))?;
                    black_box(session.sample(&mut sampler)?);
                } else {
                    let step: Vec<_> = (0..streams).map(|stream| (stream, token(stream))).collect();
                    batch.process(&step)?;
                    let mut draws: Vec<_> = samplers.iter_mut().enumerate().collect();
                    black_box(batch.sample(&mut draws)?);
                }
            }
            if repeat > 0 {
                seconds.push(begun.elapsed().as_secs_f64() / (tokens.len() * streams) as f64);
            }
        }
    }
    let medians: Vec<f64> = seconds.into_iter().map(middle).collect();
    let (level, depth) = (kernels.level().name(), depth.to_string());
    Ok(STREAMS.into_iter().zip(medians.clone()).map(move |(streams, seconds)| Together {
        level,
        depth: depth.clone(),
        streams,
        tokens_per_second: 1.0 / seconds,
        over_one: medians[0] / seconds,
    }))
}

/// The ternary products of each shape in the model, over all of its matrices of that shape in turn.
fn of_shapes(model: &Model, kernels: Kernels, repeats: u32) -> Vec<Product> {
    /// Multiply-adds of one run, at least.
    const WORK: u64 = 100_000_000;
    let mut products = Products::new(model, kernels, 1);
    let mut all: Vec<Option<(usize, usize)>> = products.shapes().into_iter().map(Some).collect();
    all.push(None);
    all.into_iter()
        .map(|shape| {
            let mut gmacs = |tokens: usize| {
                let macs = products.ternary_macs(shape) * tokens as u64;
                let rounds = WORK.div_ceil(macs.max(1));
                let seconds = median(repeats, || (0..rounds).for_each(|_| products.ternary(shape, tokens)));
                (macs * rounds) as f64 / seconds * 1e-9
            };
            Product {
                level: kernels.level().name(),
                decode_gmacs: gmacs(1),
                prefill_gmacs: gmacs(MAX_CHUNK),
                shape: shape.map_or("all".into(), |(rows, columns)| format!("{rows} x {columns}")),
            }
        })
        .collect()
}

/// Median seconds of `repeats` runs, after one that warms up.
fn median(repeats: u32, mut run: impl FnMut()) -> f64 {
    let mut seconds = Vec::new();
    for repeat in 0..=repeats {
        let begun = Instant::now();
        run();
        if repeat > 0 {
            seconds.push(begun.elapsed().as_secs_f64());
        }
    }
    middle(seconds)
}

fn middle(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_unstable_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// Decoding as it happens when generating: every step's logits are computed and a token is drawn from them. The token
/// processed next is the text's, so that every run does the same work.
fn decode(session: &mut Session<&mut [Line]>, tokens: &[u16]) -> Result<()> {
    let mut greedy = Sampler::new(SamplerConfig { temperature: 0.0, ..SamplerConfig::default() })?;
    for &token in tokens {
        session.step(token)?;
        black_box(session.sample(&mut greedy)?);
    }
    Ok(())
}
