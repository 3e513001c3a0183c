//! What a run shows of itself beside the files in its directory.

use std::path::PathBuf;

use clap::Args;

use crate::report::Wanted;

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Report")]
pub struct ReportArgs {
    /// Show the report live at http://127.0.0.1:PORT/ while it trains, with a box to talk to the newest weights; 0 for
    /// any port that is free [default: 7171]
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "7171")]
    pub serve: Option<u16>,
    /// Write TensorBoard's event files too, in a directory of the run's name in DIR
    #[arg(long, value_name = "DIR")]
    pub tensorboard: Option<PathBuf>,
}

impl ReportArgs {
    /// The same in plain values.
    pub fn wanted(&self) -> Wanted {
        Wanted { serve: self.serve, tensorboard: self.tensorboard.clone() }
    }
}
