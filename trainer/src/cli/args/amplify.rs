//! The last phase's flags.

use clap::Args;

use super::values::{real, real32};
use crate::run::amplify::settings::Settings;

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
