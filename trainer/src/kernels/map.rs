//! Files as memory: the one place that maps them, because mapping is `unsafe`.

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::Mmap;

/// Maps the whole file at `path` for reading. Pages are read when touched and belong to the file cache.
///
/// The file must not be shortened while it is mapped; if another program does so, reading the lost part ends
/// this process with a bus error. Other changes show through.
pub fn map_file(path: &Path) -> io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: the mapping is read-only and private to readers of bytes, for which any content is valid; every
    // user checks what it reads. Truncation by others is excluded by the contract above.
    unsafe { Mmap::map(&file) }
}
