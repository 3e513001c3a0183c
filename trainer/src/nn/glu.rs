//! Gated linear unit: `down(silu(gate(u)) * up(u))`, u = rms_norm(x) (Shazeer, 2020).

use super::context::{Context, Need};
use super::norm::{rms_norm_backward, silu_slope};
use super::params::Layout;
use super::profile::Part;
use super::projections::Projections;
use super::shape::{Activations, Shape, add, blocks, row, row_mut};
use crate::kernels::{Kernels, QuantisedRows};
use flashlm_core::blob::Role;
use flashlm_core::math::{rms_norm, sigmoid};
use std::ops::Range;

/// Where one layer's tensors lie, neighbours joined.
#[derive(Clone, Debug)]
struct Spans {
    norm: Range<usize>,
    /// `[gate; up]`, (2F, D).
    input: Range<usize>,
    down: Range<usize>,
}

impl Spans {
    fn new(layout: &Layout, layer: usize) -> Self {
        let one = |name: &str| layout.one(layer, name);
        Self { norm: one("ffn.norm.gain"), input: layout.stacked(layer, Role::FfnIn), down: one("ffn.down.weight") }
    }
}

/// What one layer of one replica keeps between forward and backward.
pub struct Glu {
    spans: Spans,
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
    pub fn new(kernels: Kernels, layout: &Layout, layer: usize, (d, f): (usize, usize), shape: Shape) -> Self {
        let (m, spans) = (shape.rows(), Spans::new(layout, layer));
        Self {
            spans,
            d,
            f,
            shape,
            norm_r: vec![0.0; m],
            q: blocks(m).map(|rows| QuantisedRows::with_capacity(rows.len(), d)).collect(),
            gate_up: Activations::new(kernels, m, 2 * f),
            q_hidden: blocks(m).map(|rows| QuantisedRows::with_capacity(rows.len(), f)).collect(),
        }
    }

    /// For a model of width `d` and a feed-forward width `f`.
    pub fn need(d: usize, f: usize) -> Need {
        // backward: the gradients of gate and up, and of the hidden activations
        Need { block: d, wide: 3 * f, narrow: d.max(f), ..Need::default() }
    }

    /// `y = x + glu(x)`, x and y (M, D).
    pub fn forward(&mut self, cx: &mut Context<'_>, weights: &Projections, x: &[f32], y: &mut [f32]) {
        let (d, f) = (self.d, self.f);
        let gain = &cx.params[self.spans.norm.clone()];
        for (block, rows) in blocks(self.shape.rows()).enumerate() {
            let (q, q_hidden) = (&mut self.q[block], &mut self.q_hidden[block]);
            let x = &x[rows.start * d..rows.end * d];
            let y = &mut y[rows.start * d..rows.end * d];
            let norm_r = &mut self.norm_r[rows.clone()];
            cx.worker.rows(
                Part::ChannelMixer,
                #[inline(always)]
                || {
                    let normed = &mut cx.scratch.narrow[..d];
                    q.begin(rows.len());
                    for i in 0..rows.len() {
                        norm_r[i] = rms_norm(row(x, i, d), gain, normed);
                        q.quantise_row(i, normed);
                    }
                },
            );
            let gate_up = self.gate_up.block_mut(&rows);
            cx.worker.project(q, &weights.input, gate_up);
            cx.worker.rows(
                Part::ChannelMixer,
                #[inline(always)]
                || {
                    let hidden = &mut cx.scratch.narrow[..f];
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
            cx.worker.project(q_hidden, &weights.output, y);
            cx.worker.rows(
                Part::ChannelMixer,
                #[inline(always)]
                || add(y, x),
            );
        }
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
        let (d, f) = (self.d, self.f);
        for (block, rows) in blocks(self.shape.rows()).enumerate() {
            let m = rows.len();
            let (q, q_hidden, norm_r) = (&self.q[block], &self.q_hidden[block], &self.norm_r[rows.clone()]);
            let x = &x[rows.start * d..rows.end * d];
            let dx = &mut dx[rows.start * d..rows.end * d];
            let (dgate_up, rest) = cx.scratch.wide.split_at_mut(m * 2 * f);
            let dhidden = &mut rest[..m * f];
            cx.worker.backward_input(dx, m, &weights.output, dhidden);
            cx.worker.backward_weight(dx, q_hidden, d, &mut grads[self.spans.down.clone()]);
            let gate_up = self.gate_up.block(&rows, |y| cx.worker.project(q, &weights.input, y));
            cx.worker.rows(
                Part::ChannelMixer,
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
            let dnormed = &mut cx.scratch.block[..m * d];
            cx.worker.backward_input(dgate_up, m, &weights.input, dnormed);
            let dw = &mut grads[self.spans.input.clone()];
            cx.worker.backward_weight(dgate_up, q, 2 * f, dw);
            let gain = &cx.params[self.spans.norm.clone()];
            let dgain = &mut grads[self.spans.norm.clone()];
            cx.worker.rows(
                Part::ChannelMixer,
                #[inline(always)]
                || {
                    for i in 0..m {
                        let dnormed = row(dnormed, i, d);
                        rms_norm_backward(row(x, i, d), gain, norm_r[i], dnormed, row_mut(dx, i, d), dgain);
                    }
                },
            );
        }
    }
}
