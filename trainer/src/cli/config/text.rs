//! The configuration in force as a TOML file that asks for it again.

use std::any::TypeId;
use std::fmt::Write;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, FromArgMatches};
use toml::Value;

use super::super::args::TrainArgs;
use super::super::args::given::{Given, contradict};
use super::{OWN, is_given, is_switch, long, matches, training, words};
use crate::run::table::Row;

const HEAD: &str = "\
# A training run: `trainer --config FILE` asks for it again, and flags beside it win. Paths are relative to the working
# directory. What is commented out was not given: it follows from the rest, the preset or the machine.
";

/// The whole configuration that `given` comes to, usual values included.
///
/// # Errors
/// Of a value that its flag refuses.
pub fn text(given: &Given) -> anyhow::Result<String> {
    let command = training();
    let found = matches(given)?;
    let train = TrainArgs { given: given.clone(), ..TrainArgs::from_arg_matches(&found)? };
    let derived = train.derived();
    let in_file = |arg: &&Arg| long(arg).is_some_and(|long| !OWN.contains(&long));
    let mut headings: Vec<&str> = Vec::new();
    for heading in command.get_arguments().filter(in_file).map(heading) {
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    let mut out = String::from(HEAD);
    for wanted in headings {
        // writing to a string cannot fail
        let _ = writeln!(out, "\n# {wanted}");
        for arg in command.get_arguments().filter(in_file).filter(|arg| heading(arg) == wanted) {
            let long = arg.get_long().unwrap_or_default();
            let beside = given.flags.keys().any(|other| contradict(&command, long, other));
            let _ = match value(&found, arg).filter(|_| !beside) {
                Some(value) => writeln!(out, "{long} = {value}"),
                None => match derived.iter().find(|(name, _)| *name == long).filter(|_| !beside) {
                    Some((_, value)) => writeln!(out, "# {long} = {}", scalar(value, holds_numbers(arg))),
                    None => writeln!(out, "# {long} ="),
                },
            };
        }
    }
    // the table of --no-curriculum comes of the flag
    let mark = if train.no_curriculum { "# " } else { "" };
    for row in train.rows() {
        out.push('\n');
        phase(&row).lines().for_each(|line| {
            let _ = writeln!(out, "{mark}{line}");
        });
    }
    Ok(out)
}

fn heading(arg: &Arg) -> &str {
    arg.get_help_heading().unwrap_or("Options")
}

/// A flag's value as TOML; `None` where it has none.
fn value(found: &ArgMatches, arg: &Arg) -> Option<String> {
    if is_switch(arg) {
        return Some(is_given(found, arg).to_string());
    }
    let source = found.value_source(arg.get_id().as_str());
    if !matches!(source, Some(ValueSource::CommandLine | ValueSource::DefaultValue)) {
        return None;
    }
    let numbers = holds_numbers(arg);
    let words = words(found, arg);
    let scalars = |words: &[&str]| words.iter().map(|word| scalar(word, numbers)).collect::<Vec<_>>().join(", ");
    Some(match (arg.get_action(), &words[..]) {
        (ArgAction::Append, all) => format!("[{}]", scalars(&all.iter().map(|word| &**word).collect::<Vec<_>>())),
        (_, [one]) if is_list(arg) => format!("[{}]", scalars(&one.split(',').collect::<Vec<_>>())),
        (_, [one]) => scalar(one, numbers),
        _ => return None,
    })
}

/// A word as TOML: a number where it says one and the flag takes numbers, else a string.
fn scalar(word: &str, numbers: bool) -> String {
    let number = || match word.parse::<i64>() {
        Ok(whole) => Some(whole.to_string()),
        // a whole number that is too large for TOML, or no number
        Err(_) if !word.contains(['.', 'e', 'E']) => None,
        Err(_) => word.parse::<f64>().ok().filter(|v| v.is_finite()).map(|v| format!("{v:?}")),
    };
    let number = if numbers { number() } else { None };
    number.unwrap_or_else(|| Value::String(word.to_owned()).to_string())
}

/// A phase's table.
fn phase(row: &Row) -> String {
    let Row { name, until, pool, amplify, balance, levels, mix, depths, reasoning_depths } = row;
    let name = Value::String(name.clone());
    let mut out = format!(
        "[[phases]]\nname = {name}\nuntil = {until:?}\npool = {pool:?}\namplify = {amplify}\nbalance = {balance}\n\
         levels = {levels:?}\nmix = {mix:?}\n"
    );
    for (key, shares) in [("depths", depths), ("reasoning-depths", reasoning_depths)] {
        if let Some(shares) = shares {
            let _ = writeln!(out, "{key} = {shares:?}");
        }
    }
    out
}

fn is_one_of(arg: &Arg, types: &[TypeId]) -> bool {
    let own = arg.get_value_parser().type_id();
    types.iter().any(|id| own == *id)
}

/// Whether a flag's values are numbers, or lists of them.
pub fn holds_numbers(arg: &Arg) -> bool {
    let whole = [TypeId::of::<u8>(), TypeId::of::<u16>(), TypeId::of::<u32>(), TypeId::of::<u64>()];
    let real = [TypeId::of::<f32>(), TypeId::of::<f64>()];
    is_one_of(arg, &whole) || is_one_of(arg, &real) || is_array(arg)
}

/// Whether a flag takes several values, in one word or one after the other.
pub fn is_list(arg: &Arg) -> bool {
    is_array(arg) || matches!(arg.get_action(), ArgAction::Append)
}

/// Whether a flag takes several numbers in one word.
fn is_array(arg: &Arg) -> bool {
    is_one_of(arg, &[TypeId::of::<[f32; 3]>(), TypeId::of::<[u8; 3]>()])
}
