//! Gated recurrence: `h_t = decay * h_{t-1} + sqrt(1 - decay^2) * gate_t * value_t`, read through an output gate.

use std::ops::Range;

use flashlm_core::blob::Role;
use flashlm_core::math::{rms_norm, sigmoid, sqrt};

use super::context::{Context, Need};
use super::input::{Input, sigmoids};
use super::norm::{rms_norm_backward, silu_slope};
use super::output::Output;
use super::params::Layout;
use super::profile::Part;
use super::projections::Projections;
use super::shape::{Activations, Shape, before, blocks, row, row_mut};
use crate::kernels::{Kernels, zeros};

/// Where the layer's own tensors lie.
#[derive(Clone, Debug)]
struct Spans {
    state_norm: Range<usize>,
    decay: Range<usize>,
}

/// What one layer of one replica keeps between forward and backward, and between chunks.
pub struct GatedRecurrence {
    spans: Spans,
    d: usize,
    shape: Shape,
    input: Input,
    /// Decays a, and what scales the drive, sqrt(1 - a^2), of the parameters last seen.
    decay: Vec<f32>,
    drive_scale: Vec<f32>,
    /// Outputs of the three projections, (M, 3D).
    gate_value_out: Activations,
    /// States after every token, (M, D).
    h: Vec<f32>,
    /// 1 / rms of every state, (M).
    state_r: Vec<f32>,
    output: Output,
    /// State before the chunk (B, D), and after it.
    h_before: Vec<f32>,
    h_carry: Vec<f32>,
}

impl GatedRecurrence {
    pub fn new(kernels: Kernels, layout: &Layout, layer: usize, d: usize, shape: Shape) -> Self {
        let m = shape.rows();
        let one = |name: &str| layout.one(layer, name);
        let (norm, shift, gates) = (one("mixer.norm.gain"), one("mixer.shift"), layout.stacked(layer, Role::MixerIn));
        let state = || zeros(shape.sequences * d);
        Self {
            spans: Spans { state_norm: one("mixer.state_norm.gain"), decay: one("mixer.decay") },
            input: Input::new(norm, Some(shift), gates, d, shape, Part::Recurrence),
            d,
            shape,
            decay: vec![0.0; d],
            drive_scale: vec![0.0; d],
            gate_value_out: Activations::new(kernels, m, 3 * d),
            h: zeros(m * d),
            state_r: zeros(m),
            output: Output::new(one("mixer.proj.weight"), (d, d), shape, Part::Recurrence),
            h_before: state(),
            h_carry: state(),
        }
    }

    /// For a model of width `d`.
    pub fn need(d: usize) -> Need {
        Need { block: d, wide: 3 * d, carry: d, narrow: 2 * d, ..Need::default() }.max(Input::need(d))
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
        let (d, b, m) = (self.d, self.shape.sequences, self.shape.rows());
        self.h_before.copy_from_slice(&self.h_carry);
        let state_gain = &cx.params[self.spans.state_norm.clone()];
        cx.worker.kernels.vectorize(
            #[inline(always)]
            || decay_and_drive(&cx.params[self.spans.decay.clone()], &mut self.decay, &mut self.drive_scale),
        );
        for (block, rows) in blocks(m).enumerate() {
            let gates = self.gate_value_out.block_mut(&rows);
            self.input.forward(cx, (block, &rows), &weights.input, x, gates);
            let (q, out) = (self.output.q_mut(block), &mut cx.scratch.narrow[..d]);
            let (decay, drive_scale) = (&self.decay, &self.drive_scale);
            cx.worker.rows(
                Part::Recurrence,
                #[inline(always)]
                || {
                    q.begin(rows.len());
                    for (k, i) in rows.clone().enumerate() {
                        let (g, vo) = row(gates, k, 3 * d).split_at(d);
                        let (v, o) = vo.split_at(d);
                        let (earlier, rest) = self.h.split_at_mut(i * d);
                        let h = &mut rest[..d];
                        let before = before(cx.reset[i], (i, b), d, &self.h_before, earlier);
                        recur(g, v, decay, drive_scale, before, h);
                        self.state_r[i] = rms_norm(h, state_gain, out);
                        for (y, &o) in out.iter_mut().zip(o) {
                            *y *= o * sigmoid(o);
                        }
                        q.quantize_row(k, out);
                    }
                },
            );
            self.output.forward(cx, (block, &rows), &weights.output, x, y);
        }
        self.h_carry.copy_from_slice(&self.h[(m - b) * d..]);
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
        let (ddecay, rest) = cx.scratch.narrow.split_at_mut(d);
        let dnormed = &mut rest[..d];
        let (decay, drive_scale) = (&self.decay, &self.drive_scale);
        let dh_carry = &mut cx.scratch.carry[..b * d];
        dh_carry.fill(0.0);
        ddecay.fill(0.0);
        for (block, rows) in blocks(m).enumerate().rev() {
            let dy = &mut cx.scratch.block[..rows.len() * d];
            self.output.backward(cx.worker, (block, &rows), &weights.output, dx, dy, grads);
            let input = &self.input;
            let gates = self.gate_value_out.block(&rows, |y| input.project(cx.worker, block, &weights.input, y));
            let dgates = &mut cx.scratch.wide[..rows.len() * 3 * d];
            let gain = &cx.params[self.spans.state_norm.clone()];
            let dgain = &mut grads[self.spans.state_norm.clone()];
            cx.worker.rows(
                Part::Recurrence,
                #[inline(always)]
                || {
                    for (k, i) in rows.clone().enumerate().rev() {
                        let h = row(&self.h, i, d);
                        let (g, vo) = row(gates, k, 3 * d).split_at(d);
                        let (v, o) = vo.split_at(d);
                        let (dg, dvo) = row_mut(dgates, k, 3 * d).split_at_mut(d);
                        let (dv, do_) = dvo.split_at_mut(d);
                        let dy = row(dy, k, d);
                        let r = self.state_r[i];
                        for j in 0..d {
                            let s = sigmoid(o[j]);
                            do_[j] = dy[j] * h[j] * r * gain[j] * silu_slope(o[j], s);
                            dnormed[j] = dy[j] * o[j] * s;
                        }
                        // the gradient carried from the next token becomes the whole gradient of this state
                        let dh = row_mut(dh_carry, i % b, d);
                        rms_norm_backward(h, gain, r, dnormed, dh, dgain);
                        let before = before(cx.reset[i], (i, b), d, &self.h_before, &self.h);
                        recur_backward(g, v, decay, drive_scale, before, dh, dg, dv, ddecay);
                    }
                },
            );
            let du = &mut cx.scratch.all[rows.start * d..rows.end * d];
            input.backward_project(cx.worker, block, &weights.input, dgates, du, grads);
        }

        for ((g, &dd), &a) in grads[self.spans.decay.clone()].iter_mut().zip(&*ddecay).zip(decay) {
            *g += dd * a * (1.0 - a);
        }
        self.input.backward(cx, x, dx, grads);
    }
}

/// The decays and what scales the drive: `a = sigmoid(p)`, `sqrt(1 - a^2)`.
#[inline(always)]
fn decay_and_drive(params: &[f32], decay: &mut [f32], drive_scale: &mut [f32]) {
    sigmoids(params, decay);
    for (n, &a) in drive_scale.iter_mut().zip(&*decay) {
        *n = sqrt(1.0 - a * a);
    }
}

/// One token of the recurrence, all (D): `h = decay * before + drive_scale * sigmoid(gate) * value`; no `before` is
/// zero.
#[inline(always)]
fn recur(gate: &[f32], value: &[f32], decay: &[f32], drive_scale: &[f32], before: Option<&[f32]>, h: &mut [f32]) {
    for (((h, &g), &v), &n) in h.iter_mut().zip(gate).zip(value).zip(drive_scale) {
        *h = n * sigmoid(g) * v;
    }
    if let Some(before) = before {
        for ((h, &a), &p) in h.iter_mut().zip(decay).zip(before) {
            *h += a * p;
        }
    }
}

/// Turns `dh`, the whole gradient of the state after a token, into that of the state before it; sets `dgate` and
/// `dvalue`, and adds to `ddecay`. All (D).
#[expect(clippy::too_many_arguments, reason = "one row of each quantity of a token's step")]
#[inline(always)]
fn recur_backward(
    gate: &[f32],
    value: &[f32],
    decay: &[f32],
    drive_scale: &[f32],
    before: Option<&[f32]>,
    dh: &mut [f32],
    dgate: &mut [f32],
    dvalue: &mut [f32],
    ddecay: &mut [f32],
) {
    let d = dh.len();
    let (gate, value, decay, drive_scale) = (&gate[..d], &value[..d], &decay[..d], &drive_scale[..d]);
    let (dgate, dvalue, ddecay) = (&mut dgate[..d], &mut dvalue[..d], &mut ddecay[..d]);
    for j in 0..d {
        let s = sigmoid(gate[j]);
        let into_drive = dh[j] * drive_scale[j];
        dgate[j] = into_drive * value[j] * s * (1.0 - s);
        dvalue[j] = into_drive * s;
        // d drive_scale / d decay = -decay / drive_scale
        ddecay[j] -= dh[j] * s * value[j] * decay[j] / drive_scale[j];
    }
    match before {
        None => dh.fill(0.0),
        Some(before) => {
            let before = &before[..d];
            for j in 0..d {
                ddecay[j] += dh[j] * before[j];
                dh[j] *= decay[j];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::Rng;
    use crate::nn::shape::add;

    const D: usize = 3;
    const T: usize = 5;

    /// sum_t weights_t h_t over T tokens, the fourth of which starts afresh. `x` is the decays' parameters, then the
    /// state before, then gates and values of every token.
    fn scan(x: &[f32], states: &mut [[f32; D]; T]) {
        let (params, rest) = x.split_at(D);
        let (start, tokens) = rest.split_at(D);
        let (mut decay, mut drive_scale) = ([0.0; D], [0.0; D]);
        decay_and_drive(params, &mut decay, &mut drive_scale);
        for t in 0..T {
            let (gate, value) = tokens[2 * D * t..2 * D * (t + 1)].split_at(D);
            let (earlier, later) = states.split_at_mut(t);
            let before = if t == 3 { None } else { Some(earlier.last().map_or(start, |h| &h[..])) };
            recur(gate, value, &decay, &drive_scale, before, &mut later[0]);
        }
    }

    #[test]
    fn scan_gradients_match_finite_differences() {
        let mut rng = Rng::new(6);
        let x: Vec<f32> = (0..2 * D + 2 * D * T).map(|_| rng.normal()).collect();
        let weights: Vec<f32> = (0..D * T).map(|_| rng.normal()).collect();
        let mut states = [[0.0; D]; T];
        scan(&x, &mut states);

        let (mut decay, mut drive_scale) = ([0.0; D], [0.0; D]);
        decay_and_drive(&x[..D], &mut decay, &mut drive_scale);
        let (mut got, mut dh, mut ddecay) = (vec![0.0; x.len()], [0.0; D], [0.0; D]);
        for t in (0..T).rev() {
            let at = 2 * D + 2 * D * t;
            let (gate, value) = x[at..at + 2 * D].split_at(D);
            add(&mut dh, &weights[t * D..(t + 1) * D]);
            let before = match t {
                3 => None,
                0 => Some(&x[D..2 * D]),
                _ => Some(&states[t - 1][..]),
            };
            let (dgate, dvalue) = got[at..at + 2 * D].split_at_mut(D);
            recur_backward(gate, value, &decay, &drive_scale, before, &mut dh, dgate, dvalue, &mut ddecay);
        }
        for j in 0..D {
            got[j] = ddecay[j] * decay[j] * (1.0 - decay[j]);
            got[D + j] = dh[j];
        }

        let loss = |x: &[f32]| {
            let mut states = [[0.0; D]; T];
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
