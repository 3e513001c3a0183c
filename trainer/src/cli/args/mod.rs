//! Flags that several programs have, by what they are about. Every flag says its unit; every value is checked before
//! any work starts.

mod amplify;
mod data;
mod engine;
pub(super) mod given;
mod machine;
mod model;
mod ranks;
mod report;
#[cfg(test)]
mod tests;
mod train;
pub(super) mod values;

pub use amplify::AmplifyArgs;
pub use data::{DataArgs, FormArgs};
pub use engine::{EngineArgs, ReasoningArgs, WritesKind};
pub use machine::{BatchArgs, MachineArgs};
pub use model::{FfnKind, ModelArgs};
pub use ranks::RanksArgs;
pub use report::ReportArgs;
pub use train::TrainArgs;
pub(super) use train::init_from;
pub use values::DepthArg;
