//! Products of f32 matrices as they lie in larger buffers, for attention: one head's rows are a stride apart.
#![allow(unsafe_code)]

use super::Write;
use gemm::Parallelism;

/// A matrix within a buffer: rows and columns a stride apart, in elements.
#[derive(Clone, Copy, Debug)]
pub struct Strided<'a> {
    pub data: &'a [f32],
    pub rows: usize,
    pub cols: usize,
    pub row_stride: usize,
    pub col_stride: usize,
}

impl<'a> Strided<'a> {
    /// `rows` rows of `cols` neighbouring elements, `row_stride` apart, from the start of `data`.
    pub fn new(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        Self { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// The transpose, where it lies.
    pub fn transposed(self) -> Self {
        Self { rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }

    fn fits(&self) -> bool {
        let last = (self.rows.max(1) - 1) * self.row_stride + (self.cols.max(1) - 1) * self.col_stride;
        last < self.data.len()
    }
}

/// `c (+)= a b`, on this thread; the rows of `c` are `row_stride` apart. Every element is a sum over the inner
/// dimension in an order of its own, whatever the other elements are. Panics where the shapes disagree.
pub fn strided_product(a: Strided, b: Strided, c: &mut [f32], row_stride: usize, write: Write) {
    let (m, n, k) = (a.rows, b.cols, a.cols);
    assert!(m > 0 && n > 0 && k > 0 && k == b.rows && a.fits() && b.fits(), "({m}, {k}) times ({}, {n})", b.rows);
    assert!(row_stride >= n && (m - 1) * row_stride + n <= c.len(), "({m}, {n}) by {row_stride} in {}", c.len());
    let (read, alpha) = match write {
        Write::Set => (false, 0.0),
        Write::Add => (true, 1.0),
    };
    // SAFETY: both factors lie within their data and the product within `c`, whose rows do not overlap; `c` is
    // borrowed for writing, so it overlaps no factor.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            row_stride as isize,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Rng;

    #[test]
    fn strided_products_agree_with_plain_sums() {
        let mut rng = Rng::new(9);
        for (m, k, n, stride) in [(1, 16, 1, 16), (5, 32, 7, 96), (64, 64, 319, 512), (33, 319, 16, 700)] {
            let mut random = |len: usize| (0..len).map(|_| rng.normal()).collect::<Vec<f32>>();
            let (a, b) = (random(m * stride), random(n * stride));
            let mut c = vec![0.25; m * stride.max(n)];
            let row_stride = stride.max(n);
            let b_t = Strided::new(&b, n, k, stride).transposed();
            strided_product(Strided::new(&a, m, k, stride), b_t, &mut c, row_stride, Write::Add);
            for i in 0..m {
                for j in 0..row_stride.min(c.len() - i * row_stride) {
                    let dot = |i: usize, j: usize| (0..k).map(|t| (a[i * stride + t] * b[j * stride + t]) as f64).sum();
                    let want = 0.25 + if j < n { dot(i, j) } else { 0.0 };
                    assert!((c[i * row_stride + j] as f64 - want).abs() < 1e-4, "({m}, {k}, {n}) at {i}, {j}");
                }
            }
        }
    }
}
