//! What phase 4 is asked to do.

use serde::{Deserialize, Serialize};

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
