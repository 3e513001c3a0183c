//! Products in f32 through the `gemm` crate, which picks the CPU's instructions itself.

use super::strided::{Strided, in_f32};
use super::{FloatMatrix, QuantizedRows, TernaryMatrix, Workspace, Write};

/// Rows of quantised activations turned back to f32 at a time.
const CHUNK: usize = 512;

pub(super) fn backward_input(dy: &[f32], m: usize, w: &TernaryMatrix, dx: &mut [f32], write: Write) {
    product(dense(dy, m, w.n()), dense(w.float.as_ref(), w.n(), w.k()), dx, write);
}

pub(super) fn backward_weight(dy: &[f32], x: &QuantizedRows, n: usize, dw: &mut [f32], ws: &mut Workspace) {
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
    let weight = dense(w.float.as_ref(), w.n(), w.k());
    product(dense(x, m, w.k()), weight.transposed(), y, Write::Set);
}

/// `y (N, N) = x W^T` on and below the diagonal.
pub(super) fn matmul_nt_lower(x: &[f32], w: &FloatMatrix, y: &mut [f32]) {
    const STRIP: usize = 64;
    let (n, k) = (w.n(), w.k());
    for first in (0..n).step_by(STRIP) {
        let end = n.min(first + STRIP);
        let (rows, weight) = (&x[first * k..end * k], dense(&w.float.as_ref()[..end * k], end, k));
        in_f32(dense(rows, end - first, k), weight.transposed(), &mut y[first * n..end * n], n, Write::Set);
    }
}

pub(super) fn matmul_nn(dy: &[f32], m: usize, w: &FloatMatrix, dx: &mut [f32], write: Write) {
    product(dense(dy, m, w.n()), dense(w.float.as_ref(), w.n(), w.k()), dx, write);
}

pub(super) fn matmul_tn(dy: &[f32], x: &[f32], m: usize, n: usize, k: usize, dw: &mut [f32]) {
    product(dense(dy, m, n).transposed(), dense(x, m, k), dw, Write::Add);
}

/// A row-major matrix without gaps.
fn dense(data: &[f32], rows: usize, cols: usize) -> Strided<'_> {
    Strided::new(data, rows, cols, cols)
}

/// `c (+)= a b`, c row-major without gaps.
fn product(a: Strided, b: Strided, c: &mut [f32], write: Write) {
    in_f32(a, b, c, b.cols, write);
}
