//! Gated linear unit (Shazeer, 2020, "GLU Variants Improve Transformer").

use super::Chunk;
use crate::config::ModelConfig;
use crate::math;
use crate::parts::Parts;
use crate::schema::tensor;
use crate::views::TernaryMatrix;

/// Parameters of the gated linear unit.
pub(crate) struct Glu<'a> {
    pub gain: &'a [f32],
    /// [gate; up], 2F x D.
    pub input: TernaryMatrix<'a>,
    /// down, D x F.
    pub output: TernaryMatrix<'a>,
}

impl<'a> Glu<'a> {
    /// Those of one block, among its floats.
    #[inline(always)]
    pub(super) fn new(c: &ModelConfig, floats: &'a [f32], [input, output]: [TernaryMatrix<'a>; 2]) -> Self {
        Self { gain: tensor!(c, floats, GLU, "ffn.norm.gain"), input, output }
    }

    /// Adds `down(silu(gate(u)) * up(u))`, u = rms_norm(x), to the residual stream.
    pub(super) fn forward(&self, chunk: &mut Chunk<'_>) {
        let (d, f) = (self.gain.len(), self.output.columns);
        debug_assert!([self.input.rows(), self.output.rows()] == [2 * f, d]);
        chunk.project(self.gain, None, self.input, self.output);
        let Chunk { kernels, tokens, scales, s, .. } = chunk;
        let rows = s.wide.rows_mut(2 * f).zip(s.q.rows_mut(f)).zip(scales.iter_mut());
        for ((wide, q), scale) in rows.take(*tokens) {
            // One token a call: in a loop over tokens the compiler would ask once whether any token's `hidden` overlaps
            // any other's `up`, and as rows alternate in memory, not vectorise.
            *scale = kernels.vectorize(
                #[inline(always)]
                || {
                    let (hidden, up) = wide.cut_mut(f);
                    for (hidden, &up) in hidden.iter_mut().zip(up.iter()) {
                        *hidden = math::silu(*hidden) * up;
                    }
                    math::quantize_int8(hidden, q)
                },
            );
        }
        chunk.residual(self.output);
    }
}
