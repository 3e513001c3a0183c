//! `metrics.jsonl`: one JSON object a line, one line per training step, per evaluation and per story told at one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flashlm_host::output;
use serde::{Deserialize, Serialize};

use crate::run::answers::AnswerCounts;
use crate::run::reasoning::Reasoning;

/// The file's name in a run's directory.
pub const FILE: &str = "metrics.jsonl";

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Record {
    Step(StepRecord),
    Eval(EvalRecord),
    Sample(SampleRecord),
}

/// A training step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Steps taken, this one included.
    pub step: u64,
    /// Wall-clock seconds over all sessions.
    pub elapsed: f64,
    pub phase: String,
    /// Cross-entropy [nats per token].
    pub loss: f64,
    /// Global norm before clipping; absent where the step was skipped.
    pub grad_norm: Option<f64>,
    pub lr: f32,
    /// Tokens trained on so far.
    pub tokens: u64,
    pub tokens_per_second: f64,
    /// RCSM passes per token: those taken, or where depths are blended those a hard choice would take.
    pub mean_passes: f64,
    /// Share of the router's probability each operation got.
    pub op_usage: Vec<f32>,
    /// Of the answers among the step's tokens; absent where there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<AnswerCounts>,
}

/// An evaluation on held-out stories.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalRecord {
    pub step: u64,
    pub elapsed: f64,
    /// Bits per byte of the evaluated text.
    pub bpc: f64,
    /// Bytes of the evaluated text.
    pub bytes: u64,
    /// Tokens trained on so far.
    pub tokens: u64,
    pub mean_passes: f64,
    /// What the reasoning loop did on the first of the evaluated tokens; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Reasoning>,
}

/// A story told at an evaluation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleRecord {
    pub step: u64,
    /// How it begins; empty where the model begins it.
    pub prompt: String,
    /// The sampler's.
    pub seed: u64,
    /// All of it, the prompt included.
    pub text: String,
}

impl Record {
    fn step(&self) -> u64 {
        match self {
            Self::Step(r) => r.step,
            Self::Eval(r) => r.step,
            Self::Sample(r) => r.step,
        }
    }
}

/// The open file. Lines reach the disk at [`flush`](Self::flush).
pub struct Metrics {
    path: PathBuf,
    /// `None` where another process writes them.
    out: Option<BufWriter<File>>,
    /// Whether a failed write was reported: a full disk costs lines, not the run.
    reported: bool,
}

impl Metrics {
    /// Opens the file at `path`, keeping of its lines those up to `step` (what a killed run wrote after its last
    /// checkpoint will be written again). Returns the evaluations kept.
    pub fn open(path: &Path, step: u64) -> io::Result<(Self, Vec<EvalRecord>)> {
        let text = match fs::read_to_string(path) {
            Ok(text) if step > 0 => text,
            Err(e) if step > 0 && e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => String::new(),
        };
        let (mut kept, mut evaluations) = (String::with_capacity(text.len()), Vec::new());
        for line in text.lines() {
            // a line cut off by the kill does not parse
            let Ok(record) = serde_json::from_str::<Record>(line) else { continue };
            if record.step() <= step {
                kept.push_str(line);
                kept.push('\n');
                if let Record::Eval(e) = record {
                    evaluations.push(e);
                }
            }
        }
        output::write(path, &[], |file| file.write_all(kept.as_bytes())).map_err(io::Error::other)?;
        let out = BufWriter::new(OpenOptions::new().append(true).open(path)?);
        Ok((Self { path: path.into(), out: Some(out), reported: false }, evaluations))
    }

    /// Takes lines and keeps none: for the processes of a run that do not write it.
    pub fn nowhere() -> Self {
        Self { path: PathBuf::new(), out: None, reported: false }
    }

    /// Appends a line; a failure is returned once and then kept silent.
    pub fn write(&mut self, record: &Record) -> Option<String> {
        let out = self.out.as_mut()?;
        let result = serde_json::to_writer(&mut *out, record).map_err(io::Error::from);
        let result = result.and_then(|()| out.write_all(b"\n"));
        self.report(result)
    }

    /// Hands buffered lines to the system; a failure is returned once and then kept silent.
    pub fn flush(&mut self) -> Option<String> {
        let result = self.out.as_mut()?.flush();
        self.report(result)
    }

    fn report(&mut self, result: io::Result<()>) -> Option<String> {
        let error = result.err()?;
        let first = !std::mem::replace(&mut self.reported, true);
        first.then(|| format!("{}: cannot be written: {error}; training goes on", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: u64) -> Record {
        Record::Step(StepRecord {
            step,
            elapsed: 1.5 * step as f64,
            phase: "foundation".into(),
            loss: 1.0 / 3.0 + step as f64,
            grad_norm: Some(0.1),
            lr: 1e-3,
            tokens: 8192 * step,
            tokens_per_second: 1e4,
            mean_passes: 1.0,
            op_usage: vec![0.5, 0.5],
            answers: (step > 1).then_some(AnswerCounts { right: [[1; 3]; 4], total: [[2; 3]; 4] }),
        })
    }

    fn eval(step: u64) -> Record {
        Record::Eval(EvalRecord {
            step,
            elapsed: 9.0,
            bpc: 0.8,
            bytes: 1000,
            tokens: 1,
            mean_passes: 2.5,
            reasoning: None,
        })
    }

    fn sample(step: u64) -> Record {
        Record::Sample(SampleRecord { step, prompt: "Once".into(), seed: 1, text: "Once \"upon\"\na time".into() })
    }

    #[test]
    fn evaluations_of_before_there_were_figures_of_reasoning_are_read() {
        let line = r#"{"kind":"eval","step":3,"elapsed":9.0,"bpc":0.8,"bytes":1000,"tokens":1,"mean_passes":2.5}"#;
        assert_eq!(serde_json::from_str::<Record>(line).unwrap(), eval(3));
        assert_eq!(serde_json::to_string(&eval(3)).unwrap(), line);
    }

    #[test]
    fn a_resumed_run_rewrites_what_came_after_its_checkpoint() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let (mut metrics, _) = Metrics::open(&path, 0).unwrap();
        for record in [step(1), step(2), eval(2), sample(2), step(3), step(4), eval(4)] {
            assert_eq!(metrics.write(&record), None);
        }
        metrics.flush();
        drop(metrics);
        let whole = fs::read_to_string(&path).unwrap();
        // the kill cut the last line
        fs::write(&path, &whole[..whole.len() - 10]).unwrap();
        let (mut metrics, evaluations) = Metrics::open(&path, 3).unwrap();
        assert_eq!(evaluations.iter().map(|e| e.step).collect::<Vec<_>>(), [2]);
        metrics.write(&step(4));
        metrics.write(&eval(4));
        metrics.flush();
        assert_eq!(fs::read_to_string(&path).unwrap(), whole, "losses keep all their digits");
        Metrics::open(&path, 0).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "", "a new run starts a new file");
    }
}
