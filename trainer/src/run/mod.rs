//! The program: arguments, the clock, the training driver, checkpoints, evaluation, probes, generation and benches.

pub mod amplify;
pub mod answers;
pub mod args;
mod bench;
pub mod checkpoint;
pub mod clock;
mod compare;
pub mod evaluate;
mod finish;
pub mod generate;
mod interrupt;
pub mod levels;
pub mod log;
pub mod metrics;
pub mod packed;
pub mod phases;
mod prepare;
pub mod preset;
mod probe;
mod progress;
pub mod schedule;
pub mod settings;
pub mod smoke;
mod standing;
mod streams;
mod train;

use args::{Cli, Command};

/// Does what the command line asks for.
pub fn run(cli: &Cli) -> anyhow::Result<()> {
    match &cli.command {
        None => train::train(&cli.train),
        Some(Command::Eval(args)) => evaluate::run(args),
        Some(Command::Probe(args)) => probe::run(args),
        Some(Command::Generate(args)) => generate::run(args),
        Some(Command::Bench(args)) => bench::run(args),
        Some(Command::Compare(args)) => compare::run(args),
        Some(Command::Smoke(args)) => smoke::run(args),
    }
}
