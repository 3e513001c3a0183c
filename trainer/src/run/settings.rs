//! What a run was asked to do, as plain values: stored in every checkpoint and compared on resume.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::Mix;
use crate::optim;
use crate::run::amplify::settings::Settings as Amplify;
use crate::run::schedule::{Budget, Schedule};

/// The shape of one optimiser step's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Replicas, one thread each.
    pub threads: usize,
    /// Sequences a replica trains side by side.
    pub sequences: usize,
    /// Tokens of each sequence per micro-batch.
    pub tokens: usize,
    /// Micro-batches per optimiser step.
    pub accumulate: usize,
}

/// Where the stories come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// `--data` as given, or `builtin`.
    pub train: String,
    /// `--valid` as given; `None`: split off the training stories.
    pub valid: Option<String>,
    /// Reasoning stories mixed in.
    pub mix: Mix,
}

/// All settings of a run except the model's dimensions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub seed: u64,
    pub budget: Budget,
    pub batch: Batch,
    pub source: Source,
    #[serde(alias = "optimiser")]
    pub optimizer: optim::Settings,
    pub schedule: Schedule,
    /// Weight of the squared log-partition loss.
    pub z_loss: f32,
    /// How many times as much as any other token an answer's counts that the passes taken are enough for.
    pub answer_weight: f32,
    /// Share of an answer's target that is spread evenly over the vocabulary.
    pub answer_smoothing: f32,
    /// Whether the choice of depth is fitted at the end.
    pub calibrate: bool,
    /// Stories of the model's own in the phase that takes them; `None`: never.
    #[serde(default)]
    pub amplify: Option<Amplify>,
    /// Kernels the run computes with; other kernels may round the backward pass otherwise.
    pub kernels: String,
}

/// How a resumed run's settings differ from its checkpoint's.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Difference {
    /// What changed, as `name: before -> now`.
    pub changes: Vec<String>,
    /// Whether the data stream and the lanes' state cannot be carried on and start anew.
    pub stream_restarts: bool,
}

impl Settings {
    /// Compares with the settings of a checkpoint. All but the optimiser's rule may change; where batch
    /// shape, data or seed did, the data stream starts anew.
    pub fn difference(&self, before: &Settings) -> Result<Difference, String> {
        let kinds = (self.optimizer.kind, before.optimizer.kind);
        if kinds.0 != kinds.1 {
            return Err(format!("it was trained with --optimizer {:?}, not {:?}", kinds.1, kinds.0).to_lowercase());
        }
        let mut changes = Vec::new();
        let flat = |s: &Settings| serde_json::to_value(s).unwrap_or_default();
        compare("", &flat(before), &flat(self), &mut changes);
        let (mut a, mut b) = (self.batch, before.batch);
        // accumulation only says how often the optimiser steps: the lanes are the same
        (a.accumulate, b.accumulate) = (1, 1);
        let stream_restarts = a != b || self.source != before.source || self.seed != before.seed;
        Ok(Difference { changes, stream_restarts })
    }
}

/// Lists the leaves that differ.
fn compare(path: &str, before: &Value, now: &Value, changes: &mut Vec<String>) {
    match (before, now) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))) {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let null = Value::Null;
                compare(&path, a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null), changes);
            }
        }
        _ if before != now => changes.push(format!("{path}: {before} -> {now}")),
        _ => {}
    }
}
