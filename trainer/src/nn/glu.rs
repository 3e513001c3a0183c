//! Gated linear unit: `down(silu(gate(u)) * up(u))`, u = rms_norm(x) (Shazeer, 2020).

use flashlm_core::blob::Role;
use flashlm_core::math::sigmoid;

use super::context::{Context, Need};
use super::input::Input;
use super::norm::silu_slope;
use super::output::Output;
use super::params::Layout;
use super::profile::Part;
use super::projections::Projections;
use super::shape::{Activations, Shape, blocks, row, row_mut};
use crate::kernels::Kernels;

/// What one layer of one replica keeps between forward and backward.
pub struct Glu {
    d: usize,
    f: usize,
    shape: Shape,
    input: Input,
    /// Outputs of the two projections, (M, 2F).
    gate_up: Activations,
    output: Output,
}

impl Glu {
    pub fn new(kernels: Kernels, layout: &Layout, layer: usize, (d, f): (usize, usize), shape: Shape) -> Self {
        let (norm, gate_up) = (layout.one(layer, "ffn.norm.gain"), layout.stacked(layer, Role::FfnIn));
        Self {
            d,
            f,
            shape,
            input: Input::new(norm, None, gate_up, d, shape, Part::ChannelMixer),
            gate_up: Activations::new(kernels, shape.rows(), 2 * f),
            output: Output::new(layout.one(layer, "ffn.down.weight"), (d, f), shape, Part::ChannelMixer),
        }
    }

    /// For a model of width `d` and a feed-forward width `f`.
    pub fn need(d: usize, f: usize) -> Need {
        // backward: the gradients of gate and up, and of the hidden activations
        Need { block: d, wide: 3 * f, narrow: f, ..Need::default() }.max(Input::need(d))
    }

    /// `y = x + glu(x)`, x and y (M, D).
    pub fn forward(&mut self, cx: &mut Context<'_>, weights: &Projections, x: &[f32], y: &mut [f32]) {
        let f = self.f;
        for (block, rows) in blocks(self.shape.rows()).enumerate() {
            let gate_up = self.gate_up.block_mut(&rows);
            self.input.forward(cx, (block, &rows), &weights.input, x, gate_up);
            let q = self.output.q_mut(block);
            cx.worker.rows(
                Part::ChannelMixer,
                #[inline(always)]
                || {
                    let hidden = &mut cx.scratch.narrow[..f];
                    q.begin(rows.len());
                    for i in 0..rows.len() {
                        let (g, u) = row(gate_up, i, 2 * f).split_at(f);
                        for ((h, &g), &u) in hidden.iter_mut().zip(g).zip(u) {
                            *h = g * sigmoid(g) * u;
                        }
                        q.quantize_row(i, hidden);
                    }
                },
            );
            self.output.forward(cx, (block, &rows), &weights.output, x, y);
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
            let (dgate_up, rest) = cx.scratch.wide.split_at_mut(m * 2 * f);
            let dhidden = &mut rest[..m * f];
            self.output.backward(cx.worker, (block, &rows), &weights.output, dx, dhidden, grads);
            let input = &self.input;
            let gate_up = self.gate_up.block(&rows, |y| input.project(cx.worker, block, &weights.input, y));
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
            let du = &mut cx.scratch.block[..m * d];
            input.backward_project(cx.worker, block, &weights.input, dgate_up, du, grads);
            input.backward_rows(cx.worker, cx.params, (rows, du), x, dx, grads);
        }
    }
}
