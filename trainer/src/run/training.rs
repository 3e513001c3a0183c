//! A run between two steps: what it is made of, and where it stands.

use std::path::PathBuf;

use flashlm_core::blob::Facts;
use flashlm_core::config::{Depth, ModelConfig};
use flashlm_host::Blob;

use crate::data::{EvaluationSet, Fingerprints, hash};
use crate::export;
use crate::interrupt;
use crate::nn::{CHOICE, Calibration, Engine};
use crate::optim::Optimizer;
use crate::ranks::Ranks;
use crate::run::answers::AnswerRates;
use crate::run::clock::Clock;
use crate::run::directory::Directory;
use crate::run::levels::{Levels, Opened};
use crate::run::log;
use crate::run::metrics::{EvalRecord, Metrics};
use crate::run::schedule::{DepthTraining, Point};
use crate::run::settings::Settings;
use crate::run::streams::{Choice, Streams};

/// The most tokens that the choice of depth is fitted to, and the nats by which a deeper depth must be better to be
/// worth its passes.
const CALIBRATION_TOKENS: usize = 1 << 16;
const CALIBRATION_MARGIN: f32 = 0.02;

/// A run between two steps.
pub struct Run {
    /// The processes that train it together, as this one sees them.
    pub ranks: Ranks,
    pub settings: Settings,
    /// Preset, and its size, that the dimensions started from.
    pub preset: &'static str,
    /// Dimensions, with the depth that inference takes for now.
    pub config: ModelConfig,
    pub out: PathBuf,
    /// That directory, this process's own while it trains; the first rank's, where there are several.
    pub directory: Option<Directory>,
    /// Which run this is, and of which data.
    pub identity: Identity,
    /// The tokenizer's tables.
    pub tokenizer: Vec<u8>,
    pub engine: Engine,
    pub optimizer: Optimizer,
    pub streams: Streams,
    pub held_out: EvaluationSet,
    /// The first part of it, scored during the run.
    pub held_out_head: EvaluationSet,
    /// The file the held-out stories are in.
    pub held_out_path: PathBuf,
    /// The files of held-out stories of the texts that are mixed in, by the texts' names.
    pub held_out_mixed: Vec<(String, PathBuf)>,
    pub clock: Clock,
    /// What each phase bought, and what phase 4 did.
    pub phases: log::Log,
    /// Steps taken and tokens trained on.
    pub step: u64,
    pub tokens: u64,
    /// Index of the phase reached.
    pub phase: usize,
    /// Depth of inference for now.
    pub depth: Depth,
    /// How hard reasoning stories are so far.
    pub levels: Levels,
    /// Answers in training of late, for the display.
    pub answers: AnswerRates,
    pub metrics: Metrics,
    /// Evaluations so far.
    pub curve: Vec<EvalRecord>,
    /// Bits per byte of the whole held-out text, once measured.
    pub final_bpc: Option<f64>,
    /// The step whose checkpoint is on disk.
    pub saved: Option<u64>,
}

impl Run {
    /// Makes `point`'s phase the current one and says what stories are read in it; returns what that opened.
    pub fn enter(&mut self, point: &Point) -> Option<Opened> {
        self.phase = point.phase;
        let opened = self.levels.enter(point.levels.0);
        self.streams.choose(Choice {
            pool: point.pool,
            share: point.mix,
            difficulties: self.levels.difficulties(),
            depths: self.config.rcsm.map_or([1; 3], |rcsm| rcsm.depths),
            shares: point.shares,
        });
        opened.filter(|_| self.settings.source.mix.share > 0.0)
    }

    /// Whether the choice of depth is fitted, and not trained with the model or left out.
    pub fn calibrates(&self) -> bool {
        self.config.rcsm.is_some() && calibrates(&self.settings)
    }

    /// Fits the choice of depth to at most so many batches of stories that training has not come to, and lets inference
    /// choose from now on. Of several ranks the first fits it, to its own rows, and gives it to the others. `None`
    /// where there is no choice to fit. Neither the stream nor training's state moves.
    pub fn calibrate(&mut self, batches: usize) -> Option<Calibration> {
        if !self.calibrates() {
            return None;
        }
        let found = if self.ranks.leads() { self.fit(batches) } else { None };
        let Self { engine, ranks, .. } = self;
        if !ranks.agree_whether(found.is_some()) {
            return None;
        }
        if ranks.link().is_some() {
            engine.update(|params, _, layout| {
                CHOICE
                    .iter()
                    .filter_map(|name| layout.get(name))
                    .for_each(|t| ranks.share_floats(&mut params[t.range()]));
            });
        }
        let found = ranks.agree(found.unwrap_or_default());
        self.set_depth(Depth::Adaptive);
        Some(found)
    }

    /// [`Self::calibrate`] to rows of this process.
    fn fit(&mut self, batches: usize) -> Option<Calibration> {
        let Self { engine, streams, settings, .. } = self;
        let batch = settings.batch;
        let enough = CALIBRATION_TOKENS.div_ceil(batch.threads * batch.sequences * batch.tokens);
        let mut ahead = streams.ahead();
        let found =
            engine.calibrate(|replica, rows| ahead.fill(replica, rows), enough.min(batches), CALIBRATION_MARGIN);
        // what could not be read is said by the next step, which reads it too
        found.filter(|_| ahead.failure().is_none())
    }

    /// How much of the run's budget is spent, by the first rank's clock: 1 or more when it is used up.
    pub fn share(&self) -> f64 {
        self.ranks.decide(|| self.clock.progress(self.step))
    }

    /// Whether the user wants the run to stop, by what the first rank was told.
    pub fn is_stopped(&self) -> bool {
        self.ranks.agree_whether(interrupt::requested())
    }

    /// Holds the parameters of all ranks against one another.
    ///
    /// # Errors
    /// They are not the same: what the ranks compute differs, so that this is no run of one model any more.
    pub fn check_alike(&self) -> anyhow::Result<()> {
        let own = || hash::hash(bytemuck::cast_slice(&self.engine.params().data));
        match self.ranks.link() {
            Some(_) => self.ranks.same("the parameters", own()).map_err(|e| self.ranks.together(e.into())),
            None => Ok(()),
        }
    }

    /// The depth that inference takes from now on.
    pub fn set_depth(&mut self, depth: Depth) {
        self.depth = depth;
        if let Some(rcsm) = &mut self.config.rcsm {
            rcsm.default_depth = depth;
        }
    }

    /// Replaces what is not finite in the lanes' carried state by zero.
    pub fn mend_lanes(&mut self) {
        let mut states = self.engine.states();
        states.iter_mut().filter(|v| !v.is_finite()).for_each(|v| *v = 0.0);
        // of the engine's own length
        let _ = self.engine.set_states(&states);
    }

    /// Bits per byte of the last evaluation.
    pub fn last_bpc(&self) -> Option<f64> {
        self.final_bpc.or(self.curve.last().map(|e| e.bpc))
    }

    /// The model as it stands, packed.
    pub fn pack(&self) -> anyhow::Result<Blob> {
        let data = &self.settings.source.train;
        let facts = Facts {
            name: self.preset,
            data: export::short_name(data),
            tokens: self.tokens,
            steps: self.step,
            phase: (self.phase + 1).min(4) as u8,
            held_out_bpc: self.last_bpc(),
        };
        let params = self.engine.params();
        let blob = export::write_blob(&self.config, &facts, &self.tokenizer, &|name| params.tensor(name))?;
        let blob = Blob::copy("the model as it stands", &blob)?;
        blob.model()?;
        Ok(blob)
    }
}

/// Which run it is, and of which data.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// A number that no other run has.
    pub run: u64,
    pub fingerprints: Fingerprints,
}

fn calibrates(settings: &Settings) -> bool {
    settings.calibrate && settings.schedule.depth_training == DepthTraining::Forced
}
