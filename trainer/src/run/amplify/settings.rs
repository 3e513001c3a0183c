//! What phase 4 is asked to do.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::run::args::values::{real, real32};

/// Flags of phase 4.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Phase 4")]
pub struct AmplifyArgs {
    /// Let the last phase train on the given stories alone, without any that the model tells itself
    #[arg(long = "no-phase-4")]
    pub off: bool,
    /// Stories that the model tells in each of the three rounds of phase 4, from beginnings of training stories
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub generated: u32,
    /// Most of them that are kept, the best by likelihood, repetition and names [share]
    #[arg(long, default_value_t = 0.25, value_parser = real32("share", 0.001, 1.0))]
    pub generated_keep: f32,
    /// Stories read in phase 4 that are such kept ones [share]
    #[arg(long, default_value_t = 0.1, value_parser = real32("share", 0.0, 0.9))]
    pub generated_share: f32,
    /// Temperature they are drawn at
    #[arg(long, default_value_t = 0.8, value_parser = real32("temperature", 0.0, 10.0))]
    pub generated_temperature: f32,
    /// Rise of held-out bits per character over those at the begin of phase 4 at which it is rolled back; below zero,
    /// the fall that is demanded
    #[arg(long, default_value_t = 0.01, value_parser = real("bits per character", -10.0, 10.0))]
    pub generated_tolerance: f64,
}

impl AmplifyArgs {
    /// The settings asked for; `None` where phase 4 is switched off.
    pub fn settings(&self) -> Option<Settings> {
        (!self.off).then_some(Settings {
            candidates: self.generated,
            keep: self.generated_keep,
            share: self.generated_share,
            temperature: self.generated_temperature,
            tolerance: self.generated_tolerance,
        })
    }
}

/// Settings of phase 4, stored in every checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Stories generated in a round.
    pub candidates: u32,
    /// The most of them that are kept, as a share.
    pub keep: f32,
    /// Share of the stories begun in phase 4 that are kept ones.
    pub share: f32,
    /// Sampling temperature.
    pub temperature: f32,
    /// Rise of held-out bits per byte over the phase's begin beyond which it is rolled back.
    pub tolerance: f64,
}

/// When, in shares of the phase, stories are generated: a row a round.
pub const ROUNDS: [f64; 3] = [0.0, 1.0 / 3.0, 2.0 / 3.0];
/// When the held-out text is looked at; once more at the end.
pub const CHECKS: [f64; 3] = [0.25, 0.5, 0.75];
/// The most of the phase's time that one round may take, where the run is as long as the clock says. Where it is as
/// long as its steps, a round is as long as it takes, so that results depend on nothing but the arguments.
pub const ROUND_TIME: f64 = 0.04;
