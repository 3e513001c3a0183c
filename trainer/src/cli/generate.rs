//! `trainer generate`: a prompt and its continuation.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use flashlm_core::SamplerConfig;
use flashlm_core::text::Prompt;
use flashlm_host::{FOLDED, Seed, piped_prompt};

use super::args::DepthArg;
use super::args::values::real32;
use crate::run::generate::continue_text;
use crate::run::packed;

#[derive(Clone, Debug, Args)]
pub struct GenerateArgs {
    /// Checkpoint (.safetensors), packed model (.flm) or the name of a built-in model
    #[arg(long, short, value_name = "FILE|NAME")]
    pub model: PathBuf,
    /// Text to continue; empty begins a story [default: standard input, where that is no terminal]
    #[arg(long, short, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// Longest continuation [tokens]
    #[arg(long, short = 'n', default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub tokens: u32,
    /// 0: always the likeliest token
    #[arg(long, default_value_t = 0.8, value_parser = real32("temperature", 0.0, 10.0))]
    pub temperature: f32,
    /// Smallest set of likeliest tokens with this total probability
    #[arg(long, default_value_t = 0.95, value_parser = real32("probability", 0.001, 1.0))]
    pub top_p: f32,
    /// Same seed, same text; random draws one and shows it
    #[arg(long, value_name = "N|random", default_value_t = Seed::from(1))]
    pub seed: Seed,
    /// RCSM passes per token: a number, auto, or model for what the model was trained for last
    #[arg(long, default_value = "model")]
    pub depth: DepthArg,
}

/// Runs `trainer generate`: the prompt and its continuation on standard output.
pub fn run(args: &GenerateArgs) -> anyhow::Result<()> {
    let blob = packed::load(&args.model)?;
    let seed = args.seed;
    let config = SamplerConfig {
        temperature: args.temperature,
        top_p: args.top_p,
        seed: seed.value,
        ..SamplerConfig::default()
    };
    let prompt = args.prompt.clone().map_or_else(piped_prompt, Ok)?;
    let prompt = Prompt::new(prompt.as_bytes());
    // beside the text; that nobody listens is no failure
    if seed.drawn {
        let _ = writeln!(io::stderr(), "seed {seed}");
    }
    if prompt.folded {
        let _ = writeln!(io::stderr(), "{FOLDED}");
    }
    let mut out = io::stdout().lock();
    out.write_all(prompt.text)?;
    continue_text(&blob, prompt, args.tokens as usize, config, args.depth.0, |text| {
        out.write_all(text.as_bytes())?;
        out.flush()
    })?;
    out.write_all(b"\n")?;
    Ok(())
}
