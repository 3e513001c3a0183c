//! Byte-level BPE (Sennrich et al., 2016; the byte-level form of GPT-2), encode and decode, without allocation.
//!
//! Token 0 ends a story and spells nothing. Tokens 1..=256 are the bytes 0..=255. Token 257 + r is the result of
//! the merge of rank r. So a merge's rank and its token are one number, every part of a token has a lower number
//! than the token, and the best merge present in a word can be applied everywhere at once, left to right: no
//! merge it makes possible can have a lower rank. The `tokenizers` crate, whose queue takes one pair at a time,
//! gives the same tokens; the trainer's tests hold this module to it.
//!
//! Text is first cut into [`PreTokens`], and merges never cross a cut.

mod character;
mod pretoken;
mod table;
mod utf8;

pub(crate) use character::Character;
pub use pretoken::{MAX_PRE_TOKEN, PreTokens};
pub use table::{BYTE_TOKENS, FIRST_MERGE, HEADER_LEN, MAGIC, MAX_MERGES, MERGE_LEN, VERSION};
pub use utf8::Utf8Stream;

use core::cell::Cell;
use core::fmt;

use self::table::Table;

/// The longest byte string one token can stand for.
pub const MAX_PIECE: usize = 64;

/// The token that ends a story.
pub const EOT: u16 = 0;

/// The bytes of one token.
pub type Piece = heapless::Vec<u8, MAX_PIECE>;

/// Why a tokenizer table or a buffer was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TokenizerError {
    /// The table does not begin with [`MAGIC`].
    BadMagic,
    /// The table is of a version this crate does not know.
    UnsupportedVersion(u16),
    /// The table's length does not follow from its number of merges.
    BadLength {
        /// Bytes by the number of merges.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// More than [`MAX_MERGES`] merges: tokens would not fit 16 bits.
    TooManyMerges(usize),
    /// This merge's parts are not two earlier tokens that spell something.
    BadMerge(u16),
    /// This merge's stored length is not the sum of its parts', or exceeds [`MAX_PIECE`].
    BadPieceLength(u16),
    /// The sorted index is out of bounds, out of order, or a pair occurs twice.
    BadIndex,
    /// The output may need this many tokens: one for each byte of text.
    BufferTooSmall {
        /// Tokens that always suffice.
        needed: usize,
    },
}

impl fmt::Display for TokenizerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BadMagic => f.write_str("not a tokenizer table"),
            Self::UnsupportedVersion(version) => {
                write!(f, "tokenizer table version {version}, expected {VERSION}")
            }
            Self::BadLength { expected, found } => {
                write!(f, "tokenizer table of {found} bytes, expected {expected}")
            }
            Self::TooManyMerges(merges) => write!(f, "{merges} merges, at most {MAX_MERGES} fit 16-bit tokens"),
            Self::BadMerge(rank) => write!(f, "merge {rank} does not join two earlier tokens"),
            Self::BadPieceLength(rank) => write!(f, "merge {rank} has a wrong length or spells over {MAX_PIECE} bytes"),
            Self::BadIndex => f.write_str("tokenizer index is not sorted"),
            Self::BufferTooSmall { needed } => write!(f, "token buffer too small, {needed} always suffice"),
        }
    }
}

impl core::error::Error for TokenizerError {}

/// A tokenizer over a table that stays where it is (flash, a mapped file, a static).
///
/// ```
/// use flashlm_core::*;
///
/// const BLOB: &[u8] = include_blob!("../../tiny.flm");
/// let model = Model::from_bytes(BLOB)?;
/// let tokenizer = model.tokenizer().ok_or(Error::NoTokenizer)?;
///
/// let text = "Tom saw 日本";
/// let mut tokens = [0; 32]; // one for each byte always suffices
/// let n = tokenizer.encode(text.as_bytes(), &mut tokens)?;
/// assert!(n < text.len());
///
/// // a token may end within a character: bytes come one by one
/// let (mut spelled, mut length) = ([0; 32], 0);
/// for &token in &tokens[..n] {
///     tokenizer.for_each_byte(token, |byte| {
///         spelled[length] = byte;
///         length += 1;
///     });
/// }
/// assert_eq!(spelled[..length], *text.as_bytes());
/// # Ok::<(), Error>(())
/// ```
///
/// [`Utf8Stream`] makes text of such bytes.
#[derive(Clone, Copy, Debug)]
pub struct Tokenizer<'a> {
    table: Table<'a>,
}

impl<'a> Tokenizer<'a> {
    /// Checks the whole table once, in time linear in its length. After that nothing fails but a buffer that is
    /// too small. The layout is [`MAGIC`], [`VERSION`] and the number of merges m, then for each merge its two
    /// parts, then the merges' ranks sorted by their parts, then each merge's length in bytes: [`HEADER_LEN`] +
    /// m [`MERGE_LEN`] bytes in all, little-endian (`tokenizer/table.rs` has it byte by byte).
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, TokenizerError> {
        Ok(Self { table: Table::parse(bytes)? })
    }

    /// The table it was made from.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.table.bytes()
    }

    /// Vocabulary size V: tokens are 0..V.
    pub fn vocab(&self) -> u32 {
        u32::from(FIRST_MERGE) + u32::from(self.table.merges())
    }

    /// The token that ends a story, [`EOT`].
    pub fn eot(&self) -> u16 {
        EOT
    }

    /// The two tokens that `token` joins; `None` for bytes, [`EOT`] and numbers outside the vocabulary.
    pub fn parts(&self, token: u16) -> Option<(u16, u16)> {
        (token >= FIRST_MERGE && u32::from(token) < self.vocab()).then(|| self.table.parts(token))
    }

    /// Encodes `text` into the front of `tokens` and returns how many there are. Any bytes are valid text, and
    /// `<|endoftext|>` in it is plain text. `text.len()` tokens always suffice; fewer do if every pre-token's
    /// bytes fit in what is left when its turn comes.
    ///
    /// Takes time linear in the text's length: a pre-token of n bytes takes O(n m) for the m distinct merges that
    /// apply to it, and n is at most [`MAX_PRE_TOKEN`] whatever the text.
    pub fn encode(&self, text: &[u8], tokens: &mut [u16]) -> Result<usize, TokenizerError> {
        let mut used = 0;
        for pre_token in PreTokens::new(text) {
            let rest = tokens.get_mut(used..).unwrap_or_default();
            used += self.encode_pre_token(pre_token, rest).map_err(|_| needs(text))?;
        }
        Ok(used)
    }

    /// [`Self::encode`] into a vector.
    #[cfg(any(test, feature = "std"))]
    pub fn encoded(&self, text: &[u8]) -> Vec<u16> {
        let mut tokens = std::vec![0; text.len()];
        // one token for each byte always suffices
        let used = self.encode(text, &mut tokens).unwrap_or(0);
        tokens.truncate(used);
        tokens
    }

    /// Encodes one item of [`PreTokens`]: for texts longer than any buffer, a pre-token at a time. `tokens` needs
    /// one place for each byte of `pre_token`, whatever the result's length.
    pub fn encode_pre_token(&self, pre_token: &[u8], tokens: &mut [u16]) -> Result<usize, TokenizerError> {
        let tokens = tokens.get_mut(..pre_token.len()).ok_or_else(|| needs(pre_token))?;
        for (token, &byte) in tokens.iter_mut().zip(pre_token) {
            *token = 1 + u16::from(byte);
        }
        Ok(self.merge(tokens))
    }

    /// Applies all merges to `tokens` in place and returns how many tokens are left.
    fn merge(&self, tokens: &mut [u16]) -> usize {
        let tokens = Cell::from_mut(tokens).as_slice_of_cells();
        let mut length = tokens.len();
        let pairs = tokens.iter().zip(tokens.iter().skip(1));
        let mut best = pairs.filter_map(|(left, right)| self.table.find(left.get(), right.get())).min();
        while let Some(token) = best {
            // One sweep applies this merge everywhere and finds the best of those left for the next sweep.
            let pair = self.table.parts(token);
            best = None;
            let mut read = tokens.iter().take(length).map(Cell::get).peekable();
            let mut last = None;
            length = 0;
            // every write follows at least one read
            for place in tokens {
                let Some(mut current) = read.next() else { break };
                if read.next_if(|&next| (current, next) == pair).is_some() {
                    current = token;
                }
                if let Some(last) = last
                    && let Some(found) = self.table.find(last, current)
                {
                    best = Some(best.map_or(found, |best: u16| best.min(found)));
                }
                place.set(current);
                length += 1;
                last = Some(current);
            }
        }
        length
    }

    /// The bytes `token` stands for: none for [`EOT`] and for numbers outside the vocabulary.
    pub fn piece(&self, token: u16) -> Piece {
        let mut piece = Piece::new();
        self.for_each_byte(token, |byte| {
            // Cannot be full: the table holds no token longer than MAX_PIECE.
            let _ = piece.push(byte);
        });
        piece
    }

    /// Calls `sink` with each byte of `token`, in order.
    pub fn for_each_byte(&self, token: u16, mut sink: impl FnMut(u8)) {
        // Parts still to be spelled. Each spells at least one byte, so MAX_PIECE of them suffice.
        let mut pending: heapless::Vec<u16, MAX_PIECE> = heapless::Vec::new();
        let mut next = (u32::from(token) < self.vocab()).then_some(token);
        while let Some(token) = next {
            if token >= FIRST_MERGE {
                let (left, right) = self.table.parts(token);
                let _ = pending.push(right);
                next = Some(left);
            } else {
                if token != EOT {
                    sink((token - 1) as u8);
                }
                next = pending.pop();
            }
        }
    }

    /// The character that is unfinished after `token`, which follows one that is unfinished or [`Character::NONE`]; no
    /// token of no bytes leaves one.
    pub(crate) fn unfinished(&self, before: Character, token: u16) -> Character {
        let mut at = if token == EOT { Character::NONE } else { before };
        self.for_each_byte(token, |byte| at = at.after(byte));
        at
    }

    /// Whether text stays valid UTF-8, or the begin of it, when `token` follows an unfinished character or
    /// [`Character::NONE`]; [`EOT`] may only follow whole ones.
    pub(crate) fn fits(&self, before: Character, token: u16) -> bool {
        let mut at = (token != EOT || before == Character::NONE).then_some(before);
        self.for_each_byte(token, |byte| at = at.and_then(|at| at.and(byte)));
        at.is_some()
    }

    /// How many bytes `token` stands for.
    pub fn piece_len(&self, token: u16) -> usize {
        usize::from(self.table.piece_len(token))
    }
}

fn needs(text: &[u8]) -> TokenizerError {
    TokenizerError::BufferTooSmall { needed: text.len() }
}

#[cfg(test)]
mod tests;
