//! How processes train one model together.

use clap::Args;

use crate::ranks::Reduce;

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Machine")]
pub struct RanksArgs {
    /// Several processes, started by mpirun or the like: what gradients are rounded to on their way between them. With
    /// f32 the run has the bits of one process that has all their threads
    #[arg(long, value_enum, default_value = "f32")]
    pub reduce: Reduce,
}
