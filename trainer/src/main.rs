//! The `trainer` program; [`trainer::cli`] says what it does.

use std::process::ExitCode;

use flashlm_host::Allocator;
use trainer::cli;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    flashlm_host::run(|| cli::run(&cli::parse(std::env::args_os())?))
}
