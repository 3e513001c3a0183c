//! How a program ends.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// Says what went wrong, if anything did. Whoever closed the pipe we wrote to has seen enough: that is no failure.
pub fn exit(result: anyhow::Result<()>) -> ExitCode {
    match result.and_then(|()| Ok(io::stdout().flush()?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = |e: &(dyn std::error::Error + 'static)| e.downcast_ref::<io::Error>().map(io::Error::kind);
    error.chain().any(|e| kind(e) == Some(ErrorKind::BrokenPipe))
}
