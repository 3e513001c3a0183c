//! Where lines come from: an editor with a history on a terminal, plain reading elsewhere.

use std::io::{self, BufRead, ErrorKind, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use flashlm_host::check_text;
use rustyline::error::ReadlineError;
use rustyline::{Config, DefaultEditor};

use super::complain;
use super::history::{self, History};

pub enum Input {
    Terminal { editor: Box<DefaultEditor>, history: Option<History> },
    Pipe { number: usize },
}

impl Input {
    /// The editor where both ends are a terminal, with the history at `history` or its usual place.
    pub fn open(history: Option<PathBuf>) -> Result<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Ok(Self::Pipe { number: 0 });
        }
        let config = Config::builder().max_history_size(history::LINES)?.build();
        let editor = DefaultEditor::with_config(config).context("the terminal cannot be used for editing")?;
        let mut input = Self::Terminal { editor: Box::new(editor), history: None };
        if let Some(history) = history.or_else(history::usual_place).map(History::at) {
            input.remember(history)?;
        }
        Ok(input)
    }

    /// Takes over what `history` holds, and keeps it. A history that cannot be used (a read-only home) is no reason not
    /// to talk: it is said once.
    fn remember(&mut self, from: History) -> Result<()> {
        let Self::Terminal { editor, history } = self else { return Ok(()) };
        match from.lines() {
            Ok(lines) => {
                for line in lines {
                    editor.add_history_entry(line).context("the history cannot grow")?;
                }
                *history = Some(from);
            }
            Err(error) => complain(&from.unusable(&error))?,
        }
        Ok(())
    }

    pub fn is_interactive(&self) -> bool {
        matches!(self, Self::Terminal { .. })
    }

    /// The next line; `None` at the end (Ctrl-D).
    pub fn line(&mut self) -> Result<Option<String>> {
        match self {
            Self::Terminal { editor, history } => loop {
                match editor.readline("> ") {
                    Ok(line) => {
                        // after every line, so that however the program ends, nothing typed is lost
                        if !line.trim().is_empty()
                            && editor.add_history_entry(&line).context("the history cannot grow")?
                            && let Some(kept) = history
                            && let Err(error) = kept.append(&line)
                        {
                            complain(&kept.unusable(&error))?;
                            *history = None;
                        }
                        return Ok(Some(line));
                    }
                    Err(ReadlineError::Interrupted) => writeln!(io::stdout(), "(Ctrl-D or /quit leaves)")?,
                    Err(ReadlineError::Eof) => return Ok(None),
                    // what the editor had read with it is gone
                    Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                        complain("what was typed is not UTF-8: please type it again")?;
                    }
                    Err(error) => return Err(error).context("the terminal cannot be read"),
                }
            },
            Self::Pipe { number } => loop {
                let mut bytes = Vec::new();
                if io::stdin().lock().read_until(b'\n', &mut bytes).context("standard input cannot be read")? == 0 {
                    return Ok(None);
                }
                *number += 1;
                match check_text(&bytes) {
                    Ok(line) => return Ok(Some(line.trim_end_matches(['\n', '\r']).into())),
                    Err(error) => complain(&format!("line {number} of standard input is skipped: {error}"))?,
                }
            },
        }
    }
}
