//! Gated linear recurrence with a learned decay a channel (after Qin et al., 2023, "HGRN", and token shift from
//! Peng et al., 2023, "RWKV").

use super::{Chunk, Reach, Shift};
use crate::config::ModelConfig;
use crate::math;
use crate::parts::Parts;
use crate::schema::tensor;
use crate::streams::Region;
use crate::views::TernaryMatrix;

/// Bytes a block carries: h, then the normalised input of the token before, D floats each.
pub(super) const fn state_bytes(d: usize) -> usize {
    2 * d * size_of::<f32>()
}

/// Parameters of the gated recurrence; vectors of D floats.
pub(crate) struct GatedRecurrence<'a> {
    pub gain: &'a [f32],
    /// sigmoid of the trained shift.
    pub shift: &'a [f32],
    /// a = sigmoid of the trained decay.
    pub decay: &'a [f32],
    /// sqrt(1 - a^2).
    pub drive: &'a [f32],
    pub state_gain: &'a [f32],
    /// [gate; value; out_gate], 3D x D.
    pub input: TernaryMatrix<'a>,
    /// proj, D x D.
    pub output: TernaryMatrix<'a>,
}

impl<'a> GatedRecurrence<'a> {
    /// Those of one block, among its floats.
    #[inline(always)]
    pub(super) fn new(c: &ModelConfig, floats: &'a [f32], [input, output]: [TernaryMatrix<'a>; 2]) -> Self {
        Self {
            gain: tensor!(c, floats, GATED, "mixer.norm.gain"),
            shift: tensor!(c, floats, GATED, "mixer.shift", Sigmoid),
            decay: tensor!(c, floats, GATED, "mixer.decay", Sigmoid),
            drive: tensor!(c, floats, GATED, "mixer.decay", Drive),
            state_gain: tensor!(c, floats, GATED, "mixer.state_norm.gain"),
            input,
            output,
        }
    }

    /// Adds the mixer's output to the residual stream and advances `state`: h, then the normalised input of the token
    /// before, D floats each.
    pub(super) fn forward(&self, chunk: &mut Chunk<'_>, reach: Reach, mut state: Region<'_>) {
        let d = self.gain.len();
        debug_assert!([self.input.rows(), self.output.rows(), self.output.columns] == [3 * d, d, d]);
        debug_assert!([self.shift, self.decay, self.drive, self.state_gain].iter().all(|v| v.len() == d));
        let shift = Shift { keep: self.shift, before: state.behind(d) };
        chunk.project(self.gain, Some(shift), self.input, self.output);
        let Chunk { kernels, tokens, resets, scales, s, .. } = chunk;
        let wide = s.wide.front(*tokens * 3 * d);
        let (n, q) = (s.n.front_mut(*tokens * d), s.q.front_mut(*tokens * d));
        kernels.vectorize(
            #[inline(always)]
            || {
                let rows = wide.rows(3 * d).zip(n.rows_mut(d)).zip(q.rows_mut(d)).zip(scales.iter_mut());
                for (t, (((wide, y), q), scale)) in rows.enumerate() {
                    let h = state.values::<f32>(t).front_mut(d);
                    if resets.at(t) {
                        h.fill(0.0);
                    }
                    let (gate, rest) = wide.cut(d);
                    let (value, out_gate) = rest.cut(d);
                    recur(h, self.decay, self.drive, gate, value);
                    math::rms_norm(h, self.state_gain, y);
                    for (y, &gate) in y.iter_mut().zip(out_gate) {
                        *y *= math::silu(gate);
                    }
                    *scale = math::quantize_int8(y, q);
                }
            },
        );
        if reach == Reach::Output {
            chunk.residual(self.output);
        }
    }
}

/// `h = a h + drive sigmoid(gate) value`.
#[inline(always)]
fn recur(h: &mut [f32], decay: &[f32], drive: &[f32], gate: &[f32], value: &[f32]) {
    for ((((h, &a), &dn), &gate), &value) in h.iter_mut().zip(decay).zip(drive).zip(gate).zip(value) {
        *h = a * *h + dn * math::sigmoid(gate) * value;
    }
}
