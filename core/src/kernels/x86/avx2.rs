//! AVX2: half a tile is one register, 8 rows in 8 lanes. `maddubs` forms products in pairs, summed in int16 lanes
//! that are widened to int32 before they can overflow.
#![allow(unsafe_code)]

use crate::model::{Embedding, TernaryMatrix};
use core::arch::x86_64::*;

/// Tiles whose sums fit int16: a tile adds at most 4 fields x 2 columns x 2 x 128 = 2048 to a lane.
const TILES_PER_FLUSH: usize = 15;

/// Runs `f` compiled for this level.
///
/// # Safety
/// The processor has AVX2.
#[target_feature(enable = "avx2")]
pub(in crate::kernels) unsafe fn vectorise<R>(f: impl FnOnce() -> R) -> R {
    f()
}

/// [`Kernels::ternary`](crate::kernels::Kernels::ternary).
///
/// # Safety
/// The processor has AVX2. With K = `m.columns` and N = `m.scales.len()`, both multiples of 16: `m.codes` holds
/// N K / 16 words, q holds T K and y T N values, T being the length of `scale`.
#[target_feature(enable = "avx2")]
pub(in crate::kernels) unsafe fn ternary(m: TernaryMatrix<'_>, q: &[i8], scale: &[f32], y: &mut [f32]) {
    let (rows, columns) = (m.scales.len(), m.columns);
    let mut t = 0;
    while t < scale.len() {
        let left = scale.len() - t;
        let (q, scale, y) = (&q[t * columns..], &scale[t..], &mut y[t * rows..]);
        // SAFETY: the caller's promises, for the tokens from t on; each call takes at most `left` of them.
        t += unsafe {
            match left {
                1 => gemm::<1>(m, q, scale, y),
                2..4 => gemm::<2>(m, q, scale, y),
                _ => gemm::<4>(m, q, scale, y),
            }
        };
    }
}

/// T tokens: each half tile is unpacked once and meets all of them.
#[target_feature(enable = "avx2")]
unsafe fn gemm<const T: usize>(m: TernaryMatrix<'_>, q: &[i8], scale: &[f32], y: &mut [f32]) -> usize {
    let (rows, columns) = (m.scales.len(), m.columns);
    let tiles = columns / 16;
    let (codes, y) = (m.codes.as_ptr(), y.as_mut_ptr());
    let mask = _mm256_set1_epi8(3);
    let mut surplus = [_mm256_setzero_si256(); T];
    for t in 0..T {
        let sum: i32 = q[t * columns..][..columns].iter().map(|&q| i32::from(q)).sum();
        surplus[t] = _mm256_set1_epi32(sum);
    }
    let q = q.as_ptr();
    for half in 0..rows / 8 {
        // SAFETY: group g's tile k is the 16 words at (g tiles + k) 16, this half of it starts 8 words in or not, its
        // field i meets q[16 k + 4 i..][..4], and its rows are y[8 half..][..8]: all within the caller's lengths.
        unsafe {
            let first = codes.add((half / 2) * tiles * 16 + (half % 2) * 8);
            let mut wide = [_mm256_setzero_si256(); T];
            let mut start = 0;
            while start < tiles {
                let end = if start + TILES_PER_FLUSH < tiles { start + TILES_PER_FLUSH } else { tiles };
                let mut narrow = [_mm256_setzero_si256(); T];
                for k in start..end {
                    let v = _mm256_loadu_si256(first.add(k * 16).cast());
                    let fields = [
                        _mm256_and_si256(v, mask),
                        _mm256_and_si256(_mm256_srli_epi32::<2>(v), mask),
                        _mm256_and_si256(_mm256_srli_epi32::<4>(v), mask),
                        _mm256_and_si256(_mm256_srli_epi32::<6>(v), mask),
                    ];
                    for t in 0..T {
                        for i in 0..4 {
                            let at = q.add(t * columns + k * 16 + i * 4);
                            let q = _mm256_set1_epi32(at.cast::<i32>().read_unaligned());
                            narrow[t] = _mm256_add_epi16(narrow[t], _mm256_maddubs_epi16(fields[i], q));
                        }
                    }
                }
                for t in 0..T {
                    let pairs = _mm256_madd_epi16(narrow[t], _mm256_set1_epi16(1));
                    wide[t] = _mm256_add_epi32(wide[t], pairs);
                }
                start = end;
            }
            for t in 0..T {
                let sums = _mm256_sub_epi32(wide[t], surplus[t]);
                store(y.add(t * rows + half * 8), sums, m.scales.as_ptr().add(half * 8), scale[t]);
            }
        }
    }
    T
}

/// `sums as f32 * (row_scales * scale)`, 8 rows.
#[target_feature(enable = "avx2")]
unsafe fn store(y: *mut f32, sums: __m256i, row_scales: *const f32, scale: f32) {
    // SAFETY: the caller promises 8 floats at y and at row_scales.
    unsafe {
        let scales = _mm256_mul_ps(_mm256_loadu_ps(row_scales), _mm256_set1_ps(scale));
        _mm256_storeu_ps(y, _mm256_mul_ps(_mm256_cvtepi32_ps(sums), scales));
    }
}

/// [`Kernels::head`](crate::kernels::Kernels::head). Weights are widened to int16, four rows a register, and two
/// neighbouring lanes share a row until the end.
///
/// # Safety
/// The processor has AVX2. K = `e.columns` is a multiple of 16, at most 512, and x's length; y's length N is a
/// multiple of 16, `e.scales`' length, and `e.values` holds N K / 4 words.
#[target_feature(enable = "avx2")]
pub(in crate::kernels) unsafe fn head(e: Embedding<'_>, x: &[i16], scale: f32, y: &mut [f32]) {
    let tiles = e.columns / 4;
    for group in 0..y.len() / 16 {
        // SAFETY: group g's tile k is the 16 words at (g tiles + k) 16, four rows of it start every 4 words, it meets
        // x[4 k..][..4], and group g's rows are y[16 g..][..16]: all within the caller's lengths.
        unsafe {
            let first = e.values.as_ptr().add(group * tiles * 16);
            let mut acc = [_mm256_setzero_si256(); 4];
            for k in 0..tiles {
                let x = _mm256_set1_epi64x(x.as_ptr().add(k * 4).cast::<i64>().read_unaligned());
                for j in 0..4 {
                    let v = _mm_loadu_si128(first.add(k * 16 + j * 4).cast());
                    acc[j] = _mm256_add_epi32(acc[j], _mm256_madd_epi16(_mm256_cvtepi8_epi16(v), x));
                }
            }
            for j in 0..2 {
                // [r0 r1 r4 r5 | r2 r3 r6 r7], then in order
                let pairs = _mm256_hadd_epi32(acc[2 * j], acc[2 * j + 1]);
                let sums = _mm256_permute4x64_epi64::<0b11_01_10_00>(pairs);
                let at = group * 16 + j * 8;
                store(y.as_mut_ptr().add(at), sums, e.scales.as_ptr().add(at), scale);
            }
        }
    }
}
