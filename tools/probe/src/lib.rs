//! Questions with known answers, and how well a model answers them.
//!
//! An [`Item`] is a prompt that stops before its answer, the answer, and wrong ones beside it. They come from the
//! [`reasoning`] stories, from the [`tasks`] of the literature or from a file ([`item::read`]). A [`Subject`] is
//! [asked](Subject::ask) through core at one depth after another; [`baselines`] say what guessing gives,
//! [`statistics`] how sure a figure is, and a [`Report`] puts all of it in a table. [`Options`] are the command line of
//! `trainer probe` and `flashlm probe`, which are the same.
//!
//! The same generators write text to train on, answers marked ([`marked`]).

pub mod ask;
pub mod baselines;
mod cli;
mod error;
mod file;
pub mod item;
pub mod marked;
pub mod ngram;
pub mod reasoning;
pub mod report;
pub mod rng;
pub mod statistics;
pub mod tasks;
pub mod words;

pub use ask::{Outcome, Subject};
pub use cli::Options;
pub use error::ProbeError;
pub use item::Item;
pub use report::Report;
