//! `metrics.csv`: steps and evaluations as a table, a line each, for spreadsheets and data frames.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;

use flashlm_host::output;

use crate::run::metrics::Record;

/// The first line: names with their units.
const HEADER: &str = "kind,step,elapsed_seconds,tokens,mean_passes,phase,loss_nats_per_token,grad_norm,learning_rate,\
                      tokens_per_second,right_answers,answers,held_out_bits_per_byte,held_out_bytes,\
                      use_entropy_bits,pass_entropy_bits,hop_gate,hold_gate,write_gate_after,write_gate_before\n";
/// Its columns.
const COLUMNS: usize = 20;

/// The file, whose lines are gathered and then written together.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    lines: String,
    /// Whether what stands in the file is of this run.
    begun: bool,
}

impl Table {
    /// A table that takes the place of what is at `path` when it is first written.
    pub fn new(path: PathBuf) -> Self {
        Self { path, lines: String::new(), begun: false }
    }

    /// Adds a record's line; stories have none.
    pub fn add(&mut self, record: &Record) {
        if let Some(fields) = fields(record) {
            debug_assert_eq!(fields.len(), COLUMNS);
            // writing to a string cannot fail
            let _ = writeln!(self.lines, "{}", fields.join(","));
        }
    }

    /// Writes what was added: the whole file the first time, then only what is new.
    ///
    /// # Errors
    /// It cannot be written; the lines are kept for the next time.
    pub fn write(&mut self) -> anyhow::Result<()> {
        if !self.begun {
            output::write(&self.path, &[], |file| {
                file.write_all(HEADER.as_bytes())?;
                file.write_all(self.lines.as_bytes())
            })?;
        } else if let Err(e) = self.append() {
            // part of it may stand there
            return Err(anyhow::anyhow!("{}: cannot be written: {e}", self.path.display()));
        }
        self.begun = true;
        self.lines.clear();
        Ok(())
    }

    fn append(&self) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).open(&self.path)?;
        let length = file.metadata()?.len();
        // a line is there whole or not at all
        file.write_all(self.lines.as_bytes()).inspect_err(|_| drop(file.set_len(length)))
    }
}

/// A record's fields in the header's order; those it has not are empty.
fn fields(record: &Record) -> Option<Vec<String>> {
    let empty = |count| vec![String::new(); count];
    let option = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
    match record {
        Record::Step(r) => {
            let answers = r.answers.map(|a| [a.right, a.total].map(|n| n.iter().flatten().sum::<u32>().to_string()));
            let common = ["step".into(), r.step.to_string(), r.elapsed.to_string(), r.tokens.to_string()];
            let own = [
                r.mean_passes.to_string(),
                quoted(&r.phase),
                r.loss.to_string(),
                option(r.grad_norm),
                r.lr.to_string(),
                r.tokens_per_second.to_string(),
            ];
            Some(common.into_iter().chain(own).chain(answers.unwrap_or_default()).chain(empty(8)).collect())
        }
        Record::Eval(r) => {
            let common = ["eval".into(), r.step.to_string(), r.elapsed.to_string(), r.tokens.to_string()];
            let figures = [r.bpc.to_string(), r.bytes.to_string()];
            let reasoning = r.reasoning.as_ref().map_or(empty(6), |r| {
                let all =
                    [Some(r.use_entropy), Some(r.pass_entropy), r.hop, r.hold, Some(r.write[0]), Some(r.write[1])];
                all.map(option).into()
            });
            let passes = [r.mean_passes.to_string()];
            Some(common.into_iter().chain(passes).chain(empty(7)).chain(figures).chain(reasoning).collect())
        }
        Record::Sample(_) => None,
    }
}

/// A field by RFC 4180: in quotes where it has to be.
fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::report::testing::{evaluation, sample, step};

    #[test]
    fn every_line_has_the_headers_columns_and_its_figures_under_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        fs::write(&path, "of an earlier run\n").unwrap();
        let mut table = Table::new(path.clone());
        [step(6), evaluation(6), sample(6)].iter().for_each(|record| table.add(record));
        table.write().unwrap();
        table.add(&step(7));
        table.write().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(lines.len(), 4);
        assert!(lines.iter().all(|line| line.len() == COLUMNS), "{text}");
        let at = |line: usize, name: &str| lines[line][lines[0].iter().position(|n| *n == name).unwrap()];
        assert_eq!((at(1, "kind"), at(1, "step"), at(1, "phase"), at(1, "answers")), ("step", "6", "foundation", "24"));
        assert_eq!((at(2, "kind"), at(2, "held_out_bytes"), at(2, "hop_gate")), ("eval", "100000", "0.4"));
        assert_eq!((at(2, "use_entropy_bits"), at(2, "write_gate_before"), at(2, "phase")), ("2", "0.1", ""));
        assert_eq!((at(3, "step"), at(3, "grad_norm"), at(3, "answers")), ("7", "", ""));
    }

    #[test]
    fn a_name_with_a_comma_is_quoted() {
        assert_eq!(quoted("plain"), "plain");
        assert_eq!(quoted("a, \"b\""), "\"a, \"\"b\"\"\"");
    }
}
