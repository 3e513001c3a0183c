//! What every FlashLM program on a host does alike: opening a model, reading texts, writing files, scoring, signals and
//! ends.

mod blob;
mod exit;
mod memory;
pub mod output;
mod score;
pub mod signals;
pub mod text;
mod words;

pub use blob::{Blob, check_depth};
pub use exit::run;
pub use memory::peak_memory;
pub use score::{file, stories};
pub use words::{WordPasses, passes_by_word};
