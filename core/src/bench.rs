//! Single products, for benchmarks and checks on targets without a heap.

use crate::blob::layout::TernaryShape;
use crate::kernels::Kernels;
use crate::model::Model;
use crate::views::{Embedding, TernaryMatrix};

/// A ternary matrix as it lies in a blob.
#[derive(Clone, Copy, Debug)]
pub struct Product<'m>(TernaryMatrix<'m>);

impl<'m> Product<'m> {
    /// The matrices of the first block, and of the reasoning loop the one that reads the stream and an operation.
    pub fn all(model: &Model<'m>) -> impl Iterator<Item = Self> + use<'m> {
        let matrices = model.block_matrices(0);
        let rcsm = model.rcsm().map(|r| [r.input, r.ops.row_range(0, r.out_gain.len())]);
        matrices.into_iter().chain(rcsm.into_iter().flatten()).map(Self)
    }

    /// Codes and, behind them, scales, both in the layout of [`TernaryShape`]; `None` if their length is not the
    /// shape's or that is not made of tiles.
    pub fn new(words: &'m [u32], shape: TernaryShape) -> Option<Self> {
        let tiled = shape.rows.is_multiple_of(16) && shape.columns.is_multiple_of(16);
        (tiled && words.len() * 4 == shape.bytes()).then(|| Self(TernaryMatrix::new(words, shape)))
    }

    /// Rows of the matrix.
    pub fn rows(&self) -> usize {
        self.0.rows()
    }

    /// Columns of the matrix.
    pub fn columns(&self) -> usize {
        self.0.columns
    }

    /// Codes in the layout of [`TernaryShape`].
    pub fn codes(&self) -> &'m [u32] {
        self.0.codes
    }

    /// One scale a row.
    pub fn scales(&self) -> &'m [f32] {
        self.0.scales
    }

    /// `y[n] = sum_k(code[n][k] q[k]) as f32 * (scales[n] * scale)`. Whether the lengths agree: nothing happens if not.
    #[must_use]
    pub fn run(&self, kernels: Kernels, q: &[i8], scale: f32, y: &mut [f32]) -> bool {
        kernels.try_ternary(self.0, q, &[scale], y)
    }
}

/// Rows of a head whose int8 values lie in the layout of [`EmbeddingShape`](crate::blob::layout::EmbeddingShape):
/// `y[n] = sum_k(values[n][k] x[k]) as f32 * (scales[n] * scale)`. Whether the lengths agree: nothing happens if not.
#[must_use]
pub fn head(kernels: Kernels, values: &[u32], scales: &[f32], x: &[i16], scale: f32, y: &mut [f32]) -> bool {
    kernels.try_head(Embedding { values, scales, columns: x.len() }, 0, x, scale, y)
}
