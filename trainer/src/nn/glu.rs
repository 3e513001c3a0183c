//! Gated linear unit: `down(silu(gate(u)) * up(u))`, u = rms_norm(x) (Shazeer, 2020).

use super::norm::{rms_norm_backward, silu_slope};
use super::params::BlockSpans;
use super::profile::Part;
use super::recurrence::Scratch;
use super::shape::{Shape, add, row, row_mut};
use crate::kernels::{Kernels, QuantisedRows, TernaryMatrix, Write, zeros};
use flashlm_core::math::{rms_norm, sigmoid};

/// The packed ternary weights of one layer.
pub struct Weights {
    /// `[gate; up]`, (2F, D).
    pub gate_up: TernaryMatrix,
    pub down: TernaryMatrix,
}

/// What one layer of one replica keeps between forward and backward.
pub struct Glu {
    d: usize,
    f: usize,
    shape: Shape,
    /// 1 / rms of every row of the input, (M).
    norm_r: Vec<f32>,
    /// The normalised input, quantised, (M, D).
    q: QuantisedRows,
    /// Outputs of the two projections, (M, 2F).
    gate_up: Vec<f32>,
    /// The hidden activations, quantised, (M, F).
    q_hidden: QuantisedRows,
}

impl Glu {
    pub fn new(d: usize, f: usize, shape: Shape) -> Self {
        let m = shape.rows();
        Self {
            d,
            f,
            shape,
            norm_r: vec![0.0; m],
            q: QuantisedRows::with_capacity(m, d),
            gate_up: zeros(m * 2 * f),
            q_hidden: QuantisedRows::with_capacity(m, f),
        }
    }

    /// `y = x + glu(x)`, x and y (M, D).
    pub fn forward(
        &mut self,
        kernels: Kernels,
        weights: &Weights,
        params: &[f32],
        spans: &BlockSpans,
        x: &[f32],
        y: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let (d, f, m) = (self.d, self.f, self.shape.rows());
        let gain = &params[spans.ffn_norm.clone()];
        kernels.vectorise(
            #[inline(always)]
            || {
                let normed = &mut scratch.narrow[..d];
                self.q.begin(m);
                for i in 0..m {
                    self.norm_r[i] = rms_norm(row(x, i, d), gain, normed);
                    self.q.quantise_row(i, normed);
                }
            },
        );
        scratch.profile.lap(Part::ChannelMixer);
        kernels.ternary_forward(&self.q, &weights.gate_up, &mut self.gate_up, &mut scratch.workspace);
        scratch.profile.lap(Part::Forward);
        kernels.vectorise(
            #[inline(always)]
            || {
                let hidden = &mut scratch.narrow[..f];
                self.q_hidden.begin(m);
                for i in 0..m {
                    let (g, u) = row(&self.gate_up, i, 2 * f).split_at(f);
                    for ((h, &g), &u) in hidden.iter_mut().zip(g).zip(u) {
                        *h = g * sigmoid(g) * u;
                    }
                    self.q_hidden.quantise_row(i, hidden);
                }
            },
        );
        scratch.profile.lap(Part::ChannelMixer);
        kernels.ternary_forward(&self.q_hidden, &weights.down, y, &mut scratch.workspace);
        scratch.profile.lap(Part::Forward);
        kernels.vectorise(
            #[inline(always)]
            || add(y, &x[..m * d]),
        );
        scratch.profile.lap(Part::ChannelMixer);
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
        scratch: &mut Scratch,
    ) {
        let (d, f, m) = (self.d, self.f, self.shape.rows());
        let (dgate_up, rest) = scratch.wide.split_at_mut(m * 2 * f);
        let dhidden = &mut rest[..m * f];
        kernels.backward_input(dx, m, &weights.down, dhidden, Write::Set, &mut scratch.workspace);
        scratch.profile.lap(Part::BackwardInput);
        kernels.backward_weight(dx, &self.q_hidden, d, &mut grads[spans.down.clone()], &mut scratch.workspace);
        scratch.profile.lap(Part::BackwardWeight);
        kernels.vectorise(
            #[inline(always)]
            || {
                for i in 0..m {
                    let (g, u) = row(&self.gate_up, i, 2 * f).split_at(f);
                    let (dg, du) = row_mut(dgate_up, i, 2 * f).split_at_mut(f);
                    let dh = row(dhidden, i, f);
                    for j in 0..f {
                        let s = sigmoid(g[j]);
                        dg[j] = dh[j] * u[j] * silu_slope(g[j], s);
                        du[j] = dh[j] * g[j] * s;
                    }
                }
            },
        );
        scratch.profile.lap(Part::ChannelMixer);
        let dnormed = &mut scratch.d1[..m * d];
        kernels.backward_input(dgate_up, m, &weights.gate_up, dnormed, Write::Set, &mut scratch.workspace);
        scratch.profile.lap(Part::BackwardInput);
        let dw = &mut grads[spans.gate_up.clone()];
        kernels.backward_weight(dgate_up, &self.q, 2 * f, dw, &mut scratch.workspace);
        scratch.profile.lap(Part::BackwardWeight);
        let gain = &params[spans.ffn_norm.clone()];
        let dgain = &mut grads[spans.ffn_norm.clone()];
        kernels.vectorise(
            #[inline(always)]
            || {
                for i in 0..m {
                    rms_norm_backward(row(x, i, d), gain, self.norm_r[i], row(dnormed, i, d), row_mut(dx, i, d), dgain);
                }
            },
        );
        scratch.profile.lap(Part::ChannelMixer);
    }
}
