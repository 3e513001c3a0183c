//! `results.json`: what a run came to, for programs to read.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, ensure};
use flashlm_host::{output, read_file};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::nn::Calibration;
use crate::run::log::Log;
use crate::run::metrics::EvalRecord;
use crate::run::origin::Origin;

/// What it holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// Of this form; 0 in files of before it was written down.
    #[serde(default)]
    pub version: u32,
    /// What trained it, where, when and as was asked.
    #[serde(flatten)]
    pub origin: Origin,
    pub preset: String,
    /// Whether the run used up its budget.
    pub complete: bool,
    pub parameters: usize,
    pub steps: u64,
    pub tokens: u64,
    /// Wall-clock seconds of training over all sessions, without the scoring at the end.
    pub elapsed: f64,
    /// Over all of that time, evaluations included.
    pub tokens_per_second: f64,
    /// Of the whole held-out text; absent where that was not measured.
    pub held_out: Option<HeldOut>,
    /// Right answers among the last training steps, by the facts they need (1 to 4 or more) and depth; null for none.
    pub answers: [[Option<f64>; 3]; 4],
    /// Level of reasoning stories at the end, from 1.
    pub level: usize,
    /// What the choice of depth was found to be worth; absent where it was not fitted.
    pub calibration: Option<Depths>,
    /// The evaluations on the way, on the first part of the held-out text.
    pub curve: Vec<EvalRecord>,
    /// What each phase bought, and what phase 4 did.
    pub phases: Log,
    pub settings: Value,
}

/// All of the held-out text, scored twice.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HeldOut {
    pub file: String,
    pub bytes: u64,
    /// Bits per byte by the trainer's weights, and by the packed model through core.
    pub bpc: f64,
    pub packed_bpc: f64,
    pub mean_passes: f64,
}

/// A fitted choice of depth, on training text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Depths {
    pub tokens: u64,
    /// Mean loss at each depth, and as chosen [nats a token].
    pub depth_nats: [f64; 3],
    pub chosen_nats: f64,
    /// Share of the tokens sent on after the first and after the second depth, and those for which that pays.
    pub deeper: [f64; 2],
    pub pays: [f64; 2],
}

impl From<Calibration> for Depths {
    fn from(found: Calibration) -> Self {
        let Calibration { tokens, depth_nats, chosen_nats, deeper, pays, .. } = found;
        Self { tokens, depth_nats, chosen_nats, deeper, pays }
    }
}

impl Results {
    /// Its name in a run's directory.
    pub const FILE: &str = "results.json";
    /// The version that is written. It rises when what a field means changes.
    pub const VERSION: u32 = 1;
    /// A year of evaluations is shorter.
    const LONGEST: u64 = 64 << 20;

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// It cannot be read, is of something else, or of a version after [`VERSION`](Self::VERSION).
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let name = || path.display().to_string();
        let read: Self = serde_json::from_slice(&read_file(path, Self::LONGEST).with_context(name)?)
            .with_context(|| format!("{}: expected the results of a run", path.display()))?;
        let (found, known) = (read.version, Self::VERSION);
        ensure!(found <= known, "{}: is of version {found}: expected {known} at the most", path.display());
        Ok(read)
    }

    /// Writes the file at `path`, whole or not at all.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        Ok(output::write(path, &[], |file| file.write_all(text.as_bytes()))?)
    }
}
