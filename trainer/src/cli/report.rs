//! `trainer report`: runs as one page, over one another.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use flashlm_host::output;

use crate::report::{self, RunData, Shown};
use crate::run::directory::REPORT;

#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    /// Directories of runs, of which several are shown over one another
    #[arg(value_name = "DIR", required = true)]
    pub runs: Vec<PathBuf>,
    /// The page [default: report.html in the run's directory, or for several runs in the current one]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Runs `trainer report`: writes the page and says where it is.
pub fn run(args: &ReportArgs) -> anyhow::Result<()> {
    let usual = || match &args.runs[..] {
        [run] => run.join(REPORT),
        _ => REPORT.into(),
    };
    let out = args.out.clone().unwrap_or_else(usual);
    let mut runs = args.runs.iter().map(|dir| RunData::read(dir)).collect::<Result<Vec<_>, _>>()?;
    // runs of the same name are told apart by their paths
    let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
    for (run, dir) in runs.iter_mut().zip(&args.runs) {
        if names.iter().filter(|name| **name == run.name).count() > 1 {
            run.name = dir.display().to_string();
        }
    }
    let page = report::page(&runs, None, Shown::File)?;
    output::write(&out, &[], |file| file.write_all(page.as_bytes()))?;
    writeln!(io::stdout(), "{}", out.display())?;
    Ok(())
}
