//! Gated linear unit: `down(silu(gate(u)) * up(u))`, u = rms_norm(x) (Shazeer, 2020).

use super::norm::{rms_norm_backward, silu_slope};
use super::params::BlockSpans;
use super::profile::Part;
use super::recurrence::Scratch;
use super::shape::{Activations, Shape, add, blocks, row, row_mut};
use crate::kernels::{Kernels, QuantisedRows, TernaryMatrix, Write};
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
    /// The normalised input, quantised, (M, D) in blocks of rows.
    q: Vec<QuantisedRows>,
    /// Outputs of the two projections, (M, 2F).
    gate_up: Activations,
    /// The hidden activations, quantised, (M, F) in blocks of rows.
    q_hidden: Vec<QuantisedRows>,
}

impl Glu {
    pub fn new(kernels: Kernels, d: usize, f: usize, shape: Shape) -> Self {
        let m = shape.rows();
        Self {
            d,
            f,
            shape,
            norm_r: vec![0.0; m],
            q: blocks(m).map(|rows| QuantisedRows::with_capacity(rows.len(), d)).collect(),
            gate_up: Activations::new(kernels, m, 2 * f),
            q_hidden: blocks(m).map(|rows| QuantisedRows::with_capacity(rows.len(), f)).collect(),
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
        let (d, f) = (self.d, self.f);
        let gain = &params[spans.ffn_norm.clone()];
        for (block, rows) in blocks(self.shape.rows()).enumerate() {
            let (q, q_hidden) = (&mut self.q[block], &mut self.q_hidden[block]);
            let x = &x[rows.start * d..rows.end * d];
            let y = &mut y[rows.start * d..rows.end * d];
            let norm_r = &mut self.norm_r[rows.clone()];
            kernels.vectorise(
                #[inline(always)]
                || {
                    let normed = &mut scratch.narrow[..d];
                    q.begin(rows.len());
                    for i in 0..rows.len() {
                        norm_r[i] = rms_norm(row(x, i, d), gain, normed);
                        q.quantise_row(i, normed);
                    }
                },
            );
            scratch.profile.lap(Part::ChannelMixer);
            let gate_up = self.gate_up.block_mut(&rows);
            kernels.ternary_forward(q, &weights.gate_up, gate_up, &mut scratch.workspace);
            scratch.profile.lap_products(Part::Forward, scratch.workspace.take_macs());
            kernels.vectorise(
                #[inline(always)]
                || {
                    let hidden = &mut scratch.narrow[..f];
                    q_hidden.begin(rows.len());
                    for i in 0..rows.len() {
                        let (g, u) = row(gate_up, i, 2 * f).split_at(f);
                        for ((h, &g), &u) in hidden.iter_mut().zip(g).zip(u) {
                            *h = g * sigmoid(g) * u;
                        }
                        q_hidden.quantise_row(i, hidden);
                    }
                },
            );
            scratch.profile.lap(Part::ChannelMixer);
            kernels.ternary_forward(q_hidden, &weights.down, y, &mut scratch.workspace);
            scratch.profile.lap_products(Part::Forward, scratch.workspace.take_macs());
            kernels.vectorise(
                #[inline(always)]
                || add(y, x),
            );
            scratch.profile.lap(Part::ChannelMixer);
        }
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
        let (d, f) = (self.d, self.f);
        for (block, rows) in blocks(self.shape.rows()).enumerate() {
            let m = rows.len();
            let (q, q_hidden, norm_r) = (&self.q[block], &self.q_hidden[block], &self.norm_r[rows.clone()]);
            let x = &x[rows.start * d..rows.end * d];
            let dx = &mut dx[rows.start * d..rows.end * d];
            let (dgate_up, rest) = scratch.wide.split_at_mut(m * 2 * f);
            let dhidden = &mut rest[..m * f];
            kernels.backward_input(dx, m, &weights.down, dhidden, Write::Set, &mut scratch.workspace);
            scratch.profile.lap_products(Part::BackwardInput, scratch.workspace.take_macs());
            kernels.backward_weight(dx, q_hidden, d, &mut grads[spans.down.clone()], &mut scratch.workspace);
            scratch.profile.lap_products(Part::BackwardWeight, scratch.workspace.take_macs());
            let again = |y: &mut [f32]| kernels.ternary_forward(q, &weights.gate_up, y, &mut scratch.workspace);
            let gate_up = self.gate_up.block(&rows, again);
            scratch.profile.lap_products(Part::Forward, scratch.workspace.take_macs());
            kernels.vectorise(
                #[inline(always)]
                || {
                    for i in 0..m {
                        let (g, u) = row(gate_up, i, 2 * f).split_at(f);
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
            let dnormed = &mut scratch.block[..m * d];
            kernels.backward_input(dgate_up, m, &weights.gate_up, dnormed, Write::Set, &mut scratch.workspace);
            scratch.profile.lap_products(Part::BackwardInput, scratch.workspace.take_macs());
            let dw = &mut grads[spans.gate_up.clone()];
            kernels.backward_weight(dgate_up, q, 2 * f, dw, &mut scratch.workspace);
            scratch.profile.lap_products(Part::BackwardWeight, scratch.workspace.take_macs());
            let gain = &params[spans.ffn_norm.clone()];
            let dgain = &mut grads[spans.ffn_norm.clone()];
            kernels.vectorise(
                #[inline(always)]
                || {
                    for i in 0..m {
                        let dnormed = row(dnormed, i, d);
                        rms_norm_backward(row(x, i, d), gain, norm_r[i], dnormed, row_mut(dx, i, d), dgain);
                    }
                },
            );
            scratch.profile.lap(Part::ChannelMixer);
        }
    }
}
