//! `flashlm generate`, or a prompt alone: one prompt, one text.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Error, Result, anyhow};
use flashlm_host::{FOLDED, peak_memory, piped_prompt};
use serde_json::json;

use super::args::Generate;
use crate::engine::Engine;
use crate::interrupt::{self, Generating};
use crate::model;
use crate::screen::{Screen, Voice};
use crate::settings::{Settings, check_trace};

pub fn run(path: Option<PathBuf>, args: Generate, screen: Screen) -> Result<()> {
    let blob = model::open(path.as_deref())?;
    check_trace(args.trace, blob.model()?.config().rcsm.as_ref()).map_err(|e| anyhow!("{}: {e}", blob.name()))?;
    let seed = args.telling.sampling.seed;
    let settings = Settings { trace: args.trace, ..args.telling.settings() };
    let pace = settings.pace;
    let mut engine = Engine::new(&blob, settings.clone())?;
    let prompt = args.prompt.map_or_else(piped_prompt, Ok)?;
    let link = args.link.then(|| settings.link(&prompt, engine.depth())).transpose().map_err(Error::msg)?;
    interrupt::install()?;
    // a remark beside the text: that nobody listens is no failure
    let remark = |text: &str| drop(screen.complain(text));
    if seed.drawn {
        remark(&format!("seed {seed}"));
    }
    let generating = Generating::begin();
    let prompt = engine.start(&prompt)?;
    if prompt.folded {
        remark(FOLDED);
    }
    if !args.json {
        let mut out = screen.text(pace);
        out.show(&prompt.text, Voice::Own.style())?;
        engine.generate(&generating, |piece| out.tell(piece, || generating.interrupted()))?;
        out.finish("\n")?;
        if let Some(link) = link {
            writeln!(io::stdout(), "\n{link}")?;
        }
        if args.trace
            && let Some(trace) = engine.trace(engine.drawn_from(), &Generating::begin())?
        {
            write!(io::stdout(), "\n{}", trace.lines(engine.tokenizer()))?;
        }
        return Ok(());
    }
    let mut text = String::new();
    let ended = engine.generate(&generating, |piece| {
        text.push_str(piece);
        Ok(())
    })?;
    let stats = engine.stats();
    let mut report = json!({
        "model": blob.name(),
        "prompt": prompt.text,
        "text": text,
        "ended": ended.to_string(),
        "seed": seed.value,
        "depth": engine.depth().to_string(),
        "prompt_tokens": stats.prompt_tokens,
        "tokens": stats.all.tokens,
        "seconds": stats.all.time.as_secs_f64(),
        "tokens_per_second": stats.all.tokens_per_second(),
        "passes_per_token": stats.all.mean_passes(),
        "operations": stats.operations,
        "peak_memory_bytes": peak_memory(),
    });
    if let Some(link) = link {
        report["link"] = link.into();
    }
    if args.trace
        && let Some(trace) = engine.trace(engine.drawn_from(), &Generating::begin())?
    {
        report["trace"] = trace.json(engine.tokenizer());
    }
    writeln!(io::stdout(), "{report:#}")?;
    Ok(())
}
