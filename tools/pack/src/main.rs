//! `pack`: checkpoint (safetensors) to 2-bit blob (.flm); inspects blobs, verifies them against checkpoints and weighs
//! them against chips.

mod chips;
mod cli;
mod elf;
mod table;

use std::process::ExitCode;

use clap::Parser;
use flashlm_host::Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    flashlm_host::exit(cli::run(cli::Cli::parse()))
}
