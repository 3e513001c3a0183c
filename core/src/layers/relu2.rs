//! Squared rectifier (So et al., 2021, "Primer"), with the token before mixed in where the model says so (Peng et al.,
//! 2023, "RWKV").

use super::{Chunk, Shift};
use crate::math;
use crate::parts::Parts;
use crate::views::Relu2;

/// Bytes a block carries where tokens are shifted: the normalised input of the token before, D floats.
pub(super) const fn state_bytes(d: usize) -> usize {
    d * size_of::<f32>()
}

/// Adds `down(relu(up(u))^2)` to the residual stream, u = rms_norm(x), mixed with the one of the token before, which
/// `before` (D) carries, where `w` has a shift.
pub(crate) fn relu2(w: &Relu2<'_>, chunk: &mut Chunk<'_>, before: &mut [f32]) {
    let (d, f) = (w.gain.len(), w.output.columns);
    debug_assert!(w.shift.is_none_or(|keep| [keep.len(), before.len()] == [d; 2]));
    debug_assert!([w.input.rows(), w.output.rows()] == [f, d]);
    chunk.project(w.gain, w.shift.map(|keep| Shift { keep, before }), w.input, w.output);
    let Chunk { kernels, tokens, scales, s, .. } = chunk;
    let (wide, q) = (s.wide.front_mut(*tokens * f), s.q.front_mut(*tokens * f));
    kernels.vectorise(
        #[inline(always)]
        || {
            for ((hidden, q), scale) in wide.rows_mut(f).zip(q.rows_mut(f)).zip(scales.iter_mut()) {
                for h in hidden.iter_mut() {
                    let positive = if *h > 0.0 { *h } else { 0.0 };
                    *h = positive * positive;
                }
                *scale = math::quantise_int8(hidden, q);
            }
        },
    );
    chunk.residual(w.output);
}
