//! Parallel gated recurrence: a projected forget gate with a floor, heads normalised apart (after Qin et al., 2023,
//! "HGRN").

use super::{Chunk, Reach, Shift};
use crate::config::{Heads, ModelConfig};
use crate::math;
use crate::parts::Parts;
use crate::schema::tensor;
use crate::streams::Region;
use crate::views::TernaryMatrix;

/// Bytes a block carries: h (W floats), then the normalised input of the token before (D).
pub(super) const fn state_bytes(d: usize, w: usize) -> usize {
    (w + d) * size_of::<f32>()
}

/// Parameters of the parallel gated recurrence; W channels in heads.
pub(crate) struct ParallelRecurrence<'a> {
    pub heads: Heads,
    /// The least forget gate.
    pub floor: f32,
    /// D.
    pub gain: &'a [f32],
    /// sigmoid of the trained shift, D.
    pub shift: &'a [f32],
    /// W each.
    pub forget_bias: &'a [f32],
    pub group_gain: &'a [f32],
    pub group_bias: &'a [f32],
    /// [forget; value; out_gate], 3W x D.
    pub input: TernaryMatrix<'a>,
    /// proj, D x W.
    pub output: TernaryMatrix<'a>,
}

impl<'a> ParallelRecurrence<'a> {
    /// Those of one block, among its floats.
    #[inline(always)]
    pub(super) fn new(
        c: &ModelConfig,
        heads: Heads,
        floor: f32,
        floats: &'a [f32],
        [input, output]: [TernaryMatrix<'a>; 2],
    ) -> Self {
        Self {
            heads,
            floor,
            gain: tensor!(c, floats, PARALLEL, "mixer.norm.gain"),
            shift: tensor!(c, floats, PARALLEL, "mixer.shift", Sigmoid),
            forget_bias: tensor!(c, floats, PARALLEL, "mixer.forget_bias"),
            group_gain: tensor!(c, floats, PARALLEL, "mixer.group_gain"),
            group_bias: tensor!(c, floats, PARALLEL, "mixer.group_bias"),
            input,
            output,
        }
    }

    /// Adds the mixer's output to the residual stream and advances `state`: h (W), then the normalised input of the
    /// token before (D).
    pub(super) fn forward(&self, chunk: &mut Chunk<'_>, reach: Reach, mut state: Region<'_>) {
        let (d, w, head) = (self.gain.len(), self.heads.inner(), usize::from(self.heads.width));
        debug_assert!(self.shift.len() == d);
        debug_assert!([self.forget_bias, self.group_gain, self.group_bias].iter().all(|v| v.len() == w));
        debug_assert!([self.input.rows(), self.output.rows(), self.output.columns] == [3 * w, d, w]);
        let shift = Shift { keep: self.shift, before: state.behind(w) };
        chunk.project(self.gain, Some(shift), self.input, self.output);
        let Chunk { kernels, tokens, resets, scales, s, .. } = chunk;
        let (wide, q) = (s.wide.front_mut(*tokens * 3 * w), s.q.front_mut(*tokens * w));
        kernels.vectorize(
            #[inline(always)]
            || {
                let rows = wide.rows_mut(3 * w).zip(q.rows_mut(w)).zip(scales.iter_mut());
                for (t, ((wide, q), scale)) in rows.enumerate() {
                    let h = state.values::<f32>(t).front_mut(w);
                    if resets.at(t) {
                        h.fill(0.0);
                    }
                    // the gate's place takes the read-out, the value's the normalised heads
                    let (gate, rest) = wide.cut_mut(w);
                    let (value, out_gate) = rest.cut_mut(w);
                    recur(h, self.floor, self.forget_bias, gate, value);
                    for ((y, &h), &gate) in gate.iter_mut().zip(h.iter()).zip(out_gate.iter()) {
                        *y = h * math::sigmoid(gate);
                    }
                    let heads = gate.rows(head).zip(self.group_gain.rows(head)).zip(self.group_bias.rows(head));
                    for (((y, gain), bias), normed) in heads.zip(value.rows_mut(head)) {
                        math::layer_norm(y, gain, bias, normed);
                    }
                    *scale = math::quantize_int8(value, q);
                }
            },
        );
        if reach == Reach::Output {
            chunk.residual(self.output);
        }
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
