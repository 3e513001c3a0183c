//! AVX2: half a tile is one register, two rows in each of 8 lanes. `maddubs` forms products in pairs, summed in int16
//! lanes that are widened to int32 before they can overflow.

use core::arch::x86_64::*;

use super::{Turned, has, word};
use crate::kernels::{Backend, by_tokens};
use crate::views::{Embedding, TernaryMatrix};

/// Half tiles whose sums fit int16: each adds 2 fields x 2 columns of at most 2 x 127 to a lane.
const HALVES_PER_FLUSH: usize = 32;

/// Words fetched ahead of their use, as on AVX-512.
const AHEAD: usize = 1024;

/// AVX2.
pub(in crate::kernels) struct Avx2;

impl Backend for Avx2 {
    fn is_available() -> bool {
        has!("avx2")
    }

    #[target_feature(enable = "avx2")]
    unsafe fn ternary(m: TernaryMatrix<'_>, q: &[i8], scale: &[f32], y: &mut [f32]) {
        // SAFETY: the caller's promises, for each piece of the tokens.
        unsafe {
            if let &[scale] = scale {
                gemv(m, q, scale, y);
            } else {
                by_tokens!(m, q, scale, y, gemm [4, 2, 1]);
            }
        }
    }

    #[target_feature(enable = "avx2")]
    unsafe fn head(e: Embedding<'_>, x: &[i16], scale: f32, y: &mut [f32]) {
        // SAFETY: the caller's promises.
        unsafe { head(e, x, scale, y) }
    }

    fn prefetch(m: TernaryMatrix<'_>) {
        super::prefetch(m);
    }

    #[target_feature(enable = "avx2")]
    unsafe fn vectorize<R>(f: impl FnOnce() -> R) -> R {
        f()
    }
}

/// One token. Of the four fields two are shifted down together; the other two are left where they are, count four
/// times in sums of their own, and are divided out exactly at the end.
///
/// # Safety
/// The instruction set is available, and the lengths are as [`Backend::ternary`] asks for one token.
#[inline(never)]
#[target_feature(enable = "avx2")]
unsafe fn gemv(m: TernaryMatrix<'_>, q: &[i8], scale: f32, y: &mut [f32]) {
    /// Half tiles whose sums fit int16 even where they count four times.
    const FLUSH: usize = 16;
    let halves = m.columns / 8;
    let (codes, y) = (m.codes.as_ptr(), y.as_mut_ptr());
    let masks = [0x03, 0x0C].map(|mask| _mm256_set1_epi8(mask));
    let ones = _mm256_set1_epi16(1);
    let surplus = _mm256_set1_epi32(q.iter().map(|&q| i32::from(q)).sum());
    let mut turned = Turned::<1>::new();
    let (q, turned) = (q.as_ptr(), turned.fill(q));
    for group in 0..m.scales.len() / 16 {
        // SAFETY: as in `gemm`, of one token.
        unsafe {
            let first = codes.add(group * halves * 8);
            let mut wide = [[_mm256_setzero_si256(); 2]; 2];
            let mut start = 0;
            while start < halves {
                let end = if start + FLUSH < halves { start + FLUSH } else { halves };
                let mut narrow = [[_mm256_setzero_si256(); 2]; 2];
                for k in start..end {
                    let v = _mm256_loadu_si256(first.add(k * 8).cast());
                    _mm_prefetch::<_MM_HINT_T0>(first.wrapping_add(k * 8 + AHEAD).cast());
                    let rows = [(v, q), (_mm256_srli_epi32::<4>(v), turned)];
                    for (narrow, (v, q)) in narrow.iter_mut().zip(rows) {
                        for f in 0..2 {
                            let q = _mm256_set1_epi32(word(q.add(k * 8 + 4 * f)));
                            let products = _mm256_maddubs_epi16(_mm256_and_si256(v, masks[f]), q);
                            narrow[f] = _mm256_add_epi16(narrow[f], products);
                        }
                    }
                }
                for (wide, narrow) in wide.iter_mut().zip(narrow) {
                    for f in 0..2 {
                        wide[f] = _mm256_add_epi32(wide[f], _mm256_madd_epi16(narrow[f], ones));
                    }
                }
                start = end;
            }
            for (i, wide) in wide.into_iter().enumerate() {
                let sums = _mm256_add_epi32(wide[0], _mm256_srai_epi32::<2>(wide[1]));
                let at = group * 16 + i * 8;
                store(y.add(at), _mm256_sub_epi32(sums, surplus), m.scales.as_ptr().add(at), scale);
            }
        }
    }
}

/// The first T tokens: each half tile is unpacked once and meets all of them.
///
/// # Safety
/// The instruction set is available, and the lengths are as [`Backend::ternary`] asks for T tokens or more.
#[inline(never)]
#[target_feature(enable = "avx2")]
unsafe fn gemm<const T: usize>(m: TernaryMatrix<'_>, q: &[i8], scale: &[f32], y: &mut [f32]) {
    let (rows, columns) = (m.scales.len(), m.columns);
    let halves = columns / 8;
    let (codes, y) = (m.codes.as_ptr(), y.as_mut_ptr());
    let mask = _mm256_set1_epi8(3);
    let mut surplus = [_mm256_setzero_si256(); T];
    for t in 0..T {
        let sum: i32 = q[t * columns..][..columns].iter().map(|&q| i32::from(q)).sum();
        surplus[t] = _mm256_set1_epi32(sum);
    }
    let mut turned = Turned::<T>::new();
    let (q, turned) = (q.as_ptr(), turned.fill(&q[..T * columns]));
    for group in 0..rows / 16 {
        // SAFETY: group g's half tile k is the 8 words at (g halves + k) 8, its fields meet the activations
        // 8 k..8 k + 8, and group g's rows are y[16 g..][..16]: all within the caller's lengths.
        unsafe {
            let first = codes.add(group * halves * 8);
            let mut wide = [[_mm256_setzero_si256(); 2]; T];
            let mut start = 0;
            while start < halves {
                let end = if start + HALVES_PER_FLUSH < halves { start + HALVES_PER_FLUSH } else { halves };
                let mut narrow = [[_mm256_setzero_si256(); 2]; T];
                for k in start..end {
                    let v = _mm256_loadu_si256(first.add(k * 8).cast());
                    let fields = [
                        _mm256_and_si256(v, mask),
                        _mm256_and_si256(_mm256_srli_epi32::<2>(v), mask),
                        _mm256_and_si256(_mm256_srli_epi32::<4>(v), mask),
                        _mm256_and_si256(_mm256_srli_epi32::<6>(v), mask),
                    ];
                    for t in 0..T {
                        let at = t * columns + k * 8;
                        for f in 0..2 {
                            let straight = _mm256_set1_epi32(word(q.add(at + 4 * f)));
                            let products = _mm256_maddubs_epi16(fields[f], straight);
                            narrow[t][0] = _mm256_add_epi16(narrow[t][0], products);
                            let turned = _mm256_set1_epi32(word(turned.add(at + 4 * f)));
                            let products = _mm256_maddubs_epi16(fields[2 + f], turned);
                            narrow[t][1] = _mm256_add_epi16(narrow[t][1], products);
                        }
                    }
                }
                for t in 0..T {
                    for i in 0..2 {
                        let pairs = _mm256_madd_epi16(narrow[t][i], _mm256_set1_epi16(1));
                        wide[t][i] = _mm256_add_epi32(wide[t][i], pairs);
                    }
                }
                start = end;
            }
            for t in 0..T {
                for i in 0..2 {
                    let (sums, at) = (_mm256_sub_epi32(wide[t][i], surplus[t]), group * 16 + i * 8);
                    store(y.add(t * rows + at), sums, m.scales.as_ptr().add(at), scale[t]);
                }
            }
        }
    }
}

/// `sums as f32 * (row_scales * scale)`, 8 rows.
///
/// # Safety
/// The processor has AVX2. 8 floats can be written at `y` and read at `row_scales`.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn store(y: *mut f32, sums: __m256i, row_scales: *const f32, scale: f32) {
    // SAFETY: the caller promises 8 floats at y and at row_scales.
    unsafe {
        let scales = _mm256_mul_ps(_mm256_loadu_ps(row_scales), _mm256_set1_ps(scale));
        _mm256_storeu_ps(y, _mm256_mul_ps(_mm256_cvtepi32_ps(sums), scales));
    }
}

/// Weights are widened to int16, four rows a register, and two neighbouring lanes share a row until the end.
///
/// # Safety
/// The instruction set is available, and the lengths are as [`Backend::head`] asks.
#[target_feature(enable = "avx2")]
unsafe fn head(e: Embedding<'_>, x: &[i16], scale: f32, y: &mut [f32]) {
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
