//! The table in the blob, little-endian, with m merges:
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | magic `FLTK` |
//! | 4..6 | version, 1 |
//! | 6..8 | m |
//! | 8..8 + 4 m | for each rank: the left and the right token, u16 each |
//! | .. + 2 m | the ranks sorted by (left, right), u16 each |
//! | .. + m | for each rank: how many bytes the token spells, u8 |

use core::ops::Range;

use super::{MAX_PIECE, TokenizerError};

/// First bytes of a table.
pub const MAGIC: [u8; 4] = *b"FLTK";
/// Version of the layout.
pub const VERSION: u16 = 1;
/// Bytes before the merges.
pub const HEADER_LEN: usize = 8;
/// Bytes for each merge: two parts, an index entry and a length.
pub const MERGE_LEN: usize = 7;
/// The tokens that stand for one byte.
pub const BYTE_TOKENS: Range<u16> = 1..257;
/// The token of the merge of rank 0.
pub const FIRST_MERGE: u16 = BYTE_TOKENS.end;
/// The most merges a table can have.
pub const MAX_MERGES: usize = u16::MAX as usize - FIRST_MERGE as usize + 1;

/// A checked table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<'a> {
    bytes: &'a [u8],
    parts: &'a [[u8; 4]],
    index: &'a [[u8; 2]],
    lengths: &'a [u8],
}

impl<'a> Table<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, TokenizerError> {
        let short = TokenizerError::BadLength { expected: HEADER_LEN, found: bytes.len() };
        let (header, body) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(short)?;
        let [m0, m1, m2, m3, v0, v1, n0, n1] = *header;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(TokenizerError::BadMagic);
        }
        let version = u16::from_le_bytes([v0, v1]);
        if version != VERSION {
            return Err(TokenizerError::UnsupportedVersion(version));
        }
        let merges = usize::from(u16::from_le_bytes([n0, n1]));
        if merges > MAX_MERGES {
            return Err(TokenizerError::TooManyMerges(merges));
        }
        let expected = HEADER_LEN + merges * MERGE_LEN;
        if bytes.len() != expected {
            return Err(TokenizerError::BadLength { expected, found: bytes.len() });
        }
        let (parts, rest) = body.split_at(merges * 4);
        let (index, lengths) = rest.split_at(merges * 2);
        let table = Self { bytes, parts: parts.as_chunks().0, index: index.as_chunks().0, lengths };
        table.check_merges()?;
        table.check_index()?;
        Ok(table)
    }

    fn check_merges(&self) -> Result<(), TokenizerError> {
        for (token, &length) in (FIRST_MERGE..=u16::MAX).zip(self.lengths) {
            let rank = token - FIRST_MERGE;
            let (left, right) = self.parts(token);
            let earlier = |part| (BYTE_TOKENS.start..token).contains(&part);
            if !earlier(left) || !earlier(right) {
                return Err(TokenizerError::BadMerge(rank));
            }
            // Two bytes at most MAX_PIECE each, so the sum does not overflow.
            let sum = self.piece_len(left) + self.piece_len(right);
            if length != sum || usize::from(length) > MAX_PIECE {
                return Err(TokenizerError::BadPieceLength(rank));
            }
        }
        Ok(())
    }

    fn check_index(&self) -> Result<(), TokenizerError> {
        let mut last = None;
        for &entry in self.index {
            let rank = u16::from_le_bytes(entry);
            if usize::from(rank) >= self.parts.len() {
                return Err(TokenizerError::BadIndex);
            }
            let pair = Some(self.parts(FIRST_MERGE + rank));
            // Strictly rising pairs: as many entries as merges, none twice, so every merge is in the index.
            if pair <= last {
                return Err(TokenizerError::BadIndex);
            }
            last = pair;
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn merges(&self) -> u16 {
        self.parts.len() as u16
    }

    /// Left and right part of a merge's token; (0, 0) for any other.
    #[inline]
    pub(super) fn parts(&self, token: u16) -> (u16, u16) {
        let rank = usize::from(token.wrapping_sub(FIRST_MERGE));
        let [l0, l1, r0, r1] = self.parts.get(rank).copied().unwrap_or_default();
        (u16::from_le_bytes([l0, l1]), u16::from_le_bytes([r0, r1]))
    }

    /// Bytes the token spells, 0 for `EOT` and outside the vocabulary.
    #[inline]
    pub(super) fn piece_len(&self, token: u16) -> u8 {
        if token >= FIRST_MERGE {
            self.lengths.get(usize::from(token - FIRST_MERGE)).copied().unwrap_or(0)
        } else {
            u8::from(BYTE_TOKENS.contains(&token))
        }
    }

    /// The token that joins `left` and `right`, if a merge does: a binary search of the index.
    #[inline]
    pub(super) fn find(&self, left: u16, right: u16) -> Option<u16> {
        let token_at = |entry: [u8; 2]| FIRST_MERGE.wrapping_add(u16::from_le_bytes(entry));
        let at = self.index.binary_search_by(|&entry| self.parts(token_at(entry)).cmp(&(left, right))).ok()?;
        self.index.get(at).map(|&entry| token_at(entry))
    }
}
