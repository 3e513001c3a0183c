//! Squared rectifier: `down(relu(up(u))^2)` (So et al., 2021), u = rms_norm(x), token-shifted where the model says so.

use super::context::{Context, Need};
use super::input::Input;
use super::output::Output;
use super::params::Layout;
use super::profile::Part;
use super::projections::Projections;
use super::shape::{Activations, Shape, blocks, row};
use crate::kernels::Kernels;

/// What one layer of one replica keeps between forward and backward, and between chunks.
pub struct Relu2 {
    d: usize,
    f: usize,
    shape: Shape,
    input: Input,
    /// Outputs of `up`, (M, F).
    hidden: Activations,
    output: Output,
}

/// Whether tokens are mixed with the ones before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenShift {
    No,
    Yes,
}

impl Relu2 {
    pub fn new(
        kernels: Kernels,
        layout: &Layout,
        layer: usize,
        shift: TokenShift,
        (d, f): (usize, usize),
        shape: Shape,
    ) -> Self {
        let one = |name: &str| layout.one(layer, name);
        let (norm, up) = (one("ffn.norm.gain"), one("ffn.up.weight"));
        let shift = (shift == TokenShift::Yes).then(|| one("ffn.shift"));
        Self {
            d,
            f,
            shape,
            input: Input::new(norm, shift, up, d, shape, Part::ChannelMixer),
            hidden: Activations::new(kernels, shape.rows(), f),
            output: Output::new(one("ffn.down.weight"), (d, f), shape, Part::ChannelMixer),
        }
    }

    /// For a model of width `d` and a feed-forward width `f`.
    pub fn need(d: usize, f: usize) -> Need {
        Need { wide: f, narrow: f, ..Need::default() }.max(Input::need(d))
    }

    /// What every sequence carries into the next chunk.
    pub fn carried(&self) -> &[f32] {
        self.input.carried()
    }

    /// The same, to be restored.
    pub fn carried_mut(&mut self) -> &mut [f32] {
        self.input.carried_mut()
    }

    /// `y = x + relu2(x)`, x and y (M, D). `cx.reset[row]` says that no token comes before the row's.
    pub fn forward(&mut self, cx: &mut Context<'_>, weights: &Projections, x: &[f32], y: &mut [f32]) {
        let f = self.f;
        for (block, rows) in blocks(self.shape.rows()).enumerate() {
            let hidden = self.hidden.block_mut(&rows);
            self.input.forward(cx, (block, &rows), &weights.input, x, hidden);
            let q = self.output.q_mut(block);
            cx.worker.rows(
                Part::ChannelMixer,
                #[inline(always)]
                || {
                    let squared = &mut cx.scratch.narrow[..f];
                    q.begin(rows.len());
                    for k in 0..rows.len() {
                        for (s, &h) in squared.iter_mut().zip(row(hidden, k, f)) {
                            let positive = if h > 0.0 { h } else { 0.0 };
                            *s = positive * positive;
                        }
                        q.quantize_row(k, squared);
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
            let dhidden = &mut cx.scratch.wide[..rows.len() * f];
            self.output.backward(cx.worker, (block, &rows), &weights.output, dx, dhidden, grads);
            let input = &self.input;
            let hidden = self.hidden.block(&rows, |y| input.project(cx.worker, block, &weights.input, y));
            cx.worker.rows(
                Part::ChannelMixer,
                #[inline(always)]
                || {
                    for (dh, &h) in dhidden.iter_mut().zip(hidden) {
                        *dh *= if h > 0.0 { 2.0 * h } else { 0.0 };
                    }
                },
            );
            let du = &mut cx.scratch.all[rows.start * d..rows.end * d];
            input.backward_project(cx.worker, block, &weights.input, dhidden, du, grads);
        }
        self.input.backward(cx, x, dx, grads);
    }
}
