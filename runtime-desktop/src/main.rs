//! `flashlm`: talk to a FlashLM model, or generate, evaluate, score, probe and measure with it.
#![deny(unsafe_code)]

mod args;
mod bench;
mod chat;
mod engine;
mod evaluate;
mod fingerprint;
mod generate;
mod interrupt;
mod model;
mod probe;
mod score;
mod settings;
mod stats;
mod trace;

use std::process::ExitCode;

use args::{Cli, Command};
use clap::Parser;

fn main() -> ExitCode {
    flashlm_host::exit(run(Cli::parse()))
}

fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command.unwrap_or_default() {
        Command::Chat(chat) => chat::run(cli.model, chat),
        Command::Generate(generate) => generate::run(cli.model, generate),
        Command::Eval(eval) => evaluate::run(cli.model, eval),
        Command::Score(score) => score::run(cli.model, score),
        Command::Probe(probe) => probe::run(cli.model, &probe),
        Command::Bench(bench) => bench::run(cli.model, bench),
        Command::Fingerprint(fingerprint) => fingerprint::run(cli.model, fingerprint),
    }
}
