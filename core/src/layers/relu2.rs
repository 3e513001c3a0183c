//! Squared rectifier (So et al., 2021, "Primer"), with the token before mixed in where the model says so (Peng et al.,
//! 2023, "RWKV").

use super::{Chunk, Shift};
use crate::config::ModelConfig;
use crate::math;
use crate::parts::Parts;
use crate::schema::tensor;
use crate::streams::Region;
use crate::views::TernaryMatrix;

/// Bytes a block carries where tokens are shifted: the normalised input of the token before, D floats.
pub(super) const fn state_bytes(d: usize) -> usize {
    d * size_of::<f32>()
}

/// Parameters of the squared rectifier.
pub(crate) struct Relu2<'a> {
    pub gain: &'a [f32],
    /// sigmoid of the trained shift, where the token before is mixed in.
    pub shift: Option<&'a [f32]>,
    /// up, F x D.
    pub input: TernaryMatrix<'a>,
    /// down, D x F.
    pub output: TernaryMatrix<'a>,
}

impl<'a> Relu2<'a> {
    /// Those of one block, among its floats.
    #[inline(always)]
    pub(super) fn new(c: &ModelConfig, floats: &'a [f32], [input, output]: [TernaryMatrix<'a>; 2]) -> Self {
        Self { gain: tensor!(c, floats, RELU2, "ffn.norm.gain"), shift: None, input, output }
    }

    /// The same with a shift.
    #[inline(always)]
    pub(super) fn shifted(c: &ModelConfig, floats: &'a [f32], [input, output]: [TernaryMatrix<'a>; 2]) -> Self {
        let gain = tensor!(c, floats, SHIFTED_RELU2, "ffn.norm.gain");
        let shift = Some(tensor!(c, floats, SHIFTED_RELU2, "ffn.shift", Sigmoid));
        Self { gain, shift, input, output }
    }

    /// Adds `down(relu(up(u))^2)` to the residual stream, u = rms_norm(x), mixed with the one of the token before,
    /// which `before` (D) carries, where there is a shift.
    pub(super) fn forward(&self, chunk: &mut Chunk<'_>, before: Region<'_>) {
        let (d, f) = (self.gain.len(), self.output.columns);
        debug_assert!(self.shift.is_none_or(|keep| keep.len() == d));
        debug_assert!([self.input.rows(), self.output.rows()] == [f, d]);
        chunk.project(self.gain, self.shift.map(|keep| Shift { keep, before }), self.input, self.output);
        let Chunk { kernels, tokens, scales, s, .. } = chunk;
        let (wide, q) = (s.wide.front_mut(*tokens * f), s.q.front_mut(*tokens * f));
        kernels.vectorize(
            #[inline(always)]
            || {
                for ((hidden, q), scale) in wide.rows_mut(f).zip(q.rows_mut(f)).zip(scales.iter_mut()) {
                    for h in hidden.iter_mut() {
                        let positive = if *h > 0.0 { *h } else { 0.0 };
                        *h = positive * positive;
                    }
                    *scale = math::quantize_int8(hidden, q);
                }
            },
        );
        chunk.residual(self.output);
    }
}
