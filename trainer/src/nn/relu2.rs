//! Squared rectifier: `down(relu(up(u))^2)` (So et al., 2021), u = rms_norm(x), token-shifted where the model says so.

use super::block::Projections;
use super::input::Input;
use super::params::Layout;
use super::profile::Part;
use super::recurrence::Scratch;
use super::shape::{Activations, Shape, add, blocks, row};
use crate::kernels::{Kernels, QuantisedRows, Write};
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

    /// What every sequence carries into the next chunk.
    pub fn carried(&self) -> &[f32] {
        self.input.carried()
    }

    /// The same, to be restored.
    pub fn carried_mut(&mut self) -> &mut [f32] {
        self.input.carried_mut()
    }

    /// `y = x + relu2(x)`, x and y (M, D). `reset[row]` says that no token comes before the row's.
    pub fn forward(
        &mut self,
        kernels: Kernels,
        weights: &Projections,
        params: &[f32],
        x: &[f32],
        y: &mut [f32],
        reset: &[bool],
        scratch: &mut Scratch,
    ) {
        let (d, f) = (self.d, self.f);
        for (block, rows) in blocks(self.shape.rows()).enumerate() {
            self.input.forward(kernels, (block, rows.clone()), params, x, reset, scratch);
            scratch.profile.lap(Part::ChannelMixer);
            let hidden = self.hidden.block_mut(&rows);
            kernels.ternary_forward(self.input.q(block), &weights.input, hidden, &mut scratch.workspace);
            scratch.profile.lap_products(Part::Forward, scratch.workspace.take_macs());
            let q_hidden = &mut self.q_hidden[block];
            kernels.vectorise(
                #[inline(always)]
                || {
                    let squared = &mut scratch.narrow[..f];
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
            scratch.profile.lap(Part::ChannelMixer);
            let y = &mut y[rows.start * d..rows.end * d];
            kernels.ternary_forward(q_hidden, &weights.output, y, &mut scratch.workspace);
            scratch.profile.lap_products(Part::Forward, scratch.workspace.take_macs());
            let x = &x[rows.start * d..rows.end * d];
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
        weights: &Projections,
        params: &[f32],
        x: &[f32],
        dx: &mut [f32],
        grads: &mut [f32],
        reset: &[bool],
        scratch: &mut Scratch,
    ) {
        let (d, f) = (self.d, self.f);
        for (block, rows) in blocks(self.shape.rows()).enumerate() {
            let m = rows.len();
            let dy = &dx[rows.start * d..rows.end * d];
            let dhidden = &mut scratch.wide[..m * f];
            kernels.backward_input(dy, m, &weights.output, dhidden, Write::Set, &mut scratch.workspace);
            scratch.profile.lap_products(Part::BackwardInput, scratch.workspace.take_macs());
            let dw = &mut grads[self.down.clone()];
            kernels.backward_weight(dy, &self.q_hidden[block], d, dw, &mut scratch.workspace);
            scratch.profile.lap_products(Part::BackwardWeight, scratch.workspace.take_macs());
            let q = self.input.q(block);
            let again = |y: &mut [f32]| kernels.ternary_forward(q, &weights.input, y, &mut scratch.workspace);
            let hidden = self.hidden.block(&rows, again);
            scratch.profile.lap_products(Part::Forward, scratch.workspace.take_macs());
            kernels.vectorise(
                #[inline(always)]
                || {
                    for (dh, &h) in dhidden.iter_mut().zip(hidden) {
                        *dh *= if h > 0.0 { 2.0 * h } else { 0.0 };
                    }
                },
            );
            scratch.profile.lap(Part::ChannelMixer);
            let du = &mut scratch.all[rows.start * d..rows.end * d];
            kernels.backward_input(dhidden, m, &weights.input, du, Write::Set, &mut scratch.workspace);
            scratch.profile.lap_products(Part::BackwardInput, scratch.workspace.take_macs());
            kernels.backward_weight(dhidden, q, f, &mut grads[self.up.clone()], &mut scratch.workspace);
            scratch.profile.lap_products(Part::BackwardWeight, scratch.workspace.take_macs());
        }
        self.input.backward(kernels, params, x, dx, grads, reset, scratch);
        scratch.profile.lap(Part::ChannelMixer);
    }
}
