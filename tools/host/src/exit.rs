//! How a program begins and ends.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Context;

use crate::signals;

/// Runs a program from its first to its last moment: signals are taken over ([`signals::install`]), and what went wrong
/// is said. Whoever closed the pipe we wrote to has seen enough: that is no failure.
pub fn run(program: impl FnOnce() -> anyhow::Result<()>) -> ExitCode {
    let result = signals::install().context("signals cannot be taken over").and_then(|()| program());
    match result.and_then(|()| Ok(io::stdout().flush()?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // all that is done with files says which: what has no name is what is written to
            let bare = error.downcast_ref::<io::Error>().is_some() && error.chain().nth(1).is_none();
            let place = if bare { "standard output cannot be written: " } else { "" };
            let _ = writeln!(io::stderr(), "error: {place}{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = |e: &(dyn std::error::Error + 'static)| e.downcast_ref::<io::Error>().map(io::Error::kind);
    error.chain().any(|e| kind(e) == Some(ErrorKind::BrokenPipe))
}
