//! flashlm-core: `no_std`, no-alloc inference for ternary language models.
//!
//! A model is one file, the [`blob`]. [`Model::from_bytes`] checks all of it once and borrows it where it lies: flash,
//! a mapped file, a static. A [`Tokenizer`] that travels in the blob turns text into tokens and back. A [`Session`]
//! runs one sequence through the model in a fixed piece of memory whose size [`arena_lines`] reads from the blob at
//! compile time. A [`Sampler`] draws the next token; [`score`] tells how many bits a text takes.
//!
//! ```
//! use flashlm_core::{Generation, Kernels, Line, Model, Sampler, SamplerConfig, Session, arena_lines};
//! use std::error::Error;
//! # fn main() {}
//!
//! /// Continues `prompt` by at most `length` tokens, byte by byte into `sink`.
//! fn tell(blob: &[u8], prompt: &str, length: usize, mut sink: impl FnMut(u8)) -> Result<(), Box<dyn Error>> {
//!     let model = Model::from_bytes(blob)?;
//!     let tokenizer = model.tokenizer().ok_or("the model has no tokenizer")?;
//!     let mut tokens = vec![0; prompt.len()];
//!     let n = tokenizer.encode(prompt.as_bytes(), &mut tokens)?;
//!
//!     let mut arena = vec![Line::ZERO; arena_lines(blob, 16)];
//!     let mut session = Session::new(model, Kernels::detect(), arena.as_mut_slice())?;
//!     let mut sampler = Sampler::new(SamplerConfig { seed: 1, ..SamplerConfig::default() })?;
//!     let mut story = Generation::begin(&mut session, &mut sampler, &tokens[..n], &mut ())?;
//!     for _ in 0..length {
//!         let Some(token) = story.next(&mut session, &mut sampler, &mut ())? else { break };
//!         tokenizer.for_each_byte(token, &mut sink);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Layers of the crate
//! From the bottom: `math` has the scalar functions and fixed-order reductions that make results the same on every
//! target; `kernels` the three products, per instruction set and bit-equal; `layers` the model's parts over them;
//! [`Session`] puts those in order. Integer sums are exact and no float operation is fused or reordered, so **the
//! same blob and seed give the same text, bit for bit, everywhere**.
//!
//! # Limits
//! Width at most 512, feed-forward 8192, 64 blocks, 1024 channels of heads, an attention window of 4096, 65,536 tokens
//! of vocabulary: see [`config`]. Little-endian
//! targets only. No public function panics.
//!
//! # Memory
//! For `supernova` a session takes 44.4 KB to decode, of which 32.7 KB are state (the reasoning loop's memory takes 12
//! of them), and 8.4 KB more for every further token prefilled together, up to 16. Attention remembers its window: in
//! every block the keys and values of so many tokens, as int8, 1.3 MB for `nova-ignition`. However long the text, this
//! does not grow.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![warn(missing_docs)]
#![cfg_attr(feature = "defmt", allow(unused_qualifications, reason = "what `defmt::Format` is derived as has some"))]

#[cfg(target_endian = "big")]
compile_error!("blobs are little-endian and used where they lie");

mod arena;
#[cfg(feature = "bench")]
pub mod bench;
pub mod blob;
pub mod config;
pub mod design;
mod error;
mod fingerprint;
mod generate;
mod kernels;
mod layers;
mod log_sum_exp;
pub mod math;
mod memory;
mod model;
mod observer;
mod parts;
#[cfg(any(test, feature = "std"))]
pub mod products;
pub mod sampler;
pub mod schema;
pub mod score;
mod session;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod text;
pub mod tokenizer;
mod views;

pub use blob::{BlobError, Facts, arena_lines};
pub use config::{
    AttentionConfig, AttentionMap, ChannelMixer, Depth, Heads, Mixer, MixtureOfDepths, ModelConfig, RcsmConfig, Writes,
};
pub use error::Error;
pub use fingerprint::fingerprint;
pub use generate::{Generation, Sequence, Turn};
pub use kernels::{Kernels, Level};
pub use memory::{Line, MAX_CHUNK};
pub use model::{Aligned, Model, Section};
pub use observer::{MemoryWrite, Observer, Pass};
pub use sampler::{Sampler, SamplerConfig, SamplerError};
pub use session::{Batch, FixedSession, Session, SessionError, StepParts, Stream, batch_lines};
pub use tokenizer::{Tokenizer, TokenizerError};

/// The crate's page, whose example is to compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
