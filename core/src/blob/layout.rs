//! Sizes and addresses inside the sections: the one place that knows them, for the reader and the writer.

use crate::config::ModelConfig;
use crate::schema::Role;
use crate::schema::{self, Size, padded};

/// Shape of a ternary matrix as stored.
///
/// Rows come in groups of 16, columns in tiles of 16: a tile is 16 rows x 16 columns in 64 bytes, the tiles of a
/// group are contiguous along the columns, groups follow each other, and a f32 scale a row follows the last group.
///
/// A tile is two halves of 8 columns, half h the 32 bytes from 32h on: 8 little-endian u32 words, word j holding the
/// rows j and j + 8. Codes 0, 1, 2 stand for -1, 0, +1. With f in 0..2 and b in 0..4, column 8h + 4f + b lies
///
/// | row | at bits |
/// |---|---|
/// | j | 8b + 2f, +1 |
/// | j + 8 | 8((b + 1) mod 4) + 2f + 4, +1 |
///
/// ```text
/// byte                3           2           1           0
/// bits      76 54 32 10 76 54 32 10 76 54 32 10 76 54 32 10
/// row j            7  3        6  2        5  1        4  0    columns of
/// row j+8    6  2        5  1        4  0        7  3          the half
/// ```
///
/// Dot-product instructions take `word & (0x03030303 << 2f)` with the activations 4f..4f+4 for row j, and
/// `word & (0x30303030 << 2f)` with the same activations turned by one byte for row j + 8; nothing has to be shifted.
/// Machines that multiply 16-bit pairs turn the word right by 2f (columns b = 0 and 2) or 8 + 2f (b = 1 and 3): then
/// `& 0x30033003` leaves in each half word one column's code of row j, plus 4096 times that of row j + 8, and one
/// multiplication serves both rows. That is what the turn by a byte is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TernaryShape {
    /// Rows, a multiple of 16.
    pub rows: usize,
    /// Columns, a multiple of 16.
    pub columns: usize,
}

impl TernaryShape {
    /// Bytes of the codes.
    pub const fn code_bytes(self) -> usize {
        self.rows * self.columns / 4
    }

    /// Bytes of codes and scales: the stride from one layer's matrix to the next.
    pub const fn bytes(self) -> usize {
        self.code_bytes() + self.rows * 4
    }

    /// Where the code of (row, column) lies: byte from the start of the matrix, and shift within it.
    pub const fn code_at(self, row: usize, column: usize) -> (usize, u32) {
        let half = (row / 16) * (self.columns / 8) + column / 8;
        let (second, word) = ((row % 16) / 8, row % 8);
        let (f, b) = ((column % 8) / 4, (column + second) % 4);
        (half * 32 + word * 4 + b, 2 * f as u32 + 4 * second as u32)
    }
}

/// A word of codes where every one is "0".
pub const ZERO_CODES: u8 = 0b0101_0101;

/// Shape of the int8 embedding as stored: tiles of 16 rows x 4 columns in 64 bytes, row r of a tile at byte 4r, the
/// tiles of a group of 16 rows contiguous along the columns, then a f32 scale a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddingShape {
    /// Rows, a multiple of 16.
    pub rows: usize,
    /// Columns, a multiple of 4.
    pub columns: usize,
}

impl EmbeddingShape {
    /// Bytes of the int8 values.
    pub const fn value_bytes(self) -> usize {
        self.rows * self.columns
    }

    /// Bytes of values and scales.
    pub const fn bytes(self) -> usize {
        self.value_bytes() + self.rows * 4
    }

    /// Byte of the value at (row, column).
    pub const fn value_at(self, row: usize, column: usize) -> usize {
        ((row / 16) * (self.columns / 4) + column / 4) * 64 + (row % 16) * 4 + column % 4
    }
}

/// What a role's section holds, by the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Bytes of no fixed number.
    Bytes,
    /// The embedding.
    Embedding(EmbeddingShape),
    /// This many ternary matrices of one shape.
    Ternary(TernaryShape, usize),
    /// This many floats.
    Floats(usize),
}

/// Floats of all blocks before `layer` in [`Role::BlockVectors`].
pub(crate) const fn floats_before(config: &ModelConfig, layer: usize) -> usize {
    let [mixer, ffn] = schema::block_floats(config);
    let routed = match config.mixture_of_depths {
        Some(m) => layer.saturating_sub(m.from as usize),
        None => 0,
    };
    layer * (mixer + ffn) + routed * config.d_model as usize
}

/// Rows of a block's first mixer and channel mixer matrices.
pub(crate) const fn input_rows(config: &ModelConfig) -> (usize, usize) {
    let (mixer, _) = schema::stacked(config, schema::mixer(config), Role::MixerIn);
    let (ffn, _) = schema::stacked(config, schema::channel_mixer(config), Role::FfnIn);
    (mixer, ffn)
}

impl Contents {
    /// What the section of `role` holds in a model of `config`.
    pub fn of(role: Role, config: &ModelConfig) -> Self {
        let d = config.d_model.into();
        let layers = config.layers.into();
        let ternary = |tensors, count| {
            let (rows, columns) = schema::stacked(config, tensors, role);
            Self::Ternary(TernaryShape { rows, columns }, count)
        };
        let rcsm = usize::from(config.rcsm.is_some());
        match role {
            Role::Tokenizer => Self::Bytes,
            Role::Embedding => Self::Embedding(EmbeddingShape { rows: padded(config.vocab as usize), columns: d }),
            Role::MixerIn | Role::MixerOut => ternary(schema::mixer(config), layers),
            Role::FfnIn | Role::FfnOut => ternary(schema::channel_mixer(config), layers),
            Role::BlockVectors => Self::Floats(floats_before(config, layers)),
            Role::RcsmIn | Role::RcsmPass | Role::RcsmOps | Role::RcsmOut => ternary(schema::RCSM, rcsm),
            Role::RcsmVectors => Self::Floats(rcsm * const { Size::total(schema::RCSM) }.of(config)),
            Role::Norm => Self::Floats(const { Size::total(schema::NORM) }.of(config)),
        }
    }

    /// Bytes of the section; `None` where the section itself decides.
    pub fn bytes(self) -> Option<usize> {
        match self {
            Self::Bytes => None,
            Self::Embedding(shape) => Some(shape.bytes()),
            Self::Ternary(shape, count) => Some(shape.bytes() * count),
            Self::Floats(n) => Some(n * 4),
        }
    }

    /// Weights stored, padding rows included; 0 for bytes.
    pub fn weights(self) -> usize {
        match self {
            Self::Bytes => 0,
            Self::Embedding(shape) => shape.rows * shape.columns,
            Self::Ternary(shape, count) => shape.rows * shape.columns * count,
            Self::Floats(n) => n,
        }
    }
}
