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

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use flashlm_core::{Line, Model};

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
    match result.and_then(|()| Ok(io::stdout().flush()?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = |e: &(dyn std::error::Error + 'static)| e.downcast_ref::<io::Error>().map(io::Error::kind);
    error.chain().any(|e| kind(e) == Some(io::ErrorKind::BrokenPipe))
}

/// A blob in memory, on the boundary core asks for.
struct Blob {
    path: PathBuf,
    lines: Vec<Line>,
    length: usize,
}

impl Blob {
    fn read(path: &Path) -> Result<Self> {
        let unreadable = || format!("{}: expected a readable model file (.flm)", path.display());
        let bytes = std::fs::read(path).with_context(unreadable)?;
        Ok(Self::copy(path, &bytes))
    }

    /// A copy of `bytes`, which are from `path`.
    fn copy(path: &Path, bytes: &[u8]) -> Self {
        let mut lines = vec![Line::ZERO; bytes.len().div_ceil(size_of::<Line>())];
        bytemuck::cast_slice_mut::<_, u8>(&mut lines)[..bytes.len()].copy_from_slice(bytes);
        Self { path: path.into(), lines, length: bytes.len() }
    }

    fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[..self.length]
    }

    fn model(&self) -> Result<Model<'_>> {
        Model::from_bytes(self.bytes()).with_context(|| self.path.display().to_string())
    }
}
