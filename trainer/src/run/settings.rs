//! What a run was asked to do, as plain values: stored in every checkpoint, and compared when a run goes on.

use serde::{Deserialize, Serialize};

use crate::data::Mix;
use crate::data::cut::Reading;
use crate::optim;
use crate::ranks::Reduce;
use crate::run::amplify::settings::Settings as Amplify;
use crate::run::schedule::{Budget, Schedule};

/// The shape of one optimiser step's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Replicas of a process, one thread each.
    pub threads: usize,
    /// Sequences a replica trains side by side.
    pub sequences: usize,
    /// Tokens of each sequence per micro-batch.
    pub tokens: usize,
    /// Micro-batches per optimiser step.
    pub accumulate: usize,
    /// Processes, each with so many replicas.
    #[serde(default = "one")]
    pub ranks: usize,
}

fn one() -> usize {
    1
}

impl Batch {
    /// Replicas of all processes.
    pub fn replicas(&self) -> usize {
        self.ranks * self.threads
    }

    /// Sequences that are trained side by side: rows of text, each with a state of its own.
    pub fn rows(&self) -> usize {
        self.replicas() * self.sequences
    }
}

/// Where the stories come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// `--data` as given, or `builtin`.
    pub train: String,
    /// `--valid` as given; `None`: split off the training stories.
    pub valid: Option<String>,
    /// How they are read.
    #[serde(default)]
    pub reading: Reading,
    /// Other texts mixed in.
    #[serde(default)]
    pub texts: Vec<MixedText>,
    /// Reasoning stories mixed in.
    pub mix: Mix,
}

/// A text that is mixed in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MixedText {
    /// As `--data` has it.
    pub data: String,
    /// Share of the tokens of all texts.
    pub share: f32,
}

/// All settings of a run except the model's dimensions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub seed: u64,
    pub budget: Budget,
    pub batch: Batch,
    /// What gradients are rounded to between processes.
    #[serde(default)]
    pub reduce: Reduce,
    pub source: Source,
    /// The model that the run began with, as given; `None`: random weights.
    #[serde(default)]
    pub from: Option<String>,
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
