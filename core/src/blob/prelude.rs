//! The first 64 bytes of a blob, readable in a `const fn`.
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | magic `FLM1` |
//! | 4..8 | format version, u32 |
//! | 8..12 | length of the whole blob, u32 |
//! | 12..16 | CRC-32 of everything from byte 16 to the end |
//! | 16..20 | length of the header behind the prelude, u32 |
//! | 20..24 | arena lines a session needs in any case, u32 |
//! | 24..28 | arena lines it needs for every token prefilled together, u32 |
//! | 28..64 | zero |

use core::ops::Range;

/// The first four bytes of every blob.
pub const MAGIC: [u8; 4] = *b"FLM1";
/// The version this crate writes and reads.
pub const VERSION: u32 = 4;

/// Bytes of the prelude; the header starts here.
pub(crate) const LEN: usize = 64;
pub(crate) const MAGIC_FIELD: Range<usize> = 0..4;
pub(crate) const VERSION_FIELD: Range<usize> = 4..8;
pub(crate) const LENGTH_FIELD: Range<usize> = 8..12;
pub(crate) const CRC_FIELD: Range<usize> = 12..16;
pub(crate) const HEADER_LENGTH_FIELD: Range<usize> = 16..20;
pub(crate) const FIXED_LINES_FIELD: Range<usize> = 20..24;
pub(crate) const TOKEN_LINES_FIELD: Range<usize> = 24..28;
pub(crate) const RESERVED: Range<usize> = 28..64;

/// The little-endian u32 at `field` of `blob`, 0 where the blob is too short.
pub(crate) const fn read(blob: &[u8], field: Range<usize>) -> u32 {
    let Some((_, rest)) = blob.split_at_checked(field.start) else { return 0 };
    match rest.first_chunk() {
        Some(bytes) => u32::from_le_bytes(*bytes),
        None => 0,
    }
}

/// Lines of arena that a session over `blob` needs to prefill `chunk` tokens together (1 decodes only; more than
/// [`MAX_CHUNK`](crate::MAX_CHUNK) is never used). Read at compile time, it sizes a static or a stack buffer:
///
/// ```
/// # const BLOB: &[u8] = &[0; 64];
/// use flashlm_core::{Line, arena_lines};
/// const N: usize = arena_lines(BLOB, 1);
/// let mut arena = [Line::ZERO; N];
/// ```
///
/// Reads the prelude only and believes it; [`Model::from_bytes`](crate::Model::from_bytes) checks it. Bytes that
/// are no blob need no arena: 0.
pub const fn arena_lines(blob: &[u8], chunk: usize) -> usize {
    if blob.len() < LEN || read(blob, MAGIC_FIELD) != u32::from_le_bytes(MAGIC) {
        return 0;
    }
    let token = read(blob, TOKEN_LINES_FIELD) as usize;
    (read(blob, FIXED_LINES_FIELD) as usize).saturating_add(token.saturating_mul(chunk))
}
