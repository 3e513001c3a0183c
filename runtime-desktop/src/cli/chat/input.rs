//! Where lines come from: an editor with a history on a terminal, plain reading elsewhere.

use std::env;
use std::fs;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

pub enum Input {
    Terminal { editor: Box<DefaultEditor>, history: Option<PathBuf> },
    Pipe { number: usize },
}

impl Input {
    /// The editor where both ends are a terminal, with the history at `history` or its usual place.
    pub fn open(history: Option<PathBuf>) -> Result<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Ok(Self::Pipe { number: 0 });
        }
        let mut editor = Box::new(DefaultEditor::new().context("the terminal cannot be used for editing")?);
        let history = history.or_else(usual_history);
        if let Some(path) = &history {
            // none yet, the first time
            let _ = editor.load_history(path);
        }
        Ok(Self::Terminal { editor, history })
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
                        if !line.trim().is_empty() {
                            editor.add_history_entry(&line).context("the history cannot grow")?;
                            save(editor, history);
                        }
                        return Ok(Some(line));
                    }
                    Err(ReadlineError::Interrupted) => writeln!(io::stdout(), "(Ctrl-D or /quit leaves)")?,
                    Err(ReadlineError::Eof) => return Ok(None),
                    Err(error) => return Err(error).context("the terminal cannot be read"),
                }
            },
            Self::Pipe { number } => loop {
                let mut bytes = Vec::new();
                if io::stdin().lock().read_until(b'\n', &mut bytes).context("standard input cannot be read")? == 0 {
                    return Ok(None);
                }
                *number += 1;
                match String::from_utf8(bytes) {
                    Ok(line) => return Ok(Some(line.trim_end_matches(['\n', '\r']).into())),
                    Err(_) => writeln!(io::stderr(), "line {number} of standard input is skipped: it is not UTF-8")?,
                }
            },
        }
    }
}

/// Saves after every line, so that however the program ends, nothing typed is lost. A history that cannot be saved
/// (a read-only home) is no reason to stop talking: it is tried once.
fn save(editor: &mut DefaultEditor, history: &mut Option<PathBuf>) {
    let Some(path) = history else { return };
    if let Some(folder) = path.parent() {
        let _ = fs::create_dir_all(folder);
    }
    if editor.save_history(path).is_err() {
        *history = None;
    }
}

/// `flashlm/history` in the user's state directory.
fn usual_history() -> Option<PathBuf> {
    let folder = |name| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let state = folder("XDG_STATE_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".local").join("state")))
        .or_else(|| folder("APPDATA"))?;
    Some(state.join("flashlm").join("history"))
}
