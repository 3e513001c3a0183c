//! Gated recurrence: `h_t = decay * h_{t-1} + sqrt(1 - decay^2) * gate_t * value_t`, read through an output gate.

use super::norm::{rms_norm_backward, silu_slope};
use super::params::BlockSpans;
use super::profile::{Part, Profile};
use super::shape::{Shape, add, row, row_mut};
use crate::kernels::{Kernels, QuantisedRows, TernaryMatrix, Workspace, Write, zeros};
use flashlm_core::math::{rms_norm, sigmoid, sqrt};

/// The packed ternary weights of one layer.
pub struct Weights {
    /// `[gate; value; out_gate]`, (3D, D).
    pub gate_value_out: TernaryMatrix,
    pub proj: TernaryMatrix,
}

/// What one layer of one replica keeps between forward and backward, and between chunks.
pub struct GatedRecurrence {
    d: usize,
    shape: Shape,
    /// 1 / rms of every row of the input, (M).
    norm_r: Vec<f32>,
    /// The shifted input, quantised, (M, D).
    q: QuantisedRows,
    /// Outputs of the three projections, (M, 3D).
    gate_value_out: Vec<f32>,
    /// States after every token, (M, D).
    h: Vec<f32>,
    /// 1 / rms of every state, (M).
    state_r: Vec<f32>,
    /// The gated read-out, quantised, (M, D).
    q_out: QuantisedRows,
    /// State before the chunk (B, D), and after it.
    h_before: Vec<f32>,
    pub h_carry: Vec<f32>,
    /// Normalised input of the token before the chunk (B, D), and of its last token.
    n_before: Vec<f32>,
    pub n_carry: Vec<f32>,
}

/// Buffers a replica lends to every layer in turn, (M, ..) each.
pub struct Scratch {
    pub d1: Vec<f32>,
    pub d2: Vec<f32>,
    pub wide: Vec<f32>,
    pub narrow: Vec<f32>,
    pub workspace: Workspace,
    pub profile: Profile,
}

impl GatedRecurrence {
    pub fn new(d: usize, shape: Shape) -> Self {
        let m = shape.rows();
        let state = || vec![0.0; shape.sequences * d];
        Self {
            d,
            shape,
            norm_r: vec![0.0; m],
            q: QuantisedRows::with_capacity(m, d),
            gate_value_out: zeros(m * 3 * d),
            h: zeros(m * d),
            state_r: vec![0.0; m],
            q_out: QuantisedRows::with_capacity(m, d),
            h_before: state(),
            h_carry: state(),
            n_before: state(),
            n_carry: state(),
        }
    }

    /// `y = x + mixer(x)`, x and y (M, D). `reset[row]` says that the row's token starts from the zero state.
    pub fn forward(
        &mut self,
        kernels: Kernels,
        weights: &Weights,
        params: &[f32],
        spans: &BlockSpans,
        x: &[f32],
        y: &mut [f32],
        reset: &[bool],
        scratch: &mut Scratch,
    ) {
        let (d, b, m) = (self.d, self.shape.sequences, self.shape.rows());
        self.h_before.copy_from_slice(&self.h_carry);
        self.n_before.copy_from_slice(&self.n_carry);
        let gain = &params[spans.norm.clone()];
        let keep = &mut scratch.narrow[..d];
        let normed = &mut scratch.d1[..m * d];
        kernels.vectorise(
            #[inline(always)]
            || {
                for (k, &s) in keep.iter_mut().zip(&params[spans.shift.clone()]) {
                    *k = sigmoid(s);
                }
                self.q.begin(m);
                let shifted = &mut scratch.d2[..d];
                for i in 0..m {
                    let (before, rest) = normed.split_at_mut(i * d);
                    let n = &mut rest[..d];
                    self.norm_r[i] = rms_norm(row(x, i, d), gain, n);
                    if reset[i] {
                        for ((u, &n), &k) in shifted.iter_mut().zip(&*n).zip(&*keep) {
                            *u = k * n;
                        }
                    } else {
                        let p = if i < b { row(&self.n_before, i, d) } else { row(before, i - b, d) };
                        for (((u, &n), &k), &p) in shifted.iter_mut().zip(&*n).zip(&*keep).zip(p) {
                            *u = k * n + (1.0 - k) * p;
                        }
                    }
                    self.q.quantise_row(i, shifted);
                }
            },
        );
        scratch.profile.lap(Part::Recurrence);
        self.n_carry.copy_from_slice(&normed[(m - b) * d..]);

        kernels.ternary_forward(&self.q, &weights.gate_value_out, &mut self.gate_value_out, &mut scratch.workspace);
        scratch.profile.lap(Part::Forward);

        let (decay, drive_scale) = scratch.narrow[..2 * d].split_at_mut(d);
        let state_gain = &params[spans.state_norm.clone()];
        kernels.vectorise(
            #[inline(always)]
            || {
                for ((a, n), &p) in decay.iter_mut().zip(&mut *drive_scale).zip(&params[spans.decay.clone()]) {
                    *a = sigmoid(p);
                    *n = sqrt(1.0 - *a * *a);
                }
                self.q_out.begin(m);
                let out = &mut scratch.d2[..d];
                for i in 0..m {
                    let (g, vo) = row(&self.gate_value_out, i, 3 * d).split_at(d);
                    let (v, o) = vo.split_at(d);
                    let (before, rest) = self.h.split_at_mut(i * d);
                    let h = &mut rest[..d];
                    for (((h, &g), &v), &n) in h.iter_mut().zip(g).zip(v).zip(&*drive_scale) {
                        *h = n * sigmoid(g) * v;
                    }
                    if !reset[i] {
                        let p = if i < b { row(&self.h_before, i, d) } else { row(before, i - b, d) };
                        for ((h, &a), &p) in h.iter_mut().zip(&*decay).zip(p) {
                            *h += a * p;
                        }
                    }
                    self.state_r[i] = rms_norm(h, state_gain, out);
                    for (y, &o) in out.iter_mut().zip(o) {
                        *y *= o * sigmoid(o);
                    }
                    self.q_out.quantise_row(i, out);
                }
            },
        );
        scratch.profile.lap(Part::Recurrence);
        self.h_carry.copy_from_slice(&self.h[(m - b) * d..]);

        kernels.ternary_forward(&self.q_out, &weights.proj, y, &mut scratch.workspace);
        scratch.profile.lap(Part::Forward);
        kernels.vectorise(
            #[inline(always)]
            || add(y, &x[..m * d]),
        );
        scratch.profile.lap(Part::Recurrence);
    }

    /// Turns `dx`, the gradient with respect to y (M, D), into that with respect to x, and adds to `grads`.
    pub fn backward(
        &mut self,
        kernels: Kernels,
        weights: &Weights,
        params: &[f32],
        spans: &BlockSpans,
        x: &[f32],
        dx: &mut [f32],
        grads: &mut [f32],
        reset: &[bool],
        scratch: &mut Scratch,
    ) {
        let (d, b, m) = (self.d, self.shape.sequences, self.shape.rows());
        let dy = &mut scratch.d1[..m * d];
        kernels.backward_input(dx, m, &weights.proj, dy, Write::Set, &mut scratch.workspace);
        scratch.profile.lap(Part::BackwardInput);
        kernels.backward_weight(dx, &self.q_out, d, &mut grads[spans.proj.clone()], &mut scratch.workspace);
        scratch.profile.lap(Part::BackwardWeight);

        let (decay, rest) = scratch.narrow.split_at_mut(d);
        let (drive_scale, rest) = rest.split_at_mut(d);
        let (ddecay, rest) = rest.split_at_mut(d);
        let (normed, rest) = rest.split_at_mut(d);
        let (dnormed, _) = rest.split_at_mut(d);
        let dh_carry = &mut scratch.d2[..b * d];
        let dgates = &mut scratch.wide[..m * 3 * d];
        kernels.vectorise(
            #[inline(always)]
            || {
                for ((a, n), &p) in decay.iter_mut().zip(&mut *drive_scale).zip(&params[spans.decay.clone()]) {
                    *a = sigmoid(p);
                    *n = sqrt(1.0 - *a * *a);
                }
                ddecay.fill(0.0);
                dh_carry.fill(0.0);
                let gain = &params[spans.state_norm.clone()];
                let dgain = &mut grads[spans.state_norm.clone()];
                for i in (0..m).rev() {
                    let h = row(&self.h, i, d);
                    let (g, vo) = row(&self.gate_value_out, i, 3 * d).split_at(d);
                    let (v, o) = vo.split_at(d);
                    let (dg, dvo) = row_mut(dgates, i, 3 * d).split_at_mut(d);
                    let (dv, do_) = dvo.split_at_mut(d);
                    let dy = row(dy, i, d);
                    let r = self.state_r[i];
                    for j in 0..d {
                        let s = sigmoid(o[j]);
                        do_[j] = dy[j] * h[j] * r * gain[j] * silu_slope(o[j], s);
                        dnormed[j] = dy[j] * o[j] * s;
                    }
                    // the gradient carried from the next token becomes the whole gradient of this state
                    let dh = row_mut(dh_carry, i % b, d);
                    rms_norm_backward(h, gain, r, dnormed, dh, dgain);
                    let zero;
                    let before = if reset[i] {
                        zero = [0.0; 0];
                        &zero[..]
                    } else if i < b {
                        row(&self.h_before, i, d)
                    } else {
                        row(&self.h, i - b, d)
                    };
                    for j in 0..d {
                        let s = sigmoid(g[j]);
                        let into_drive = dh[j] * drive_scale[j];
                        dg[j] = into_drive * v[j] * s * (1.0 - s);
                        dv[j] = into_drive * s;
                        // d drive_scale / d decay = -decay / drive_scale
                        ddecay[j] -= dh[j] * s * v[j] * decay[j] / drive_scale[j];
                    }
                    if before.is_empty() {
                        dh.fill(0.0);
                    } else {
                        for j in 0..d {
                            ddecay[j] += dh[j] * before[j];
                            dh[j] *= decay[j];
                        }
                    }
                }
                for ((g, &dd), &a) in grads[spans.decay.clone()].iter_mut().zip(&*ddecay).zip(&*decay) {
                    *g += dd * a * (1.0 - a);
                }
            },
        );
        scratch.profile.lap(Part::Recurrence);

        let du = &mut scratch.d1[..m * d];
        kernels.backward_input(dgates, m, &weights.gate_value_out, du, Write::Set, &mut scratch.workspace);
        scratch.profile.lap(Part::BackwardInput);
        let dw = &mut grads[spans.gate_value_out.clone()];
        kernels.backward_weight(dgates, &self.q, 3 * d, dw, &mut scratch.workspace);
        scratch.profile.lap(Part::BackwardWeight);

        let dmix = ddecay;
        let keep = decay;
        kernels.vectorise(
            #[inline(always)]
            || {
                for (k, &s) in keep.iter_mut().zip(&params[spans.shift.clone()]) {
                    *k = sigmoid(s);
                }
                dmix.fill(0.0);
                let gain = &params[spans.norm.clone()];
                let dgain = &mut grads[spans.norm.clone()];
                for i in 0..m {
                    let (x, r) = (row(x, i, d), self.norm_r[i]);
                    for ((n, &x), &g) in normed.iter_mut().zip(x).zip(gain) {
                        *n = x * r * g;
                    }
                    let du_now = row(du, i, d);
                    // this row is mixed into its own token and into the next one of its sequence
                    if i + b < m && !reset[i + b] {
                        let du_next = row(du, i + b, d);
                        for j in 0..d {
                            dnormed[j] = keep[j] * du_now[j] + (1.0 - keep[j]) * du_next[j];
                            dmix[j] += (du_now[j] - du_next[j]) * normed[j];
                        }
                    } else {
                        for j in 0..d {
                            dnormed[j] = keep[j] * du_now[j];
                            dmix[j] += du_now[j] * normed[j];
                        }
                    }
                    if i < b && !reset[i] {
                        for ((dm, &u), &p) in dmix.iter_mut().zip(du_now).zip(row(&self.n_before, i, d)) {
                            *dm -= u * p;
                        }
                    }
                    rms_norm_backward(x, gain, r, dnormed, row_mut(dx, i, d), dgain);
                }
                for ((g, &dm), &k) in grads[spans.shift.clone()].iter_mut().zip(&*dmix).zip(&*keep) {
                    *g += dm * k * (1.0 - k);
                }
            },
        );
        scratch.profile.lap(Part::Recurrence);
    }
}
