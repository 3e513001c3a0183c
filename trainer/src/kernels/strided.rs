//! Products of matrices as they lie in larger buffers, for attention: one head's rows are a stride apart.

use gemm::Parallelism;

use super::{Kernels, Precision, Workspace, Write};

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

    /// Rows of neighbours that fill `data`.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn dense(data: &'a [f32], cols: usize) -> Self {
        Self::new(data, data.len() / cols, cols, cols)
    }

    /// Row `row`, of neighbouring elements.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> &'a [f32] {
        &self.data[row * self.row_stride..][..self.cols]
    }

    pub(super) fn fits(&self) -> bool {
        let last = (self.rows.max(1) - 1) * self.row_stride + (self.cols.max(1) - 1) * self.col_stride;
        last < self.data.len()
    }
}

impl Kernels {
    /// `c (+)= a b`; the rows of `c` are `row_stride` apart. In bf16 either the rows or the columns of a factor must be
    /// of neighbouring elements. Panics where the shapes disagree.
    pub fn strided_product(
        self,
        a: Strided,
        b: Strided,
        c: &mut [f32],
        row_stride: usize,
        write: Write,
        ws: &mut Workspace,
    ) {
        let (m, n, k) = (a.rows, b.cols, a.cols);
        assert!(m > 0 && n > 0 && k > 0 && k == b.rows && a.fits() && b.fits(), "({m}, {k}) times ({}, {n})", b.rows);
        assert!(row_stride >= n && (m - 1) * row_stride + n <= c.len(), "({m}, {n}) by {row_stride} in {}", c.len());
        ws.macs.float += (m * n * k) as u64;
        match self.precision() {
            Precision::F32 => in_f32(a, b, c, row_stride, write),
            #[cfg(target_arch = "x86_64")]
            Precision::Bf16 => super::x86::strided_product(self.isa(), a, b, c, row_stride, write, ws),
            #[cfg(not(target_arch = "x86_64"))]
            Precision::Bf16 => super::no_bf16(ws),
        }
    }
}

/// `c (+)= a b` through the `gemm` crate; the rows of `c` are `row_stride` apart.
pub(super) fn in_f32(a: Strided, b: Strided, c: &mut [f32], row_stride: usize, write: Write) {
    let (m, n, k) = (a.rows, b.cols, a.cols);
    if m == 0 || n == 0 {
        return;
    }
    assert!(k == b.rows && a.fits() && b.fits(), "({m}, {k}) times ({}, {n})", b.rows);
    assert!(row_stride >= n && (m - 1) * row_stride + n <= c.len(), "({m}, {n}) by {row_stride} in {}", c.len());
    let (read, alpha) = match write {
        Write::Set => (false, 0.0),
        Write::Add => (true, 1.0),
    };
    // SAFETY: both factors lie within their data, as was just checked, and the product within `c`, whose rows do not
    // overlap; `c` is borrowed for writing, so it overlaps no factor.
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
    use crate::kernels::Isa;
    use crate::nn::Rng;

    #[test]
    fn strided_products_agree_with_plain_sums() {
        let mut rng = Rng::new(9);
        let every = Isa::available().into_iter().flat_map(|isa| [(isa, Precision::F32), (isa, Precision::Bf16)]);
        let every: Vec<_> = every.filter_map(|(isa, precision)| Kernels::new(isa, precision).ok()).collect();
        let mut ws = Workspace::new();
        for (m, k, n, stride) in [(1, 16, 1, 16), (5, 32, 7, 96), (64, 64, 319, 512), (33, 319, 16, 700)] {
            // the two factors as they lie, and transposed in memory
            let mut random = |len: usize| (0..len).map(|_| rng.normal()).collect::<Vec<f32>>();
            let longest = m.max(n).max(k);
            let (a, b) = (random(longest * stride), random(longest * stride));
            let at = |x: &Strided, i: usize, j: usize| x.data[i * x.row_stride + j * x.col_stride];
            for (a, b) in [
                (Strided::new(&a, m, k, stride), Strided::new(&b, n, k, stride).transposed()),
                (Strided::new(&a, m, k, stride), Strided::new(&b, k, n, stride)),
                (Strided::new(&a, k, m, stride).transposed(), Strided::new(&b, k, n, stride)),
            ] {
                for &kernels in &every {
                    let tolerance = if kernels.precision() == Precision::Bf16 { 1e-2 } else { 1e-5 };
                    for (write, before) in [(Write::Add, 0.25), (Write::Set, 0.0)] {
                        let mut c = vec![0.25; m * stride.max(n)];
                        let row_stride = stride.max(n);
                        kernels.strided_product(a, b, &mut c, row_stride, write, &mut ws);
                        for i in 0..m {
                            for j in 0..row_stride {
                                let products = || (0..k).map(|t| f64::from(at(&a, i, t)) * f64::from(at(&b, t, j)));
                                let (sum, size) = if j < n {
                                    (before + products().sum::<f64>(), products().map(f64::abs).sum())
                                } else {
                                    (0.25, 0.0)
                                };
                                let got = f64::from(c[i * row_stride + j]);
                                assert!(
                                    (got - sum).abs() <= tolerance * size + 1e-6,
                                    "{kernels:?} {write:?} ({m}, {k}, {n}) at {i}, {j}: {got} for {sum}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}
