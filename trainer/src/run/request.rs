//! A training run as it is asked for, in plain values.

use std::path::PathBuf;
use std::time::Duration;

use flashlm_core::config::ModelConfig;

use crate::kernels::Kernels;
use crate::ranks::Ranks;
use crate::report::Wanted;
use crate::run::closing::Invocation;
use crate::run::settings::Settings;
use crate::run::start::Start;

/// What to train, on what, and where it goes.
#[derive(Clone, Debug)]
pub struct Request {
    /// Preset, and its size, that the dimensions started from: what the model is called.
    pub preset: &'static str,
    /// Dimensions; the vocabulary is what is hoped for, as few stories give fewer tokens.
    pub config: ModelConfig,
    pub kernels: Kernels,
    /// The processes that train together, as each of them sees it.
    pub ranks: Ranks,
    pub settings: Settings,
    /// All of it as a file that a user could ask for it with; kept with the run.
    pub written: String,
    /// Held-out stories; `None`: split off the training stories.
    pub valid: Option<PathBuf>,
    /// Where tokenizers and tokens are kept between runs; `None`: the usual place.
    pub cache: Option<PathBuf>,
    /// Directory of the run.
    pub out: PathBuf,
    pub resume: Resume,
    /// A model whose weights and tokenizer the run begins with; `None`: random weights, a tokenizer of the stories.
    pub start: Option<Start>,
    /// Whether a run that goes on may come to have another length.
    pub extends: bool,
    /// Time between evaluations, and between checkpoints.
    pub evaluate_every: Duration,
    pub checkpoint_every: Duration,
    /// How the program was started, for the commands that it says at the end; `None`: it says none.
    pub invocation: Option<Invocation>,
    /// What the run shows of itself beside its files.
    pub report: Wanted,
}

impl Request {
    /// The same of these ranks together.
    pub fn on(mut self, ranks: Ranks) -> Self {
        self.settings.batch.ranks = ranks.count();
        Self { ranks, ..self }
    }
}

/// Where a training run starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resume {
    /// At the newest checkpoint in the run's directory; anew where there is none.
    Auto,
    /// Anew; a run that is in the directory is moved aside.
    Never,
    /// At this checkpoint. Later ones in the same directory, or another run in it, are moved aside.
    File(PathBuf),
}
