//! Stories: where they come from, how they become tokens, and in what order training reads them.
//!
//! [`source`] opens files, a hub's data set ([`hub`]) or the [`builtin`] generator; [`reasoning`] stories are told by
//! the crate that also asks for their answers; [`split`] holds stories out and drops copies; [`bpe`] trains the
//! tokenizer; [`cache`] keeps the tokens in a mapped file; [`curriculum`] ranks stories from easy to hard; [`lanes`]
//! turns them into the streams of a batch; [`evaluation`] is the text bits per byte are measured on. [`prepare`] runs
//! all of it.

pub(crate) mod atomic;
pub mod bpe;
pub mod builtin;
pub mod cache;
pub mod curriculum;
pub mod encoder;
mod error;
pub mod evaluation;
pub mod hash;
pub mod hub;
pub mod lanes;
pub mod prepare;
pub mod source;
pub mod split;

pub use cache::TokenCache;
pub use curriculum::Curriculum;
pub use error::DataError;
pub use evaluation::{EvalStory, EvaluationSet};
pub use flashlm_probe::reasoning;
pub use lanes::{Lane, StoryTokens, lanes};
pub use prepare::{Options, Prepared};
pub use source::Source;
