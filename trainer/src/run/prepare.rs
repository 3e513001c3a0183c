//! From what is asked for to a run ready for its next step: data, model, optimiser, and where a checkpoint left them.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use flashlm_core::Tokenizer;
use flashlm_core::blob::Facts;
use flashlm_core::config::{Depth, ModelConfig};
use flashlm_core::tokenizer::FIRST_MERGE;
use flashlm_host::Blob;

use crate::data::{self, EvaluationSet, Prepared};
use crate::export;
use crate::nn::{BatchShape, Calibration, EmbeddingMode, Engine, Footprint, Layout, Params};
use crate::optim::Optimizer;
use crate::run::answers::AnswerRates;
use crate::run::checkpoint::{self, Checkpoint};
use crate::run::clock::Clock;
use crate::run::levels::{Levels, Opened};
use crate::run::log;
use crate::run::metrics::{EvalRecord, Metrics};
use crate::run::progress::Progress;
use crate::run::request::{Request, Resume};
use crate::run::schedule::{DepthTraining, Point};
use crate::run::settings::Settings;
use crate::run::streams::{Choice, Lanes, Streams};

/// Bytes of held-out text that the evaluations during a run score.
const EVALUATION_BYTES: u64 = 100_000;
/// The most tokens that the choice of depth is fitted to, and the nats by which a deeper depth must be better to be
/// worth its passes.
const CALIBRATION_TOKENS: usize = 1 << 16;
const CALIBRATION_MARGIN: f32 = 0.02;
/// Bytes of text a tokenizer is trained on.
const TOKENIZER_SAMPLE: u64 = 64 << 20;

/// A run between two steps.
pub struct Run {
    pub settings: Settings,
    /// Preset, and its size, that the dimensions started from.
    pub preset: &'static str,
    /// Dimensions, with the depth that inference takes for now.
    pub config: ModelConfig,
    pub out: PathBuf,
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

/// Prepares everything that is asked for.
pub fn prepare(request: &Request, progress: &Progress) -> anyhow::Result<Run> {
    let Request { preset, mut config, kernels, .. } = *request;
    let (settings, out) = (request.settings.clone(), request.out.clone());
    let batch = settings.batch;
    // before anything is read, with the smallest vocabulary that the stories can give
    check_memory(request, ModelConfig { vocab: config.vocab.min(FIRST_MERGE.into()), ..config })?;
    std::fs::create_dir_all(&out).with_context(|| format!("cannot create the directory {}", out.display()))?;

    checkpoint::remove_temporaries(&out);
    let checkpoint = find_checkpoint(request, progress)?;
    let data = load_data(request, checkpoint.as_ref(), progress)?;
    let Prepared { tokenizer, train, curriculum, valid, valid_path, .. } = data;
    let words = Tokenizer::from_bytes(&tokenizer)?;
    if words.vocab() < config.vocab {
        progress.line(&format!("the stories give a vocabulary of {} tokens", words.vocab()));
    }
    config.vocab = words.vocab();

    check_memory(request, config)?;
    let params = match &checkpoint {
        Some(c) => c.params.clone(),
        None => Params::init(&config, settings.seed),
    };
    let (all, ternary) = params.layout.counts();
    let mut optimizer = Optimizer::new(kernels, &params.layout, settings.optimizer);
    let mut streams = Streams::new(
        train,
        curriculum,
        tokenizer.clone(),
        &settings.source.mix,
        Lanes { replicas: batch.threads, sequences: batch.sequences, seed: settings.seed },
    )?;
    let depth = inference_depth(&config, &settings, checkpoint.as_ref());
    if let Some(rcsm) = &mut config.rcsm {
        rcsm.default_depth = depth;
    }
    let mut engine = Engine::new(config, kernels, params, shape(&settings), EmbeddingMode::Int8)?;
    progress.line(&format!(
        "{preset}: {:.2} M parameters, {:.0} % ternary; {} threads x {} sequences x {} tokens x {}; {} kernels",
        all as f64 / 1e6,
        100.0 * ternary as f64 / all as f64,
        batch.threads,
        batch.sequences,
        batch.tokens,
        batch.accumulate,
        settings.kernels
    ));
    let state = match &checkpoint {
        Some(c) => resume(c, &settings, &mut optimizer, &mut streams, &mut engine, progress)?,
        None => Standing::default(),
    };
    let (metrics, curve) = Metrics::open(&out.join("metrics.jsonl"), state.step)
        .with_context(|| format!("cannot write {}", out.join("metrics.jsonl").display()))?;
    Ok(Run {
        clock: Clock::start(settings.budget, Duration::from_secs_f64(state.elapsed)),
        preset,
        config,
        tokenizer: tokenizer.clone(),
        engine,
        optimizer,
        streams,
        held_out_head: valid.head(EVALUATION_BYTES, words),
        held_out: valid,
        held_out_path: valid_path,
        step: state.step,
        tokens: state.tokens,
        phases: state.phases,
        phase: 0,
        depth,
        levels: state.levels,
        answers: state.answers,
        metrics,
        curve,
        final_bpc: None,
        saved: checkpoint.map(|_| state.step),
        settings,
        out,
    })
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
    /// choose from now on. `None` where there is no choice to fit. Neither the stream nor training's state moves.
    pub fn calibrate(&mut self, batches: usize) -> Option<Calibration> {
        if !self.calibrates() {
            return None;
        }
        let Self { engine, streams, settings, .. } = self;
        let batch = settings.batch;
        let enough = CALIBRATION_TOKENS.div_ceil(batch.threads * batch.sequences * batch.tokens);
        let mut ahead = streams.ahead();
        let found =
            engine.calibrate(|replica, rows| ahead.fill(replica, rows), enough.min(batches), CALIBRATION_MARGIN)?;
        self.set_depth(Depth::Adaptive);
        Some(found)
    }

    /// The depth that inference takes from now on.
    pub fn set_depth(&mut self, depth: Depth) {
        self.depth = depth;
        if let Some(rcsm) = &mut self.config.rcsm {
            rcsm.default_depth = depth;
        }
    }

    /// The phase a step at this moment would train in.
    pub fn point(&self) -> Point {
        self.settings.schedule.at(self.clock.progress(self.step))
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

/// Where a run stands.
#[derive(Default)]
struct Standing {
    step: u64,
    tokens: u64,
    elapsed: f64,
    levels: Levels,
    answers: AnswerRates,
    phases: log::Log,
}

fn calibrates(settings: &Settings) -> bool {
    settings.calibrate && settings.schedule.depth_training == DepthTraining::Forced
}

/// The depth inference takes until the choice is fitted: the deepest, unless the choice is trained with the model or a
/// checkpoint has it fitted.
fn inference_depth(config: &ModelConfig, settings: &Settings, checkpoint: Option<&Checkpoint>) -> Depth {
    let fitted = checkpoint.and_then(|c| c.config.rcsm).is_some_and(|rcsm| rcsm.default_depth == Depth::Adaptive);
    match (config.rcsm, settings.schedule.depth_training) {
        (None, _) => Depth::Fixed(1),
        (Some(_), DepthTraining::Blend) => Depth::Adaptive,
        (Some(_), DepthTraining::Forced) if fitted && settings.calibrate => Depth::Adaptive,
        (Some(rcsm), DepthTraining::Forced) => Depth::Fixed(rcsm.depths[2]),
    }
}

/// Refuses a model of this configuration that there is no memory to train.
fn check_memory(request: &Request, config: ModelConfig) -> anyhow::Result<()> {
    let Request { kernels, settings, .. } = request;
    let optimizer = Optimizer::memory(*kernels, &Layout::new(&config), settings.optimizer);
    Ok(Footprint::of(&config, *kernels, shape(settings), EmbeddingMode::Int8).check(optimizer)?)
}

/// How a run's batches are cut.
fn shape(settings: &Settings) -> BatchShape {
    let batch = settings.batch;
    BatchShape {
        threads: batch.threads,
        sequences: batch.sequences,
        tokens: batch.tokens,
        accumulate: batch.accumulate,
    }
}

/// The checkpoint to go on from, if any; an error where it is of another model.
fn find_checkpoint(request: &Request, progress: &Progress) -> anyhow::Result<Option<Checkpoint>> {
    let config = &request.config;
    let found = match &request.resume {
        Resume::Never => None,
        Resume::Auto => checkpoint::newest(&request.out, |note| progress.line(&note))?,
        Resume::File(path) => Some(checkpoint::read(path)?),
    };
    let Some(found) = found else { return Ok(None) };
    let path = found.path.display();
    if found.state.is_none() {
        bail!("{path}: holds a model but no training state to go on from");
    }
    if !same_model(&found.config, config) {
        let way_out = match request.resume {
            Resume::File(_) => "give the same dimensions",
            _ => "give the same dimensions, another --out, or --resume never to start anew",
        };
        bail!("{path}: is a checkpoint of another model: {way_out}\n  it: {:?}\n  now: {config:?}", found.config);
    }
    Ok(Some(found))
}

/// Whether a checkpoint is of the model asked for. Training itself sets the depth of inference, and a small corpus
/// gives fewer tokens than were asked for.
fn same_model(found: &ModelConfig, asked: &ModelConfig) -> bool {
    let mut found = *found;
    if let (Some(f), Some(a)) = (&mut found.rcsm, &asked.rcsm) {
        f.default_depth = a.default_depth;
    }
    found.vocab <= asked.vocab && ModelConfig { vocab: asked.vocab, ..found } == *asked
}

fn load_data(request: &Request, checkpoint: Option<&Checkpoint>, progress: &Progress) -> anyhow::Result<Prepared> {
    let Request { config, settings, .. } = request;
    let options = data::Options {
        data: data::Source::parse(&settings.source.train)?,
        valid: request.valid.clone().map(data::Source::Path),
        vocab: config.vocab as usize,
        tokenizer: checkpoint.map(|c| c.tokenizer.clone()),
        mix: settings.source.mix.clone(),
        sample: TOKENIZER_SAMPLE,
        cache_dir: request.cache.clone().unwrap_or_else(|| data::prepare::default_cache_dir().into()),
        seed: settings.seed,
    };
    let data = options.prepare(|note| progress.line(&note))?;
    if data.duplicates + data.in_validation > 0 {
        let (copies, seen) = (data.duplicates, data.in_validation);
        progress.line(&format!("left out {copies} copies of stories and {seen} stories of the held-out text"));
    }
    Ok(data)
}

/// Gives optimiser, streams and engine what a checkpoint holds for them.
fn resume(
    checkpoint: &Checkpoint,
    settings: &Settings,
    optimizer: &mut Optimizer,
    streams: &mut Streams,
    engine: &mut Engine,
    progress: &Progress,
) -> anyhow::Result<Standing> {
    let Some(state) = &checkpoint.state else { bail!("{}: no training state", checkpoint.path.display()) };
    let path = checkpoint.path.display();
    let difference = settings.difference(&state.settings).map_err(|e| anyhow::anyhow!("{path}: {e}"))?;
    progress.line(&format!("going on from {path}, step {}", state.step));
    for change in &difference.changes {
        progress.line(&format!("  changed: {change}"));
    }
    checkpoint.restore(optimizer)?;
    streams.stories_mut().add_tokens(&checkpoint.generated);
    let carried =
        !difference.stream_restarts && streams.restore(&state.cursor) && engine.set_states(&checkpoint.lanes).is_ok();
    if !carried {
        progress.line("  batch shape, data or seed changed: the data stream starts anew");
    }
    Ok(Standing {
        step: state.step,
        tokens: state.tokens,
        elapsed: state.elapsed,
        levels: state.levels.clone(),
        answers: state.answers.clone(),
        phases: state.phases.clone(),
    })
}

#[cfg(test)]
mod tests {
    use flashlm_core::config::RcsmConfig;

    use super::*;

    #[test]
    fn what_training_itself_sets_does_not_make_another_model() {
        let asked = ModelConfig::SUPERNOVA;
        let trained = RcsmConfig { default_depth: Depth::Fixed(1), ..RcsmConfig::DEFAULT };
        assert!(same_model(&ModelConfig { rcsm: Some(trained), vocab: 3000, ..asked }, &asked));
        assert!(!same_model(&ModelConfig { d_model: 128, ..asked }, &asked));
        assert!(!same_model(&ModelConfig { rcsm: None, ..asked }, &asked));
        assert!(!same_model(&ModelConfig { vocab: 5000, ..asked }, &asked));
    }
}
