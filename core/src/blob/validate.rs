//! Everything that is checked about a blob, once.

use super::header::{Facts, Header, MAX_TEXT, SECTIONS};
use super::layout::Contents;
use super::{BlobError, crc::crc32, prelude};
use crate::arena::Layout;
use crate::config::ModelConfig;
use crate::parts::Parts;
use crate::schema::Role;

/// What a blob turned out to hold.
pub(crate) struct Checked<'a> {
    pub config: ModelConfig,
    pub facts: Facts<'a>,
    pub crc: u32,
    pub tokenizer: &'a [u8],
    /// Offset and length of every section in [`Role::ALL`]'s order, bytes.
    pub extents: [(u32, u32); SECTIONS],
    /// The sections as words, the tokenizer's empty.
    pub words: [&'a [u32]; SECTIONS],
}

/// Checks the parts of the prelude that say whether this begins a blob of this version; returns the length it states.
fn check_prelude(bytes: &[u8]) -> Result<u32, BlobError> {
    if bytes.len() < prelude::LEN {
        return Err(BlobError::TooShort);
    }
    let field = |range| prelude::read(bytes, range);
    if field(prelude::MAGIC_FIELD) != u32::from_le_bytes(prelude::MAGIC) {
        return Err(BlobError::Magic);
    }
    let version = field(prelude::VERSION_FIELD);
    if version != prelude::VERSION {
        return Err(BlobError::Version(version));
    }
    Ok(field(prelude::LENGTH_FIELD))
}

/// [`check_prelude`] of bytes that are a blob and nothing more.
fn check_length(blob: &[u8]) -> Result<u32, BlobError> {
    let stated = check_prelude(blob)?;
    if stated as usize == blob.len() { Ok(stated) } else { Err(BlobError::Length { stated, found: blob.len() }) }
}

/// The blob at the start of `bytes`, which may go on behind it: a partition of a flash memory is larger than its model.
///
/// Reads the prelude only, for the length; [`Model::from_bytes`](crate::Model::from_bytes) checks the blob.
///
/// ```
/// use flashlm_core::{BlobError, blob};
///
/// let mut partition = [0xFF; 1 << 20];
/// assert_eq!(blob::at_start_of(&partition), Err(BlobError::Magic));
/// let model = include_bytes!("../../tiny.flm");
/// partition[..model.len()].copy_from_slice(model);
/// assert_eq!(blob::at_start_of(&partition), Ok(&model[..]));
/// ```
pub fn at_start_of(bytes: &[u8]) -> Result<&[u8], BlobError> {
    let stated = check_prelude(bytes)?;
    bytes.get(..stated as usize).ok_or(BlobError::Length { stated, found: bytes.len() })
}

/// Checks magic, version, length and checksum of a blob, and nothing else: what damage between the packer and here
/// would show in. [`Model::from_bytes`](crate::Model::from_bytes) does it at every start; after it, and until the blob
/// changes, [`Model::from_bytes_trusted`](crate::Model::from_bytes_trusted) will do.
///
/// ```
/// use flashlm_core::{Model, blob};
///
/// static BLOB: &[u8] = flashlm_core::include_blob!("../../tiny.flm");
/// // once, after the blob was written
/// blob::verify_checksum(BLOB)?;
/// // at every start
/// let model = Model::from_bytes_trusted(BLOB)?;
/// # Ok::<(), flashlm_core::Error>(())
/// ```
pub fn verify_checksum(blob: &[u8]) -> Result<(), BlobError> {
    check_length(blob)?;
    let body = blob.get(prelude::CRC_FIELD.end..).unwrap_or_default();
    if crc32(body) == prelude::read(blob, prelude::CRC_FIELD) { Ok(()) } else { Err(BlobError::Checksum) }
}

/// Checks everything but the checksum: magic, version, length, alignment, header, limits, and the bounds, lengths and
/// values of every section.
pub(crate) fn check(blob: &[u8]) -> Result<Checked<'_>, BlobError> {
    let stated = check_length(blob)?;
    let field = |range| prelude::read(blob, range);
    if !blob.len().is_multiple_of(4) {
        return Err(BlobError::Length { stated, found: blob.len() });
    }
    let words: &[u32] = bytemuck::try_cast_slice(blob).map_err(|_| BlobError::Misaligned)?;
    let header_end = prelude::LEN.saturating_add(field(prelude::HEADER_LENGTH_FIELD) as usize);
    let header = blob.get(prelude::LEN..header_end).ok_or(BlobError::Header)?;
    let (header, rest) = postcard::take_from_bytes::<Header<'_>>(header).map_err(|_| BlobError::Header)?;
    let long = |text: &str| text.len() > MAX_TEXT;
    if !rest.is_empty() || long(header.facts.name) || long(header.facts.data) {
        return Err(BlobError::Header);
    }
    if blob.get(prelude::RESERVED).is_none_or(|bytes| bytes.iter().any(|&b| b != 0)) {
        return Err(BlobError::Header);
    }
    header.config.validate().map_err(BlobError::Config)?;
    let layout = Layout::new(&header.config);
    let arena = [layout.fixed_lines(), layout.token_lines()];
    if arena != [prelude::FIXED_LINES_FIELD, prelude::TOKEN_LINES_FIELD].map(|range| field(range) as usize) {
        return Err(BlobError::Arena);
    }

    let (mut extents, mut all_words, mut tokenizer) = ([(0, 0); SECTIONS], [&[][..]; SECTIONS], &[][..]);
    let mut end = header_end;
    let places = extents.iter_mut().zip(&mut all_words);
    for ((role, entry), (extent, section)) in Role::ALL.into_iter().zip(&header.sections).zip(places) {
        let (offset, len) = (entry.offset as usize, entry.len as usize);
        let contents = Contents::of(role, &header.config);
        let placed = entry.role == role && offset.is_multiple_of(64) && offset >= end;
        let bytes = offset.checked_add(len).and_then(|stop| blob.get(offset..stop)).ok_or(BlobError::Section(role))?;
        if !placed || contents.bytes().is_some_and(|expected| expected != len) {
            return Err(BlobError::Section(role));
        }
        end = offset + len;
        *extent = (entry.offset, entry.len);
        if contents == Contents::Bytes {
            tokenizer = bytes;
        } else {
            *section = words.part(offset / 4, len / 4);
            check_values(role, contents, section)?;
        }
    }
    let crc = field(prelude::CRC_FIELD);
    Ok(Checked { config: header.config, facts: header.facts, crc, tokenizer, extents, words: all_words })
}

/// Codes must be ternary and floats finite.
fn check_values(role: Role, contents: Contents, words: &[u32]) -> Result<(), BlobError> {
    let finite = |floats: &[u32]| {
        let all = floats.iter().all(|&bits| f32::from_bits(bits).is_finite());
        if all { Ok(()) } else { Err(BlobError::NotFinite(role)) }
    };
    match contents {
        _ if words.is_empty() => Ok(()),
        Contents::Bytes => Ok(()),
        Contents::Floats(_) => finite(words),
        Contents::Embedding(shape) => finite(words.cut(shape.value_bytes() / 4).1),
        Contents::Ternary(shape, _) => words.rows(shape.bytes() / 4).try_for_each(|matrix| {
            let (codes, scales) = matrix.cut(shape.code_bytes() / 4);
            // a code 3 has both its bits set
            if codes.iter().fold(0, |any, &w| any | (w & (w >> 1))) & 0x5555_5555 != 0 {
                return Err(BlobError::Code(role));
            }
            finite(scales)
        }),
    }
}
