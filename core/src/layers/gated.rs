//! Gated linear recurrence with a learned decay a channel (after Qin et al., 2023, "HGRN", and token shift from
//! Peng et al., 2023, "RWKV").

use super::{Chunk, Reach, Shift};
use crate::math;
use crate::parts::Parts;
use crate::views::GatedRecurrence;

/// Bytes a block carries: h, then the normalised input of the token before, D floats each.
pub(super) const fn state_bytes(d: usize) -> usize {
    2 * d * size_of::<f32>()
}

/// Adds the mixer's output to the residual stream and advances `state`: h, then the normalised input of the token
/// before, D floats each.
pub(crate) fn gated_recurrence(w: &GatedRecurrence<'_>, chunk: &mut Chunk<'_>, reach: Reach, state: &mut [f32]) {
    let d = w.gain.len();
    debug_assert!(state.len() == 2 * d && [w.input.rows(), w.output.rows(), w.output.columns] == [3 * d, d, d]);
    debug_assert!([w.shift, w.decay, w.drive, w.state_gain].iter().all(|v| v.len() == d));
    let (h, before) = state.cut_mut(d);
    chunk.project(w.gain, Some(Shift { keep: w.shift, before }), w.input, w.output);
    let Chunk { kernels, tokens, resets, scales, s, .. } = chunk;
    let wide = s.wide.front(*tokens * 3 * d);
    let (n, q) = (s.n.front_mut(*tokens * d), s.q.front_mut(*tokens * d));
    kernels.vectorise(
        #[inline(always)]
        || {
            let rows = wide.rows(3 * d).zip(n.rows_mut(d)).zip(q.rows_mut(d)).zip(scales.iter_mut());
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
    if reach == Reach::Output {
        chunk.residual(w.output);
    }
}

/// `h = a h + drive sigmoid(gate) value`.
#[inline(always)]
fn recur(h: &mut [f32], decay: &[f32], drive: &[f32], gate: &[f32], value: &[f32]) {
    for ((((h, &a), &dn), &gate), &value) in h.iter_mut().zip(decay).zip(drive).zip(gate).zip(value) {
        *h = a * *h + dn * math::sigmoid(gate) * value;
    }
}
