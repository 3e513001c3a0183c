//! Gated linear recurrence with a learned decay a channel (after Qin et al., 2023, "HGRN", and token shift from
//! Peng et al., 2023, "RWKV").

use super::Resets;
use crate::arena::{MAX_CHUNK, Scratch};
use crate::kernels::Kernels;
use crate::math;
use crate::model::GatedRecurrence;

/// Adds the mixer's output to the residual stream `s.x` (T x D) and advances `state`: h, then the normalised input
/// of the token before, D floats each.
pub(crate) fn gated_recurrence(
    w: &GatedRecurrence<'_>,
    kernels: Kernels,
    tokens: usize,
    resets: Resets,
    state: &mut [f32],
    s: &mut Scratch<'_>,
) {
    let d = w.gain.len();
    debug_assert!((1..=MAX_CHUNK).contains(&tokens) && state.len() == 2 * d);
    debug_assert!([w.shift, w.decay, w.drive, w.state_gain].iter().all(|v| v.len() == d));
    debug_assert!([w.input.rows(), w.output.rows()] == [3 * d, d] && [w.input.columns, w.output.columns] == [d; 2]);
    let (x, n) = (&mut s.x[..tokens * d], &mut s.n[..tokens * d]);
    let (q, wide) = (&mut s.q[..tokens * d], &mut s.wide[..tokens * 3 * d]);
    let (h, before) = state.split_at_mut(d);
    let mut scale = [0.0; MAX_CHUNK];
    let scale = &mut scale[..tokens];

    kernels.prefetch(w.input);
    kernels.vectorise(
        #[inline(always)]
        || {
            for t in 0..tokens {
                if resets.at(t) {
                    before.fill(0.0);
                }
                let u = &mut n[t * d..][..d];
                math::rms_norm(&x[t * d..][..d], w.gain, u);
                shift(u, before, w.shift);
                scale[t] = math::quantise_int8(u, &mut q[t * d..][..d]);
            }
        },
    );
    kernels.ternary(w.input, q, scale, wide);
    kernels.prefetch(w.output);
    kernels.vectorise(
        #[inline(always)]
        || {
            for t in 0..tokens {
                if resets.at(t) {
                    h.fill(0.0);
                }
                let (gate, rest) = wide[t * 3 * d..][..3 * d].split_at(d);
                let (value, out_gate) = rest.split_at(d);
                recur(h, w.decay, w.drive, gate, value);
                let y = &mut n[t * d..][..d];
                math::rms_norm(h, w.state_gain, y);
                for (y, &gate) in y.iter_mut().zip(out_gate) {
                    *y *= math::silu(gate);
                }
                scale[t] = math::quantise_int8(y, &mut q[t * d..][..d]);
            }
        },
    );
    let y = &mut wide[..tokens * d];
    kernels.ternary(w.output, q, scale, y);
    for (x, &y) in x.iter_mut().zip(y.iter()) {
        *x += y;
    }
}

/// `u = m n + (1 - m) n_before` in the place of n, which becomes the next token's n_before.
#[inline(always)]
fn shift(u: &mut [f32], before: &mut [f32], keep: &[f32]) {
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
