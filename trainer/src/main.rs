//! The `trainer` program; [`trainer::run`] says what it does.

use std::process::ExitCode;

use clap::Parser;
use trainer::run;

fn main() -> ExitCode {
    flashlm_host::exit(run::run(&run::args::Cli::parse()))
}
