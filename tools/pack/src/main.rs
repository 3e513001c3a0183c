//! `pack`: checkpoint (safetensors) to 2-bit blob (.flm); inspects blobs, verifies them against checkpoints, weighs
//! them against chips and puts them into pages.

mod chips;
mod cli;
mod elf;
mod page;
mod table;

use std::process::ExitCode;

use clap::Parser;
use flashlm_host::Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    flashlm_host::run(|| cli::run(cli::Cli::parse()))
}
