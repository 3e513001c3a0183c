//! FlashLM's trainer: from a file of stories to a packed ternary model, on an ordinary CPU.

pub mod cli;
pub mod data;
pub mod export;
pub(crate) mod interrupt;
pub mod kernels;
pub mod nn;
pub mod optim;
pub mod plan;
pub mod plot;
pub mod ranks;
pub mod report;
pub mod run;
pub(crate) mod terminal;
