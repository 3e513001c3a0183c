//! Configuration: the command line, the file that `--config` names, and the one in force as such a file.
//!
//! A file's keys become arguments before those of the user, so that the same parsers check both; what the user gives
//! takes the place of all in the file that it contradicts. What clap knows of the command decides: no list of flags is
//! kept here.

mod file;
#[cfg(test)]
mod tests;
mod text;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches};

use self::file::File;
use super::args::TrainArgs;
use super::args::given::{Given, NO_CURRICULUM, arguments, contradict};
use super::{Cli, Command};

/// The flags that are about the file, not in it.
const OWN: [&str; 2] = ["config", "print-config"];

/// Training's flags alone.
pub fn training() -> clap::Command {
    let mut command = TrainArgs::augment_args(clap::Command::new("trainer"));
    command.build();
    command
}

/// The command line, with what a file adds to it.
///
/// # Errors
/// A [`clap::Error`] where clap refuses it or has something to show; else what is wrong with the file, with its name
/// and line.
pub fn parse(line: impl IntoIterator<Item = impl Into<OsString>>) -> anyhow::Result<Cli> {
    let mut line: Vec<OsString> = line.into_iter().map(Into::into).collect();
    let mut program = Cli::command();
    program.build();
    let mut matches = program.clone().try_get_matches_from(&line)?;
    // a subcommand, where there is one, is the first argument
    let (command, own, first) = match matches.subcommand() {
        None => (&program, &matches, 1),
        Some((name, own)) => (program.find_subcommand(name).context("the subcommand")?, own, 2),
    };
    if command.get_arguments().all(|arg| arg.get_id() != OWN[0]) {
        return Ok(Cli::from_arg_matches(&matches)?);
    }
    let mut phases = None;
    if let Some(path) = own.get_one::<PathBuf>(OWN[0]) {
        let File { flags, rows } = file::read(path, command)?;
        let given: Vec<&str> = command.get_arguments().filter(|arg| is_given(own, arg)).filter_map(long).collect();
        let wins = |flag: &str| given.iter().any(|own| *own == flag || contradict(command, own, flag));
        let kept = flags.iter().filter(|flag| !wins(&flag.long));
        let kept: Vec<OsString> = kept.flat_map(|flag| arguments(&flag.long, &flag.words)).collect();
        phases = rows.filter(|_| !given.contains(&NO_CURRICULUM));
        line.splice(first..first, kept);
        matches = program.clone().try_get_matches_from(&line)?;
    }
    let mut cli = Cli::from_arg_matches(&matches)?;
    let own = matches.subcommand().map_or(&matches, |(_, own)| own);
    if let Some(train) = training_of(&mut cli) {
        train.given = Given { phases, ..given(&training(), own) };
        train.written = text::text(&train.given)?;
    }
    Ok(cli)
}

/// The training that a file asks for by itself.
///
/// # Errors
/// As [`parse`]'s.
pub fn read(path: &Path) -> anyhow::Result<TrainArgs> {
    let File { flags, rows } = file::read(path, &training())?;
    let flags = flags.into_iter().map(|flag| (flag.long, flag.words)).collect();
    train(&Given { flags, phases: rows })
}

/// The training that is given.
///
/// # Errors
/// Of a value that its flag refuses.
pub fn train(given: &Given) -> anyhow::Result<TrainArgs> {
    let mut train = TrainArgs::from_arg_matches(&matches(given)?)?;
    train.given = given.clone();
    train.written = text::text(given)?;
    Ok(train)
}

/// What clap makes of what is given.
fn matches(given: &Given) -> Result<ArgMatches, clap::Error> {
    training().try_get_matches_from([OsString::from("trainer")].into_iter().chain(given.arguments()))
}

/// The flags of a command line's training, where it has some.
fn training_of(cli: &mut Cli) -> Option<&mut TrainArgs> {
    match &mut cli.command {
        None => Some(&mut cli.train),
        Some(Command::Compare(args)) => Some(&mut args.train),
        Some(Command::Ablate(args)) => Some(&mut args.train),
        Some(_) => None,
    }
}

/// Those of a command's flags that were given.
fn given(command: &clap::Command, matches: &ArgMatches) -> Given {
    let kept = command.get_arguments().filter(|arg| is_given(matches, arg));
    let flags = kept.filter_map(|arg| Some((long(arg)?.to_owned(), words(matches, arg))));
    Given { flags: flags.filter(|(long, _)| !OWN.contains(&&**long)).collect(), phases: None }
}

fn is_given(matches: &ArgMatches, arg: &clap::Arg) -> bool {
    matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
}

/// A flag's words as they were written; none of a switch. A path that is not UTF-8 is not in them as it is: no TOML
/// file could hold it.
fn words(matches: &ArgMatches, arg: &clap::Arg) -> Vec<String> {
    if is_switch(arg) {
        return Vec::new();
    }
    let raw = matches.get_raw(arg.get_id().as_str()).into_iter().flatten();
    raw.map(|word| word.to_string_lossy().into_owned()).collect()
}

fn is_switch(arg: &clap::Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

/// A flag's name, of those that can be in a file and of those about it.
fn long(arg: &clap::Arg) -> Option<&str> {
    arg.get_long().filter(|_| matches!(arg.get_action(), ArgAction::SetTrue | ArgAction::Set | ArgAction::Append))
}
