//! Products of a few rows at a time, for the RCSM loop, where each step has only as many rows as there are
//! sequences and no row block is worth tiling. The weights of one engine stay in L2.
#![allow(unsafe_code)]

use super::{Isa, Kernels};
use flashlm_core::math;

/// Outputs of one panel.
const PANEL: usize = 16;

/// A small ternary matrix (N outputs, K inputs), ready for products with single rows.
#[derive(Clone, Debug)]
pub struct SmallTernary {
    n: usize,
    k: usize,
    /// Row scales s_n.
    scale: Vec<f32>,
    /// t + 1 as bytes, `[N / 16][K / 4][16][4]`.
    codes: Vec<u8>,
    /// s_n t_nk, `[N][K]`.
    dense: Vec<f32>,
}

impl SmallTernary {
    /// Room for `n` outputs of `k` inputs; `k` must be a multiple of 4.
    pub fn new(n: usize, k: usize) -> Self {
        assert!(k.is_multiple_of(4), "the inner width of a small ternary matrix must be a multiple of 4, not {k}");
        let padded = n.next_multiple_of(PANEL);
        Self { n, k, scale: vec![0.0; padded], codes: vec![1; padded * k], dense: vec![0.0; n * k] }
    }

    /// Quantises the latent weights, row-major (N, K): s_n = mean |W_n|, t = clamp(round_half_even(W / s), -1, 1).
    pub fn pack(&mut self, weight: &[f32]) {
        let k = self.k;
        for (n, row) in weight.chunks_exact(k).take(self.n).enumerate() {
            let s = (math::sum_by(row, f32::abs) / k as f32).max(1e-5);
            self.scale[n] = s;
            let panel = n / PANEL * k * PANEL + n % PANEL * 4;
            for (i, &w) in row.iter().enumerate() {
                let t = math::round_half_even(w / s).clamp(-1.0, 1.0);
                self.codes[panel + i / 4 * 4 * PANEL + i % 4] = (t as i8 + 1) as u8;
                self.dense[n * k + i] = s * t;
            }
        }
    }

    /// `y_n = (sum_k t_nk q_k) * (s_n * scale)`; `q` has at least K values and `y` N.
    #[inline(always)]
    pub fn forward(&self, kernels: Kernels, q: &[i8], scale: f32, y: &mut [f32]) {
        assert!(q.len() >= self.k && y.len() >= self.n);
        let q = &q[..self.k];
        let offset: i32 = q.iter().map(|&v| v as i32).sum();
        let panels = self.codes.chunks_exact(self.k * PANEL).zip(self.scale.chunks_exact(PANEL));
        for ((codes, scales), y) in panels.zip(y[..self.n].chunks_mut(PANEL)) {
            let sums = panel_sums(kernels, codes, q);
            for ((y, s), sum) in y.iter_mut().zip(scales).zip(sums) {
                *y = (sum - offset) as f32 * (s * scale);
            }
        }
    }

    /// `dx_k += sum_n dy_n s_n t_nk`.
    #[inline(always)]
    pub fn backward(&self, kernels: Kernels, dy: &[f32], dx: &mut [f32]) {
        rows_times_matrix(kernels, Rounding::Fused, &dy[..self.n], 1, &self.dense, &mut dx[..self.k]);
    }
}

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

/// For 16 outputs, `sum_k (t_k + 1) q_k`.
#[inline(always)]
fn panel_sums(kernels: Kernels, codes: &[u8], q: &[i8]) -> [i32; PANEL] {
    match kernels.isa() {
        // SAFETY: a `Kernels` of these levels proves that the CPU has AVX-512 with VNNI.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Amx => unsafe { panel_sums_vnni(codes, q) },
        // SAFETY: a `Kernels` of this level proves that the CPU has AVX2.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { panel_sums_avx2(codes, q) },
        _ => panel_sums_portable(codes, q),
    }
}

#[inline(always)]
fn panel_sums_portable(codes: &[u8], q: &[i8]) -> [i32; PANEL] {
    let mut acc = [0i32; PANEL];
    for (codes, q) in codes.chunks_exact(4 * PANEL).zip(q.chunks_exact(4)) {
        for (a, c) in acc.iter_mut().zip(codes.chunks_exact(4)) {
            *a += c.iter().zip(q).map(|(&c, &q)| c as i32 * q as i32).sum::<i32>();
        }
    }
    acc
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
#[inline]
fn panel_sums_vnni(codes: &[u8], q: &[i8]) -> [i32; PANEL] {
    use std::arch::x86_64::*;
    let mut acc = [_mm512_setzero_si512(); 2];
    for (i, (codes, q)) in codes.chunks_exact(64).zip(q.chunks_exact(4)).enumerate() {
        let q = _mm512_set1_epi32(i32::from_le_bytes([q[0] as u8, q[1] as u8, q[2] as u8, q[3] as u8]));
        // SAFETY: the chunk has 64 bytes.
        let codes = unsafe { _mm512_loadu_si512(codes.as_ptr().cast()) };
        acc[i % 2] = _mm512_dpbusd_epi32(acc[i % 2], codes, q);
    }
    let mut out = [0; PANEL];
    // SAFETY: `out` has 64 bytes.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), _mm512_add_epi32(acc[0], acc[1])) };
    out
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn panel_sums_avx2(codes: &[u8], q: &[i8]) -> [i32; PANEL] {
    use std::arch::x86_64::*;
    let ones = _mm256_set1_epi16(1);
    let mut acc = [_mm256_setzero_si256(); 2];
    for (codes, q) in codes.chunks_exact(64).zip(q.chunks_exact(4)) {
        let q = _mm256_set1_epi32(i32::from_le_bytes([q[0] as u8, q[1] as u8, q[2] as u8, q[3] as u8]));
        for (half, acc) in acc.iter_mut().enumerate() {
            // SAFETY: the chunk has 64 bytes, and each half reads 32 of them.
            let codes = unsafe { _mm256_loadu_si256(codes.as_ptr().add(32 * half).cast()) };
            // 2 * 127 * 2 fits i16, so the pair sums never saturate
            let pairs = _mm256_maddubs_epi16(codes, q);
            *acc = _mm256_add_epi32(*acc, _mm256_madd_epi16(pairs, ones));
        }
    }
    let mut out = [0; PANEL];
    // SAFETY: `out` has 64 bytes, half for each store.
    unsafe {
        _mm256_storeu_si256(out.as_mut_ptr().cast(), acc[0]);
        _mm256_storeu_si256(out.as_mut_ptr().add(8).cast(), acc[1]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Rng;

    #[test]
    fn every_level_agrees_with_plain_sums() {
        let mut rng = Rng::new(3);
        for (n, k) in [(3, 32), (8, 32), (32, 96), (96, 96), (112, 96), (38, 64)] {
            let weight: Vec<f32> = (0..n * k).map(|_| rng.normal()).collect();
            let x: Vec<f32> = (0..k).map(|_| rng.normal()).collect();
            let mut q = vec![0; k];
            let scale = math::quantise_int8(&x, &mut q);
            let mut w = SmallTernary::new(n, k);
            w.pack(&weight);
            let want: Vec<f32> = (0..n)
                .map(|n| {
                    let row = &weight[n * k..][..k];
                    let s = math::sum_by(row, f32::abs) / k as f32;
                    let sum: i32 =
                        row.iter().zip(&q).map(|(w, &q)| (w / s).round().clamp(-1.0, 1.0) as i32 * q as i32).sum();
                    sum as f32 * (s * scale)
                })
                .collect();
            for isa in Isa::available() {
                let kernels = Kernels::new(isa, super::super::Precision::F32).expect("available");
                let mut y = vec![0.0; n];
                w.forward(kernels, &q, scale, &mut y);
                assert_eq!(y, want, "{isa} {n} x {k}");
            }
            let dy: Vec<f32> = (0..n).map(|_| rng.normal()).collect();
            for isa in Isa::available() {
                let kernels = Kernels::new(isa, super::super::Precision::F32).expect("available");
                let mut dx = vec![1.0; k];
                w.backward(kernels, &dy, &mut dx);
                for (i, dx) in dx.iter().enumerate() {
                    let want = 1.0 + (0..n).map(|n| dy[n] as f64 * w.dense[n * k + i] as f64).sum::<f64>();
                    assert!((*dx as f64 - want).abs() < 1e-4, "{dx} {want}");
                }
            }
        }
    }

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
