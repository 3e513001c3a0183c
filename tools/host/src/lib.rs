//! What every FlashLM program on a host does alike: opening a model, scoring a text, ending.

mod blob;
mod exit;
mod memory;
mod score;
mod words;

pub use blob::{Blob, check_depth};
pub use exit::exit;
pub use memory::peak_memory;
pub use score::{file, stories};
pub use words::{WordPasses, passes_by_word};
