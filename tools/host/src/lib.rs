//! What every FlashLM program on a host does alike: opening a model, scoring a text, ending.

mod blob;
mod exit;
mod file;
mod lfs;
mod memory;
mod score;
mod words;

pub use blob::{Blob, check_depth};
pub use exit::exit;
pub use file::read_file;
pub use lfs::{LFS_POINTER, LONGEST_LFS_POINTER, is_lfs_pointer};
pub use memory::{
    Allocator, Available, Bound, Shortage, available, check_memory, fallibly, peak_memory, room_for_threads,
    shown_bytes,
};
pub use score::{file, stories};
pub use words::{WordPasses, passes_by_word};
