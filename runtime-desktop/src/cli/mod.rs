//! The command line: what can be asked for, and the programs that do it.

mod args;
mod bench;
mod chat;
mod evaluate;
mod fingerprint;
mod generate;
mod probe;
mod score;

pub use args::Cli;
use args::Command;

/// Does what the command line asks for.
pub fn run(cli: Cli) -> anyhow::Result<()> {
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
