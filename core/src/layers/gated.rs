//! Gated linear recurrence with a learned decay a channel (after Qin et al., 2023, "HGRN", and token shift from
//! Peng et al., 2023, "RWKV").

use super::{Reach, Resets};
use crate::arena::{MAX_CHUNK, Scratch};
use crate::kernels::Kernels;
use crate::math;
use crate::model::GatedRecurrence;
use crate::parts::Parts;

/// Adds the mixer's output to the residual stream `s.x` (T x D) and advances `state`: h, then the normalised input
/// of the token before, D floats each.
pub(crate) fn gated_recurrence(
    w: &GatedRecurrence<'_>,
    kernels: Kernels,
    tokens: usize,
    resets: Resets,
    reach: Reach,
    state: &mut [f32],
    s: &mut Scratch<'_>,
) {
    let d = w.gain.len();
    debug_assert!((1..=MAX_CHUNK).contains(&tokens) && state.len() == 2 * d);
    debug_assert!([w.shift, w.decay, w.drive, w.state_gain].iter().all(|v| v.len() == d));
    debug_assert!([w.input.rows(), w.output.rows()] == [3 * d, d] && [w.input.columns, w.output.columns] == [d; 2]);
    let (x, n) = (s.x.front_mut(tokens * d), s.n.front_mut(tokens * d));
    let (q, wide) = (s.q.front_mut(tokens * d), s.wide.front_mut(tokens * 3 * d));
    let (h, before) = state.cut_mut(d);
    let mut scale = [0.0; MAX_CHUNK];
    let scale = scale.front_mut(tokens);

    kernels.prefetch(w.input);
    kernels.vectorise(
        #[inline(always)]
        || {
            let rows = x.rows(d).zip(n.rows_mut(d)).zip(q.rows_mut(d)).zip(scale.iter_mut());
            for (t, (((x, u), q), scale)) in rows.enumerate() {
                if resets.at(t) {
                    before.fill(0.0);
                }
                math::rms_norm(x, w.gain, u);
                shift(u, before, w.shift);
                *scale = math::quantise_int8(u, q);
            }
        },
    );
    kernels.ternary(w.input, q, scale, wide);
    kernels.prefetch(w.output);
    kernels.vectorise(
        #[inline(always)]
        || {
            let rows = wide.rows(3 * d).zip(n.rows_mut(d)).zip(q.rows_mut(d)).zip(scale.iter_mut());
            for (t, (((wide, y), q), scale)) in rows.enumerate() {
                if resets.at(t) {
                    h.fill(0.0);
                }
                let (gate, rest) = wide.cut(d);
                let (value, out_gate) = rest.cut(d);
                recur(h, w.decay, w.drive, gate, value);
                math::rms_norm(h, w.state_gain, y);
                for (y, &gate) in y.iter_mut().zip(out_gate) {
                    *y *= math::silu(gate);
                }
                *scale = math::quantise_int8(y, q);
            }
        },
    );
    if reach == Reach::State {
        return;
    }
    let y = wide.front_mut(tokens * d);
    kernels.ternary(w.output, q, scale, y);
    for (x, &y) in x.iter_mut().zip(y.iter()) {
        *x += y;
    }
}

/// `u = m n + (1 - m) n_before` in the place of n, which becomes the next token's n_before.
#[inline(always)]
pub(super) fn shift(u: &mut [f32], before: &mut [f32], keep: &[f32]) {
    for ((u, before), &m) in u.iter_mut().zip(before).zip(keep) {
        let n = *u;
        *u = m * n + (1.0 - m) * *before;
        *before = n;
    }
}

/// `h = a h + drive sigmoid(gate) value`.
#[inline(always)]
fn recur(h: &mut [f32], decay: &[f32], drive: &[f32], gate: &[f32], value: &[f32]) {
    for ((((h, &a), &dn), &gate), &value) in h.iter_mut().zip(decay).zip(drive).zip(gate).zip(value) {
        *h = a * *h + dn * math::sigmoid(gate) * value;
    }
}
