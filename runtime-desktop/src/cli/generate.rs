//! `flashlm generate`: one prompt, one text.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Result, anyhow};
use flashlm_host::{FOLDED, peak_memory, piped_prompt};
use serde_json::json;

use super::args::Generate;
use crate::engine::{Ended, Engine};
use crate::interrupt::{self, Generating};
use crate::model;
use crate::settings::{Settings, check_trace};

pub fn run(path: Option<PathBuf>, args: Generate) -> Result<()> {
    let blob = model::open(path.as_deref())?;
    check_trace(args.trace, blob.model()?.config().rcsm.as_ref()).map_err(|e| anyhow!("{}: {e}", blob.name()))?;
    let settings = Settings { trace: args.trace, ..args.sampling.settings(args.tokens) };
    let mut engine = Engine::new(&blob, settings)?;
    let prompt = args.prompt.map_or_else(piped_prompt, Ok)?;
    interrupt::install()?;
    if args.sampling.seed.drawn {
        note(&format!("seed {}", args.sampling.seed));
    }
    let generating = Generating::begin();
    let mut out = io::stdout().lock();
    let prompt = engine.start(&prompt)?;
    if prompt.folded {
        note(FOLDED);
    }
    let mut text = String::new();
    if !args.json {
        out.write_all(prompt.text.as_bytes())?;
        out.flush()?;
    }
    let ended = engine.generate(&generating, |piece| {
        if args.json {
            text.push_str(piece);
            return Ok(());
        }
        out.write_all(piece.as_bytes())?;
        out.flush()
    })?;
    if !args.json {
        writeln!(out)?;
        if let Some((trace, tokenizer)) = engine.trace() {
            write!(out, "\n{}", trace.lines(tokenizer))?;
        }
        return Ok(());
    }
    let stats = engine.stats();
    let mut report = json!({
        "model": blob.name(),
        "prompt": prompt.text,
        "text": text,
        "ended": match ended {
            Ended::Story => "end of story",
            Ended::Length => "length",
            Ended::Interrupted => "interrupted",
        },
        "seed": args.sampling.seed.value,
        "depth": engine.depth().to_string(),
        "prompt_tokens": stats.prompt_tokens,
        "tokens": stats.tokens,
        "seconds": stats.time.as_secs_f64(),
        "tokens_per_second": stats.tokens_per_second(),
        "passes_per_token": stats.mean_passes(),
        "operations": stats.operations,
        "peak_memory_bytes": peak_memory(),
    });
    if let Some((trace, tokenizer)) = engine.trace() {
        report["trace"] = trace.json(tokenizer);
    }
    writeln!(out, "{report:#}")?;
    Ok(())
}

/// Says something beside the text; that nobody listens is no failure.
fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
