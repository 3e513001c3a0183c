//! A training run's flags, and what they ask of [`crate::run`] in plain values.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use flashlm_core::config::ModelConfig;

use super::given::Given;
use super::values::{real, real32};
use super::{AmplifyArgs, BatchArgs, DataArgs, MachineArgs, ModelArgs, RanksArgs, ReasoningArgs, ReportArgs};
use crate::kernels::Kernels;
use crate::optim::{self, PerKind};
use crate::ranks::Ranks;
use crate::run::prepare::same_model;
use crate::run::preset;
use crate::run::request::{Request, Resume};
use crate::run::schedule::{self, Budget, Schedule};
use crate::run::settings::{Batch, Settings, Source};
use crate::run::start::{InitFrom, Start};
use crate::run::table::{Curriculum, Row};

/// Time between evaluations of a run whose length is in steps, minutes.
const EVALUATE_EVERY: f64 = 5.0;
/// How many evaluations there are in a run whose length is in hours.
const EVALUATIONS: f64 = 12.0;

#[derive(Clone, Debug, Args)]
pub struct TrainArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub machine: MachineArgs,
    #[command(flatten)]
    pub batch: BatchArgs,
    #[command(flatten)]
    pub ranks: RanksArgs,
    #[command(flatten)]
    pub data: DataArgs,
    #[command(flatten)]
    pub reasoning: ReasoningArgs,

    /// Length of the run, all sessions together [hours of wall-clock time]
    #[arg(long, help_heading = "Schedule", default_value_t = 2.0, value_parser = real("hours", 1e-4, 10_000.0))]
    #[arg(conflicts_with_all = ["minutes", "steps"])]
    pub hours: f64,
    /// The same [minutes]
    #[arg(long, help_heading = "Schedule", value_parser = real("minutes", 0.01, 600_000.0), conflicts_with = "steps")]
    pub minutes: Option<f64>,
    /// Length of the run instead of --hours; results then depend on nothing but the arguments [optimiser steps]
    #[arg(long, help_heading = "Schedule", value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: Option<u64>,
    /// How the learning rate falls
    #[arg(long, help_heading = "Schedule", value_enum, default_value = "trapezoid")]
    pub schedule: schedule::Shape,
    /// Part of the run over which the learning rate rises [share]
    #[arg(long, help_heading = "Schedule", default_value_t = 0.02, value_parser = real("share", 0.0, 0.5))]
    pub warmup: f64,
    /// Trapezoid: part of the run at the end over which the learning rate falls [share]
    #[arg(long, help_heading = "Schedule", default_value_t = 0.5, value_parser = real("share", 0.01, 1.0))]
    pub cooldown: f64,
    /// Last learning rate over the highest [share]
    #[arg(long, help_heading = "Schedule", default_value_t = 0.0, value_parser = real32("share", 0.0, 1.0))]
    pub lr_floor: f32,
    /// One phase from start to end: all stories, and reasoning stories of every level
    #[arg(long, help_heading = "Schedule")]
    pub no_curriculum: bool,

    /// Highest learning rate
    #[arg(long, help_heading = "Optimiser", default_value_t = 6e-3, value_parser = real32("rate", 1e-7, 1.0))]
    pub lr: f32,
    /// Rule for the ternary matrices; all else is AdamW's
    #[arg(long, alias = "optimiser", help_heading = "Optimiser", value_enum, default_value = "muon")]
    pub optimizer: optim::Kind,
    /// Micro-batches per optimiser step
    #[arg(long, help_heading = "Optimiser", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub accumulate: u16,
    /// Decay of the first moment
    #[arg(long, help_heading = "Optimiser", default_value_t = 0.9, value_parser = real32("share", 0.0, 0.9999))]
    pub beta1: f32,
    /// Decay of the second moment
    #[arg(long, help_heading = "Optimiser", default_value_t = 0.98, value_parser = real32("share", 0.0, 0.99999))]
    pub beta2: f32,
    /// Momentum of --optimizer muon
    #[arg(long, help_heading = "Optimiser", default_value_t = 0.95, value_parser = real32("share", 0.0, 0.9999))]
    pub momentum: f32,
    /// Weight decay of the ternary matrices [share per step, times the learning rate]
    #[arg(long, help_heading = "Optimiser", default_value_t = 0.1, value_parser = real32("share", 0.0, 10.0))]
    pub weight_decay: f32,
    /// Learning rate of the embedding, over --lr
    #[arg(long, help_heading = "Optimiser", default_value_t = 1.0, value_parser = real32("factor", 0.0, 100.0))]
    pub embedding_lr: f32,
    /// Learning rate of gains, biases, decays, taps and gates, over --lr
    #[arg(long, help_heading = "Optimiser", default_value_t = 1.0, value_parser = real32("factor", 0.0, 100.0))]
    pub float_lr: f32,
    /// Largest global gradient norm; 0: no limit
    #[arg(long, help_heading = "Optimiser", default_value_t = 1.0, value_parser = real32("norm", 0.0, 1e6))]
    pub clip: f32,
    /// Storage of the optimiser's moments
    #[arg(long, help_heading = "Optimiser", value_enum, default_value = "f32")]
    pub moments: optim::Precision,
    /// Weight of the squared log-partition loss
    #[arg(long, help_heading = "Optimiser", default_value_t = 1e-4, value_parser = real32("weight", 0.0, 1.0))]
    pub z_loss: f32,

    #[command(flatten)]
    pub amplify: AmplifyArgs,

    /// Begin with the weights and the tokenizer of a model in place of random ones: a packed model, a checkpoint, or
    /// the name of a built-in model (default: the first of them). Its dimensions are the run's
    #[arg(long, help_heading = "Run", value_name = "FILE|NAME", value_parser = init_from)]
    pub from: Option<InitFrom>,
    /// Read flags from a TOML file: each key is a long flag without its dashes (lr = 0.004, no-rcsm = true, a list
    /// where a flag is given several times), and [[phases]] are the table of phases. Flags given here win over the
    /// file. Paths in it are relative to the working directory
    #[arg(long, help_heading = "Run", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print the configuration in force as such a file, and do nothing else
    #[arg(long, help_heading = "Run")]
    pub print_config: bool,
    /// Directory of the run: checkpoints, metrics.jsonl, model.flm, results.json, run.toml, report.html, metrics.csv
    /// [default: out/PRESET, or out/PRESET-SIZE where --size is given]
    #[arg(long, help_heading = "Run", value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// auto: go on from the newest checkpoint in --out if there is one; never: start anew, after moving a run that is
    /// there aside to DIR.1; or a checkpoint file
    #[arg(long, help_heading = "Run", default_value = "auto", value_name = "auto|never|FILE", value_parser = resume)]
    pub resume: Resume,
    /// Let a run that goes on have another length than it was begun with: its phases and its learning rate are those of
    /// the new length from then on
    #[arg(long, help_heading = "Run")]
    pub extend: bool,
    /// Time between checkpoints [minutes]
    #[arg(long, help_heading = "Run", default_value_t = 5.0, value_parser = real("minutes", 0.01, 1e6))]
    pub checkpoint_every: f64,
    /// Time between evaluations [minutes] [default: a twelfth of --hours, 5 with --steps]
    #[arg(long, help_heading = "Run", value_parser = real("minutes", 0.01, 1e6))]
    pub eval_every: Option<f64>,
    /// Seed of initial weights, data order and noise
    #[arg(long, help_heading = "Run", default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub report: ReportArgs,

    /// What of this was given, with the table of phases if there is one, and the whole as a file says it. Filled in
    /// where `--config` is read.
    #[arg(skip)]
    pub given: Given,
    #[arg(skip)]
    pub written: String,
}

pub(in crate::cli) fn init_from(argument: &str) -> Result<InitFrom, Infallible> {
    Ok(argument.into())
}

fn resume(argument: &str) -> Result<Resume, Infallible> {
    Ok(match argument {
        "auto" => Resume::Auto,
        "never" => Resume::Never,
        file => Resume::File(file.into()),
    })
}

/// The directory of a run of this preset, unless told otherwise.
fn usual_out(preset: &str) -> PathBuf {
    PathBuf::from("out").join(preset)
}

impl TrainArgs {
    /// The run asked for; an error where the model, or this machine, cannot be as asked.
    pub fn request(&self) -> anyhow::Result<Request> {
        let start = self.from.as_ref().map(InitFrom::read).transpose()?;
        let config = match &start {
            Some(start) => self.config_of(start)?,
            None => self.model.config()?,
        };
        config.validate()?;
        let kernels = self.machine.kernels()?;
        let preset = match &start {
            Some(start) => preset::name_of(&start.config).unwrap_or("model"),
            None => self.model.named()?.name,
        };
        let minutes = |minutes: f64| Duration::from_secs_f64(minutes * 60.0);
        Ok(Request {
            preset,
            config,
            kernels,
            ranks: Ranks::alone(),
            settings: self.settings(kernels)?,
            written: self.written.clone(),
            valid: self.data.valid.clone(),
            cache: self.data.cache.clone(),
            out: self.out.clone().unwrap_or_else(|| usual_out(preset)),
            resume: self.resume.clone(),
            start,
            extends: self.extend,
            evaluate_every: minutes(self.eval_every.unwrap_or_else(|| self.usual_evaluation())),
            checkpoint_every: minutes(self.checkpoint_every),
            invocation: None,
            report: self.report.wanted(),
        })
    }

    /// The dimensions of the model to begin with; an error where others were asked for.
    fn config_of(&self, start: &Start) -> anyhow::Result<ModelConfig> {
        let asked = self.model.config()?;
        if asked != ModelConfig::SUPERNOVA && !same_model(&start.config, &asked) {
            bail!("--from: {} has dimensions of its own; expected no --preset, --size or other ones", start.name);
        }
        Ok(start.config)
    }

    fn hours(&self) -> f64 {
        self.minutes.map_or(self.hours, |minutes| minutes / 60.0)
    }

    /// Time between evaluations where none is given [minutes].
    fn usual_evaluation(&self) -> f64 {
        if self.steps.is_some() { EVALUATE_EVERY } else { self.hours() * 60.0 / EVALUATIONS }
    }

    /// The table of phases in force.
    pub fn rows(&self) -> Vec<Row> {
        let usual = if self.no_curriculum { Curriculum::None } else { Curriculum::Phases };
        self.given.phases.clone().unwrap_or_else(|| usual.rows())
    }

    /// What flags that were not given come to, by their long names: what depends on the preset, on other flags or on
    /// this machine. Of a configuration that cannot be, those that can.
    pub fn derived(&self) -> Vec<(&'static str, String)> {
        let mut all = vec![
            ("threads", self.machine.threads().to_string()),
            ("eval-every", self.usual_evaluation().to_string()),
            ("data", self.data.source()),
        ];
        if let Ok(kernels) = self.machine.kernels() {
            let (precision, backward) = (kernels.precision().to_string(), kernels.backward().to_string());
            all.extend([("isa", kernels.isa().to_string()), ("precision", precision), ("backward", backward)]);
        }
        let (Ok(named), Ok(config)) = (self.model.named(), self.model.config()) else { return all };
        all.extend([
            ("out", usual_out(named.name).display().to_string()),
            ("d-model", config.d_model.to_string()),
            ("layers", config.layers.to_string()),
            ("d-ffn", config.d_ffn.to_string()),
            ("vocab", config.vocab.to_string()),
            ("mixer", config.mixer.name().to_owned()),
        ]);
        if let Some(rcsm) = config.rcsm {
            let depths = rcsm.depths.map(|depth| depth.to_string()).join(",");
            all.extend([
                ("rcsm-after", rcsm.after.to_string()),
                ("rcsm-width", rcsm.width.to_string()),
                ("rcsm-ops", rcsm.ops.to_string()),
                ("rcsm-slots", rcsm.slots.to_string()),
                ("rcsm-taps", rcsm.taps.to_string()),
                ("rcsm-depths", depths),
            ]);
        }
        all
    }

    fn settings(&self, kernels: Kernels) -> anyhow::Result<Settings> {
        let shares = self.reasoning.shares();
        Ok(Settings {
            seed: self.seed,
            budget: self.steps.map_or(Budget::Hours(self.hours()), Budget::Steps),
            batch: Batch {
                threads: self.machine.threads(),
                sequences: self.batch.sequences as usize,
                tokens: self.batch.tokens as usize,
                accumulate: self.accumulate as usize,
                ranks: 1,
            },
            reduce: self.ranks.reduce,
            source: Source {
                train: self.data.source(),
                valid: self.data.valid.as_ref().map(|p| p.display().to_string()),
                reading: self.data.reading(),
                texts: self.data.texts()?,
                mix: self.data.mix(),
            },
            from: self.from.as_ref().map(ToString::to_string),
            optimizer: optim::Settings {
                kind: self.optimizer,
                beta1: self.beta1,
                beta2: self.beta2,
                momentum: self.momentum,
                lr: PerKind { ternary: 1.0, embedding: self.embedding_lr, float: self.float_lr },
                weight_decay: PerKind { ternary: self.weight_decay, embedding: 0.0, float: 0.0 },
                clip: if self.clip > 0.0 { self.clip } else { f32::MAX },
                moments: self.moments,
                ..optim::Settings::default()
            },
            schedule: Schedule {
                phases: self.rows().iter().map(|row| row.phase(shares)).collect(),
                shape: self.schedule,
                lr: self.lr,
                lr_floor: self.lr_floor,
                warmup: self.warmup,
                cooldown: self.cooldown,
                balance: self.reasoning.balance,
                depth_training: self.reasoning.depth_training,
                tau: (self.reasoning.tau, self.reasoning.tau_end),
            },
            answer_weight: self.reasoning.answer_weight,
            answer_smoothing: self.reasoning.answer_smoothing,
            calibrate: !self.reasoning.no_calibrate,
            z_loss: self.z_loss,
            amplify: self.amplify.settings(),
            kernels: kernels.to_string(),
        })
    }
}
