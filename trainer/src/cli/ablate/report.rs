//! What an ablation came to: a row a run, a line a cell, as JSON, CSV, Markdown and curves.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};

use flashlm_host::output;
use serde::Serialize;

use super::grid::{Axis, Cell};
use super::runs::{Outcome, Run};
use super::statistics::{Spread, mean_curve};
use crate::plot::{self, Curve};
use crate::run::metrics::{self, Record};
use crate::run::results::Results;
use crate::run::schedule::Budget;

/// Steps at the end of a run whose mean is its final loss: at the most, and one in so many.
const LAST_STEPS: usize = 50;
const LAST_PART: usize = 10;

/// All of it.
#[derive(Debug, Serialize)]
pub struct Report {
    pub keys: Vec<String>,
    pub seeds: Vec<u64>,
    /// What every run was given, unless that is what is varied.
    pub budget: Budget,
    pub cells: Vec<CellRow>,
    pub runs: Vec<RunRow>,
    #[serde(skip)]
    curves: Vec<Curve>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Open,
    Complete,
    Failed,
}

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct RunRow {
    pub cell: String,
    pub seed: u64,
    pub values: BTreeMap<String, String>,
    pub state: State,
    /// Why it failed.
    pub error: Option<String>,
    pub directory: PathBuf,
    pub figures: Option<Figures>,
}

/// What a complete run came to.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    /// Bits per byte of the whole held-out text, by the packed model; absent where it was not scored.
    pub bpc: Option<f64>,
    /// Cross-entropy of the last training steps, their mean [nats per token].
    pub loss: Option<f64>,
    pub parameters: usize,
    pub steps: u64,
    pub tokens: u64,
    pub tokens_per_second: f64,
    pub seconds: f64,
}

/// One cell, over the seeds whose runs are complete.
#[derive(Clone, Debug, Serialize)]
pub struct CellRow {
    pub cell: String,
    pub complete: usize,
    pub failed: usize,
    pub bpc: Option<Spread>,
    pub loss: Option<Spread>,
    pub tokens: Option<Spread>,
    pub tokens_per_second: Option<Spread>,
    /// Its bits per byte over the first cell's, seed by seed.
    pub difference: Option<Spread>,
}

impl Report {
    /// Of the runs as they stand.
    pub fn new(axes: &[Axis], cells: &[Cell], seeds: &[u64], budget: Budget, runs: &[Run], found: &[Outcome]) -> Self {
        let rows: Vec<RunRow> =
            runs.iter().zip(found).map(|(run, outcome)| row(&cells[run.cell], run, outcome)).collect();
        let lines = cells.iter().map(|cell| line(&cell.name, &cells[0].name, &rows)).collect();
        let curve = |(index, cell): (usize, &Cell)| {
            let own = runs.iter().zip(found).filter(|(run, _)| run.cell == index);
            let curves: Vec<_> = own.filter_map(|(_, outcome)| Some(points(outcome.results()?, budget))).collect();
            Curve { name: cell.name.clone(), points: mean_curve(&curves) }
        };
        Self {
            keys: axes.iter().map(|axis| axis.key.clone()).collect(),
            seeds: seeds.to_vec(),
            budget,
            cells: lines,
            runs: rows,
            curves: cells.iter().enumerate().map(curve).collect(),
        }
    }

    /// Writes `ablation.json`, `.csv` and `.md`, and `curves.svg`.
    pub fn write(&self, dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let time = match self.budget {
            Budget::Hours(_) => "training, minutes",
            Budget::Steps(_) => "training, steps",
        };
        let texts = [
            ("ablation.json", serde_json::to_string_pretty(self)? + "\n"),
            ("ablation.csv", self.csv()),
            ("ablation.md", self.markdown()),
            ("curves.svg", plot::svg(&self.curves, time, "held-out bits per character, mean ± standard deviation")),
        ];
        let write = |(name, text): (&str, String)| {
            let path = dir.join(name);
            output::write(&path, &[], |file| file.write_all(text.as_bytes()))?;
            Ok(path)
        };
        texts.into_iter().map(write).collect()
    }

    /// The table, and what failed.
    pub fn markdown(&self) -> String {
        let budget = match self.budget {
            Budget::Hours(hours) => format!("{hours} hours"),
            Budget::Steps(steps) => format!("{steps} steps"),
        };
        let (seeds, first) = (self.seeds.len(), self.seeds.first().copied().unwrap_or_default());
        let mut text = format!(
            "{budget} a run, {seeds} seeds from {first}; mean ± sample standard deviation over seeds. The difference \
             is to the first cell's BPC, seed by seed.\n\n\
             | cell | runs | held-out BPC | difference | training loss | tokens seen | tokens/s |\n\
             |---|---|---|---|---|---|---|\n"
        );
        let shown = |spread: Option<Spread>, digits| spread.map_or("-".into(), |spread| spread.shown(digits));
        for (index, cell) in self.cells.iter().enumerate() {
            let millions = |s: Spread| Spread { mean: s.mean / 1e6, sd: s.sd.map(|sd| sd / 1e6), ..s };
            let _ = writeln!(
                text,
                "| {} | {} of {seeds} | {} | {} | {} | {} | {} |",
                cell.cell.replace('|', "\\|"),
                cell.complete,
                shown(cell.bpc, 4),
                if index == 0 { "-".into() } else { shown(cell.difference, 4) },
                shown(cell.loss, 4),
                cell.tokens.map_or("-".into(), |tokens| format!("{} M", millions(tokens).shown(2))),
                shown(cell.tokens_per_second, 0)
            );
        }
        let failed: Vec<_> = self.runs.iter().filter(|run| run.state == State::Failed).collect();
        if !failed.is_empty() {
            text.push_str("\nFailed:\n");
        }
        for run in failed {
            let why = run.error.as_deref().unwrap_or_default();
            let _ = writeln!(text, "- {}, seed {}: {why} ({})", run.cell, run.seed, run.directory.display());
        }
        text
    }

    /// A line a run.
    fn csv(&self) -> String {
        let own = ["cell", "seed", "state", "bpc", "loss", "parameters", "steps", "tokens", "tokens_per_second"];
        let keys = self.keys.iter().map(String::as_str);
        let head: Vec<&str> = own.into_iter().chain(["seconds", "error", "directory"]).chain(keys).collect();
        let mut text = csv_line(head.into_iter().map(str::to_owned));
        for run in &self.runs {
            let figures = run.figures;
            let number = |of: fn(&Figures) -> Option<String>| figures.as_ref().and_then(of).unwrap_or_default();
            let state = match run.state {
                State::Open => "open",
                State::Complete => "complete",
                State::Failed => "failed",
            };
            let fields = [
                run.cell.clone(),
                run.seed.to_string(),
                state.to_owned(),
                number(|f| f.bpc.map(|v| v.to_string())),
                number(|f| f.loss.map(|v| v.to_string())),
                number(|f| Some(f.parameters.to_string())),
                number(|f| Some(f.steps.to_string())),
                number(|f| Some(f.tokens.to_string())),
                number(|f| Some(f.tokens_per_second.to_string())),
                number(|f| Some(f.seconds.to_string())),
                run.error.clone().unwrap_or_default(),
                run.directory.display().to_string(),
            ];
            let values = self.keys.iter().map(|key| run.values.get(key).cloned().unwrap_or_default());
            text += &csv_line(fields.into_iter().chain(values));
        }
        text
    }
}

impl Outcome {
    fn results(&self) -> Option<&Results> {
        match self {
            Self::Complete(results) => Some(results),
            Self::Open | Self::Failed(_) => None,
        }
    }
}

/// Fields as RFC 4180 has them.
fn csv_line(fields: impl Iterator<Item = String>) -> String {
    let quoted = |field: String| {
        if field.contains([',', '"', '\n', '\r']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
    };
    fields.map(quoted).collect::<Vec<_>>().join(",") + "\n"
}

fn row(cell: &Cell, run: &Run, outcome: &Outcome) -> RunRow {
    let state = match outcome {
        Outcome::Open => State::Open,
        Outcome::Complete(_) => State::Complete,
        Outcome::Failed(_) => State::Failed,
    };
    RunRow {
        cell: cell.name.clone(),
        seed: run.seed,
        values: cell.values.iter().cloned().collect(),
        state,
        error: if let Outcome::Failed(why) = outcome { Some(why.clone()) } else { None },
        directory: run.dir.clone(),
        figures: outcome.results().map(|results| Figures {
            bpc: results.held_out.as_ref().map(|held_out| held_out.packed_bpc),
            loss: final_loss(&run.dir.join(metrics::FILE)),
            parameters: results.parameters,
            steps: results.steps,
            tokens: results.tokens,
            tokens_per_second: results.tokens_per_second,
            seconds: results.elapsed,
        }),
    }
}

/// The mean loss of the last steps in a run's metrics, if it can be read.
fn final_loss(path: &Path) -> Option<f64> {
    let mut losses = Vec::new();
    for line in BufReader::new(File::open(path).ok()?).lines() {
        if let Ok(Record::Step(step)) = serde_json::from_str(&line.ok()?)
            && step.loss.is_finite()
        {
            losses.push(step.loss);
        }
    }
    let last = (losses.len() / LAST_PART).clamp(1, LAST_STEPS);
    let last = &losses[losses.len().checked_sub(last)?..];
    Spread::of(last).map(|spread| spread.mean)
}

fn line(cell: &str, first: &str, rows: &[RunRow]) -> CellRow {
    let own: Vec<&RunRow> = rows.iter().filter(|row| row.cell == cell).collect();
    let figures = |of: fn(&Figures) -> Option<f64>| {
        Spread::of(&own.iter().filter_map(|row| of(row.figures.as_ref()?)).collect::<Vec<_>>())
    };
    let bpc = |cell: &str, seed| {
        let row = rows.iter().find(|row| row.cell == cell && row.seed == seed)?;
        row.figures.as_ref()?.bpc
    };
    let pairs = own.iter().filter_map(|row| Some(bpc(cell, row.seed)? - bpc(first, row.seed)?));
    let count = |state| own.iter().filter(|row| row.state == state).count();
    CellRow {
        cell: cell.to_owned(),
        complete: count(State::Complete),
        failed: count(State::Failed),
        bpc: figures(|f| f.bpc),
        loss: figures(|f| f.loss),
        tokens: figures(|f| Some(f.tokens as f64)),
        tokens_per_second: figures(|f| Some(f.tokens_per_second)),
        difference: Spread::of(&pairs.collect::<Vec<_>>()),
    }
}

/// A run's evaluations over steps or, where its length is a time, minutes: on the first part of the held-out text, the
/// last on all of it.
pub fn points(results: &Results, budget: Budget) -> Vec<[f64; 2]> {
    let at = |step: u64, elapsed: f64| match budget {
        Budget::Hours(_) => elapsed / 60.0,
        Budget::Steps(_) => step as f64,
    };
    let mut points: Vec<_> = results.curve.iter().map(|e| [at(e.step, e.elapsed), e.bpc]).collect();
    if let Some(held_out) = &results.held_out {
        let end = at(results.steps, results.elapsed);
        points.retain(|p| p[0] < end);
        points.push([end, held_out.packed_bpc]);
    }
    points
}
