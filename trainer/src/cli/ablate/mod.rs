//! `trainer ablate`: every combination of some settings, trained with several seeds each, for the same time or the same
//! steps, as tables and as curves.

pub mod grid;
mod report;
pub mod runs;
mod statistics;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use self::grid::{Axis, Cell};
use self::report::Report;
use self::runs::{Outcome, Run};
use super::args::TrainArgs;
use crate::interrupt;

#[derive(Clone, Debug, Args)]
pub struct AblateArgs {
    /// What is varied: a long flag of training, or the end of one, and its values, as in rcsm=on,off or slots=16,64;
    /// semicolons stand between values that have commas in them. Given several times: every combination
    #[arg(long, value_name = "KEY=V,V")]
    pub vary: Vec<String>,
    /// Runs of each combination, with seeds from --seed on
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub seeds: u16,
    /// Of every run; --out holds a directory for each combination and seed [default: out/ablate]
    #[command(flatten)]
    pub train: TrainArgs,
}

/// Runs `trainer ablate`. Complete runs are taken as they are, and others go on where they were, when the command is
/// given again.
pub fn run(args: &AblateArgs) -> anyhow::Result<()> {
    let train = &args.train;
    if train.print_config {
        return super::print_config(train);
    }
    let axes = args.vary.iter().map(|one| Axis::parse(one)).collect::<anyhow::Result<Vec<_>>>()?;
    let cells = grid::cells(&train.given, &axes)?;
    let last = train.seed.checked_add(u64::from(args.seeds) - 1).context("--seed: too large for so many --seeds")?;
    let seeds: Vec<u64> = (train.seed..=last).collect();
    let out = train.out.clone().unwrap_or_else(|| PathBuf::from("out").join("ablate"));
    let runs = plan(&cells, &seeds, |cell, seed| out.join(cell.directory()).join(format!("seed-{seed}")))?;
    let budget = train.request()?.settings.budget;
    let report = |outcomes: &[Outcome]| Report::new(&axes, &cells, &seeds, budget, &runs, outcomes);
    let outcomes = runs::train(&runs, |outcomes| write(&report(outcomes), &out).map(drop))?;
    let report = report(&outcomes);
    let files = write(&report, &out)?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", report.markdown())?;
    files.iter().try_for_each(|path| writeln!(stdout, "{}", path.display()))?;
    all_done(&outcomes)
}

fn write(report: &Report, out: &Path) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(out).with_context(|| format!("cannot create the directory {}", out.display()))?;
    report.write(out)
}

/// The runs of all cells, each seed's together, so that what else a machine does strikes all cells alike.
///
/// # Errors
/// As [`Run::new`]'s.
pub fn plan(cells: &[Cell], seeds: &[u64], dir: impl Fn(&Cell, u64) -> PathBuf) -> anyhow::Result<Vec<Run>> {
    let all = seeds.iter().flat_map(|&seed| cells.iter().enumerate().map(move |(index, cell)| (index, cell, seed)));
    all.map(|(index, cell, seed)| Run::new(index, cell, seed, dir(cell, seed))).collect()
}

/// Whether every run is complete.
///
/// # Errors
/// Some are not; the message says how many, and what to do.
pub fn all_done(outcomes: &[Outcome]) -> anyhow::Result<()> {
    let count = |is: fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| is(outcome)).count();
    let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
    if interrupt::requested() {
        let complete = count(|outcome| matches!(outcome, Outcome::Complete(_)));
        bail!("stopped with {complete} of {} runs complete; the same command goes on from there", outcomes.len());
    }
    if failed > 0 {
        bail!("{failed} of {} runs failed; the same command tries them again", outcomes.len());
    }
    Ok(())
}
