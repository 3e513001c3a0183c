//! A TOML file as flags: every key is checked where it stands, and what is wrong is said with the file and the line.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command};
use flashlm_core::config::TOP_K_OPS;
use flashlm_host::read_file;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::super::args::given::{NO_CURRICULUM, arguments, contradict, find};
use super::text::{holds_numbers, is_list};
use super::{OWN, is_switch, long};
use crate::run::table::{self, Row};

/// Longer than any file of flags, in bytes.
const LONGEST: u64 = 1 << 20;
/// How alike a key and a flag must be for one to be meant by the other, of 1.
const ALIKE: f64 = 0.8;
/// The table of phases.
const PHASES: &str = "phases";

/// What a file holds.
pub struct File {
    pub flags: Vec<Flag>,
    pub rows: Option<Vec<Row>>,
}

/// A key that is a flag, by its long name.
pub struct Flag {
    pub long: String,
    /// None of a switch.
    pub words: Vec<String>,
    /// As it stands in the file, and where, from 1.
    shown: String,
    line: usize,
}

/// Reads the file at `path`, whose keys are flags of `command`.
///
/// # Errors
/// It cannot be read, is no TOML, or asks for what `command` would refuse.
pub fn read(path: &Path, command: &Command) -> anyhow::Result<File> {
    let name = || path.display().to_string();
    let bytes = read_file(path, LONGEST).with_context(name)?;
    let text = String::from_utf8(bytes).with_context(name)?;
    let mut reader = Reader { path, text: &text, command, flags: Vec::new(), seen: BTreeMap::new(), rows: None };
    let whole = DeTable::parse(&text).map_err(|e| reader.refused(&e))?;
    reader.table(whole.into_inner(), None)?;
    reader.check_alone()?;
    reader.check_together()?;
    Ok(File { flags: reader.flags, rows: reader.rows.map(|(rows, _)| rows) })
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    command: &'a Command,
    flags: Vec<Flag>,
    /// Flags that came, with their lines; those switched off too.
    seen: BTreeMap<String, usize>,
    /// The table of phases, and its first row's line.
    rows: Option<(Vec<Row>, usize)>,
}

impl Reader<'_> {
    /// Takes the keys of the file, or of a table in it that has a help heading's name.
    fn table(&mut self, table: DeTable, heading: Option<&str>) -> anyhow::Result<()> {
        let mut entries: Vec<_> = table.into_iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let at = key.span().start;
            match (key.get_ref().as_ref(), value.get_ref(), heading) {
                (PHASES, ..) => self.phases(value)?,
                (name, DeValue::Table(_), None) if self.is_heading(name) => {
                    let DeValue::Table(inner) = value.into_inner() else { continue };
                    self.table(inner, Some(name))?;
                }
                (name, ..) => self.flag(name, at, &value, heading)?,
            }
        }
        Ok(())
    }

    fn flag(&mut self, key: &str, at: usize, value: &Spanned<DeValue>, heading: Option<&str>) -> anyhow::Result<()> {
        if key == "top-k" && is_usual_top_k(value.get_ref()) {
            return Ok(());
        }
        let known = find(self.command, key).filter(|arg| long(arg).is_some_and(|long| !OWN.contains(&long)));
        let Some(arg) = known else { bail!(self.at(at, &self.unknown(key, value.get_ref())?)) };
        let long = arg.get_long().unwrap_or_default();
        if let (Some(heading), Some(own)) = (heading, arg.get_help_heading())
            && heading != own.to_lowercase()
        {
            bail!(self.at(at, &format!("{key} stands under [{heading}]: expected [{}]", own.to_lowercase())));
        }
        let line = self.line(at);
        if let Some(before) = self.seen.insert(long.to_owned(), line) {
            bail!(self.at(at, &format!("{key} is --{long}, which line {before} gives already")));
        }
        let shown = format!("{key} = {}", shown(&self.text[value.span()]));
        let words = words(arg, value.get_ref()).map_err(|what| self.at(at, &format!("{shown}: {what}")))?;
        if let Some(words) = words {
            self.flags.push(Flag { long: long.to_owned(), words, shown, line });
        }
        Ok(())
    }

    /// What is said of a key that is no flag; nothing of one that says what is so anyhow.
    fn unknown(&self, key: &str, value: &DeValue) -> anyhow::Result<String> {
        if key == "top-k" {
            let found = match value {
                DeValue::Integer(number) => number.to_string(),
                _ => "something else".into(),
            };
            return Ok(format!(
                "top-k = {found}: packed models take {TOP_K_OPS} operations a pass, and no flag changes it"
            ));
        }
        let longs: Vec<&str> = self.command.get_arguments().filter_map(long).filter(|l| !OWN.contains(l)).collect();
        let ends: Vec<&&str> = longs.iter().filter(|long| long.ends_with(&format!("-{key}"))).collect();
        let alike = longs.iter().map(|long| (strsim::jaro_winkler(key, long), long));
        let nearest = alike.filter(|(alike, _)| *alike >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0));
        let meant = if let [only] = ends[..] { Some(only) } else { nearest.map(|(_, long)| long) };
        let hint = match meant {
            Some(long) => format!("did you mean {long}?"),
            None => "expected a long flag without its dashes, or [[phases]]".into(),
        };
        Ok(format!("there is no key {key}: {hint}"))
    }

    fn phases(&mut self, value: Spanned<DeValue>) -> anyhow::Result<()> {
        let begin = value.span().start;
        let DeValue::Array(array) = value.into_inner() else {
            bail!(self.at(begin, "phases: expected tables, each under [[phases]]"));
        };
        let (mut rows, mut places) = (Vec::new(), Vec::new());
        for row in array {
            places.push(row.span().start);
            rows.push(Row::deserialize(ValueDeserializer::from(row)).map_err(|e| self.refused(&e))?);
        }
        if let Err((row, what)) = table::check(&rows) {
            let name = rows.get(row).map_or("", |row| &row.name);
            bail!(self.at(places.get(row).copied().unwrap_or(begin), &format!("phase {} ({name:?}): {what}", row + 1)));
        }
        let first = self.line(places.first().copied().unwrap_or(begin));
        self.rows = Some((rows, first));
        Ok(())
    }

    /// Has clap check every flag.
    fn check_alone(&self) -> anyhow::Result<()> {
        let mut command = self.command.clone();
        for flag in &self.flags {
            let line = ["trainer".into()].into_iter().chain(arguments(&flag.long, &flag.words));
            if let Err(error) = command.try_get_matches_from_mut(line) {
                bail!("{}:{}: {}: {}", self.path.display(), flag.line, flag.shown, reason(&error));
            }
        }
        Ok(())
    }

    /// Refuses what contradicts itself.
    fn check_together(&self) -> anyhow::Result<()> {
        for (index, flag) in self.flags.iter().enumerate() {
            let place = format!("{}:{}", self.path.display(), flag.line);
            for other in &self.flags[..index] {
                if contradict(self.command, &flag.long, &other.long) {
                    bail!("{place}: {} cannot stand beside {} of line {}", flag.long, other.long, other.line);
                }
            }
            if let Some((_, line)) = self.rows.as_ref().filter(|_| flag.long == NO_CURRICULUM) {
                bail!("{place}: {} cannot stand beside [[phases]], line {line}", flag.long);
            }
        }
        Ok(())
    }

    fn is_heading(&self, name: &str) -> bool {
        let headings = self.command.get_arguments().filter_map(Arg::get_help_heading);
        headings.map(str::to_lowercase).any(|heading| heading == name)
    }

    /// The line that a byte is on, from 1.
    fn line(&self, at: usize) -> usize {
        1 + self.text.as_bytes()[..at.min(self.text.len())].iter().filter(|&&byte| byte == b'\n').count()
    }

    /// An error with its place.
    fn at(&self, at: usize, what: &str) -> anyhow::Error {
        anyhow!("{}:{}: {what}", self.path.display(), self.line(at))
    }

    fn refused(&self, error: &toml::de::Error) -> anyhow::Error {
        self.at(error.span().unwrap_or(Range { start: 0, end: 0 }).start, error.message())
    }
}

/// Whether a value is the number of operations a pass takes, which is the format's.
fn is_usual_top_k(value: &DeValue) -> bool {
    matches!(value, DeValue::Integer(number) if number.to_string() == TOP_K_OPS.to_string())
}

/// A value as a message shows it.
fn shown(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A flag's words; none where it is a switch that is off.
fn words(arg: &Arg, value: &DeValue) -> Result<Option<Vec<String>>, String> {
    if is_switch(arg) {
        return match value {
            DeValue::Boolean(on) => Ok(on.then(Vec::new)),
            _ => Err("expected true or false".into()),
        };
    }
    let DeValue::Array(array) = value else { return Ok(Some(vec![word(arg, value)?])) };
    let words = array.iter().map(|value| word(arg, value.get_ref())).collect::<Result<Vec<_>, _>>()?;
    match arg.get_action() {
        ArgAction::Append if words.is_empty() => Ok(None),
        ArgAction::Append => Ok(Some(words)),
        _ if is_list(arg) => Ok(Some(vec![words.join(",")])),
        _ => Err(format!("expected {}, not a list", kind(arg))),
    }
}

/// One word of a flag.
fn word(arg: &Arg, value: &DeValue) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.as_ref().to_owned()),
        DeValue::Integer(number) if holds_numbers(arg) && number.radix() == 10 => Ok(number.as_str().to_owned()),
        DeValue::Float(number) if holds_numbers(arg) => Ok(number.as_str().to_owned()),
        _ => Err(format!("expected {}", kind(arg))),
    }
}

/// What a flag takes, in words.
fn kind(arg: &Arg) -> &'static str {
    match (holds_numbers(arg), is_list(arg)) {
        (true, true) => "a list of numbers",
        (true, false) => "a number",
        (false, true) => "a list of strings",
        (false, false) => "a string",
    }
}

/// Why clap refuses an argument, without the argument.
fn reason(error: &clap::Error) -> String {
    if let Some(source) = error.source() {
        return source.to_string();
    }
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(all)) => format!("expected one of {}", all.join(", ")),
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            line.strip_prefix("error: ").unwrap_or(line).to_owned()
        }
    }
}
