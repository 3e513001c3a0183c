//! The command line: what can be asked for, and the programs that do it.

mod ablate;
#[expect(rustdoc::broken_intra_doc_links, reason = "help texts name units in brackets")]
pub mod args;
mod bench;
mod compare;
mod config;
mod eval;
#[expect(rustdoc::broken_intra_doc_links, reason = "help texts name units in brackets")]
mod generate;
#[expect(rustdoc::broken_intra_doc_links, reason = "help texts name units in brackets")]
mod plan;
mod probe;
mod report;
mod smoke;
mod tune;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::{Parser, Subcommand};

use self::args::TrainArgs;
use crate::ranks;
use crate::run;
use crate::run::closing::Invocation;
use crate::run::request::Request;

/// Trains small ternary language models on ordinary CPUs.
#[derive(Debug, Parser)]
#[command(name = "trainer", version, args_conflicts_with_subcommands = true, max_term_width = 110)]
#[command(after_help = "Without a subcommand it trains. Without --data it trains on the built-in story generator.")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub train: TrainArgs,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bits per character of a checkpoint (.safetensors) or packed model (.flm) on a text file.
    Eval(eval::EvalArgs),
    /// How well a model answers questions that need reasoning, at one depth after another, beside what guessing gives;
    /// or writes such questions and text to train on.
    Probe(Box<probe::ProbeArgs>),
    /// Continues a prompt with a checkpoint or packed model.
    Generate(generate::GenerateArgs),
    /// Times whole training steps: tokens per second, and where the time goes.
    Bench(bench::BenchArgs),
    /// Predicts what training on many machines would come to, from what a step takes on this one: time, tokens per
    /// second, cost, and where more of them stop paying.
    Plan(Box<plan::PlanArgs>),
    /// Trains several presets for the same time on the same data and compares them.
    Compare(Box<compare::CompareArgs>),
    /// Lets a trained model go on with a text of yours for a minute, while it rehearses what it knew.
    Tune(Box<tune::TuneArgs>),
    /// Draws runs, one or several over one another, as one page.
    Report(report::ReportArgs),
    /// Trains every combination of some settings, with several seeds each, and says what they come to.
    Ablate(Box<ablate::AblateArgs>),
    /// Checks the architecture: thirteen figures and their limits, in less than two minutes.
    Smoke(smoke::SmokeArgs),
}

/// Starts the threads that prepare data, all at once: where they cannot be had, this one does the work alone. (Training
/// has threads of its own, and refuses to start with fewer than it was asked for.)
fn start_threads() {
    const STACK: usize = 2 << 20;
    let count = std::thread::available_parallelism().map_or(1, |n| n.get());
    let pool = || rayon::ThreadPoolBuilder::new().stack_size(STACK);
    let started = flashlm_host::room_for_threads(count, STACK) && pool().num_threads(count).build_global().is_ok();
    if started {
        // each has what it needs before anything else asks for memory: one that found none would end the program
        rayon::broadcast(|_| rayon::yield_now());
    } else {
        // an error here says that there is a pool already, which will do as well
        let _ = pool().num_threads(1).use_current_thread().build_global();
    }
}

/// How this program was started.
fn invocation() -> Invocation {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    Invocation::new(words, std::env::var_os("CARGO").is_some())
}

/// The command line, with what the file of its `--config` adds. What clap has to say of it (help, a wrong argument) it
/// says, and ends the program.
///
/// # Errors
/// What is wrong with the file.
pub fn parse(line: impl IntoIterator<Item = OsString>) -> anyhow::Result<Cli> {
    config::parse(line).map_err(|error| match error.downcast::<clap::Error>() {
        Ok(said) => said.exit(),
        Err(error) => error,
    })
}

/// Does what the command line asks for.
///
/// # Errors
/// What was asked for cannot be done, or failed; the message says what and where.
pub fn run(cli: &Cli) -> anyhow::Result<()> {
    start_threads();
    match &cli.command {
        None if cli.train.print_config => print_config(&cli.train),
        None => {
            let request = Request { invocation: Some(invocation()), ..cli.train.request()? };
            ranks::with(|ranks| run::train::train(&request.on(ranks)))
        }
        Some(Command::Eval(args)) => eval::run(args),
        Some(Command::Probe(args)) => probe::run(args),
        Some(Command::Generate(args)) => generate::run(args),
        Some(Command::Bench(args)) => bench::run(args),
        Some(Command::Plan(args)) => plan::run(args),
        Some(Command::Compare(args)) => compare::run(args),
        Some(Command::Tune(args)) => tune::run(args),
        Some(Command::Report(args)) => report::run(args),
        Some(Command::Ablate(args)) => ablate::run(args),
        Some(Command::Smoke(args)) => smoke::run(args),
    }
}

/// Prints the configuration in force, if there can be such a run.
fn print_config(train: &TrainArgs) -> anyhow::Result<()> {
    train.request()?;
    Ok(write!(io::stdout().lock(), "{}", train.written)?)
}
