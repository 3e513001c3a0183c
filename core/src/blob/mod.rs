//! The blob (`.flm`): one little-endian file that is the model, used where it lies.
//!
//! A 64-byte [`prelude`] (fixed fields, readable at compile time) is followed by a header (postcard: what the
//! model is and where its sections lie) and by the sections, each on a 64-byte boundary. [`Model::from_bytes`] checks
//! everything once; after that no accessor can fail. [`layout`] says what lies where inside a section, bit by bit.
//!
//! [`Model::from_bytes`]: crate::Model::from_bytes

mod crc;
pub(crate) mod header;
#[cfg(test)]
mod hostile_tests;
pub mod layout;
pub mod prelude;
#[cfg(test)]
mod tests;
mod validate;
#[cfg(any(test, feature = "std"))]
mod write;

use crate::config::ConfigError;
use crate::tokenizer::TokenizerError;

pub use crate::schema::Role;
pub use header::{Facts, MAX_TEXT};
pub use prelude::{MAGIC, VERSION, arena_lines};
pub(crate) use validate::check;
pub use validate::{at_start_of, verify_checksum};
#[cfg(any(test, feature = "std"))]
pub use write::{WriteError, write};

/// Why bytes are not a model this crate can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum BlobError {
    /// Fewer bytes than the prelude has.
    TooShort,
    /// The first four bytes are not `FLM1`.
    Magic,
    /// Written in another version of the format.
    Version(u32),
    /// The prelude states another length than there are bytes: truncated, or something appended.
    Length {
        /// Bytes that the prelude says.
        stated: u32,
        /// Bytes there are.
        found: usize,
    },
    /// The bytes do not lie on a 4-byte boundary; see [`Aligned`](crate::Aligned).
    Misaligned,
    /// The checksum does not match: damaged.
    Checksum,
    /// The header cannot be decoded.
    Header,
    /// The configuration breaks a limit.
    Config(ConfigError),
    /// The arena lengths in the prelude are not what the configuration implies.
    Arena,
    /// A section lies out of bounds, out of order, off its boundary or has a wrong length.
    Section(Role),
    /// A ternary matrix holds the code 3.
    Code(Role),
    /// A float is not finite.
    NotFinite(Role),
    /// The tokenizer's tables are wrong.
    Tokenizer(TokenizerError),
    /// The tokenizer and the configuration disagree about the size of the vocabulary.
    Vocabulary,
}

impl core::fmt::Display for BlobError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TooShort => f.write_str("not a model: shorter than a prelude of 64 bytes"),
            Self::Magic => f.write_str("not a model: the first four bytes are not FLM1"),
            Self::Version(v) if *v < VERSION => write!(
                f,
                "model of format version {v}; this program reads version {VERSION}: train again, or, if it has no \
                 reasoning loop, pack its checkpoint again"
            ),
            Self::Version(v) => {
                write!(f, "model of format version {v}; this program reads version {VERSION}: get a newer program")
            }
            Self::Length { stated, found } => {
                write!(f, "truncated or extended model: {found} bytes where its prelude states {stated}")
            }
            Self::Misaligned => f.write_str("the model does not lie on a 4-byte boundary"),
            Self::Checksum => f.write_str("damaged model: the checksum does not match"),
            Self::Header => f.write_str("the model's header cannot be decoded"),
            Self::Config(e) => write!(f, "the model's configuration is out of limits: {e}"),
            Self::Arena => f.write_str("the model's arena length is not what its configuration implies"),
            Self::Section(role) => write!(f, "section {} is misplaced or has a wrong length", role.name()),
            Self::Code(role) => write!(f, "section {} holds a code that is not ternary", role.name()),
            Self::NotFinite(role) => write!(f, "section {} holds a float that is not finite", role.name()),
            Self::Tokenizer(e) => write!(f, "the model's tokenizer is wrong: {e}"),
            Self::Vocabulary => f.write_str("the model's tokenizer has another vocabulary size than its embedding"),
        }
    }
}

impl core::error::Error for BlobError {}

/// The checksum that `blob`, which is as long as a prelude at least, should state.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn checksum(blob: &[u8]) -> u32 {
    crc::crc32(&blob[prelude::CRC_FIELD.end..])
}
