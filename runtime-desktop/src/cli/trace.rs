//! `flashlm trace`: a prompt, its story, and what the reasoning loop did for every word of both.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use flashlm_host::{FOLDED, output, piped_prompt};
use serde_json::json;

use super::args::{Format, Trace};
use crate::engine::{Engine, Writer};
use crate::interrupt::{self, Generating};
use crate::model;
use crate::screen::Screen;
use crate::settings::check_trace;
use crate::trace::{page, table};

pub fn run(path: Option<PathBuf>, args: Trace, screen: Screen) -> Result<()> {
    let blob = model::open(path.as_deref())?;
    check_trace(true, blob.model()?.config().rcsm.as_ref()).map_err(|e| anyhow!("{}: {e}", blob.name()))?;
    let seed = args.telling.sampling.seed;
    let mut engine = Engine::new(&blob, args.telling.settings())?;
    let prompt = args.prompt.map_or_else(piped_prompt, Ok)?;
    interrupt::install()?;
    let remark = |text: &str| drop(screen.complain(text));
    if seed.drawn {
        remark(&format!("seed {seed}"));
    }
    let generating = Generating::begin();
    let prompt = engine.start(&prompt)?;
    if prompt.folded {
        remark(FOLDED);
    }
    let mut text = String::new();
    let ended = engine.generate(&generating, |piece| {
        text.push_str(piece);
        Ok(())
    })?;
    let trace = engine.trace(0, &Generating::begin())?.context("interrupted")?;
    let given = engine.pieces().filter(|&(writer, _)| writer == Writer::Reader).count();
    let tokenizer = engine.tokenizer();
    let written = match args.format {
        Format::Csv => table(&trace, tokenizer, given)?,
        Format::Html => page(&trace, tokenizer, given, blob.name()).into_bytes(),
        Format::Json => {
            let words = trace.words(tokenizer);
            let words = words.iter().map(|word| {
                let writer = if word.steps.start < given { "reader" } else { "model" };
                json!({
                    "word": word.text,
                    "writer": writer,
                    "passes": word.passes,
                    "position": word.steps.start + 1,
                    "tokens": word.steps.len(),
                })
            });
            let report = json!({
                "model": blob.name(),
                "prompt": prompt.text,
                "text": text,
                "ended": ended.to_string(),
                "seed": seed.value,
                "depth": engine.depth().to_string(),
                "words": words.collect::<Vec<_>>(),
                "tokens": trace.json(tokenizer),
            });
            format!("{report:#}\n").into_bytes()
        }
    };
    match &args.out {
        Some(to) => {
            output::write(to, &path.iter().map(PathBuf::as_path).collect::<Vec<_>>(), |out| out.write_all(&written))?
        }
        None => io::stdout().lock().write_all(&written)?,
    }
    Ok(())
}
