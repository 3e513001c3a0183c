//! `trainer smoke`: the checks of the architecture, as a table or as JSON.

use std::io::{self, Write};

use anyhow::bail;
use clap::Args;

use crate::run::smoke;

/// Options of `trainer smoke`.
#[derive(Clone, Debug, Args)]
pub struct SmokeArgs {
    /// Threads of the trainings, one model replica each [default: all cores, at most 16]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub threads: Option<u16>,
    /// Seed of initial weights and stories
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Runs `trainer smoke`: prints every check, and is an error if one fails.
pub fn run(args: &SmokeArgs) -> anyhow::Result<()> {
    let all = std::thread::available_parallelism().map_or(1, |n| n.get().min(16));
    let mut out = io::stdout().lock();
    let report = smoke::run(args.threads.map_or(all, usize::from), args.seed, |outcome| {
        if args.json { Ok(()) } else { write!(out, "{outcome}") }
    })?;
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        let of = report.checks.len();
        writeln!(out, "{} of {of} checks passed in {:.1} s", report.passed, report.seconds)?;
    }
    if report.passed < report.checks.len() {
        bail!("failed: {}", report.failures().join(", "));
    }
    Ok(())
}
