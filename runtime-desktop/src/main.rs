//! `flashlm`: talk to a FlashLM model, or generate, evaluate, score, probe and measure with it.

mod cli;
mod engine;
mod interrupt;
mod model;
mod screen;
#[cfg(feature = "serve")]
mod serve;
mod settings;
mod stats;
mod stop;
mod trace;

use std::process::ExitCode;

use flashlm_host::Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    flashlm_host::run(cli::run)
}
