//! Parallel gated recurrence: a projected forget gate with a floor, heads normalised apart (after Qin et al., 2023,
//! "HGRN").

use super::gated::shift;
use super::{Reach, Resets};
use crate::arena::{MAX_CHUNK, Scratch};
use crate::kernels::Kernels;
use crate::math;
use crate::model::ParallelRecurrence;
use crate::parts::Parts;

/// Adds the mixer's output to the residual stream `s.x` (T x D) and advances `state`: h (W), then the normalised input
/// of the token before (D).
pub(crate) fn parallel_recurrence(
    m: &ParallelRecurrence<'_>,
    kernels: Kernels,
    tokens: usize,
    resets: Resets,
    reach: Reach,
    state: &mut [f32],
    s: &mut Scratch<'_>,
) {
    let (d, w, head) = (m.gain.len(), m.heads.inner(), usize::from(m.heads.width));
    debug_assert!((1..=MAX_CHUNK).contains(&tokens) && state.len() >= w + d && m.shift.len() == d);
    debug_assert!([m.forget_bias, m.group_gain, m.group_bias].iter().all(|v| v.len() == w));
    debug_assert!([m.input.rows(), m.output.rows()] == [3 * w, d] && [m.input.columns, m.output.columns] == [d, w]);
    let (x, n) = (s.x.front_mut(tokens * d), s.n.front_mut(tokens * d));
    let wide = s.wide.front_mut(tokens * 3 * w);
    let (h, before) = state.cut_mut(w);
    let before = before.front_mut(d);
    let mut scale = [0.0; MAX_CHUNK];
    let scale = scale.front_mut(tokens);

    kernels.prefetch(m.input);
    let q = s.q.front_mut(tokens * d);
    kernels.vectorise(
        #[inline(always)]
        || {
            let rows = x.rows(d).zip(n.rows_mut(d)).zip(q.rows_mut(d)).zip(scale.iter_mut());
            for (t, (((x, u), q), scale)) in rows.enumerate() {
                if resets.at(t) {
                    before.fill(0.0);
                }
                math::rms_norm(x, m.gain, u);
                shift(u, before, m.shift);
                *scale = math::quantise_int8(u, q);
            }
        },
    );
    kernels.ternary(m.input, q, scale, wide);
    kernels.prefetch(m.output);
    let q = s.q.front_mut(tokens * w);
    kernels.vectorise(
        #[inline(always)]
        || {
            let rows = wide.rows_mut(3 * w).zip(q.rows_mut(w)).zip(scale.iter_mut());
            for (t, ((wide, q), scale)) in rows.enumerate() {
                if resets.at(t) {
                    h.fill(0.0);
                }
                // the gate's place takes the read-out, the value's the normalised heads
                let (gate, rest) = wide.cut_mut(w);
                let (value, out_gate) = rest.cut_mut(w);
                recur(h, m.floor, m.forget_bias, gate, value);
                for ((y, &h), &gate) in gate.iter_mut().zip(h.iter()).zip(out_gate.iter()) {
                    *y = h * math::sigmoid(gate);
                }
                let heads = gate.rows(head).zip(m.group_gain.rows(head)).zip(m.group_bias.rows(head));
                for (((y, gain), bias), normed) in heads.zip(value.rows_mut(head)) {
                    math::layer_norm(y, gain, bias, normed);
                }
                *scale = math::quantise_int8(value, q);
            }
        },
    );
    if reach == Reach::State {
        return;
    }
    kernels.ternary(m.output, q, scale, n);
    for (x, &y) in x.iter_mut().zip(n.iter()) {
        *x += y;
    }
}

/// `h = forget h + (1 - forget) value`, forget = floor + (1 - floor) sigmoid(gate + bias).
#[inline(always)]
fn recur(h: &mut [f32], floor: f32, bias: &[f32], gate: &[f32], value: &[f32]) {
    for (((h, &bias), &gate), &value) in h.iter_mut().zip(bias).zip(gate).zip(value) {
        let forget = floor + (1.0 - floor) * math::sigmoid(gate + bias);
        *h = forget * *h + (1.0 - forget) * value;
    }
}
