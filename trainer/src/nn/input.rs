//! A layer's way in: the input normalised, mixed with the token before's where the layer shifts tokens, quantised and
//! multiplied.

use std::ops::Range;

use flashlm_core::math::{rms_norm, sigmoid};

use super::context::{Context, Need, Worker};
use super::norm::rms_norm_backward;
use super::profile::Part;
use super::shape::{Shape, blocks, row, row_mut};
use crate::kernels::{QuantizedRows, TernaryMatrix, zeros};

/// `u_t = rms_norm(x_t)`, or with a shift m: `u_t = sigmoid(m) n_t + (1 - sigmoid(m)) n_{t-1}`, n = rms_norm(x).
pub struct Input {
    d: usize,
    shape: Shape,
    part: Part,
    /// Of the matrix that reads u, (N, D).
    weight: Range<usize>,
    norm: Range<usize>,
    shift: Option<Range<usize>>,
    /// 1 / rms of every row, (M).
    norm_r: Vec<f32>,
    /// u, quantised, (M, D) in blocks of rows.
    q: Vec<QuantizedRows>,
    /// n of the token before the chunk (B, D), and of its last token; empty without a shift.
    n_before: Vec<f32>,
    n_carry: Vec<f32>,
}

impl Input {
    /// For rows of width `d`, by the tensors at `norm` and `shift`, read by the matrix at `weight`; what is no product
    /// is charged to `part`.
    pub fn new(
        norm: Range<usize>,
        shift: Option<Range<usize>>,
        weight: Range<usize>,
        d: usize,
        shape: Shape,
        part: Part,
    ) -> Self {
        let m = shape.rows();
        let carried = if shift.is_some() { shape.sequences * d } else { 0 };
        Self {
            d,
            shape,
            part,
            weight,
            norm,
            shift,
            norm_r: zeros(m),
            q: blocks(m).map(|rows| QuantizedRows::with_capacity(rows.len(), d)).collect(),
            n_before: zeros(carried),
            n_carry: zeros(carried),
        }
    }

    /// For rows of width `d`.
    pub fn need(d: usize) -> Need {
        // backward: shares, their gradient, n and its gradient
        Need { all: d, narrow: 4 * d, ..Need::default() }
    }

    /// What every sequence carries into the next chunk.
    pub fn carried(&self) -> &[f32] {
        &self.n_carry
    }

    /// The same, to be restored.
    pub fn carried_mut(&mut self) -> &mut [f32] {
        &mut self.n_carry
    }

    /// Makes the rows of one block of x (M, D) and multiplies them, `y = u w^T`; blocks come in order, and
    /// `cx.scratch.all` keeps n between them.
    pub fn forward(
        &mut self,
        cx: &mut Context<'_>,
        (block, rows): (usize, &Range<usize>),
        weight: &TernaryMatrix,
        x: &[f32],
        y: &mut [f32],
    ) {
        self.quantize(cx, (block, rows.clone()), x);
        cx.worker.lap(self.part);
        self.project(cx.worker, block, weight, y);
    }

    /// Multiplies the rows of a block, once more where a layer does not keep the outcome.
    pub fn project(&self, worker: &mut Worker, block: usize, weight: &TernaryMatrix, y: &mut [f32]) {
        worker.project(&self.q[block], weight, y);
    }

    /// Sets `du` to the gradient of a block's u, given `dy`, that of `y = u w^T` (rows, N), and adds to `grads`.
    pub fn backward_project(
        &self,
        worker: &mut Worker,
        block: usize,
        weight: &TernaryMatrix,
        dy: &[f32],
        du: &mut [f32],
        grads: &mut [f32],
    ) {
        worker.backward(dy, &self.q[block], weight, du, &mut grads[self.weight.clone()]);
    }

    fn quantize(&mut self, cx: &mut Context<'_>, (block, rows): (usize, Range<usize>), x: &[f32]) {
        let (d, b, m) = (self.d, self.shape.sequences, self.shape.rows());
        let gain = &cx.params[self.norm.clone()];
        let (keep, rest) = cx.scratch.narrow.split_at_mut(d);
        let out = &mut rest[..d];
        let normed = &mut cx.scratch.all[..m * d];
        if block == 0 {
            self.n_before.copy_from_slice(&self.n_carry);
        }
        let (q, norm_r, n_before) = (&mut self.q[block], &mut self.norm_r, &self.n_before);
        q.begin(rows.len());
        let Some(shift) = &self.shift else {
            cx.worker.kernels.vectorize(
                #[inline(always)]
                || {
                    for (k, i) in rows.enumerate() {
                        norm_r[i] = rms_norm(row(x, i, d), gain, out);
                        q.quantize_row(k, out);
                    }
                },
            );
            return;
        };
        cx.worker.kernels.vectorize(
            #[inline(always)]
            || {
                sigmoids(&cx.params[shift.clone()], keep);
                for (k, i) in rows.clone().enumerate() {
                    let (before, rest) = normed.split_at_mut(i * d);
                    let n = &mut rest[..d];
                    norm_r[i] = rms_norm(row(x, i, d), gain, n);
                    if cx.reset[i] {
                        for ((u, &n), &k) in out.iter_mut().zip(&*n).zip(&*keep) {
                            *u = k * n;
                        }
                    } else {
                        let p = if i < b { row(n_before, i, d) } else { row(before, i - b, d) };
                        for (((u, &n), &k), &p) in out.iter_mut().zip(&*n).zip(&*keep).zip(p) {
                            *u = k * n + (1.0 - k) * p;
                        }
                    }
                    q.quantize_row(k, out);
                }
            },
        );
        if rows.end == m {
            self.n_carry.copy_from_slice(&normed[(m - b) * d..]);
        }
    }

    /// Adds to `dx` (M, D) and `grads` what comes of `cx.scratch.all`, the gradient with respect to u (M, D).
    pub fn backward(&self, cx: &mut Context<'_>, x: &[f32], dx: &mut [f32], grads: &mut [f32]) {
        let (d, b, m) = (self.d, self.shape.sequences, self.shape.rows());
        let du = &cx.scratch.all[..m * d];
        let Some(shift) = &self.shift else {
            return self.backward_rows(cx.worker, cx.params, (0..m, du), x, dx, grads);
        };
        let gain = &cx.params[self.norm.clone()];
        let (keep, rest) = cx.scratch.narrow.split_at_mut(d);
        let (dmix, rest) = rest.split_at_mut(d);
        let (normed, rest) = rest.split_at_mut(d);
        let dnormed = &mut rest[..d];
        cx.worker.kernels.vectorize(
            #[inline(always)]
            || {
                sigmoids(&cx.params[shift.clone()], keep);
                dmix.fill(0.0);
                let dgain = &mut grads[self.norm.clone()];
                for i in 0..m {
                    let (x, r) = (row(x, i, d), self.norm_r[i]);
                    for ((n, &x), &g) in normed.iter_mut().zip(x).zip(gain) {
                        *n = x * r * g;
                    }
                    let du_now = row(du, i, d);
                    // this row is mixed into its own token and into the next one of its sequence
                    if i + b < m && !cx.reset[i + b] {
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
                    if i < b && !cx.reset[i] {
                        for ((dm, &u), &p) in dmix.iter_mut().zip(du_now).zip(row(&self.n_before, i, d)) {
                            *dm -= u * p;
                        }
                    }
                    rms_norm_backward(x, gain, r, dnormed, row_mut(dx, i, d), dgain);
                }
                for ((g, &dm), &k) in grads[shift.clone()].iter_mut().zip(&*dmix).zip(&*keep) {
                    *g += dm * k * (1.0 - k);
                }
            },
        );
        cx.worker.lap(self.part);
    }

    /// The same of some rows, where there is no shift: of `du` (rows, D).
    pub fn backward_rows(
        &self,
        worker: &mut Worker,
        params: &[f32],
        (rows, du): (Range<usize>, &[f32]),
        x: &[f32],
        dx: &mut [f32],
        grads: &mut [f32],
    ) {
        let (d, gain, dgain) = (self.d, &params[self.norm.clone()], &mut grads[self.norm.clone()]);
        worker.rows(
            self.part,
            #[inline(always)]
            || {
                for (k, i) in rows.enumerate() {
                    rms_norm_backward(row(x, i, d), gain, self.norm_r[i], row(du, k, d), row_mut(dx, i, d), dgain);
                }
            },
        );
    }
}

#[inline(always)]
pub fn sigmoids(x: &[f32], y: &mut [f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = sigmoid(x);
    }
}
