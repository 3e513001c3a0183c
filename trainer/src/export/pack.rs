//! Quantising rows and putting them into tiles.

use flashlm_core::blob::layout::{Contents, TernaryShape, ZERO_CODES};
use flashlm_core::math;
use flashlm_core::schema::Form;

/// Fills one section, part after part.
pub(super) struct SectionWriter {
    contents: Contents,
    bytes: Vec<u8>,
}

impl SectionWriter {
    pub(super) fn new(contents: Contents) -> Self {
        Self { contents, bytes: Vec::new() }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn floats(&mut self, values: &[f32], form: Form) {
        let side = values.len().isqrt();
        for (i, &v) in values.iter().enumerate() {
            let v = match form {
                Form::AsIs => v,
                Form::Transposed => values[(i % side) * side + i / side],
                Form::Sigmoid => math::sigmoid(v),
                Form::Drive => {
                    let keep = math::sigmoid(v);
                    math::sqrt(1.0 - keep * keep)
                }
            };
            self.bytes.extend(v.to_le_bytes());
        }
    }

    /// The embedding: int8 rows by their absmax, padded to 16 rows of zeros, then the scales.
    pub(super) fn int8(&mut self, embed: &[f32]) {
        let Contents::Embedding(shape) = self.contents else { return };
        self.bytes.resize(shape.bytes(), 0);
        let (values, scales) = self.bytes.split_at_mut(shape.value_bytes());
        let mut q = vec![0i8; shape.columns];
        for (row, weights) in embed.chunks_exact(shape.columns).enumerate() {
            let scale = math::quantize_int8(weights, &mut q);
            for (column, &q) in q.iter().enumerate() {
                values[shape.value_at(row, column)] = q as u8;
            }
            scales[row * 4..][..4].copy_from_slice(&scale.to_le_bytes());
        }
    }

    /// One matrix of `parts` (rows x K latent weights each) below each other, each padded to 16 rows of zeros.
    pub(super) fn ternary(&mut self, parts: &[&[f32]]) {
        let Contents::Ternary(shape, _) = self.contents else { return };
        let at = self.bytes.len();
        self.bytes.resize(at + shape.bytes(), 0);
        let (codes, scales) = self.bytes[at..].split_at_mut(shape.code_bytes());
        codes.fill(ZERO_CODES);
        let mut first = 0;
        for part in parts {
            for (row, weights) in (first..).zip(part.chunks_exact(shape.columns)) {
                let scale = ternary_row(weights, row, shape, codes);
                scales[row * 4..][..4].copy_from_slice(&scale.to_le_bytes());
            }
            first += (part.len() / shape.columns).next_multiple_of(16);
        }
    }
}

/// Writes the codes of one row; returns its scale.
fn ternary_row(weights: &[f32], row: usize, shape: TernaryShape, codes: &mut [u8]) -> f32 {
    let mut trits = vec![0; weights.len()];
    let scale = math::quantize_ternary(weights, &mut trits);
    for (column, trit) in trits.into_iter().enumerate() {
        let (at, shift) = shape.code_at(row, column);
        codes[at] = codes[at] & !(3 << shift) | ((trit + 1) as u8) << shift;
    }
    scale
}
