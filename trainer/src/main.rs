//! The `trainer` program; [`trainer::cli`] says what it does.

use std::process::ExitCode;

use clap::Parser;
use flashlm_host::Allocator;
use trainer::cli::{self, Cli};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    flashlm_host::exit(cli::run(&Cli::parse()))
}
