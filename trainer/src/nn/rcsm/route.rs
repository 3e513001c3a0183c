//! Operations by route: the rows that chose an operation are gathered, multiplied together and scattered back.

use flashlm_core::config::TOP_K_OPS;

use super::{PassRecord, Rcsm, Weights};
use crate::kernels::{Kernels, QuantizedRows, Write, zeros};
use crate::nn::context::Worker;
use crate::nn::shape::{add, row, row_mut};

/// Rows of one gathered product.
const GATHER: usize = 1024;

/// Room to gather the rows of an operation.
pub(super) struct Routes {
    /// Every (row, choice) as `row * TOP_K_OPS + choice`, sorted by operation.
    order: Vec<u32>,
    /// Where each operation's begin, and where the last one's end, (O + 1).
    starts: Vec<usize>,
    q: QuantizedRows,
    /// Outputs, or their gradients, and gradients of the inputs, (GATHER, R) each.
    outputs: Vec<f32>,
    inputs: Vec<f32>,
}

impl Routes {
    pub(super) fn new(o: usize, r: usize, m: usize) -> Self {
        Self {
            order: zeros(m * TOP_K_OPS),
            starts: vec![0; o + 1],
            q: QuantizedRows::with_capacity(GATHER, r),
            outputs: zeros(GATHER * r),
            inputs: zeros(GATHER * r),
        }
    }

    /// Sorts the choices of a pass's rows by operation.
    fn sort(&mut self, chosen: &[[u8; TOP_K_OPS]]) {
        self.starts.fill(0);
        for &op in chosen.iter().flatten() {
            self.starts[op as usize + 1] += 1;
        }
        for op in 1..self.starts.len() {
            self.starts[op] += self.starts[op - 1];
        }
        // each start moves to its end while the choices are dealt, and is then the next one's
        for (at, &op) in chosen.iter().flatten().enumerate() {
            let place = &mut self.starts[op as usize];
            self.order[*place] = at as u32;
            *place += 1;
        }
        self.starts.rotate_right(1);
        self.starts[0] = 0;
    }
}

impl Rcsm {
    /// Sets the outputs of the two operations that each of the pass's `n` rows chose.
    pub(super) fn operate(&mut self, worker: &mut Worker, weights: &Weights, pass: usize, n: usize) {
        let (kernels, ws) = (worker.kernels, &mut worker.workspace);
        let r = self.config.width as usize;
        let Self { passes, routes, op_counts, .. } = self;
        let PassRecord { q, chosen, op_out, .. } = &mut passes[pass];
        routes.sort(&chosen[..n]);
        let Routes { order, starts, q: gathered, outputs, .. } = routes;
        for (op, w) in weights.ops.iter().enumerate() {
            op_counts[op] += (starts[op + 1] - starts[op]) as u32;
            for block in order[starts[op]..starts[op + 1]].chunks(GATHER) {
                gather(kernels, gathered, block, q);
                let outputs = &mut outputs[..block.len() * r];
                kernels.ternary_forward(gathered, w, outputs, ws);
                for (y, &at) in outputs.chunks_exact(r).zip(block) {
                    row_mut(op_out, at as usize, r).copy_from_slice(y);
                }
            }
        }
    }

    /// From `dmixed`, the gradient of the blended outputs of the pass's `n` rows: sets that of v (N, R), and adds to
    /// that of the operations.
    pub(super) fn operate_backward(
        &mut self,
        worker: &mut Worker,
        weights: &Weights,
        pass: usize,
        n: usize,
        grads: &mut [f32],
    ) {
        let (kernels, ws) = (worker.kernels, &mut worker.workspace);
        let r = self.config.width as usize;
        let Self { passes, routes, gradients, .. } = self;
        let PassRecord { q, chosen, blend, .. } = &passes[pass];
        routes.sort(&chosen[..n]);
        let Routes { order, starts, q: gathered, outputs, inputs } = routes;
        let (dmixed, dv) = (&gradients.dmixed, &mut gradients.dv[..n * r]);
        dv.fill(0.0);
        let dops = &mut grads[weights.spans.ops.clone()];
        for (op, (w, dw)) in weights.ops.iter().zip(dops.chunks_exact_mut(r * r)).enumerate() {
            for block in order[starts[op]..starts[op + 1]].chunks(GATHER) {
                gather(kernels, gathered, block, q);
                let (doutputs, dinputs) = (&mut outputs[..block.len() * r], &mut inputs[..block.len() * r]);
                kernels.vectorize(
                    #[inline(always)]
                    || {
                        for (d, &at) in doutputs.chunks_exact_mut(r).zip(block) {
                            let (k, choice) = (at as usize / TOP_K_OPS, at as usize % TOP_K_OPS);
                            let weight = blend[k][choice];
                            for (d, &v) in d.iter_mut().zip(row(dmixed, k, r)) {
                                *d = weight * v;
                            }
                        }
                    },
                );
                kernels.backward_weight(doutputs, gathered, r, dw, ws);
                kernels.backward_input(doutputs, block.len(), w, dinputs, Write::Set, ws);
                kernels.vectorize(
                    #[inline(always)]
                    || {
                        for (d, &at) in dinputs.chunks_exact(r).zip(block) {
                            add(row_mut(dv, at as usize / TOP_K_OPS, r), d);
                        }
                    },
                );
            }
        }
    }
}

/// The quantised rows of a block of choices.
fn gather(kernels: Kernels, to: &mut QuantizedRows, block: &[u32], from: &QuantizedRows) {
    to.begin(block.len());
    kernels.vectorize(
        #[inline(always)]
        || {
            for (k, &at) in block.iter().enumerate() {
                to.copy_row(k, from, at as usize / TOP_K_OPS);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_sorted_by_operation_and_keep_their_order() {
        let mut routes = Routes::new(4, 16, 3);
        routes.sort(&[[2, 0], [3, 2], [0, 2]]);
        assert_eq!(routes.starts, [0, 2, 2, 5, 6]);
        assert_eq!(routes.order, [1, 4, 0, 3, 5, 2]);
    }
}
