//! Single products of a model, for benchmarks on targets without a heap.

use crate::kernels::Kernels;
use crate::model::{Model, TernaryMatrix};

/// One of a model's ternary matrices, as it lies in the blob.
#[derive(Clone, Copy, Debug)]
pub struct Product<'m>(TernaryMatrix<'m>);

impl<'m> Product<'m> {
    /// The matrices of the first block, and of the reasoning loop the one that reads the stream and an operation.
    pub fn all(model: &Model<'m>) -> impl Iterator<Item = Self> + use<'m> {
        let block = model.block(0);
        let matrices = [block.mixer.input, block.mixer.output, block.ffn.input, block.ffn.output];
        let rcsm = model.rcsm().map(|r| [r.input, r.ops.row_range(0, r.out_gain.len())]);
        matrices.into_iter().chain(rcsm.into_iter().flatten()).map(Self)
    }

    pub fn rows(&self) -> usize {
        self.0.rows()
    }

    pub fn columns(&self) -> usize {
        self.0.columns
    }

    /// Codes in the layout of [`TernaryShape`](crate::blob::layout::TernaryShape).
    pub fn codes(&self) -> &'m [u32] {
        self.0.codes
    }

    /// One scale a row.
    pub fn scales(&self) -> &'m [f32] {
        self.0.scales
    }

    /// `y[n] = sum_k(code[n][k] q[k]) as f32 * (scales[n] * scale)`; nothing if the lengths disagree.
    pub fn run(&self, kernels: Kernels, q: &[i8], scale: f32, y: &mut [f32]) {
        kernels.ternary(self.0, q, &[scale], y);
    }
}
