//! The command line. Every flag says its unit; every value is checked before any work starts.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use flashlm_core::config::{
    AttentionConfig, AttentionMap, ChannelMixer, Heads, Mixer, MixtureOfDepths, ModelConfig, RcsmConfig,
};

use crate::kernels;
use crate::optim;
use crate::run::amplify::settings::AmplifyArgs;
use crate::run::clock;
use crate::run::preset::{self, Named, Preset, Size, SizeError};

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
}

/// Mixers by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MixerKind {
    /// Gated recurrence with a decay a channel.
    Gated,
    /// Parallel recurrence with a projected forget gate.
    Parallel,
    /// Differential attention.
    DiffAttention,
    /// Plain attention.
    Attention,
}

/// Channel mixers by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FfnKind {
    /// Gated linear unit.
    Glu,
    /// Squared rectifier.
    Relu2,
    /// Squared rectifier with token shift.
    ShiftedRelu2,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// Dimensions to start from; each can be overridden below.
    #[arg(long, value_enum, default_value = "supernova")]
    pub preset: Preset,
    /// How large a model of the preset: its own dimensions, or smaller ones for smaller chips
    #[arg(long, value_enum, default_value = "full")]
    pub size: Size,
    /// Model width [channels; a multiple of 16]
    #[arg(long, value_parser = multiple_of_16(16, 512))]
    pub d_model: Option<u16>,
    /// Blocks
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub layers: Option<u16>,
    /// Feed-forward width [channels; a multiple of 16]
    #[arg(long, value_parser = multiple_of_16(16, 8192))]
    pub d_ffn: Option<u16>,
    /// Vocabulary [tokens, the end-of-story token and 256 bytes included]
    #[arg(long, value_parser = clap::value_parser!(u32).range(257..=65_535))]
    pub vocab: Option<u32>,
    /// Heads of the mixer, where the preset's has heads
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub heads: Option<u16>,
    /// Width of a head [channels; a multiple of 16]
    #[arg(long, value_parser = multiple_of_16(16, 256))]
    pub d_head: Option<u16>,
    /// Tokens that attention looks back over, the token itself included
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub window: Option<u16>,
    /// How tokens exchange information over time [default: the preset's]
    #[arg(long, value_enum)]
    pub mixer: Option<MixerKind>,
    /// How channels exchange information within a token [default: the preset's]
    #[arg(long, value_enum)]
    pub ffn: Option<FfnKind>,
    /// Mixture of depths: tokens a routed block takes in training [percent; 100: no routing]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub mod_capacity: Option<u8>,
    /// Mixture of depths: the first routed block, counted from 0
    #[arg(long, value_name = "BLOCK", value_parser = clap::value_parser!(u16).range(0..=63))]
    pub mod_from: Option<u16>,
    /// Add the RCSM engine to a preset without it
    #[arg(long, conflicts_with = "no_rcsm")]
    pub rcsm: bool,
    /// RCSM reasoning width [channels; a multiple of 16]
    #[arg(long, value_parser = multiple_of_16(16, 256), conflicts_with = "no_rcsm")]
    pub rcsm_width: Option<u16>,
    /// RCSM operations
    #[arg(long, value_parser = clap::value_parser!(u8).range(2..=64), conflicts_with = "no_rcsm")]
    pub rcsm_ops: Option<u8>,
    /// RCSM memory slots
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=64), conflicts_with = "no_rcsm")]
    pub rcsm_slots: Option<u8>,
    /// Leave the RCSM engine out
    #[arg(long)]
    pub no_rcsm: bool,
}

impl ModelArgs {
    /// What the preset is called at its size; an error where it has no such size.
    pub fn named(&self) -> Result<&'static Named, SizeError> {
        preset::find(&preset::TABLE, self.preset, self.size)
    }

    /// The preset at its size, with what the command line overrides.
    pub fn config(&self) -> Result<ModelConfig, SizeError> {
        let base = self.named()?.config;
        let engine = base.rcsm.or(self.adds_rcsm().then_some(RcsmConfig::DEFAULT));
        let rcsm = engine.filter(|_| !self.no_rcsm).map(|r| RcsmConfig {
            width: self.rcsm_width.unwrap_or(r.width),
            ops: self.rcsm_ops.unwrap_or(r.ops),
            slots: self.rcsm_slots.unwrap_or(r.slots),
            ..r
        });
        let routing = base.mixture_of_depths.unwrap_or(MixtureOfDepths { capacity: 100, from: 0 });
        let routing = MixtureOfDepths {
            capacity: self.mod_capacity.unwrap_or(routing.capacity),
            from: self.mod_from.unwrap_or(routing.from),
        };
        let ffn = match self.ffn {
            None => base.ffn,
            Some(FfnKind::Glu) => ChannelMixer::Glu,
            Some(FfnKind::Relu2) => ChannelMixer::Relu2,
            Some(FfnKind::ShiftedRelu2) => ChannelMixer::ShiftedRelu2,
        };
        Ok(ModelConfig {
            vocab: self.vocab.unwrap_or(base.vocab),
            d_model: self.d_model.unwrap_or(base.d_model),
            layers: self.layers.unwrap_or(base.layers),
            d_ffn: self.d_ffn.unwrap_or(base.d_ffn),
            mixer: self.mixer(&base),
            ffn,
            rcsm,
            mixture_of_depths: Some(routing).filter(|m| m.capacity < 100),
            ..base
        })
    }

    /// Whether the RCSM engine is asked for where the preset has none.
    fn adds_rcsm(&self) -> bool {
        self.rcsm || self.rcsm_width.is_some() || self.rcsm_ops.is_some() || self.rcsm_slots.is_some()
    }

    /// The preset's mixer, or another, with what the command line overrides.
    fn mixer(&self, base: &ModelConfig) -> Mixer {
        let usual = Heads { count: 4, width: 64 };
        let heads = base.heads().unwrap_or(usual);
        let heads = Heads { count: self.heads.unwrap_or(heads.count), width: self.d_head.unwrap_or(heads.width) };
        let window = match base.mixer {
            Mixer::Attention(a) => a.window,
            _ => 256,
        };
        let attention = |map| Mixer::Attention(AttentionConfig { heads, window: self.window.unwrap_or(window), map });
        match (self.mixer, base.mixer) {
            (Some(MixerKind::Gated), _) | (None, Mixer::GatedRecurrence) => Mixer::GatedRecurrence,
            (Some(MixerKind::Parallel), _) | (None, Mixer::ParallelRecurrence(_)) => Mixer::ParallelRecurrence(heads),
            (Some(MixerKind::DiffAttention), _) => attention(AttentionMap::Difference),
            (Some(MixerKind::Attention), _) => attention(AttentionMap::Softmax),
            (None, Mixer::Attention(a)) => attention(a.map),
        }
    }
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

    /// Stories separated by <|endoftext|>: a file, a directory of .txt files, or hf:OWNER/NAME [default: builtin]
    #[arg(long, help_heading = "Data", value_name = "FILE|DIR")]
    pub data: Option<String>,
    /// Held-out stories [default: a share of the training stories]
    #[arg(long, help_heading = "Data", value_name = "FILE")]
    pub valid: Option<PathBuf>,
    /// Where tokenizers and tokens are kept between runs [default: .flashlm-cache]
    #[arg(long, help_heading = "Data", value_name = "DIR")]
    pub cache: Option<PathBuf>,

    /// Length of the run, all sessions together [hours of wall-clock time] [default: 2]
    #[arg(long, help_heading = "Schedule", value_parser = real("hours", 1e-4, 10_000.0), conflicts_with = "steps")]
    pub hours: Option<f64>,
    /// Length of the run instead of --hours; results then depend on nothing but the arguments [optimiser steps]
    #[arg(long, help_heading = "Schedule", value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: Option<u64>,
    /// How the learning rate falls
    #[arg(long, help_heading = "Schedule", value_enum, default_value = "trapezoid")]
    pub schedule: clock::Shape,
    /// Part of the run over which the learning rate rises [share]
    #[arg(long, help_heading = "Schedule", default_value_t = 0.02, value_parser = real("share", 0.0, 0.5))]
    pub warmup: f64,
    /// Trapezoid: part of the run at the end over which the learning rate falls [share]
    #[arg(long, help_heading = "Schedule", default_value_t = 0.5, value_parser = real("share", 0.01, 1.0))]
    pub cooldown: f64,
    /// Last learning rate over the highest [share]
    #[arg(long, help_heading = "Schedule", default_value_t = 0.0, value_parser = real32("share", 0.0, 1.0))]
    pub lr_floor: f32,
    /// One phase from start to end: all stories, adaptive depth, memory writes
    #[arg(long, help_heading = "Schedule")]
    pub no_curriculum: bool,
    /// Gumbel-softmax temperature of the depth choice where adaptive depth begins
    #[arg(long, help_heading = "Schedule", default_value_t = 1.0, value_parser = real32("temperature", 0.01, 10.0))]
    pub tau: f32,
    /// The same, after its anneal
    #[arg(long, help_heading = "Schedule", default_value_t = 0.3, value_parser = real32("temperature", 0.01, 10.0))]
    pub tau_end: f32,

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
    /// Learning rate of gains, biases, decays and slots, over --lr
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
    /// Weight of the loss that spreads use over the RCSM's operations
    #[arg(long, help_heading = "Optimiser", default_value_t = 0.01, value_parser = real32("weight", 0.0, 10.0))]
    pub balance: f32,
    /// Loss per mean RCSM pass [nats]
    #[arg(long, help_heading = "Optimiser", default_value_t = 0.001, value_parser = real32("weight", 0.0, 10.0))]
    pub pass_cost: f32,

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

/// Depth of inference on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DepthArg {
    /// What the model was trained for last.
    Model,
    Adaptive,
    Fixed(u8),
}

impl std::str::FromStr for DepthArg {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "model" => Ok(Self::Model),
            "auto" => Ok(Self::Adaptive),
            n => match n.parse() {
                Ok(n @ 1..=64) => Ok(Self::Fixed(n)),
                _ => Err("must be auto, model, or a number of passes in 1 ..= 64".into()),
            },
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
    /// RCSM passes per token: a number, or auto for the blend of all depths with memory writes
    #[arg(long, default_value = "auto")]
    pub depth: DepthArg,
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

/// A parser of finite numbers in `low ..= high`.
pub(super) fn real(unit: &'static str, low: f64, high: f64) -> impl Fn(&str) -> Result<f64, String> + Clone {
    move |s| match s.parse::<f64>() {
        Ok(v) if (low..=high).contains(&v) => Ok(v),
        _ => Err(format!("must be a number in {low} ..= {high} ({unit})")),
    }
}

/// The same, for values the model sees as f32.
pub(super) fn real32(unit: &'static str, low: f64, high: f64) -> impl Fn(&str) -> Result<f32, String> + Clone {
    let parse = real(unit, low, high);
    move |s| parse(s).map(|v| v as f32)
}

/// A parser of multiples of 16 in `low ..= high`: the kernels' tiles are 16 wide.
fn multiple_of_16(low: u16, high: u16) -> impl Fn(&str) -> Result<u16, String> + Clone {
    move |s| match s.parse::<u16>() {
        Ok(v) if (low..=high).contains(&v) && v.is_multiple_of(16) => Ok(v),
        _ => Err(format!("must be a multiple of 16 in {low} ..= {high}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, String> {
        Cli::try_parse_from(line.split_whitespace()).map_err(|e| e.to_string())
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_argument_at_all_trains_supernova() {
        let cli = parse("trainer").unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.train.model.config().unwrap(), ModelConfig::SUPERNOVA);
        assert_eq!(cli.train.resume, Resume::Auto);
    }

    #[test]
    fn every_dimension_can_be_overridden() {
        let line =
            "trainer --d-model 64 --layers 2 --d-ffn 160 --vocab 512 --rcsm-width 32 --rcsm-ops 4 --rcsm-slots 8";
        let config = parse(line).unwrap().train.model.config().unwrap();
        let rcsm = config.rcsm.unwrap();
        assert_eq!((config.d_model, config.layers, config.d_ffn, config.vocab), (64, 2, 160, 512));
        assert_eq!((rcsm.width, rcsm.ops, rcsm.slots), (32, 4, 8));
        assert_eq!(parse("trainer --no-rcsm").unwrap().train.model.config().unwrap().rcsm, None);
    }

    #[test]
    fn a_size_sets_dimensions_and_overrides_win_over_it() {
        let model = |line| parse(line).unwrap().train.model;
        assert_eq!(model("trainer --size full").config().unwrap(), ModelConfig::SUPERNOVA);
        let nano = model("trainer --size nano --preset supernova");
        assert_eq!(nano.config().unwrap(), ModelConfig::SUPERNOVA_NANO);
        assert_eq!(nano.named().unwrap().name, "supernova-nano");
        let mut wanted = ModelConfig { layers: 5, vocab: 600, ..ModelConfig::SUPERNOVA_MICRO };
        wanted.rcsm.as_mut().unwrap().ops = 12;
        let overridden = model("trainer --rcsm-ops 12 --vocab 600 --size micro --layers 5");
        assert_eq!(overridden.config().unwrap(), wanted);
        assert_eq!(model("trainer --size mini --no-rcsm").config().unwrap().rcsm, None);
        let bench = parse("trainer bench --size mini").unwrap().command;
        let Some(Command::Bench(bench)) = bench else { panic!("{bench:?}") };
        assert_eq!(bench.model.config().unwrap(), ModelConfig::SUPERNOVA_MINI);
        assert!(parse("trainer --size tiny").unwrap_err().contains("nano, micro, mini, full"));
    }

    #[test]
    fn any_mix_of_layers_can_be_asked_for() {
        let config = |line: &str| parse(line).unwrap().train.model.config().unwrap();
        for named in preset::TABLE.iter().filter(|named| named.size == Size::Full) {
            assert_eq!(config(&format!("trainer --preset {}", named.name)), named.config);
        }
        let nova =
            config("trainer --preset nova-ignition --heads 2 --d-head 32 --window 40 --mod-capacity 50 --mod-from 1");
        let heads = Heads { count: 2, width: 32 };
        let attention = AttentionConfig { heads, window: 40, map: AttentionMap::Difference };
        assert_eq!(nova.mixer, Mixer::Attention(attention));
        assert_eq!(nova.mixture_of_depths, Some(MixtureOfDepths { capacity: 50, from: 1 }));
        assert_eq!(config("trainer --preset nova-ignition --mod-capacity 100").mixture_of_depths, None);
        let mixed = config("trainer --preset bolt --mixer diff-attention --ffn shifted-relu2 --rcsm-width 64");
        assert!(matches!(mixed.mixer, Mixer::Attention(a) if a.map == AttentionMap::Difference));
        assert_eq!((mixed.ffn, mixed.rcsm.unwrap().width), (ChannelMixer::ShiftedRelu2, 64));
    }

    #[test]
    fn values_out_of_range_are_refused_with_the_range() {
        for (line, want) in [
            ("trainer --d-model 100", "multiple of 16 in 16 ..= 512"),
            ("trainer --d-model 1024", "multiple of 16 in 16 ..= 512"),
            ("trainer --layers 0", "1..=64"),
            ("trainer --vocab 100", "257..=65535"),
            ("trainer --hours=-1", "0.0001 ..= 10000 (hours)"),
            ("trainer --hours NaN", "0.0001 ..= 10000 (hours)"),
            ("trainer --lr 3", "0.0000001 ..= 1 (rate)"),
            ("trainer --warmup 0.9", "0 ..= 0.5 (share)"),
            ("trainer --hours 1 --steps 5", "cannot be used with"),
            ("trainer --no-rcsm --rcsm-ops 8", "cannot be used with"),
            ("trainer eval --model a --data b --depth 0", "must be auto, model, or a number of passes"),
        ] {
            let message = parse(line).expect_err(line);
            assert!(message.contains(want), "{line}: {message}");
        }
    }

    #[test]
    fn resume_takes_a_word_or_a_file() {
        for (word, want) in [
            ("auto", Resume::Auto),
            ("never", Resume::Never),
            ("a/b.safetensors", Resume::File("a/b.safetensors".into())),
        ] {
            assert_eq!(parse(&format!("trainer --resume {word}")).unwrap().train.resume, want);
        }
    }
}
