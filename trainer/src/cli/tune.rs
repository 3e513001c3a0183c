//! `trainer tune`: a trained model goes on with a text of the user's.

use std::path::PathBuf;

use clap::{Args, Parser};

use super::Cli;
use super::args::values::{real, real32};
use super::args::{FormArgs, MachineArgs};
use crate::data::cut::Split;
use crate::run::start::InitFrom;
use crate::run::tune::{self, Rehearsal};

#[derive(Clone, Debug, Args)]
pub struct TuneArgs {
    /// The new text, as --data of training takes it: a file, a folder, - for standard input
    #[arg(value_name = "TEXT")]
    pub text: String,
    /// The model to begin with: a packed model, a checkpoint, or the name of a built-in model
    #[arg(long, value_name = "FILE|NAME", default_value = flashlm_models::DEFAULT)]
    #[arg(value_parser = super::args::init_from)]
    pub from: InitFrom,
    /// Text that the model was trained on, to rehearse [default: stories that it tells itself]
    #[arg(long, value_name = "FILE|DIR")]
    pub old: Option<String>,
    /// Share of the tokens that is rehearsed
    #[arg(long, default_value_t = 0.5, value_parser = real32("share", 0.0, 0.9))]
    pub old_share: f32,
    /// Length of the run [minutes of wall-clock time]
    #[arg(long, default_value_t = 1.0, value_parser = real("minutes", 0.01, 10_000.0), conflicts_with = "steps")]
    pub minutes: f64,
    /// Length of the run instead of --minutes [optimiser steps]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: Option<u64>,
    /// Highest learning rate
    #[arg(long, default_value_t = 2e-4, value_parser = real32("rate", 1e-7, 1.0))]
    pub lr: f32,
    /// Sequences each thread trains side by side
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub sequences: u16,
    /// Held-out stories of the new text, as one file [default: a share of it]
    #[arg(long, value_name = "FILE")]
    pub valid: Option<PathBuf>,
    /// What becomes of the text between two separators
    #[arg(long, value_name = "HOW", default_value_t = Split::Paragraphs)]
    pub split: Split,
    #[command(flatten)]
    pub form: FormArgs,
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Directory of the run; what is there is moved aside
    #[arg(long, value_name = "DIR", default_value = "out/tuned")]
    pub out: PathBuf,
    /// Where tokens are kept between runs [default: .flashlm-cache]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Seed of data order and of stories
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Runs `trainer tune`.
pub fn run(args: &TuneArgs) -> anyhow::Result<()> {
    let mut train = Cli::parse_from(["trainer"]).train;
    (train.from, train.out, train.seed) = (Some(args.from.clone()), Some(args.out.clone()), args.seed);
    train.resume = crate::run::request::Resume::Never;
    (train.minutes, train.steps) = (args.steps.is_none().then_some(args.minutes), args.steps);
    (train.lr, train.machine, train.batch.sequences) = (args.lr, args.machine.clone(), args.sequences);
    train.data.data = Some(args.text.clone());
    (train.data.valid, train.data.cache) = (args.valid.clone(), args.cache.clone());
    (train.data.split, train.data.form) = (args.split, args.form.clone());
    // one phase, of given stories, and the choice of depth that the model came with
    (train.no_curriculum, train.amplify.off, train.reasoning.no_calibrate) = (true, true, true);
    let rehearsal = Rehearsal { text: args.old.clone(), share: args.old_share };
    tune::tune(train.request()?, &rehearsal, &super::invocation())
}
