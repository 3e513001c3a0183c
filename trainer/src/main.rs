//! The `trainer` program; [`trainer::cli`] says what it does.

use std::process::ExitCode;

use clap::Parser;
use trainer::cli::{self, Cli};

fn main() -> ExitCode {
    flashlm_host::run(|| cli::run(&Cli::parse()))
}
