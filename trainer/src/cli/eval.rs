//! `trainer eval`: bits per character of a packed model on a text file, through core, on all threads.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::args::{DepthArg, FormArgs, MachineArgs};
use crate::data::evaluation;
use crate::run::packed;

#[derive(Clone, Debug, Args)]
pub struct EvalArgs {
    /// Checkpoint (.safetensors), packed model (.flm) or the name of a built-in model
    #[arg(long, value_name = "FILE|NAME")]
    pub model: PathBuf,
    /// Stories separated by <|endoftext|>, or JSON lines; - for standard input
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// RCSM passes per token: a number, auto, or model for what the model was trained for last
    #[arg(long, default_value = "model")]
    pub depth: DepthArg,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub machine: MachineArgs,
    #[command(flatten)]
    pub form: FormArgs,
}

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
    let blob = packed::load(&args.model)?;
    let text = evaluation::read(&args.data, &args.form.form())?;
    let started = std::time::Instant::now();
    let score = flashlm_host::file(&blob, &text, args.depth.0, args.machine.threads())?;
    let report = Report {
        model: &args.model,
        data: &args.data,
        bpc: score.bits_per_byte(),
        bits: score.bits,
        bytes: score.bytes,
        tokens: score.tokens,
        seconds: started.elapsed().as_secs_f64(),
    };
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        let Report { bpc, bits, bytes, tokens, seconds, .. } = report;
        writeln!(out, "{bpc:.4} bits per character")?;
        writeln!(out, "{bits:.0} bits, {bytes} bytes, {tokens} tokens, {seconds:.1} s")?;
    }
    Ok(())
}
