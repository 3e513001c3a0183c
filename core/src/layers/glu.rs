//! Gated linear unit (Shazeer, 2020, "GLU Variants Improve Transformer").

use super::Chunk;
use crate::math;
use crate::parts::Parts;
use crate::views::Glu;

/// Adds `down(silu(gate(u)) * up(u))`, u = rms_norm(x), to the residual stream.
pub(crate) fn glu(w: &Glu<'_>, chunk: &mut Chunk<'_>) {
    let (d, f) = (w.gain.len(), w.output.columns);
    debug_assert!([w.input.rows(), w.output.rows()] == [2 * f, d]);
    chunk.project(w.gain, None, w.input, w.output);
    let Chunk { kernels, tokens, scales, s, .. } = chunk;
    let rows = s.wide.rows_mut(2 * f).zip(s.q.rows_mut(f)).zip(scales.iter_mut());
    for ((wide, q), scale) in rows.take(*tokens) {
        // One token a call: in a loop over tokens the compiler would ask once whether any token's `hidden` overlaps any
        // other's `up`, and as rows alternate in memory, not vectorise.
        *scale = kernels.vectorise(
            #[inline(always)]
            || {
                let (hidden, up) = wide.cut_mut(f);
                for (hidden, &up) in hidden.iter_mut().zip(up.iter()) {
                    *hidden = math::silu(*hidden) * up;
                }
                math::quantise_int8(hidden, q)
            },
        );
    }
    chunk.residual(w.output);
}
