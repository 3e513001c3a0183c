//! Gated linear unit (Shazeer, 2020, "GLU Variants Improve Transformer").

use crate::arena::{MAX_CHUNK, Scratch};
use crate::kernels::Kernels;
use crate::math;
use crate::model::Glu;

/// Adds `down(silu(gate(u)) * up(u))`, u = rms_norm(x), to the residual stream `s.x` (T x D).
pub(crate) fn glu(w: &Glu<'_>, kernels: Kernels, tokens: usize, s: &mut Scratch<'_>) {
    let (d, f) = (w.gain.len(), w.output.columns);
    debug_assert!((1..=MAX_CHUNK).contains(&tokens));
    debug_assert!([w.input.rows(), w.output.rows(), w.input.columns] == [2 * f, d, d]);
    let (x, n) = (&mut s.x[..tokens * d], &mut s.n[..tokens * d]);
    let wide = &mut s.wide[..tokens * 2 * f];
    let mut scale = [0.0; MAX_CHUNK];
    let scale = &mut scale[..tokens];

    kernels.prefetch(w.input);
    let q = &mut s.q[..tokens * d];
    kernels.vectorise(
        #[inline(always)]
        || {
            for t in 0..tokens {
                let u = &mut n[t * d..][..d];
                math::rms_norm(&x[t * d..][..d], w.gain, u);
                scale[t] = math::quantise_int8(u, &mut q[t * d..][..d]);
            }
        },
    );
    kernels.ternary(w.input, q, scale, wide);
    kernels.prefetch(w.output);
    let q = &mut s.q[..tokens * f];
    kernels.vectorise(
        #[inline(always)]
        || {
            for t in 0..tokens {
                let (hidden, up) = wide[t * 2 * f..][..2 * f].split_at_mut(f);
                for (hidden, &up) in hidden.iter_mut().zip(up.iter()) {
                    *hidden = math::silu(*hidden) * up;
                }
                scale[t] = math::quantise_int8(hidden, &mut q[t * f..][..f]);
            }
        },
    );
    kernels.ternary(w.output, q, scale, n);
    for (x, &y) in x.iter_mut().zip(n.iter()) {
        *x += y;
    }
}
