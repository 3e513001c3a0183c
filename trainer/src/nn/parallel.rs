//! Parallel gated recurrence: `h_t = forget_t * h_{t-1} + (1 - forget_t) * value_t`, the forget gate projected and
//! bounded below by a floor that rises with depth, read through an output gate and normalised head by head.

use std::ops::Range;

use flashlm_core::blob::Role;
use flashlm_core::config::Heads;
use flashlm_core::math::{layer_norm, sigmoid};

use super::context::{Context, Need};
use super::input::Input;
use super::norm::layer_norm_backward;
use super::output::Output;
use super::params::Layout;
use super::profile::Part;
use super::projections::Projections;
use super::shape::{Activations, Shape, add, before, blocks, row, row_mut};
use crate::kernels::{Kernels, zeros};

/// Where the layer's own tensors lie.
#[derive(Clone, Debug)]
struct Spans {
    forget_bias: Range<usize>,
    group_gain: Range<usize>,
    group_bias: Range<usize>,
}

/// What one layer of one replica keeps between forward and backward, and between chunks. W: channels of all heads H.
pub struct ParallelRecurrence {
    spans: Spans,
    d: usize,
    heads: Heads,
    floor: f32,
    shape: Shape,
    input: Input,
    /// Outputs of the three projections, (M, 3W).
    gates: Activations,
    /// States after every token, (M, W).
    h: Vec<f32>,
    /// Mean and reciprocal deviation of every head, (M, H).
    group: Vec<(f32, f32)>,
    output: Output,
    /// State before the chunk (B, W), and after it.
    h_before: Vec<f32>,
    h_carry: Vec<f32>,
}

impl ParallelRecurrence {
    pub fn new(
        kernels: Kernels,
        layout: &Layout,
        layer: usize,
        floor: f32,
        heads: Heads,
        d: usize,
        shape: Shape,
    ) -> Self {
        let (m, w) = (shape.rows(), heads.inner());
        let one = |name: &str| layout.one(layer, name);
        let (norm, shift, gates) = (one("mixer.norm.gain"), one("mixer.shift"), layout.stacked(layer, Role::MixerIn));
        Self {
            spans: Spans {
                forget_bias: one("mixer.forget_bias"),
                group_gain: one("mixer.group_gain"),
                group_bias: one("mixer.group_bias"),
            },
            d,
            heads,
            floor,
            shape,
            input: Input::new(norm, Some(shift), gates, d, shape, Part::Recurrence),
            gates: Activations::new(kernels, m, 3 * w),
            h: zeros(m * w),
            group: zeros(m * heads.count as usize),
            output: Output::new(one("mixer.proj.weight"), (d, w), shape, Part::Recurrence),
            h_before: zeros(shape.sequences * w),
            h_carry: zeros(shape.sequences * w),
        }
    }

    /// For a model of width `d` and heads of `w` channels together.
    pub fn need(d: usize, w: usize) -> Need {
        // backward: the read-out and its gradient, and those of gain and two biases
        Need { block: w, wide: 3 * w, carry: w, narrow: 5 * w, ..Need::default() }.max(Input::need(d))
    }

    /// What every sequence carries into the next chunk: states, then token shifts.
    pub fn carried(&self) -> [&[f32]; 2] {
        [&self.h_carry, self.input.carried()]
    }

    /// The same, to be restored.
    pub fn carried_mut(&mut self) -> [&mut [f32]; 2] {
        [&mut self.h_carry, self.input.carried_mut()]
    }

    /// `y = x + mixer(x)`, x and y (M, D). `cx.reset[row]` says that the row's token starts from the zero state.
    pub fn forward(&mut self, cx: &mut Context<'_>, weights: &Projections, x: &[f32], y: &mut [f32]) {
        let (b, m) = (self.shape.sequences, self.shape.rows());
        let (w, heads, width) = (self.heads.inner(), self.heads.count as usize, self.heads.width as usize);
        let bias = &cx.params[self.spans.forget_bias.clone()];
        let (gain, group_bias) = (&cx.params[self.spans.group_gain.clone()], &cx.params[self.spans.group_bias.clone()]);
        let floor = self.floor;
        self.h_before.copy_from_slice(&self.h_carry);
        for (block, rows) in blocks(m).enumerate() {
            let gates = self.gates.block_mut(&rows);
            self.input.forward(cx, (block, &rows), &weights.input, x, gates);
            let (q, all_h, group, h_before) = (self.output.q_mut(block), &mut self.h, &mut self.group, &self.h_before);
            let (read, rest) = cx.scratch.narrow.split_at_mut(w);
            let normed = &mut rest[..w];
            cx.worker.rows(
                Part::Recurrence,
                #[inline(always)]
                || {
                    q.begin(rows.len());
                    for (k, i) in rows.clone().enumerate() {
                        let (f, vo) = row(gates, k, 3 * w).split_at(w);
                        let (v, o) = vo.split_at(w);
                        let (earlier, rest) = all_h.split_at_mut(i * w);
                        let h = &mut rest[..w];
                        let before = before(cx.reset[i], (i, b), w, h_before, earlier);
                        recur(f, bias, floor, v, before, h);
                        for ((y, &h), &o) in read.iter_mut().zip(&*h).zip(o) {
                            *y = h * sigmoid(o);
                        }
                        for j in 0..heads {
                            let at = j * width..(j + 1) * width;
                            let (gain, bias) = (&gain[at.clone()], &group_bias[at.clone()]);
                            group[i * heads + j] = layer_norm(&read[at.clone()], gain, bias, &mut normed[at]);
                        }
                        q.quantize_row(k, normed);
                    }
                },
            );
            self.output.forward(cx, (block, &rows), &weights.output, x, y);
        }
        self.h_carry.copy_from_slice(&self.h[(m - b) * w..]);
    }

    /// Turns `dx`, the gradient with respect to y (M, D), into that with respect to x, and adds to `grads`.
    pub fn backward(
        &mut self,
        cx: &mut Context<'_>,
        weights: &Projections,
        x: &[f32],
        dx: &mut [f32],
        grads: &mut [f32],
    ) {
        let (d, b, m) = (self.d, self.shape.sequences, self.shape.rows());
        let (w, heads, width) = (self.heads.inner(), self.heads.count as usize, self.heads.width as usize);
        let bias = &cx.params[self.spans.forget_bias.clone()];
        let gain = &cx.params[self.spans.group_gain.clone()];
        let floor = self.floor;
        let dh_carry = &mut cx.scratch.carry[..b * w];
        dh_carry.fill(0.0);
        let (read, rest) = cx.scratch.narrow.split_at_mut(w);
        let (dread, rest) = rest.split_at_mut(w);
        let (dgain, rest) = rest.split_at_mut(w);
        let (dgroup_bias, rest) = rest.split_at_mut(w);
        let dbias = &mut rest[..w];
        for sum in [&mut *dgain, &mut *dgroup_bias, &mut *dbias] {
            sum.fill(0.0);
        }
        for (block, rows) in blocks(m).enumerate().rev() {
            let dy = &mut cx.scratch.block[..rows.len() * w];
            self.output.backward(cx.worker, (block, &rows), &weights.output, dx, dy, grads);
            let input = &self.input;
            let gates = self.gates.block(&rows, |y| input.project(cx.worker, block, &weights.input, y));
            let dgates = &mut cx.scratch.wide[..rows.len() * 3 * w];
            let (all_h, group, h_before) = (&self.h, &self.group, &self.h_before);
            cx.worker.rows(
                Part::Recurrence,
                #[inline(always)]
                || {
                    for (k, i) in rows.clone().enumerate().rev() {
                        let h = row(all_h, i, w);
                        let (f, vo) = row(gates, k, 3 * w).split_at(w);
                        let (v, o) = vo.split_at(w);
                        let (df, dvo) = row_mut(dgates, k, 3 * w).split_at_mut(w);
                        let (dv, do_) = dvo.split_at_mut(w);
                        for ((y, &h), &o) in read.iter_mut().zip(h).zip(o) {
                            *y = h * sigmoid(o);
                        }
                        dread.fill(0.0);
                        let dy = row(dy, k, w);
                        for j in 0..heads {
                            let at = j * width..(j + 1) * width;
                            layer_norm_backward(
                                &read[at.clone()],
                                group[i * heads + j],
                                &gain[at.clone()],
                                &dy[at.clone()],
                                &mut dread[at.clone()],
                                &mut dgain[at.clone()],
                                &mut dgroup_bias[at],
                            );
                        }
                        // the gradient carried from the next token becomes the whole gradient of this state
                        let dh = row_mut(dh_carry, i % b, w);
                        for j in 0..w {
                            let s = sigmoid(o[j]);
                            do_[j] = dread[j] * h[j] * s * (1.0 - s);
                            dh[j] += dread[j] * s;
                        }
                        let before = before(cx.reset[i], (i, b), w, h_before, all_h);
                        recur_backward(f, bias, floor, v, before, dh, df, dv);
                        add(dbias, df);
                    }
                },
            );
            let du = &mut cx.scratch.all[rows.start * d..rows.end * d];
            input.backward_project(cx.worker, block, &weights.input, dgates, du, grads);
        }
        add(&mut grads[self.spans.group_gain.clone()], dgain);
        add(&mut grads[self.spans.group_bias.clone()], dgroup_bias);
        add(&mut grads[self.spans.forget_bias.clone()], dbias);
        self.input.backward(cx, x, dx, grads);
    }
}

/// One token of the recurrence, all (W): `h = forget * before + (1 - forget) * value`,
/// `forget = floor + (1 - floor) * sigmoid(gate + bias)`; no `before` is zero.
#[inline(always)]
fn recur(gate: &[f32], bias: &[f32], floor: f32, value: &[f32], before: Option<&[f32]>, h: &mut [f32]) {
    let gates = gate.iter().zip(bias);
    match before {
        None => {
            for ((h, (&g, &b)), &v) in h.iter_mut().zip(gates).zip(value) {
                let forget = floor + (1.0 - floor) * sigmoid(g + b);
                *h = (1.0 - forget) * v;
            }
        }
        Some(before) => {
            for (((h, (&g, &b)), &v), &p) in h.iter_mut().zip(gates).zip(value).zip(before) {
                let forget = floor + (1.0 - floor) * sigmoid(g + b);
                *h = forget * p + (1.0 - forget) * v;
            }
        }
    }
}

/// Turns `dh`, the whole gradient of the state after a token, into that of the state before it; sets `dgate`, which is
/// the bias's too, and `dvalue`. All (W).
#[expect(clippy::too_many_arguments, reason = "one row of each quantity of a token's step")]
#[inline(always)]
fn recur_backward(
    gate: &[f32],
    bias: &[f32],
    floor: f32,
    value: &[f32],
    before: Option<&[f32]>,
    dh: &mut [f32],
    dgate: &mut [f32],
    dvalue: &mut [f32],
) {
    let w = dh.len();
    let (gate, bias, value) = (&gate[..w], &bias[..w], &value[..w]);
    let (dgate, dvalue) = (&mut dgate[..w], &mut dvalue[..w]);
    for j in 0..w {
        let s = sigmoid(gate[j] + bias[j]);
        let forget = floor + (1.0 - floor) * s;
        dvalue[j] = dh[j] * (1.0 - forget);
        let change = before.map_or(0.0, |before| before[j]) - value[j];
        dgate[j] = dh[j] * change * (1.0 - floor) * s * (1.0 - s);
        dh[j] *= if before.is_some() { forget } else { 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::Rng;

    const W: usize = 3;
    const T: usize = 5;
    const FLOOR: f32 = 0.3;

    fn before<'a>(t: usize, start: &'a [f32], states: &'a [[f32; W]]) -> Option<&'a [f32]> {
        match t {
            3 => None,
            0 => Some(start),
            _ => Some(&states[t - 1]),
        }
    }

    /// States over T tokens, the fourth of which starts afresh. `x` is the biases, then the state before, then gates
    /// and values of every token.
    fn scan(x: &[f32], states: &mut [[f32; W]; T]) {
        for t in 0..T {
            let at = 2 * W + 2 * W * t;
            let mut h = [0.0; W];
            let start = &x[W..2 * W];
            recur(&x[at..at + W], &x[..W], FLOOR, &x[at + W..at + 2 * W], before(t, start, states), &mut h);
            states[t] = h;
        }
    }

    #[test]
    fn scan_gradients_match_finite_differences() {
        let mut rng = Rng::new(8);
        let x: Vec<f32> = (0..2 * W + 2 * W * T).map(|_| rng.normal()).collect();
        let weights: Vec<f32> = (0..W * T).map(|_| rng.normal()).collect();
        let mut states = [[0.0; W]; T];
        scan(&x, &mut states);
        let (mut got, mut dh) = (vec![0.0; x.len()], [0.0; W]);
        for t in (0..T).rev() {
            let at = 2 * W + 2 * W * t;
            add(&mut dh, &weights[t * W..(t + 1) * W]);
            let (dgate, dvalue) = got[at..at + 2 * W].split_at_mut(W);
            let start = &x[W..2 * W];
            let before = before(t, start, &states);
            recur_backward(&x[at..at + W], &x[..W], FLOOR, &x[at + W..at + 2 * W], before, &mut dh, dgate, dvalue);
            for j in 0..W {
                got[j] += got[at + j];
            }
        }
        got[W..2 * W].copy_from_slice(&dh);
        let loss = |x: &[f32]| {
            let mut states = [[0.0; W]; T];
            scan(x, &mut states);
            states.iter().flatten().zip(&weights).map(|(h, w)| (h * w) as f64).sum::<f64>()
        };
        for (i, &got) in got.iter().enumerate() {
            let at = |step: f32| {
                let mut x = x.clone();
                x[i] += step;
                loss(&x)
            };
            let slope = ((at(1e-2) - at(-1e-2)) / 2e-2) as f32;
            assert!((slope - got).abs() < 2e-3 * (1.0 + slope.abs()), "element {i}: {slope} against {got}");
        }
    }
}
