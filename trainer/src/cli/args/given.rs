//! What a user said, on the command line or in a file, before it became values.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::{Arg, Command};

use crate::run::table::Row;

/// The flag that a table of phases cannot stand beside.
pub const NO_CURRICULUM: &str = "no-curriculum";

/// Flags of training that were given, and the table of phases. What was not given has its usual value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given {
    /// By their long names without dashes; a switch has no words.
    pub flags: BTreeMap<String, Vec<String>>,
    /// Where a file has them.
    pub phases: Option<Vec<Row>>,
}

impl Given {
    /// The flags as arguments.
    pub fn arguments(&self) -> impl Iterator<Item = OsString> {
        self.flags.iter().flat_map(|(long, words)| arguments(long, words))
    }

    /// Gives a flag of `command`, in place of all that contradicts it.
    pub fn set(&mut self, command: &Command, long: &str, words: Vec<String>) {
        self.flags.retain(|other, _| !contradict(command, other, long));
        self.flags.insert(long.to_owned(), words);
        if long == NO_CURRICULUM {
            self.phases = None;
        }
    }

    /// Gives a flag no more.
    pub fn remove(&mut self, long: &str) {
        self.flags.remove(long);
    }
}

/// One flag as arguments.
pub fn arguments(long: &str, words: &[String]) -> Vec<OsString> {
    match words {
        [] => vec![format!("--{long}").into()],
        words => words.iter().map(|word| format!("--{long}={word}").into()).collect(),
    }
}

/// The flag of that long name, or of that other spelling of one.
pub fn find<'a>(command: &'a Command, long: &str) -> Option<&'a Arg> {
    let is = |arg: &&Arg| {
        let other = || arg.get_all_aliases().is_some_and(|all| all.contains(&long));
        arg.get_long() == Some(long) || other()
    };
    command.get_arguments().find(is)
}

/// Whether two flags of `command` cannot be given together.
pub fn contradict(command: &Command, a: &str, b: &str) -> bool {
    let (Some(a), Some(b)) = (find(command, a), find(command, b)) else { return false };
    let refuses = |a: &Arg, b: &Arg| command.get_arg_conflicts_with(a).iter().any(|c| c.get_id() == b.get_id());
    a.get_id() != b.get_id() && (refuses(a, b) || refuses(b, a))
}
