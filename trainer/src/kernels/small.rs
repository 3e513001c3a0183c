//! Products of a few rows at a time, where no row block is worth tiling. The weights stay in L2.

#[cfg(any(target_arch = "x86_64", test))]
use super::Isa;
use super::Kernels;

/// Whether a product is rounded before it is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Yes: the same bits at every level, and core's.
    Separate,
    /// No, where the CPU has fused multiply-add: faster.
    Fused,
}

/// `y (rows, N) += x (rows, K) w (K, N)`, all row-major, summed in the order of K; K and N follow from the lengths.
#[inline(always)]
#[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "plain loops elsewhere"))]
pub fn rows_times_matrix(kernels: Kernels, rounding: Rounding, x: &[f32], rows: usize, w: &[f32], y: &mut [f32]) {
    let (k, n) = (x.len() / rows, y.len() / rows);
    assert!(x.len() == rows * k && y.len() == rows * n && w.len() >= k * n, "shapes of a small product");
    #[cfg(target_arch = "x86_64")]
    if n.is_multiple_of(16) && matches!(kernels.isa(), Isa::Avx512 | Isa::Amx) {
        let mut row = 0;
        while row < rows {
            let block = if rows - row >= 4 { 4 } else { 1 };
            let (x, y) = (&x[row * k..(row + block) * k], &mut y[row * n..(row + block) * n]);
            // SAFETY: a `Kernels` of these levels proves that the CPU has AVX-512; the lengths were checked above.
            unsafe {
                match (block, rounding) {
                    (4, Rounding::Fused) => block_avx512::<4, true>(x, k, w, y, n),
                    (4, Rounding::Separate) => block_avx512::<4, false>(x, k, w, y, n),
                    (_, Rounding::Fused) => block_avx512::<1, true>(x, k, w, y, n),
                    (_, Rounding::Separate) => block_avx512::<1, false>(x, k, w, y, n),
                }
            }
            row += block;
        }
        return;
    }
    for (x, y) in x.chunks_exact(k).zip(y.chunks_exact_mut(n)) {
        for (&x, w) in x.iter().zip(w.chunks_exact(n)) {
            for (y, &w) in y.iter_mut().zip(w) {
                *y += x * w;
            }
        }
    }
}

/// [`rows_times_matrix`] for `ROWS` rows, in column blocks of up to 96 that stay in registers.
///
/// # Safety
/// The CPU has AVX-512 F; x has ROWS * k elements, w at least k * n, y ROWS * n, and n is a multiple of 16.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn block_avx512<const ROWS: usize, const FUSED: bool>(x: &[f32], k: usize, w: &[f32], y: &mut [f32], n: usize) {
    let mut at = 0;
    while at < n {
        // SAFETY: as the caller promises; at + the block's width never passes n.
        unsafe {
            match n - at {
                96.. => columns_avx512::<ROWS, 6, FUSED>(x, k, w, y, n, at),
                _ => columns_avx512::<ROWS, 1, FUSED>(x, k, w, y, n, at),
            }
        }
        at += if n - at >= 96 { 96 } else { 16 };
    }
}

/// Columns `at .. at + 16 * WIDE` of [`block_avx512`].
///
/// # Safety
/// As for [`block_avx512`], and `at + 16 * WIDE <= n`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn columns_avx512<const ROWS: usize, const WIDE: usize, const FUSED: bool>(
    x: &[f32],
    k: usize,
    w: &[f32],
    y: &mut [f32],
    n: usize,
    at: usize,
) {
    use std::arch::x86_64::*;
    // SAFETY: every index below is within the lengths the caller promises.
    unsafe {
        let mut acc = [[_mm512_setzero_ps(); WIDE]; ROWS];
        for (r, acc) in acc.iter_mut().enumerate() {
            for (c, acc) in acc.iter_mut().enumerate() {
                *acc = _mm512_loadu_ps(y.as_ptr().add(r * n + at + 16 * c));
            }
        }
        for i in 0..k {
            let row = w.as_ptr().add(i * n + at);
            let mut weights = [_mm512_setzero_ps(); WIDE];
            for (c, v) in weights.iter_mut().enumerate() {
                *v = _mm512_loadu_ps(row.add(16 * c));
            }
            for (r, acc) in acc.iter_mut().enumerate() {
                let x = _mm512_set1_ps(*x.get_unchecked(r * k + i));
                for (acc, w) in acc.iter_mut().zip(weights) {
                    *acc = if FUSED { _mm512_fmadd_ps(x, w, *acc) } else { _mm512_add_ps(*acc, _mm512_mul_ps(x, w)) };
                }
            }
        }
        for (r, acc) in acc.iter().enumerate() {
            for (c, acc) in acc.iter().enumerate() {
                _mm512_storeu_ps(y.as_mut_ptr().add(r * n + at + 16 * c), *acc);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Rng;

    #[test]
    fn small_products_agree_with_plain_sums() {
        let mut rng = Rng::new(4);
        for (rows, k, n) in [(1, 96, 96), (7, 192, 96), (9, 96, 192), (4, 33, 112), (3, 5, 7)] {
            let mut random = |len: usize| (0..len).map(|_| rng.normal()).collect::<Vec<f32>>();
            let (x, w) = (random(rows * k), random(k * n));
            for isa in Isa::available() {
                let kernels = Kernels::new(isa, super::super::Precision::F32).expect("available");
                let (mut fused, mut separate) = (vec![0.5; rows * n], vec![0.5; rows * n]);
                rows_times_matrix(kernels, Rounding::Fused, &x, rows, &w, &mut fused);
                rows_times_matrix(kernels, Rounding::Separate, &x, rows, &w, &mut separate);
                for at in 0..rows * n {
                    let products = || (0..k).map(|i| (x[at / n * k + i], w[i * n + at % n]));
                    let dot = products().map(|(x, w)| x as f64 * w as f64).sum::<f64>();
                    assert!((fused[at] as f64 - 0.5 - dot).abs() < 1e-4, "{isa} ({rows}, {k}, {n})");
                    assert_eq!(
                        separate[at],
                        products().fold(0.5, |sum, (x, w)| sum + x * w),
                        "{isa} ({rows}, {k}, {n})"
                    );
                }
            }
        }
    }
}
