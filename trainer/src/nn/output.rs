//! A layer's way out: what it has to say, quantised, multiplied and added to what came in.

use std::ops::Range;

use super::context::{Context, Worker};
use super::profile::Part;
use super::shape::{Shape, add, blocks};
use crate::kernels::{QuantizedRows, TernaryMatrix};

/// `y = x + q w^T`, q the quantised rows (M, K) that a layer fills in, w its output matrix (D, K).
pub struct Output {
    d: usize,
    weight: Range<usize>,
    part: Part,
    /// (M, K) in blocks of rows.
    q: Vec<QuantizedRows>,
}

impl Output {
    /// By the matrix at `weight`, (D, K), for rows of width `k`; what is no product is charged to `part`.
    pub fn new(weight: Range<usize>, (d, k): (usize, usize), shape: Shape, part: Part) -> Self {
        let q = blocks(shape.rows()).map(|rows| QuantizedRows::with_capacity(rows.len(), k)).collect();
        Self { d, weight, part, q }
    }

    /// The rows of a block, to be filled in.
    pub fn q_mut(&mut self, block: usize) -> &mut QuantizedRows {
        &mut self.q[block]
    }

    /// Multiplies a block's rows and adds x; x and y (M, D).
    pub fn forward(
        &self,
        cx: &mut Context<'_>,
        (block, rows): (usize, &Range<usize>),
        weight: &TernaryMatrix,
        x: &[f32],
        y: &mut [f32],
    ) {
        let at = rows.start * self.d..rows.end * self.d;
        let (x, y) = (&x[at.clone()], &mut y[at]);
        cx.worker.project(&self.q[block], weight, y);
        cx.worker.rows(
            self.part,
            #[inline(always)]
            || add(y, x),
        );
    }

    /// Sets `dq` to the gradient of a block's rows before they were quantised, given `dx`, that of y (M, D), and adds
    /// to
    /// `grads`. That of x is `dx` itself.
    pub fn backward(
        &self,
        worker: &mut Worker,
        (block, rows): (usize, &Range<usize>),
        weight: &TernaryMatrix,
        dx: &[f32],
        dq: &mut [f32],
        grads: &mut [f32],
    ) {
        let dx = &dx[rows.start * self.d..rows.end * self.d];
        worker.backward(dx, &self.q[block], weight, dq, &mut grads[self.weight.clone()]);
    }
}
