//! Products in f32 through the `gemm` crate, which picks the CPU's instructions itself.
#![allow(unsafe_code)]

use super::{FloatMatrix, QuantisedRows, TernaryMatrix, Workspace, Write};
use gemm::Parallelism;

/// Rows of quantised activations turned back to f32 at a time.
const CHUNK: usize = 512;

/// A matrix as it lies in memory, or its transpose: strides in elements.
#[derive(Clone, Copy)]
struct View<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> View<'a> {
    fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        assert!(data.len() >= rows * cols);
        Self { data, rows, cols, row_stride: cols, col_stride: 1 }
    }

    fn transposed(self) -> Self {
        Self {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }
}

/// `c (+)= a b`, c row-major.
fn product(a: View, b: View, c: &mut [f32], write: Write) {
    assert_eq!(a.cols, b.rows);
    assert!(c.len() >= a.rows * b.cols);
    let (read, alpha) = match write {
        Write::Set => (false, 0.0),
        Write::Add => (true, 1.0),
    };
    // SAFETY: a `View` lies within its data whichever way its strides run, `c` was just checked, and `c` is
    // borrowed for writing, so the three do not overlap.
    unsafe {
        gemm::gemm(
            a.rows,
            b.cols,
            a.cols,
            c.as_mut_ptr(),
            1,
            b.cols as isize,
            read,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            alpha,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

pub(super) fn backward_input(dy: &[f32], m: usize, w: &TernaryMatrix, dx: &mut [f32], write: Write) {
    let dy = View::new(dy, m, w.n());
    product(dy, View::new(w.float.as_ref(), w.n(), w.k()), dx, write);
}

pub(super) fn backward_weight(dy: &[f32], x: &QuantisedRows, n: usize, dw: &mut [f32], ws: &mut Workspace) {
    let k = x.k();
    // a whole chunk's, whatever the rows: a later product of more must find the room
    let float = ws.float.at_least(CHUNK * k);
    for first in (0..x.rows()).step_by(CHUNK) {
        let rows = CHUNK.min(x.rows() - first);
        for (row, float) in float.chunks_exact_mut(k).take(rows).enumerate() {
            let scale = x.scale(first + row);
            for (float, &q) in float.iter_mut().zip(x.q(first + row)) {
                *float = q as f32 * scale;
            }
        }
        matmul_tn(&dy[first * n..][..rows * n], &float[..rows * k], rows, n, k, dw);
    }
}

pub(super) fn matmul_nt(x: &[f32], m: usize, w: &FloatMatrix, y: &mut [f32]) {
    let weight = View::new(w.float.as_ref(), w.n(), w.k());
    product(View::new(x, m, w.k()), weight.transposed(), y, Write::Set);
}

pub(super) fn matmul_nn(dy: &[f32], m: usize, w: &FloatMatrix, dx: &mut [f32], write: Write) {
    product(View::new(dy, m, w.n()), View::new(w.float.as_ref(), w.n(), w.k()), dx, write);
}

pub(super) fn matmul_tn(dy: &[f32], x: &[f32], m: usize, n: usize, k: usize, dw: &mut [f32]) {
    product(View::new(dy, m, n).transposed(), View::new(x, m, k), dw, Write::Add);
}
