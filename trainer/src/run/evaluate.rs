//! Bits per character of a packed model on a text file, through core, on all threads.

use std::path::Path;

use anyhow::Context;
use flashlm_core::score::{self, Score};
use flashlm_core::text;
use rayon::prelude::*;
use serde::Serialize;

use crate::data::marks;
use crate::nn::Story;
use crate::run::args::{DepthArg, EvalArgs};
use crate::run::packed::{self, Blob};

/// The `eval` subcommand's result.
#[derive(Debug, Serialize)]
struct Report<'a> {
    model: &'a Path,
    data: &'a Path,
    bpc: f64,
    bits: f64,
    bytes: u64,
    tokens: u64,
    seconds: f64,
}

/// Runs `trainer eval`.
pub fn run(args: &EvalArgs) -> anyhow::Result<()> {
    rayon::ThreadPoolBuilder::new().num_threads(args.machine.threads()).build_global()?;
    let blob = packed::load(&args.model)?;
    let text = std::fs::read(&args.data).with_context(|| args.data.display().to_string())?;
    let started = std::time::Instant::now();
    let text = marks::clean_file(&text, &args.data)?;
    let score = score_file(&blob, &text, args.depth)?;
    let report = Report {
        model: &args.model,
        data: &args.data,
        bpc: score.bits_per_byte(),
        bits: score.bits,
        bytes: score.bytes,
        tokens: score.tokens,
        seconds: started.elapsed().as_secs_f64(),
    };
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{:.4} bits per character", report.bpc);
        println!("{:.0} bits, {} bytes, {} tokens, {:.1} s", report.bits, report.bytes, report.tokens, report.seconds);
    }
    Ok(())
}

/// Scores every byte of `file`, which holds no marks of answers, separators included, each story from the reset state (DESIGN section 5).
pub fn score_file(blob: &Blob, file: &[u8], depth: DepthArg) -> anyhow::Result<Score> {
    let model = blob.model()?;
    let tokenizer = *model.tokenizer().context("the model carries no tokenizer to encode text with")?;
    let stories: Vec<_> = text::stories(file).collect();
    let encode = |story: &text::Story| -> anyhow::Result<Vec<u16>> {
        let mut tokens = vec![0; story.text.len()];
        let count = tokenizer.encode(story.text, &mut tokens)?;
        tokens.truncate(count);
        Ok(tokens)
    };
    let tokens = stories.par_iter().map(encode).collect::<anyhow::Result<Vec<_>>>()?;
    let stories: Vec<_> = tokens.iter().zip(&stories).map(|(tokens, s)| (&tokens[..], s.terminated)).collect();
    score_stories(blob, &stories, file.len() as u64, depth)
}

/// Scores stories that take `bytes` in their file. They run on rayon's threads; their bits are added in order.
pub fn score_stories(blob: &Blob, stories: &[Story], bytes: u64, depth: DepthArg) -> anyhow::Result<Score> {
    let eot = blob.model()?.config().eot.context("the model has no end-of-story token to begin a story with")?;
    let parts = stories.par_iter().with_min_len(8).map_init(
        || (blob.session(depth), Vec::new()),
        |(session, all), &(tokens, terminated)| -> anyhow::Result<(f64, u64)> {
            let session = session.as_mut().map_err(|e| anyhow::anyhow!("{e}"))?;
            all.clear();
            all.extend_from_slice(tokens);
            if terminated {
                all.push(eot as u16);
            }
            Ok((score::story(session, all, |_, _| ())?, all.len() as u64))
        },
    );
    let mut total = Score { bytes, ..Score::default() };
    for (bits, tokens) in parts.collect::<anyhow::Result<Vec<_>>>()? {
        total.bits += bits;
        total.tokens += tokens;
    }
    Ok(total)
}
