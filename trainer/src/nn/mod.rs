//! The model in training: every layer's forward and backward by hand, activations laid out once.
//!
//! Rows are time-major throughout: row `t * B + b` is token t of sequence b, so that the rows of one token are
//! neighbours, which the RCSM loop wants, and the row before in the same sequence is B rows up.

mod attention;
mod block;
mod calibrate;
mod context;
mod engine;
mod evaluation;
mod exchange;
mod footprint;
mod gated;
mod glu;
mod head;
mod input;
mod norm;
mod output;
mod parallel;
mod params;
mod profile;
mod projections;
mod rcsm;
mod relay;
mod relu2;
mod replica;
mod routing;
mod shape;
mod stages;
mod tally;

pub use attention::KeyValues;
pub use calibrate::{CHOICE, Calibration};
pub use engine::{Engine, EngineError, StepOptions, TrainDepth};
pub use evaluation::{Evaluation, Story};
pub use exchange::Exchange;
pub use footprint::Footprint;
pub use head::{EmbeddingMode, IGNORE};
pub use params::{Layout, ParamKind, Params, Rng, TensorSpec};
pub use profile::{Part, PartProfile, StepProfile};
pub use rcsm::{Passes, depth_gradient};
pub use replica::{Answers, MOST_FACTS, Rows};
pub use routing::ROUTING_LOSS;
pub use shape::BatchShape;
pub use stages::stages;
pub use tally::StepStats;
