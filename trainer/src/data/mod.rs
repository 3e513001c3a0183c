//! Stories: where they come from, how they become tokens, and in what order training reads them.
//!
//! [`source`] opens files, a hub's data set ([`hub`]) or the [`builtin`] generator as a [`corpus`], long texts [`cut`]
//! into documents; [`marks`](flashlm_host::text::marks) finds answers marked in files; [`split`] holds stories out and
//! drops copies; [`bpe`] trains the tokenizer; [`cache`] keeps the tokens in a file; [`pieces`] cuts long stories;
//! [`curriculum`] ranks stories from easy to hard; [`mix`] adds [`reasoning`] stories, told by the crate of the probes;
//! [`mod@lanes`] turns all of them into the streams of a batch; [`evaluation`] is the text bits per byte are measured
//! on. [`prepare`] runs all of it.

pub mod bpe;
pub mod builtin;
pub mod cache;
pub mod corpus;
pub mod curriculum;
pub mod cut;
pub mod encoder;
mod error;
pub mod evaluation;
pub mod hash;
pub mod hub;
pub mod lanes;
pub mod mix;
pub mod pieces;
pub mod prepare;
pub mod source;
pub mod split;
pub mod texts;
mod write;

pub use cache::TokenCache;
pub use curriculum::Curriculum;
pub use error::DataError;
pub use evaluation::{EvalStory, EvaluationSet};
pub use flashlm_probe::reasoning;
pub use lanes::{Chunk, Deal, DepthShares, Lane, StoryTokens, Told, lanes, regrouped};
pub use mix::{Mix, Teller};
pub use pieces::Pieces;
pub use prepare::{Fingerprints, Mixed, MixedText, Options, Prepared, with_shares};
pub use source::Source;
pub use texts::Texts;
