//! Squared rectifier: `down(relu(up(u))^2)` (So et al., 2021), u = rms_norm(x), token-shifted where the model says so.

use super::context::{Context, Need};
use super::input::Input;
use super::params::Layout;
use super::profile::Part;
use super::projections::Projections;
use super::shape::{Activations, Shape, add, blocks, row};
use crate::kernels::{Kernels, QuantisedRows};
use std::ops::Range;

/// What one layer of one replica keeps between forward and backward, and between chunks.
pub struct Relu2 {
    d: usize,
    f: usize,
    shape: Shape,
    up: Range<usize>,
    down: Range<usize>,
    input: Input,
    /// Outputs of `up`, (M, F).
    hidden: Activations,
    /// The hidden activations, quantised, (M, F) in blocks of rows.
    q_hidden: Vec<QuantisedRows>,
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
        let m = shape.rows();
        let one = |name: &str| layout.one(layer, name);
        let shift = (shift == TokenShift::Yes).then(|| one("ffn.shift"));
        Self {
            d,
            f,
            shape,
            up: one("ffn.up.weight"),
            down: one("ffn.down.weight"),
            input: Input::new(one("ffn.norm.gain"), shift, d, shape),
            hidden: Activations::new(kernels, m, f),
            q_hidden: blocks(m).map(|rows| QuantisedRows::with_capacity(rows.len(), f)).collect(),
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
        let (d, f) = (self.d, self.f);
        for (block, rows) in blocks(self.shape.rows()).enumerate() {
            self.input.forward(cx, (block, rows.clone()), x);
            cx.worker.lap(Part::ChannelMixer);
            let hidden = self.hidden.block_mut(&rows);
            cx.worker.project(self.input.q(block), &weights.input, hidden);
            let q_hidden = &mut self.q_hidden[block];
            cx.worker.rows(
                Part::ChannelMixer,
                #[inline(always)]
                || {
                    let squared = &mut cx.scratch.narrow[..f];
                    q_hidden.begin(rows.len());
                    for k in 0..rows.len() {
                        for (s, &h) in squared.iter_mut().zip(row(hidden, k, f)) {
                            let positive = if h > 0.0 { h } else { 0.0 };
                            *s = positive * positive;
                        }
                        q_hidden.quantise_row(k, squared);
                    }
                },
            );
            let y = &mut y[rows.start * d..rows.end * d];
            cx.worker.project(q_hidden, &weights.output, y);
            let x = &x[rows.start * d..rows.end * d];
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
            let dy = &dx[rows.start * d..rows.end * d];
            let dhidden = &mut cx.scratch.wide[..m * f];
            cx.worker.backward_input(dy, m, &weights.output, dhidden);
            let dw = &mut grads[self.down.clone()];
            cx.worker.backward_weight(dy, &self.q_hidden[block], d, dw);
            let q = self.input.q(block);
            let hidden = self.hidden.block(&rows, |y| cx.worker.project(q, &weights.input, y));
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
            cx.worker.backward_input(dhidden, m, &weights.input, du);
            cx.worker.backward_weight(dhidden, q, f, &mut grads[self.up.clone()]);
        }
        self.input.backward(cx, x, dx, grads);
        cx.worker.lap(Part::ChannelMixer);
    }
}
