//! What every FlashLM program on a host does alike: opening a model, taking a prompt, scoring a text,
//! ending.

mod blob;
mod exit;
mod kind;
mod memory;
mod prompt;
mod score;
mod seed;
mod words;

pub use blob::{Blob, check_depth};
pub use exit::exit;
pub use kind::{KIND_BYTES, kind};
pub use memory::peak_memory;
pub use prompt::{FOLDED, check_text, piped_prompt, read_prompt};
pub use score::{file, stories};
pub use seed::Seed;
pub use words::{WordPasses, passes_by_word};
