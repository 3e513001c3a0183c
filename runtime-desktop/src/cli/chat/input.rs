//! Where lines come from: an editor with a history on a terminal, plain reading elsewhere.

use std::io::{self, BufRead, ErrorKind, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use flashlm_host::check_text;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Config, Editor};

use super::complete::Assistant;
use super::history::{self, History};
use crate::screen::Screen;

pub struct Input {
    source: Source,
    screen: Screen,
}

enum Source {
    Terminal { editor: Box<Editor<Assistant, DefaultHistory>>, history: Option<History> },
    Pipe { number: usize },
}

impl Input {
    /// The editor where both ends are a terminal, with the history at `history` or its usual place.
    pub fn open(history: Option<PathBuf>, screen: Screen) -> Result<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Ok(Self { source: Source::Pipe { number: 0 }, screen });
        }
        let config = Config::builder().max_history_size(history::LINES)?.completion_type(CompletionType::List).build();
        let mut editor = Editor::with_config(config).context("the terminal cannot be used for editing")?;
        editor.set_helper(Some(Assistant { coloured: screen.coloured() }));
        let mut input = Self { source: Source::Terminal { editor: Box::new(editor), history: None }, screen };
        if let Some(history) = history.or_else(history::usual_place).map(History::at) {
            input.remember(history)?;
        }
        Ok(input)
    }

    /// Takes over what `history` holds, and keeps it. A history that cannot be used (a read-only home) is no reason not
    /// to talk: it is said once.
    fn remember(&mut self, from: History) -> Result<()> {
        let Source::Terminal { editor, history } = &mut self.source else { return Ok(()) };
        match from.lines() {
            Ok(lines) => {
                for line in lines {
                    editor.add_history_entry(line).context("the history cannot grow")?;
                }
                *history = Some(from);
            }
            Err(error) => self.screen.complain(&from.unusable(&error))?,
        }
        Ok(())
    }

    pub fn is_interactive(&self) -> bool {
        matches!(self.source, Source::Terminal { .. })
    }

    /// Asks what can be answered by yes or no, where an empty line is a yes; no where nobody can be asked, or the
    /// answer is Ctrl-C or Ctrl-D.
    pub fn agrees(&mut self, question: &str) -> Result<bool> {
        let Source::Terminal { editor, .. } = &mut self.source else { return Ok(false) };
        loop {
            match editor.readline(&format!("{question} [Y/n] ")) {
                Ok(answer) => match answer.trim().to_lowercase().as_str() {
                    "" | "y" | "yes" => return Ok(true),
                    "n" | "no" => return Ok(false),
                    _ => self.screen.complain(&format!("expected y or n, found {answer:?}"))?,
                },
                Err(ReadlineError::Interrupted | ReadlineError::Eof) => return Ok(false),
                Err(error) => return Err(error).context("the terminal cannot be read"),
            }
        }
    }

    /// The next line; `None` at the end (Ctrl-D).
    pub fn line(&mut self) -> Result<Option<String>> {
        let screen = self.screen;
        match &mut self.source {
            Source::Terminal { editor, history } => loop {
                match editor.readline("> ") {
                    Ok(line) => {
                        // after every line, so that however the program ends, nothing typed is lost
                        if !line.trim().is_empty()
                            && editor.add_history_entry(&line).context("the history cannot grow")?
                            && let Some(kept) = history
                            && let Err(error) = kept.append(&line)
                        {
                            screen.complain(&kept.unusable(&error))?;
                            *history = None;
                        }
                        return Ok(Some(line));
                    }
                    Err(ReadlineError::Interrupted) => writeln!(io::stdout(), "(Ctrl-D or /quit leaves)")?,
                    Err(ReadlineError::Eof) => return Ok(None),
                    // what the editor had read with it is gone
                    Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                        screen.complain("what was typed is not UTF-8: please type it again")?;
                    }
                    Err(error) => return Err(error).context("the terminal cannot be read"),
                }
            },
            Source::Pipe { number } => loop {
                let mut bytes = Vec::new();
                if io::stdin().lock().read_until(b'\n', &mut bytes).context("standard input cannot be read")? == 0 {
                    return Ok(None);
                }
                *number += 1;
                match check_text(&bytes) {
                    Ok(line) => return Ok(Some(line.trim_end_matches(['\n', '\r']).into())),
                    Err(error) => screen.complain(&format!("line {number} of standard input is skipped: {error}"))?,
                }
            },
        }
    }
}
