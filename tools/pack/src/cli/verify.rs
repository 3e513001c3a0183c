//! `pack verify`: the blob run by core against the checkpoint run by the trainer's own forward pass.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use flashlm_core::config::Depth;
use flashlm_core::math::argmax;
use flashlm_core::{Session, SessionError, text};
use flashlm_host::Blob;
use serde_json::json;
use trainer::nn::{BatchShape, EmbeddingMode, Engine, KeyValues};
use trainer::run::checkpoint;

/// Least share of tokens where both must find the same token likeliest.
const MIN_AGREEMENT: f64 = 0.999;
/// Largest difference in bits per byte.
const MAX_BPC_DIFFERENCE: f64 = 0.002;

#[derive(clap::Args)]
pub struct Args {
    /// Checkpoint the blob was packed from (.safetensors)
    checkpoint: PathBuf,
    /// Packed blob (.flm)
    model: PathBuf,
    /// Text to compare on: stories separated by <|endoftext|>
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Tokens to compare; whole stories are taken until they have at least this many
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    tokens: u32,
    /// Passes of the reasoning loop per token, or auto [default: the model's own]
    #[arg(long, value_name = "N|auto")]
    depth: Option<Depth>,
    /// What the trainer's forward pass rounds the keys and values of attention to, to see what that costs; then nothing
    /// is expected to agree [default: int8, as packed models do]
    #[arg(long, value_name = "f32|f16|int8", value_parser = key_values)]
    key_values: Option<KeyValues>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn key_values(text: &str) -> Result<KeyValues, String> {
    match text {
        "f32" => Ok(KeyValues::F32),
        "f16" => Ok(KeyValues::F16),
        "int8" => Ok(KeyValues::Int8),
        _ => Err("expected f32, f16 or int8".into()),
    }
}

/// What was found over all tokens compared.
#[derive(Default)]
struct Comparison {
    tokens: usize,
    agreed: usize,
    largest_difference: f32,
    largest_logit: f32,
    /// Core's bits for the text.
    bits: f64,
}

pub fn run(args: &Args) -> Result<()> {
    let checkpoint = checkpoint::read(&args.checkpoint)?;
    let blob = Blob::open(&args.model)?;
    let model = blob.model()?;
    let (name, packed) = (args.checkpoint.display(), args.model.display());
    if *model.config() != checkpoint.config {
        bail!("{packed} was not packed from {name}: {:?} instead of {:?}", model.config(), checkpoint.config);
    }
    let tokenizer = *model.tokenizer().with_context(|| format!("{packed}: expected a model with a tokenizer"))?;
    if tokenizer.as_bytes() != checkpoint.tokenizer {
        bail!("{packed} was not packed from {name}: its tokenizer is another");
    }
    let eot = model.config().eot.with_context(|| format!("{packed}: expected an end-of-story token"))? as u16;
    let depth = args.depth.unwrap_or(model.default_depth());

    let data = args.data.display();
    let file =
        std::fs::read(&args.data).with_context(|| format!("{data}: expected a readable text file of stories"))?;
    let (mut stories, mut total, mut bytes) = (Vec::new(), 0, 0);
    let mut source = text::stories(&file).peekable();
    while let Some(story) = source.next().filter(|_| total < args.tokens as usize) {
        let tokens = tokenizer.encoded(story.text);
        total += tokens.len() + usize::from(story.terminated);
        bytes = source.peek().map_or(file.len(), |next| next.start);
        stories.push((tokens, story.terminated));
    }
    if total == 0 {
        bail!("{data}: expected stories, found an empty file");
    }

    let mut session = blob.session(Some(depth))?;
    // one sequence on one thread, so that the trainer's logits come in the order core computes them
    let shape = BatchShape { threads: 1, sequences: 1, tokens: 64, accumulate: 1 };
    let kernels = trainer::kernels::Kernels::detect();
    let mut engine = Engine::new(checkpoint.config, kernels, checkpoint.params, shape, EmbeddingMode::Int8)?;
    if let Some(key_values) = args.key_values {
        engine.set_key_values(key_values);
    }
    let borrowed: Vec<_> = stories.iter().map(|(tokens, terminated)| (&tokens[..], *terminated)).collect();
    let mut found = Comparison::default();
    let mut failed = Ok(());
    let trained = engine.evaluate_with(&borrowed, depth, |story, position, expected| {
        if failed.is_ok() {
            let tokens = &stories[story].0;
            let target = tokens.get(position).copied().unwrap_or(eot);
            let input = position.checked_sub(1).map_or(eot, |before| tokens[before]);
            failed = compare(&mut session, position, input, target, expected, &mut found);
        }
    });
    failed.with_context(|| packed.to_string())?;
    report(args, depth, bytes, trained.bits / bytes as f64, &found)
}

/// Runs core over `input`, the token before position `position` of a story, and compares its logits.
fn compare(
    session: &mut Session<Vec<flashlm_core::Line>>,
    position: usize,
    input: u16,
    target: u16,
    expected: &[f32],
    found: &mut Comparison,
) -> Result<(), SessionError> {
    if position == 0 {
        session.reset();
    }
    session.step(input)?;
    let mut logits = Vec::with_capacity(expected.len());
    session.logits(|_, rows| logits.extend_from_slice(rows))?;
    for (a, b) in logits.iter().zip(expected) {
        found.largest_difference = found.largest_difference.max((a - b).abs());
        found.largest_logit = found.largest_logit.max(b.abs());
    }
    let top = argmax(&logits);
    let highest = f64::from(logits[top]);
    let sum: f64 = logits.iter().map(|&l| (f64::from(l) - highest).exp()).sum();
    found.bits += (highest + sum.ln() - f64::from(logits[usize::from(target)])) / std::f64::consts::LN_2;
    found.tokens += 1;
    found.agreed += usize::from(top == argmax(expected));
    Ok(())
}

fn report(args: &Args, depth: Depth, bytes: usize, trainer_bpc: f64, found: &Comparison) -> Result<()> {
    let agreement = found.agreed as f64 / found.tokens as f64;
    let core_bpc = found.bits / bytes as f64;
    let difference = (core_bpc - trainer_bpc).abs();
    let good = agreement >= MIN_AGREEMENT && difference <= MAX_BPC_DIFFERENCE;
    let mut out = io::stdout().lock();
    if args.json {
        let report = json!({
            "tokens": found.tokens,
            "bytes": bytes,
            "depth": depth,
            "largest_logit_difference": found.largest_difference,
            "largest_logit": found.largest_logit,
            "argmax_agreement": agreement,
            "trainer_bpc": trainer_bpc,
            "packed_bpc": core_bpc,
            "bpc_difference": difference,
            "ok": good,
        });
        writeln!(out, "{report:#}")?;
    } else {
        writeln!(out, "{} tokens, {bytes} bytes, depth {depth:?}", found.tokens)?;
        writeln!(
            out,
            "largest logit difference {:.6} (logits up to {:.2})",
            found.largest_difference, found.largest_logit
        )?;
        writeln!(out, "same likeliest token on {:.3} % ({} of {})", 100.0 * agreement, found.agreed, found.tokens)?;
        writeln!(out, "BPC {trainer_bpc:.5} in the trainer, {core_bpc:.5} packed, difference {difference:.6}")?;
    }
    out.flush()?;
    if !good && args.key_values.is_none() {
        bail!(
            "{}: expected the same likeliest token on at least {} % and BPC within {MAX_BPC_DIFFERENCE}",
            args.model.display(),
            100.0 * MIN_AGREEMENT
        );
    }
    Ok(())
}
