//! `flashlm bench`: tokens per second of one thread, per instruction set and depth.

use std::hint::black_box;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use flashlm_core::config::Depth;
use flashlm_core::{Kernels, Line, Model, Sampler, SamplerConfig, Session};
use serde_json::json;

use crate::args::Bench;
use crate::model::{ModelFile, encode};
use crate::settings::depth_name;
use crate::stats::peak_memory;

/// What is read over and over.
const TEXT: &str = "Once upon a time, there was a little dog named Max. He lived in a small house near the forest. \
One day, Max found a red ball under a tree. \"Whose ball is this?\" he asked. A girl came and said, \"It is mine! \
Thank you for finding it.\" They played together until the sun went down, and they were both very happy.\n\n";

pub fn run(path: Option<PathBuf>, args: Bench) -> Result<()> {
    let file = ModelFile::open(path.as_deref())?;
    let model = file.model()?;
    let mut arena = file.arena();
    let tokens = tokens(&model, args.tokens as usize);
    let mut out = io::stdout().lock();
    if !args.json {
        writeln!(out, "{}, one thread, {} tokens, median of {} runs", file.name, tokens.len(), args.repeats)?;
        writeln!(out, "{:8} {:>6} {:>16} {:>16}", "level", "depth", "decode tokens/s", "prefill tokens/s")?;
    }
    let mut results = Vec::new();
    for kernels in Kernels::available() {
        for depth in depths(&model) {
            let decode = measure(&model, &mut arena, kernels, depth, args.repeats, |session| decode(session, &tokens))?;
            let prefill = measure(&model, &mut arena, kernels, depth, args.repeats, |s| Ok(s.prefill(&tokens)?))?;
            let (decode, prefill) = (tokens.len() as f64 / decode, tokens.len() as f64 / prefill);
            let (level, depth) = (kernels.level().name(), depth_name(depth));
            if args.json {
                results.push(json!({
                    "level": level,
                    "depth": depth,
                    "decode_tokens_per_second": decode,
                    "prefill_tokens_per_second": prefill,
                }));
            } else {
                writeln!(out, "{level:8} {depth:>6} {decode:>16.1} {prefill:>16.1}")?;
                out.flush()?;
            }
        }
    }
    if args.json {
        let report = json!({
            "model": file.name,
            "tokens": tokens.len(),
            "repeats": args.repeats,
            "results": results,
            "peak_memory_bytes": peak_memory(),
        });
        writeln!(out, "{report:#}")?;
    }
    Ok(())
}

/// [`TEXT`] in tokens, over and over, `count` of them; each copy begins a story.
fn tokens(model: &Model, count: usize) -> Vec<u16> {
    let mut copy: Vec<u16> = model.config().eot.map(|eot| eot as u16).into_iter().collect();
    copy.extend(model.tokenizer().map_or(Vec::new(), |t| encode(t, TEXT.as_bytes())));
    copy.into_iter().cycle().take(count).collect()
}

/// The depths a model can run at; just its own where it has no reasoning loop.
fn depths(model: &Model) -> Vec<Depth> {
    match &model.config().rcsm {
        Some(rcsm) => rcsm.depths.map(Depth::Fixed).into_iter().chain([Depth::Adaptive]).collect(),
        None => vec![model.default_depth()],
    }
}

/// Median seconds of `repeats` runs from the reset state, after one that warms up.
fn measure(
    model: &Model,
    arena: &mut [Line],
    kernels: Kernels,
    depth: Depth,
    repeats: u32,
    mut run: impl FnMut(&mut Session<&mut [Line]>) -> Result<()>,
) -> Result<f64> {
    let mut session = Session::new(*model, kernels, arena)?;
    session.set_depth(depth)?;
    let mut seconds = Vec::new();
    for repeat in 0..=repeats {
        session.reset();
        let begun = Instant::now();
        run(&mut session)?;
        if repeat > 0 {
            seconds.push(begun.elapsed().as_secs_f64());
        }
    }
    seconds.sort_unstable_by(f64::total_cmp);
    Ok(seconds[seconds.len() / 2])
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
