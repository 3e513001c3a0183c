//! Damaged models: valid blobs of any small configuration, edits, and a seal that gets past the checksum.

use std::vec::Vec;

use super::{Numbers, random_sections};
use crate::blob::header::Header;
use crate::blob::{Facts, MAGIC, VERSION, prelude, write};
use crate::config::{ChannelMixer, Depth, Heads, Mixer, MixtureOfDepths, ModelConfig, RcsmConfig, Writes};
use crate::tokenizer;

/// A small valid configuration, every part of which varies.
pub fn config(numbers: &mut Numbers) -> ModelConfig {
    let mut wide = |most: u32| 16 * (1 + numbers.below(most)) as u16;
    let (d_model, d_ffn, width) = (wide(3), wide(3), wide(2));
    // below 257 there is no tokenizer
    let vocab = if numbers.below(2) == 0 { 2 + numbers.below(40) } else { 257 + numbers.below(40) };
    let layers = 1 + numbers.below(2) as u16;
    let rcsm = (numbers.below(4) > 0).then(|| {
        let first = 1 + numbers.below(3) as u8;
        let second = first + 1 + numbers.below(3) as u8;
        let depths = [first, second, second + 1 + numbers.below(12) as u8];
        RcsmConfig {
            width,
            ops: 2 + numbers.below(18) as u8,
            slots: 1 + numbers.below(20) as u8,
            taps: 1 + numbers.below(8) as u8,
            after: 1 + numbers.below(layers.into()) as u16,
            depths,
            default_depth: match numbers.below(3) {
                0 => Depth::Fixed(depths[numbers.below(3) as usize]),
                _ => Depth::Adaptive,
            },
            writes: [Writes::None, Writes::Forward, Writes::Both][numbers.below(3) as usize],
        }
    });
    let heads = Heads { count: 1 + numbers.below(3) as u16, width: 16 * (1 + numbers.below(2)) as u16 };
    let window = 1 + numbers.below(30) as u16;
    ModelConfig {
        vocab,
        d_model,
        layers,
        d_ffn,
        mixer: Mixer::all(heads, window)[numbers.below(Mixer::KINDS as u32) as usize],
        ffn: match numbers.below(3) {
            0 => ChannelMixer::Glu,
            1 => ChannelMixer::Relu2,
            _ => ChannelMixer::ShiftedRelu2,
        },
        rcsm,
        eot: (numbers.below(3) > 0).then(|| numbers.below(vocab)),
        mixture_of_depths: (numbers.below(3) == 0)
            .then(|| MixtureOfDepths { capacity: 1 + numbers.below(99) as u8, from: numbers.below(3) as u16 }),
    }
}

/// A valid blob of `config`, with a tokenizer if its vocabulary is large enough for one.
pub fn blob(config: &ModelConfig, numbers: &mut Numbers) -> Vec<u8> {
    let mut sections = random_sections(config, numbers.next().into());
    if let Some(count) = config.vocab.checked_sub(tokenizer::FIRST_MERGE.into()) {
        sections[0] = table(&merges(count as usize, numbers));
    }
    let facts = Facts { name: "random", data: "none", tokens: 7, steps: 3, phase: 2, held_out_bpc: Some(1.5) };
    write(config, &facts, &sections).unwrap_or_default()
}

/// `n` different valid merges.
pub fn merges(n: usize, numbers: &mut Numbers) -> Vec<(u16, u16)> {
    let mut merges = Vec::new();
    while merges.len() < n {
        let known = 256 + merges.len() as u32;
        // letters often, so that prose meets them
        let mut part = || match numbers.below(3) {
            0 => 1 + numbers.below(known) as u16,
            _ => 1 + u16::from(b'a') + numbers.below(4) as u16,
        };
        push_merge(&mut merges, part(), part());
    }
    merges
}

/// Adds a merge unless it is there already or its token would be too long.
pub fn push_merge(merges: &mut Vec<(u16, u16)>, left: u16, right: u16) {
    fn length(merges: &[(u16, u16)], token: u16) -> usize {
        match token.checked_sub(tokenizer::FIRST_MERGE) {
            Some(rank) => {
                let (left, right) = merges[usize::from(rank)];
                length(merges, left) + length(merges, right)
            }
            None => 1,
        }
    }
    if !merges.contains(&(left, right)) && length(merges, left) + length(merges, right) <= tokenizer::MAX_PIECE {
        merges.push((left, right));
    }
}

/// The tokenizer table of these merges, which may be wrong ones.
pub fn table(merges: &[(u16, u16)]) -> Vec<u8> {
    let mut lengths = std::vec![0u8];
    lengths.extend([1; 256]);
    let mut bytes = b"FLTK\x01\x00".to_vec();
    bytes.extend((merges.len() as u16).to_le_bytes());
    for &(left, right) in merges {
        bytes.extend(left.to_le_bytes());
        bytes.extend(right.to_le_bytes());
        let length = |part: u16| lengths.get(usize::from(part)).copied().unwrap_or(1);
        lengths.push(length(left).wrapping_add(length(right)));
    }
    let mut order: Vec<u16> = (0..merges.len() as u16).collect();
    order.sort_by_key(|&rank| merges[usize::from(rank)]);
    bytes.extend(order.iter().flat_map(|rank| rank.to_le_bytes()));
    bytes.extend(&lengths[257..]);
    bytes
}

/// Floats that break arithmetic.
const FLOATS: [f32; 12] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    f32::MIN_POSITIVE / 4.0,
    1e-30,
    1e30,
    f32::MAX,
    f32::MIN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
];

/// One change to a blob; every value of it is a valid one.
#[derive(Clone, Copy, Debug)]
pub struct Edit {
    /// What is done.
    pub kind: u8,
    /// Where, modulo the bytes there are.
    pub at: u32,
    /// With what.
    pub value: u32,
}

impl Edit {
    /// A random one.
    pub fn random(numbers: &mut Numbers) -> Self {
        Self { kind: numbers.next() as u8, at: numbers.next(), value: numbers.next() ^ numbers.next() << 16 }
    }

    /// Changes `bytes`: a byte, a float that breaks arithmetic, a word, a run of 64 bytes or of floats, or a byte of
    /// the header.
    pub fn apply(self, bytes: &mut [u8]) {
        let (len, value) = (bytes.len(), self.value);
        if len < prelude::LEN + 8 {
            return;
        }
        let at = self.at as usize % len;
        let word = at & !3;
        let float = FLOATS[value as usize % FLOATS.len()].to_le_bytes();
        match self.kind % 8 {
            0 => bytes[at] = value as u8,
            1 | 2 => set(bytes, word, &float),
            3 => set(bytes, word, &value.to_le_bytes()),
            4 => set(bytes, at, &[value as u8; 64]),
            5 => (0..16).for_each(|i| set(bytes, word + 4 * i, &float)),
            6 => {
                let header = prelude::read(bytes, prelude::HEADER_LENGTH_FIELD).clamp(1, 256) as usize;
                set(bytes, prelude::LEN + at % header, &[value as u8]);
            }
            // a count in the prelude, or one in the header as postcard writes it, longest form
            _ if value & 1 == 0 => set(bytes, 4 * (at % 16), &value.to_le_bytes()),
            _ => set(bytes, prelude::LEN + at % 64, &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F]),
        }
    }
}

/// Overwrites what there is of `bytes` from `at` on.
fn set(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (byte, &new) in bytes.iter_mut().skip(at).zip(with) {
        *byte = new;
    }
}

/// Makes everything in the prelude agree with the bytes: magic, version, lengths, checksum, and the arena where the
/// header can be read.
pub fn seal(bytes: &mut [u8]) {
    if bytes.len() < prelude::LEN {
        return;
    }
    set(bytes, prelude::MAGIC_FIELD.start, &MAGIC);
    let length = bytes.len() as u32;
    let mut field = |range: core::ops::Range<usize>, value: u32| set(bytes, range.start, &value.to_le_bytes());
    field(prelude::VERSION_FIELD, VERSION);
    field(prelude::LENGTH_FIELD, length);
    set(bytes, prelude::RESERVED.start, &[0; 36]);
    let decoded = postcard::take_from_bytes::<Header<'_>>(&bytes[prelude::LEN..]).ok();
    if let Some((header, rest)) = decoded {
        let header_length = length - prelude::LEN as u32 - rest.len() as u32;
        let arena = header.config.validate().is_ok().then(|| crate::arena::Layout::new(&header.config));
        let mut field = |range: core::ops::Range<usize>, value: u32| set(bytes, range.start, &value.to_le_bytes());
        field(prelude::HEADER_LENGTH_FIELD, header_length);
        if let Some(layout) = arena {
            field(prelude::FIXED_LINES_FIELD, layout.fixed_lines() as u32);
            field(prelude::TOKEN_LINES_FIELD, layout.token_lines() as u32);
        }
    }
    seal_checksum(bytes);
}

/// Gives `bytes` the checksum that belongs to them.
pub fn seal_checksum(bytes: &mut [u8]) {
    let crc = crate::blob::checksum(bytes);
    set(bytes, prelude::CRC_FIELD.start, &crc.to_le_bytes());
}
