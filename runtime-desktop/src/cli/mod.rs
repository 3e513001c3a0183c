//! The command line: what can be asked for, and the programs that do it.

mod args;
mod bench;
mod chat;
mod evaluate;
mod fingerprint;
mod generate;
mod models;
mod probe;
mod score;
mod serve;
mod shell;
mod trace;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};

use self::args::{Chat, Cli, Command, Generate};
use crate::screen::Screen;

/// Does what the command line asks for; one that cannot be understood ends the program.
pub fn run() -> anyhow::Result<()> {
    let matches = Cli::command().get_matches();
    if let Some(error) = misplaced(&matches) {
        Cli::command().error(ErrorKind::ArgumentConflict, error).exit();
    }
    let Cli { begin, prompt, telling, model, color, command } =
        Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let screen = Screen::open(color);
    match command.unwrap_or_else(|| match begin.or(prompt) {
        Some(prompt) => {
            Command::Generate(Generate { prompt: Some(prompt), telling, trace: false, link: false, json: false })
        }
        None => Command::Chat(Chat { telling, history: None }),
    }) {
        Command::Chat(chat) => chat::run(model, chat, screen),
        Command::Generate(generate) => generate::run(model, generate, screen),
        Command::Trace(trace) => trace::run(model, trace, screen),
        Command::Eval(eval) => evaluate::run(model, eval),
        Command::Score(score) => score::run(model, score),
        Command::Probe(probe) => probe::run(model, &probe),
        Command::Serve(serve) => serve::run(model, *serve),
        Command::Bench(bench) => bench::run(model, bench),
        Command::Fingerprint(fingerprint) => fingerprint::run(model, fingerprint),
        Command::Models => models::run(),
        Command::Completions(completions) => shell::completions(&completions),
        Command::Man(man) => shell::manual(&man),
    }
}

/// What is wrong with a command line that has, before its command, what only goes without one: the command has flags
/// of its own, and would not see it.
fn misplaced(matches: &ArgMatches) -> Option<String> {
    let name = matches.subcommand_name()?;
    let command = Cli::command();
    let mut own = command.get_arguments().filter(|arg| !arg.is_global_set());
    let arg = own.find(|arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine))?;
    Some(match arg.get_long() {
        Some(flag) => format!("--{flag} stands before the command: expected it behind, as in flashlm {name} --{flag}"),
        None => format!("expected a prompt or the command {name}, found both: flashlm -p has a prompt of any name"),
    })
}
