//! The command line: what can be asked for, and the programs that do it.

mod fit;
mod flash;
mod inspect;
mod pack;
mod page;
mod size;
mod verify;

use clap::{Parser, Subcommand};

/// Packs a trained checkpoint into the 2-bit blob that flashlm-core runs.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Cli {
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
    /// A file that puts a model into a board's flash, apart from the firmware
    Flash(flash::Args),
    /// A page that tells stories: one file of HTML with the model inside, which needs no network
    Page(page::Args),
    /// Compares a blob with its checkpoint on a text: logits, likeliest tokens and bits per byte
    Verify(verify::Args),
}

/// Does what the command line asks for.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match (cli.command, cli.pack) {
        (Some(Command::Inspect(args)), _) => inspect::run(&args),
        (Some(Command::Fit(args)), _) => fit::run(&args),
        (Some(Command::Size(args)), _) => size::run(&args),
        (Some(Command::Flash(args)), _) => flash::run(&args),
        (Some(Command::Page(args)), _) => page::run(&args),
        (Some(Command::Verify(args)), _) => verify::run(&args),
        (None, Some(args)) => pack::run(&args),
        // clap insists on a checkpoint where there is no subcommand
        (None, None) => Err(anyhow::anyhow!("expected a checkpoint to pack")),
    }
}
