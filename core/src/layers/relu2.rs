//! Squared rectifier (So et al., 2021, "Primer"), with the token before mixed in where the model says so (Peng et al.,
//! 2023, "RWKV").

use super::Resets;
use super::gated::shift;
use crate::arena::{MAX_CHUNK, Scratch};
use crate::kernels::Kernels;
use crate::math;
use crate::model::Relu2;
use crate::parts::Parts;

/// Adds `down(relu(up(u))^2)` to the residual stream `s.x` (T x D), u = rms_norm(x), mixed with the one of the token
/// before, which `before` (D) carries, where `w` has a shift.
pub(crate) fn relu2(
    w: &Relu2<'_>,
    kernels: Kernels,
    tokens: usize,
    resets: Resets,
    before: &mut [f32],
    s: &mut Scratch<'_>,
) {
    let (d, f) = (w.gain.len(), w.output.columns);
    debug_assert!((1..=MAX_CHUNK).contains(&tokens) && w.shift.is_none_or(|keep| [keep.len(), before.len()] >= [d; 2]));
    debug_assert!([w.input.rows(), w.output.rows(), w.input.columns] == [f, d, d]);
    let (x, n) = (s.x.front_mut(tokens * d), s.n.front_mut(tokens * d));
    let wide = s.wide.front_mut(tokens * f);
    let mut scale = [0.0; MAX_CHUNK];
    let scale = scale.front_mut(tokens);

    kernels.prefetch(w.input);
    let q = s.q.front_mut(tokens * d);
    kernels.vectorise(
        #[inline(always)]
        || {
            let rows = x.rows(d).zip(n.rows_mut(d)).zip(q.rows_mut(d)).zip(scale.iter_mut());
            for (t, (((x, u), q), scale)) in rows.enumerate() {
                math::rms_norm(x, w.gain, u);
                if let Some(keep) = w.shift {
                    if resets.at(t) {
                        before.fill(0.0);
                    }
                    shift(u, before, keep);
                }
                *scale = math::quantise_int8(u, q);
            }
        },
    );
    kernels.ternary(w.input, q, scale, wide);
    kernels.prefetch(w.output);
    let q = s.q.front_mut(tokens * f);
    kernels.vectorise(
        #[inline(always)]
        || {
            for ((hidden, q), scale) in wide.rows_mut(f).zip(q.rows_mut(f)).zip(scale.iter_mut()) {
                for h in hidden.iter_mut() {
                    let positive = if *h > 0.0 { *h } else { 0.0 };
                    *h = positive * positive;
                }
                *scale = math::quantise_int8(hidden, q);
            }
        },
    );
    kernels.ternary(w.output, q, scale, n);
    for (x, &y) in x.iter_mut().zip(n.iter()) {
        *x += y;
    }
}
