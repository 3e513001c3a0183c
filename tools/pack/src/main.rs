//! `pack`: checkpoint (safetensors) to 2-bit blob (.flm); inspects blobs, verifies them against checkpoints and weighs
//! them against chips.
#![deny(unsafe_code)]

mod chips;
mod elf;
mod fit;
mod inspect;
mod pack;
mod size;
mod table;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Packs a trained checkpoint into the 2-bit blob that flashlm-core runs.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    pack: Option<pack::Args>,
}

#[derive(Subcommand)]
enum Command {
    /// What a blob holds: configuration, how it was trained, sections, memory a session needs
    Inspect(inspect::Args),
    /// Which chips have room for which models, flash and RAM
    Fit(fit::Args),
    /// What a linked firmware takes of flash and RAM, section by section
    Size(size::Args),
    /// Compares a blob with its checkpoint on a text: logits, likeliest tokens and bits per byte
    Verify(verify::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match (cli.command, cli.pack) {
        (Some(Command::Inspect(args)), _) => inspect::run(&args),
        (Some(Command::Fit(args)), _) => fit::run(&args),
        (Some(Command::Size(args)), _) => size::run(&args),
        (Some(Command::Verify(args)), _) => verify::run(&args),
        (None, Some(args)) => pack::run(&args),
        // clap insists on a checkpoint where there is no subcommand
        (None, None) => Err(anyhow::anyhow!("expected a checkpoint to pack")),
    };
    flashlm_host::exit(result)
}
