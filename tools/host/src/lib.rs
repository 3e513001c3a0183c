//! What every FlashLM program on a host does alike: opening a model, taking a prompt, reading texts, writing files,
//! scoring, signals and ends.

mod blob;
mod exit;
mod file;
mod html;
mod kind;
mod lfs;
mod links;
mod memory;
pub mod output;
mod prompt;
mod score;
mod seed;
pub mod signals;
pub mod text;
mod words;

pub use blob::{Blob, check_depth};
pub use exit::run;
pub use file::read_file;
pub use html::escaped;
pub use kind::{KIND_BYTES, kind};
pub use lfs::{LFS_POINTER, LONGEST_LFS_POINTER, is_lfs_pointer};
pub use links::{Direction, Link, Links};
pub use memory::{
    Allocator, Available, Bound, Shortage, available, check_memory, fallibly, peak_memory, resident_memory,
    room_for_threads, shown_bytes,
};
pub use prompt::{FOLDED, check_text, piped_prompt, read_prompt};
pub use score::{file, stories};
pub use seed::Seed;
pub use words::{WordPasses, passes_by_word};
