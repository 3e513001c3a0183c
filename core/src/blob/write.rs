//! Putting a blob together on a host: the mirror image of [`Model::from_bytes`](crate::Model::from_bytes).

use std::vec::Vec;

use super::header::{Entry, Facts, Header, MAX_TEXT, SECTIONS};
use super::layout::Contents;
use super::{crc::crc32, prelude};
use crate::arena::Layout;
use crate::config::{ConfigError, ModelConfig};
use crate::schema::Role;

/// Why sections do not make a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum WriteError {
    /// The configuration breaks a limit.
    Config(ConfigError),
    /// A section has another length than the configuration implies.
    Section {
        /// Which.
        role: Role,
        /// Its length by the configuration.
        expected: usize,
        /// The length it was given.
        found: usize,
    },
    /// A text of the facts is longer than [`MAX_TEXT`] bytes.
    Text,
    /// The blob would be longer than its u32 length field can say.
    TooLong,
    /// The header could not be encoded.
    Header,
}

impl core::fmt::Display for WriteError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Config(e) => write!(f, "the configuration cannot be packed: {e}"),
            Self::Section { role, expected, found } => {
                write!(f, "section {} has {found} bytes, the configuration implies {expected}", role.name())
            }
            Self::Text => write!(f, "a name in the training facts is longer than {MAX_TEXT} bytes"),
            Self::TooLong => f.write_str("the blob would be longer than 4 GiB"),
            Self::Header => f.write_str("the header could not be encoded"),
        }
    }
}

impl core::error::Error for WriteError {}

/// Lays the sections, one per [`Role::ALL`] in that order, out behind prelude and header.
pub fn write(config: &ModelConfig, facts: &Facts<'_>, sections: &[Vec<u8>; SECTIONS]) -> Result<Vec<u8>, WriteError> {
    config.validate().map_err(WriteError::Config)?;
    if facts.name.len() > MAX_TEXT || facts.data.len() > MAX_TEXT {
        return Err(WriteError::Text);
    }
    for (role, section) in Role::ALL.into_iter().zip(sections) {
        let expected = Contents::of(role, config).bytes().unwrap_or(section.len());
        if section.len() != expected {
            return Err(WriteError::Section { role, expected, found: section.len() });
        }
    }
    // The header's own length depends on the offsets it holds: lay out, encode, and repeat until it fits its place.
    let mut reserved = 0;
    loop {
        let (entries, total) = place(sections, (prelude::LEN + reserved).next_multiple_of(64));
        let total_u32 = u32::try_from(total).map_err(|_| WriteError::TooLong)?;
        let header = Header { config: *config, facts: *facts, sections: entries };
        let mut buffer = [0; 1024];
        let header = postcard::to_slice(&header, &mut buffer).map_err(|_| WriteError::Header)?;
        if header.len() > reserved {
            reserved = header.len();
            continue;
        }
        let mut blob = std::vec![0; total];
        let layout = Layout::new(config);
        let mut field = |range, value: u32| set(&mut blob, range, &value.to_le_bytes());
        field(prelude::VERSION_FIELD, prelude::VERSION);
        field(prelude::LENGTH_FIELD, total_u32);
        field(prelude::HEADER_LENGTH_FIELD, header.len() as u32);
        field(prelude::FIXED_LINES_FIELD, layout.fixed_lines() as u32);
        field(prelude::TOKEN_LINES_FIELD, layout.token_lines() as u32);
        set(&mut blob, prelude::MAGIC_FIELD, &prelude::MAGIC);
        set(&mut blob, prelude::LEN..prelude::LEN + header.len(), header);
        for (entry, section) in entries.iter().zip(sections) {
            let at = entry.offset as usize;
            set(&mut blob, at..at + section.len(), section);
        }
        let crc = crc32(&blob[prelude::CRC_FIELD.end..]);
        set(&mut blob, prelude::CRC_FIELD, &crc.to_le_bytes());
        return Ok(blob);
    }
}

fn set(blob: &mut [u8], range: core::ops::Range<usize>, bytes: &[u8]) {
    blob[range].copy_from_slice(bytes);
}

/// Entries for sections that start at `at`, and the length of the whole blob.
fn place(sections: &[Vec<u8>; SECTIONS], mut at: usize) -> ([Entry; SECTIONS], usize) {
    let entries = core::array::from_fn(|i| {
        let len = sections[i].len();
        let entry = Entry { role: Role::ALL[i], offset: at as u32, len: len as u32 };
        at = (at + len).next_multiple_of(64);
        entry
    });
    (entries, at)
}
