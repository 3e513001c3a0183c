//! The RCSM engine: what it is made of, and how it is trained.

use clap::{Args, ValueEnum};
use flashlm_core::config::{
    MAX_LAYERS, MAX_RCSM_PARTS, MAX_RCSM_SLOTS, MAX_RCSM_TAPS, MAX_RCSM_WIDTH, ModelConfig, RcsmConfig, TOP_K_OPS,
    Writes,
};

use super::values::{depths, multiple_of_16, real32, shares};
use crate::data::DepthShares;
use crate::run::schedule::DepthTraining;

/// What the memory is written with, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WritesKind {
    /// Nothing.
    None,
    /// Every token to what came before it.
    Forward,
    /// And what came before to the token.
    Both,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Model")]
pub struct EngineArgs {
    /// Add the RCSM engine to a preset without it
    #[arg(long, conflicts_with = "no_rcsm")]
    pub rcsm: bool,
    /// Blocks before the RCSM engine [default: five of eight]
    #[arg(long, value_name = "BLOCKS", value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_LAYERS)))]
    #[arg(conflicts_with = "no_rcsm")]
    pub rcsm_after: Option<u16>,
    /// RCSM reasoning width [channels; a multiple of 16]
    #[arg(long, value_parser = multiple_of_16(16, MAX_RCSM_WIDTH), conflicts_with = "no_rcsm")]
    pub rcsm_width: Option<u16>,
    /// RCSM operations
    #[arg(long, value_parser = clap::value_parser!(u8).range(TOP_K_OPS as i64..=i64::from(MAX_RCSM_PARTS)))]
    #[arg(conflicts_with = "no_rcsm")]
    pub rcsm_ops: Option<u8>,
    /// RCSM memory addresses
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_RCSM_SLOTS)))]
    #[arg(conflicts_with = "no_rcsm")]
    pub rcsm_slots: Option<u8>,
    /// Tokens that RCSM keys and queries look back over
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_RCSM_TAPS)), conflicts_with = "no_rcsm")]
    pub rcsm_taps: Option<u8>,
    /// RCSM passes a token can take, three rising numbers, as in 1,3,8
    #[arg(long, value_name = "N,N,N", value_parser = depths, conflicts_with = "no_rcsm")]
    pub rcsm_depths: Option<[u8; 3]>,
    /// What a token links in the RCSM memory
    #[arg(long, value_enum, conflicts_with = "no_rcsm")]
    pub rcsm_writes: Option<WritesKind>,
    /// Leave the RCSM engine out
    #[arg(long)]
    pub no_rcsm: bool,
}

impl EngineArgs {
    /// The engine of `base`, or the usual one where it is asked for, with what the command line overrides; `layers` are
    /// those of the model that it goes into.
    pub fn config(&self, base: &ModelConfig, layers: u16) -> Option<RcsmConfig> {
        let usual = RcsmConfig { after: (5 * base.layers).div_ceil(8), ..RcsmConfig::DEFAULT };
        let engine = base.rcsm.or(self.is_asked_for().then_some(usual)).filter(|_| !self.no_rcsm)?;
        // the same place in a model of another height
        let after = (u32::from(engine.after) * u32::from(layers)).div_ceil(base.layers.max(1).into()) as u16;
        Some(RcsmConfig {
            width: self.rcsm_width.unwrap_or(engine.width),
            ops: self.rcsm_ops.unwrap_or(engine.ops),
            slots: self.rcsm_slots.unwrap_or(engine.slots),
            taps: self.rcsm_taps.unwrap_or(engine.taps),
            after: self.rcsm_after.unwrap_or(after),
            depths: self.rcsm_depths.unwrap_or(engine.depths),
            writes: match self.rcsm_writes {
                None => engine.writes,
                Some(WritesKind::None) => Writes::None,
                Some(WritesKind::Forward) => Writes::Forward,
                Some(WritesKind::Both) => Writes::Both,
            },
            ..engine
        })
    }

    /// Whether any flag speaks of an engine, also for a preset without one.
    fn is_asked_for(&self) -> bool {
        let numbers = [self.rcsm_ops, self.rcsm_slots, self.rcsm_taps].iter().any(Option::is_some);
        let sizes = self.rcsm_width.is_some() || self.rcsm_after.is_some();
        self.rcsm || numbers || sizes || self.rcsm_depths.is_some() || self.rcsm_writes.is_some()
    }
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Reasoning")]
pub struct ReasoningArgs {
    /// forced: each story trains one depth, drawn for it; blend: every token trains all of them, blended
    #[arg(long, value_enum, default_value = "forced")]
    pub depth_training: DepthTraining,
    /// How often each of the three depths is drawn for a story [shares]
    #[arg(long, value_name = "SHARES", default_value = ".7,.2,.1", value_parser = shares)]
    pub depths: [f32; 3],
    /// The same for reasoning stories, and for others that have answers marked
    #[arg(long, value_name = "SHARES", default_value = ".2,.4,.4", value_parser = shares)]
    pub reasoning_depths: [f32; 3],
    /// How many times as much as any other token an answer's counts that the passes taken are enough for
    #[arg(long, default_value_t = 5.0, value_parser = real32("weight", 0.0, 100.0))]
    pub answer_weight: f32,
    /// Share of an answer's target that is spread evenly over the vocabulary, so that words which are no answer in
    /// training can still be one
    #[arg(long, default_value_t = 0.3, value_parser = real32("share", 0.0, 0.9))]
    pub answer_smoothing: f32,
    /// Do not fit the choice of depth: the model takes the most passes at every token
    #[arg(long)]
    pub no_calibrate: bool,
    /// Weight of the loss that spreads use over the RCSM's operations
    #[arg(long, default_value_t = 0.01, value_parser = real32("weight", 0.0, 10.0))]
    pub balance: f32,
    /// Gumbel-softmax temperature of --depth-training blend at the start
    #[arg(long, default_value_t = 1.0, value_parser = real32("temperature", 0.01, 10.0))]
    pub tau: f32,
    /// The same, after its anneal
    #[arg(long, default_value_t = 0.3, value_parser = real32("temperature", 0.01, 10.0))]
    pub tau_end: f32,
}

impl ReasoningArgs {
    /// How often each depth is drawn.
    pub fn shares(&self) -> DepthShares {
        DepthShares { plain: self.depths, reasoning: self.reasoning_depths }
    }
}
