//! The command line. Every flag says its unit; every value is checked before any work starts.

mod data;
mod engine;
mod model;
#[cfg(test)]
mod tests;
pub(super) mod values;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use flashlm_core::config::Depth;

use crate::kernels;
use crate::optim;
use crate::run::amplify::settings::AmplifyArgs;
use crate::run::preset::Preset;
use crate::run::schedule;
pub use data::DataArgs;
pub use engine::{EngineArgs, ReasoningArgs, WritesKind};
pub use model::{FfnKind, MixerKind, ModelArgs};
use values::{real, real32};

/// Trains small ternary language models on ordinary CPUs.
#[derive(Debug, Parser)]
#[command(name = "trainer", version, args_conflicts_with_subcommands = true, max_term_width = 110)]
#[command(after_help = "Without a subcommand it trains. Without --data it trains on the built-in story generator.")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub train: TrainArgs,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bits per character of a checkpoint (.safetensors) or packed model (.flm) on a text file.
    Eval(EvalArgs),
    /// How well a model answers questions that need reasoning, at one depth after another, beside what guessing gives;
    /// or writes such questions and text to train on.
    Probe(Box<ProbeArgs>),
    /// Continues a prompt with a checkpoint or packed model.
    Generate(GenerateArgs),
    /// Times whole training steps: tokens per second, and where the time goes.
    Bench(BenchArgs),
    /// Trains several presets for the same time on the same data and compares them.
    Compare(Box<CompareArgs>),
    /// Checks the architecture: thirteen figures and their limits, in less than two minutes.
    Smoke(crate::run::smoke::SmokeArgs),
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Machine")]
pub struct MachineArgs {
    /// Threads, one model replica each [default: all cores]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Instruction set of the kernels [default: the best this CPU has]
    #[arg(long, value_name = "ISA")]
    pub isa: Option<kernels::Isa>,
    /// Factors of the backward products: bf16 or f32 [default: bf16 where the CPU multiplies it]
    #[arg(long)]
    pub precision: Option<kernels::Precision>,
}

impl MachineArgs {
    /// The number of threads, all cores unless given.
    pub fn threads(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, |n| n.get());
        self.threads.map_or_else(all, |n| n as usize)
    }

    /// The kernels asked for, or why this CPU cannot run them.
    pub fn kernels(&self) -> anyhow::Result<kernels::Kernels> {
        let isa = self.isa.unwrap_or_else(kernels::Isa::detect);
        let best = if isa.has_bf16() { kernels::Precision::Bf16 } else { kernels::Precision::F32 };
        let precision = self.precision.unwrap_or(best);
        Ok(kernels::Kernels::new(isa, precision)?)
    }
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Batch")]
pub struct BatchArgs {
    /// Sequences each thread trains side by side
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub sequences: u16,
    /// Length of each sequence per micro-batch; gradients reach back this far [tokens]
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(2..=4096))]
    pub tokens: u16,
}

#[derive(Clone, Debug, Args)]
pub struct TrainArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub machine: MachineArgs,
    #[command(flatten)]
    pub batch: BatchArgs,
    #[command(flatten)]
    pub data: DataArgs,
    #[command(flatten)]
    pub reasoning: ReasoningArgs,

    /// Length of the run, all sessions together [hours of wall-clock time] [default: 2]
    #[arg(long, help_heading = "Schedule", value_parser = real("hours", 1e-4, 10_000.0), conflicts_with = "steps")]
    pub hours: Option<f64>,
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
    #[arg(long, help_heading = "Optimiser", value_enum, default_value = "muon")]
    pub optimiser: optim::Kind,
    /// Micro-batches per optimiser step
    #[arg(long, help_heading = "Optimiser", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub accumulate: u16,
    /// Decay of the first moment
    #[arg(long, help_heading = "Optimiser", default_value_t = 0.9, value_parser = real32("share", 0.0, 0.9999))]
    pub beta1: f32,
    /// Decay of the second moment
    #[arg(long, help_heading = "Optimiser", default_value_t = 0.98, value_parser = real32("share", 0.0, 0.99999))]
    pub beta2: f32,
    /// Momentum of --optimiser muon
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

    /// Directory of the run: checkpoints, metrics.jsonl, model.flm, results.json [default: out/PRESET, or
    /// out/PRESET-SIZE where --size is given]
    #[arg(long, help_heading = "Run", value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// auto: go on from the newest checkpoint in --out if there is one; never: start anew; or a checkpoint file
    #[arg(long, help_heading = "Run", default_value = "auto", value_name = "auto|never|FILE")]
    pub resume: Resume,
    /// Time between checkpoints [minutes]
    #[arg(long, help_heading = "Run", default_value_t = 5.0, value_parser = real("minutes", 0.01, 1e6))]
    pub checkpoint_every: f64,
    /// Time between evaluations [minutes] [default: a twelfth of --hours, 5 with --steps]
    #[arg(long, help_heading = "Run", value_parser = real("minutes", 0.01, 1e6))]
    pub eval_every: Option<f64>,
    /// Seed of initial weights, data order and noise
    #[arg(long, help_heading = "Run", default_value_t = 1)]
    pub seed: u64,
}

/// Where a training run starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resume {
    Auto,
    Never,
    File(PathBuf),
}

impl std::str::FromStr for Resume {
    type Err = std::convert::Infallible;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Ok(match s {
            "auto" => Self::Auto,
            "never" => Self::Never,
            file => Self::File(file.into()),
        })
    }
}

/// Depth of inference on the command line: one that was asked for, or the model's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepthArg(pub Option<Depth>);

impl std::str::FromStr for DepthArg {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "model" => Ok(Self(None)),
            asked => asked.parse().map(|depth| Self(Some(depth))).map_err(|e| format!("{e}, or model")),
        }
    }
}

#[derive(Clone, Debug, Args)]
pub struct EvalArgs {
    /// Checkpoint (.safetensors) or packed model (.flm)
    #[arg(long, value_name = "FILE")]
    pub model: PathBuf,
    /// Stories separated by <|endoftext|>
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// RCSM passes per token: a number, auto, or model for what the model was trained for last
    #[arg(long, default_value = "model")]
    pub depth: DepthArg,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub machine: MachineArgs,
}

#[derive(Clone, Debug, Args)]
pub struct ProbeArgs {
    /// Checkpoint (.safetensors) or packed model (.flm); with --task babi the folder of its text files beside it
    #[arg(value_name = "MODEL|DIR", num_args = 0..=2)]
    pub paths: Vec<PathBuf>,
    #[command(flatten)]
    pub options: flashlm_probe::Options,
}

#[derive(Clone, Debug, Args)]
pub struct GenerateArgs {
    /// Checkpoint (.safetensors) or packed model (.flm)
    #[arg(long, short, value_name = "FILE")]
    pub model: PathBuf,
    /// Text to continue
    #[arg(long, short, default_value = "")]
    pub prompt: String,
    /// Longest continuation [tokens]
    #[arg(long, short = 'n', default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub tokens: u32,
    /// 0: always the likeliest token
    #[arg(long, default_value_t = 0.8, value_parser = real32("temperature", 0.0, 10.0))]
    pub temperature: f32,
    /// Smallest set of likeliest tokens with this total probability
    #[arg(long, default_value_t = 0.95, value_parser = real32("probability", 0.001, 1.0))]
    pub top_p: f32,
    /// Same seed, same text
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// RCSM passes per token: a number, auto, or model for what the model was trained for last
    #[arg(long, default_value = "model")]
    pub depth: DepthArg,
}

#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub machine: MachineArgs,
    #[command(flatten)]
    pub batch: BatchArgs,
    /// RCSM passes per token: a number, or auto for the three depths at 70, 20 and 10 % of the sequences
    #[arg(long, default_value = "auto")]
    pub depth: Depth,
    /// Timed steps, after one that is not
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub repeats: u32,
    /// Rule for the ternary matrices
    #[arg(long, value_enum, default_value = "muon")]
    pub optimiser: optim::Kind,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Args)]
pub struct CompareArgs {
    /// Presets to train, one after the other
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PRESET,...")]
    #[arg(default_value = "supernova,thunderbolt,nova-ignition,bolt,transformer")]
    pub presets: Vec<Preset>,
    /// Of every run; --presets takes the place of --preset, and --out holds a directory for each [default: out/compare]
    #[command(flatten)]
    pub train: TrainArgs,
}
