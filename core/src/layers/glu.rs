//! Gated linear unit (Shazeer, 2020, "GLU Variants Improve Transformer").

use crate::arena::{MAX_CHUNK, Scratch};
use crate::kernels::Kernels;
use crate::math;
use crate::model::Glu;
use crate::parts::Parts;

/// Adds `down(silu(gate(u)) * up(u))`, u = rms_norm(x), to the residual stream `s.x` (T x D).
pub(crate) fn glu(w: &Glu<'_>, kernels: Kernels, tokens: usize, s: &mut Scratch<'_>) {
    let (d, f) = (w.gain.len(), w.output.columns);
    debug_assert!((1..=MAX_CHUNK).contains(&tokens));
    debug_assert!([w.input.rows(), w.output.rows(), w.input.columns] == [2 * f, d, d]);
    let (x, n) = (s.x.front_mut(tokens * d), s.n.front_mut(tokens * d));
    let wide = s.wide.front_mut(tokens * 2 * f);
    let mut scale = [0.0; MAX_CHUNK];
    let scale = scale.front_mut(tokens);

    kernels.prefetch(w.input);
    let q = s.q.front_mut(tokens * d);
    kernels.vectorise(
        #[inline(always)]
        || {
            for (((x, u), q), scale) in x.rows(d).zip(n.rows_mut(d)).zip(q.rows_mut(d)).zip(scale.iter_mut()) {
                math::rms_norm(x, w.gain, u);
                *scale = math::quantise_int8(u, q);
            }
        },
    );
    kernels.ternary(w.input, q, scale, wide);
    kernels.prefetch(w.output);
    let q = s.q.front_mut(tokens * f);
    for ((wide, q), scale) in wide.rows_mut(2 * f).zip(q.rows_mut(f)).zip(scale.iter_mut()) {
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
    kernels.ternary(w.output, q, scale, n);
    for (x, &y) in x.iter_mut().zip(n.iter()) {
        *x += y;
    }
}
