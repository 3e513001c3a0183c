//! Parallel gated recurrence: a projected forget gate with a floor, heads normalised apart (after Qin et al., 2023,
//! "HGRN").

use super::{Chunk, Reach, Shift};
use crate::math;
use crate::parts::Parts;
use crate::views::ParallelRecurrence;

/// Bytes a block carries: h (W floats), then the normalised input of the token before (D).
pub(super) const fn state_bytes(d: usize, w: usize) -> usize {
    (w + d) * size_of::<f32>()
}

/// Adds the mixer's output to the residual stream and advances `state`: h (W), then the normalised input of the token
/// before (D).
pub(crate) fn parallel_recurrence(m: &ParallelRecurrence<'_>, chunk: &mut Chunk<'_>, reach: Reach, state: &mut [f32]) {
    let (d, w, head) = (m.gain.len(), m.heads.inner(), usize::from(m.heads.width));
    debug_assert!(state.len() >= w + d && m.shift.len() == d);
    debug_assert!([m.forget_bias, m.group_gain, m.group_bias].iter().all(|v| v.len() == w));
    debug_assert!([m.input.rows(), m.output.rows(), m.output.columns] == [3 * w, d, w]);
    let (h, before) = state.cut_mut(w);
    let shift = Shift { keep: m.shift, before: before.front_mut(d) };
    chunk.project(m.gain, Some(shift), m.input, m.output);
    let Chunk { kernels, tokens, resets, scales, s, .. } = chunk;
    let (wide, q) = (s.wide.front_mut(*tokens * 3 * w), s.q.front_mut(*tokens * w));
    kernels.vectorise(
        #[inline(always)]
        || {
            let rows = wide.rows_mut(3 * w).zip(q.rows_mut(w)).zip(scales.iter_mut());
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
    if reach == Reach::Output {
        chunk.residual(m.output);
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
