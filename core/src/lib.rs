//! flashlm-core: `no_std`, no-alloc inference for ternary language models.
//!
//! A model is one file, the [`blob`]. [`Model::from_bytes`] checks all of it once and borrows it where it lies: flash,
//! a mapped file, a static. A [`Tokenizer`] that travels in the blob turns text into tokens and back. A [`Session`]
//! runs one sequence through the model in a fixed piece of memory whose size [`arena_lines`] reads from the blob at
//! compile time. A [`Sampler`] draws the next token; [`score`] tells how many bits a text takes.
//!
//! ```
//! #![no_std]
//! use flashlm_core::*;
//! # extern crate std; // this example runs on a host, whose programs begin in it
//!
//! static BLOB: &[u8] = include_blob!("../tiny.flm"); // stays in flash
//! const ARENA: usize = arena_lines(BLOB, 1); // lines of 64 bytes
//!
//! /// Continues `prompt` by at most `length` tokens, byte by byte into `print`.
//! fn tell(prompt: &str, length: usize, arena: &mut [Line], mut print: impl FnMut(u8)) -> Result<(), Error> {
//!     let model = Model::from_bytes(BLOB)?;
//!     let tokenizer = model.tokenizer().ok_or(Error::NoTokenizer)?;
//!     let mut tokens = [0; 64]; // a token for each byte always suffices
//!     let n = tokenizer.encode(prompt.as_bytes(), &mut tokens)?;
//!
//!     let mut session = Session::new(model, Kernels::detect(), arena)?;
//!     let mut sampler = Sampler::new(SamplerConfig { temperature: 0.0, ..SamplerConfig::default() })?;
//!     let mut story = Generation::begin(&mut session, &mut sampler, &tokens[..n], &mut ())?;
//!     for _ in 0..length {
//!         let Some(token) = story.next(&mut session, &mut sampler, &mut ())? else { break };
//!         tokenizer.for_each_byte(token, &mut print);
//!     }
//!     Ok(())
//! }
//!
//! fn main() -> Result<(), Error> {
//!     let mut arena = [Line::ZERO; ARENA]; // in a firmware a static: `ConstStaticCell` of the crate static_cell
//!     let (mut told, mut length) = ([0; 100], 0);
//!     tell("Once upon a time", 20, &mut arena, |byte| {
//!         told[length] = byte;
//!         length += 1;
//!     })?;
//!     assert!(told.starts_with(b", there was a young girl named Sue.")); // on every target
//!     Ok(())
//! }
//! ```
//!
//! Whole programs are in the repository: `tests/firsthour/embedded`, as small as can be, and `firmware-example`, a
//! console on a serial line.
//!
//! # Features
//! None is on by default, and firmware mostly needs none.
//!
//! | feature | what |
//! |---|---|
//! | `dsp`, `no-dsp` | on `thumbv8m.main` targets: whether the chip has Arm's DSP extension; below |
//! | `defmt` | `defmt::Format` for all errors, [`ModelConfig`] and its parts, [`SamplerConfig`], [`Depth`], [`Level`] and other small types |
//! | `std` | on hosts: asks the processor what it has when [`Kernels::detect`] is called, sessions on the heap, writing blobs |
//! | `bench` | single products, for benchmarks without a heap |
//! | `testing` | small valid models and ways to damage them, for fuzzing; brings `std` |
//!
//! **DSP.** Its SMLAD makes a ternary product more than ten times as fast as plain Rust (0.6 instructions a weight
//! instead of 8). Cortex-M4 and M7 (`thumbv7em-*`) always have it. Of Armv8-M (`thumbv8m.main-*`: Cortex-M33 and later)
//! most chips do, such as RP2350, STM32H5 and nRF5340, but the target does not tell, and stable Rust shows no
//! `cfg(target_feature)` for it. So the build script looks for `-C target-cpu` or `-C target-feature=+dsp` (or `-dsp`)
//! in rustc's flags; where they say nothing, either of the features must: with none of them **the build fails and says
//! why**. Both features together mean `dsp`. What was chosen, `Kernels::detect().level()` tells.
//!
//! # Where to put a blob
//! Anywhere that can be read as bytes on a 4-byte boundary; on a 64-byte boundary reads are fastest.
//!
//! **In the program**, among its constants: [`include_blob!`], as above. The arena's size is known when compiling, and
//! what does not fit does not link. To change the model is to compile and flash again.
//!
//! **In a section of its own**, for a bank of flash that the linker's script names, which may be memory-mapped external
//! flash that a boot loader has set up. In `memory.x`:
//!
//! ```text
//! MEMORY { FLASH : ORIGIN = 0x08000000, LENGTH = 1M
//!          MODEL : ORIGIN = 0x90000000, LENGTH = 8M
//!          RAM   : ORIGIN = 0x20000000, LENGTH = 128K }
//! SECTIONS { .model : ALIGN(64) { KEEP(*(.model)) } > MODEL } INSERT AFTER .rodata;
//! ```
//!
//! ```
//! use flashlm_core::{Aligned, Line, arena_lines};
//!
//! const FILE: &[u8] = include_bytes!("../tiny.flm");
//! #[cfg_attr(target_os = "none", unsafe(link_section = ".model"))]
//! static MODEL: Aligned<[u8; FILE.len()]> = Aligned(*include_bytes!("../tiny.flm"));
//! const ARENA: usize = arena_lines(FILE, 1);
//!
//! let model = flashlm_core::Model::from_bytes(&MODEL.0)?;
//! # let mut arena = [Line::ZERO; ARENA];
//! # Ok::<(), flashlm_core::Error>(())
//! ```
//!
//! **At an address of its own**, a partition that is flashed apart from the program, so that models change without a
//! compiler. The arena is then as large as the largest model wants, and [`Session::new`] says if it is not.
//!
//! ```no_run
//! # #[allow(unsafe_code, reason = "memory at an address")]
//! # fn main() -> Result<(), flashlm_core::Error> {
//! use flashlm_core::{Model, blob};
//!
//! const START: *const u8 = 0x1010_0000 as *const u8; // of the partition, and its length
//! const LENGTH: usize = 3 << 20;
//!
//! // SAFETY: the chip maps so much flash there, and nothing writes to it while the program runs
//! let partition: &'static [u8] = unsafe { core::slice::from_raw_parts(START, LENGTH) };
//! let model = Model::from_bytes(blob::at_start_of(partition)?)?; // an error where there is no model
//! # Ok(())
//! # }
//! ```
//!
//! **In external flash that is not memory-mapped** (SPI, an SD card): nothing here reads by blocks. It has to be copied
//! to RAM that can hold all of it, such as PSRAM, into `Line`s or other memory on its boundary; then
//! [`blob::verify_checksum`] once, and [`Model::from_bytes_trusted`] from then on.
//!
//! # What it costs to start
//! [`Model::from_bytes`] reads all of the blob twice: of 2.9 MB in 17.4 million instructions on a Cortex-M7, as many as
//! three tokens. 15.3 million are the checksum, which [`Model::from_bytes_trusted`] leaves out for a blob that was
//! verified when it was written. [`Session::new`] clears the arena.
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
mod link;
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
mod streams;
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
pub use link::StoryLink;
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
