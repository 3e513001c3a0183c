//! A training run: what is asked for, the schedule and the clock, the driver, checkpoints, evaluation, export.

pub mod amplify;
pub mod answers;
pub mod checkpoint;
pub mod clock;
mod difference;
pub mod directory;
mod finish;
pub mod generate;
pub mod levels;
pub mod log;
pub mod metrics;
pub mod packed;
pub mod phases;
mod prepare;
pub mod preset;
mod progress;
pub mod request;
pub mod results;
pub mod schedule;
pub mod settings;
pub mod smoke;
mod standing;
mod streams;
pub mod table;
pub mod train;
