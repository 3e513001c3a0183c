//! `pack`: checkpoint (safetensors) to 2-bit blob (.flm); inspects blobs, verifies them against checkpoints, weighs
//! them against chips, puts them into pages and makes files for boards of them.

mod boards;
mod chips;
mod cli;
mod elf;
mod page;
mod table;
mod uf2;

use std::process::ExitCode;

use clap::Parser;
use flashlm_host::Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    flashlm_host::run(|| cli::run(cli::Cli::parse()))
}
