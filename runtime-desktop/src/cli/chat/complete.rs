//! What helps at the prompt: Tab completes, and what is typed has its colour.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, is_separator};

use rustyline::completion::{Completer, Pair};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use super::command::{About, COMMANDS, Takes};
use crate::screen::Voice;

/// Helps the line editor.
#[derive(Debug)]
pub struct Assistant {
    pub coloured: bool,
}

impl Helper for Assistant {}
impl Validator for Assistant {}

impl Hinter for Assistant {
    type Hint = String;
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        Ok(completions(line.get(..pos).unwrap_or(line)))
    }
}

impl Highlighter for Assistant {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        let style = if line.starts_with('/') { Voice::Message.style() } else { Voice::Own.style() };
        if self.coloured { format!("{style}{line}{style:#}").into() } else { line.into() }
    }

    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        self.coloured
    }
}

/// What could stand for the end of `typed`, and where in it that begins.
fn completions(typed: &str) -> (usize, Vec<Pair>) {
    let Some(command) = typed.strip_prefix('/') else { return (0, Vec::new()) };
    let Some((name, value)) = command.split_once(' ') else {
        let known = COMMANDS.iter().filter(|known| known.name.starts_with(command));
        let pair = |About { name, takes, .. }: &About| Pair {
            display: format!("/{name}"),
            replacement: format!("/{name}{}", if *takes == Takes::Nothing { "" } else { " " }),
        };
        return (0, known.map(pair).collect());
    };
    let value = value.trim_start();
    let start = typed.len() - value.len();
    match COMMANDS.iter().find(|known| known.name == name).map(|known| known.takes) {
        Some(Takes::Values(values)) => {
            let fitting = values.iter().filter(|known| known.starts_with(value));
            (start, fitting.map(|&known| Pair { display: known.into(), replacement: known.into() }).collect())
        }
        Some(Takes::File) => {
            let name = value.rfind(is_separator).map_or(0, |at| at + 1);
            (start + name, files(&value[..name], &value[name..]))
        }
        Some(Takes::Nothing | Takes::Text) | None => (start, Vec::new()),
    }
}

/// What lies in `folder` and begins with `name`; hidden files only where the name asks for them. What is no UTF-8
/// cannot be typed.
fn files(folder: &str, name: &str) -> Vec<Pair> {
    let entries = fs::read_dir(if folder.is_empty() { Path::new(".") } else { Path::new(folder) });
    let mut found = Vec::new();
    for entry in entries.into_iter().flatten().flatten() {
        if let Ok(mut file) = entry.file_name().into_string()
            && file.starts_with(name)
            && (!file.starts_with('.') || name.starts_with('.'))
        {
            if entry.path().is_dir() {
                file.push('/');
            }
            found.push(Pair { display: file.clone(), replacement: file });
        }
    }
    found.sort_by(|a, b| a.display.cmp(&b.display));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(typed: &str) -> Vec<String> {
        let (start, pairs) = completions(typed);
        pairs.into_iter().map(|pair| format!("{}{}", &typed[..start], pair.replacement)).collect()
    }

    #[test]
    fn commands_and_values_are_completed_and_stories_are_not() {
        assert_eq!(completed("/he"), ["/help"]);
        assert_eq!(completed("/top"), ["/top-p ", "/top-k "]);
        assert_eq!(
            completed("/"),
            COMMANDS.iter().flat_map(|c| completed(&format!("/{}", c.name))).collect::<Vec<_>>()
        );
        assert_eq!(completed("/pace r"), ["/pace reading"]);
        assert_eq!(completed("/trace "), ["/trace on", "/trace off"]);
        for nothing in ["", "Once", "/sing", "/sing x", "/help x", "/temp 0"] {
            assert_eq!(completed(nothing), [""; 0], "{nothing}");
        }
    }

    #[test]
    fn files_are_completed_with_spaces_in_their_names_and_folders_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| format!("{}/{name}", folder.path().display());
        for name in ["my model.flm", "my notes.txt", ".hidden"] {
            fs::write(at(name), "").unwrap();
        }
        fs::create_dir(at("sub")).unwrap();
        let load = |name: &str| format!("/load {}", at(name));
        assert_eq!(completed(&load("my m")), [load("my model.flm")]);
        assert_eq!(completed(&load("")), [load("my model.flm"), load("my notes.txt"), load("sub/")]);
        assert_eq!(completed(&load(".h")), [load(".hidden")]);
        assert_eq!(completed(&format!("/save {}", at("none/x"))), [""; 0]);
    }
}
