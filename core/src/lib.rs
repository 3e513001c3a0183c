//! flashlm-core: `no_std`, no-alloc inference for ternary language models.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![deny(unsafe_code)]

#[cfg(target_endian = "big")]
compile_error!("blobs are little-endian and used where they lie");

mod arena;
pub mod blob;
pub mod config;
mod kernels;
mod layers;
pub mod math;
mod model;
mod observer;
pub mod sampler;
pub mod score;
mod session;
#[cfg(test)]
mod testing;
pub mod text;
pub mod tokenizer;

pub use arena::{Line, MAX_CHUNK};
pub use blob::{BlobError, Facts, arena_lines};
pub use config::{Depth, ModelConfig, RcsmConfig};
pub use kernels::{Kernels, Level};
pub use model::{Aligned, Model, Section};
pub use observer::Observer;
pub use sampler::{Sampler, SamplerConfig, SamplerError};
pub use session::{FixedSession, Session, SessionError};
pub use tokenizer::{Tokenizer, TokenizerError};
