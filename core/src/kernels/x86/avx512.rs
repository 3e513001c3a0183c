//! AVX-512 with VNNI: a tile is one register, and its 16 rows are the 16 lanes, so nothing is ever summed across
//! lanes. `dpbusd` multiplies unsigned codes by signed activations, four products a lane; the codes' offset of 1
//! leaves with one subtraction of the activations' sum.
#![allow(unsafe_code)]

use crate::model::{Embedding, TernaryMatrix};
use core::arch::x86_64::*;

/// Words of codes fetched ahead of their use: the weights of a step exceed the second-level cache, and the streams
/// of two row groups are too short for the processor to see them coming.
const AHEAD: usize = 1024;

/// Runs `f` compiled for this level.
///
/// # Safety
/// The processor has AVX-512 F, BW, VL and VNNI, and AVX2.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(in crate::kernels) unsafe fn vectorise<R>(f: impl FnOnce() -> R) -> R {
    f()
}

/// [`Kernels::ternary`](crate::kernels::Kernels::ternary).
///
/// # Safety
/// The processor has the level. With K = `m.columns` and N = `m.scales.len()`, both multiples of 16: `m.codes` holds
/// N K / 16 words, q holds T K and y T N values, T being the length of `scale`.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(in crate::kernels) unsafe fn ternary(m: TernaryMatrix<'_>, q: &[i8], scale: &[f32], y: &mut [f32]) {
    let (rows, columns) = (m.scales.len(), m.columns);
    let mut t = 0;
    while t < scale.len() {
        let left = scale.len() - t;
        let (q, scale, y) = (&q[t * columns..], &scale[t..], &mut y[t * rows..]);
        // SAFETY: the caller's promises, for the tokens from t on; each call takes at most `left` of them.
        t += unsafe {
            match left {
                1 => gemv(m, q, scale[0], y),
                2..4 => gemm::<2>(m, q, scale, y),
                4..8 => gemm::<4>(m, q, scale, y),
                8..16 => gemm::<8>(m, q, scale, y),
                _ => gemm::<16>(m, q, scale, y),
            }
        };
    }
}

/// The sum of `columns` int8 at `q`, in every lane.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn sum(q: *const i8, columns: usize) -> __m512i {
    let mut acc = _mm_setzero_si128();
    for k in (0..columns).step_by(16) {
        // SAFETY: the caller promises `columns` values at q, and columns is a multiple of 16.
        let v = unsafe { _mm_loadu_si128(q.add(k).cast()) };
        acc = _mm_dpbusd_epi32(acc, _mm_set1_epi8(1), v);
    }
    let acc = _mm_add_epi32(acc, _mm_shuffle_epi32::<0b01_00_11_10>(acc));
    let acc = _mm_add_epi32(acc, _mm_shuffle_epi32::<0b10_11_00_01>(acc));
    _mm512_broadcastd_epi32(acc)
}

/// `sums as f32 * (row_scales * scale)`, 16 rows.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn store(y: *mut f32, sums: __m512i, row_scales: *const f32, scale: f32) {
    // SAFETY: the caller promises 16 floats at y and at row_scales.
    unsafe {
        let scales = _mm512_mul_ps(_mm512_loadu_ps(row_scales), _mm512_set1_ps(scale));
        _mm512_storeu_ps(y, _mm512_mul_ps(_mm512_cvtepi32_ps(sums), scales));
    }
}

/// One token. The codes are masked but not shifted: field i then counts 4^i times, in its own sum, and is divided
/// out exactly at the end. That leaves two instructions for every 64 weights.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn gemv(m: TernaryMatrix<'_>, q: &[i8], scale: f32, y: &mut [f32]) -> usize {
    let (rows, columns) = (m.scales.len(), m.columns);
    let tiles = columns / 16;
    let (codes, q, y) = (m.codes.as_ptr(), q.as_ptr(), y.as_mut_ptr());
    let masks = [0x03, 0x0C, 0x30, 0xC0u8].map(|mask| _mm512_set1_epi8(mask as i8));
    // SAFETY: group g's tile k is the 16 words at (g tiles + k) 16, the field i of tile k meets q[16 k + 4 i..][..4],
    // and group g's rows are y[16 g..][..16]: all within the caller's lengths.
    unsafe {
        let surplus = sum(q, columns);
        let finish = |acc: [__m512i; 4], group: usize| {
            let high = _mm512_add_epi32(_mm512_srai_epi32::<4>(acc[2]), _mm512_srai_epi32::<6>(acc[3]));
            let low = _mm512_add_epi32(acc[0], _mm512_srai_epi32::<2>(acc[1]));
            let sums = _mm512_sub_epi32(_mm512_add_epi32(low, high), surplus);
            store(y.add(group * 16), sums, m.scales.as_ptr().add(group * 16), scale);
        };
        let groups = rows / 16;
        let mut group = 0;
        while group + 2 <= groups {
            let (first, second) = (codes.add(group * tiles * 16), codes.add((group + 1) * tiles * 16));
            let mut a = [_mm512_setzero_si512(); 4];
            let mut b = [_mm512_setzero_si512(); 4];
            for k in 0..tiles {
                let v = _mm512_loadu_si512(first.add(k * 16).cast());
                let w = _mm512_loadu_si512(second.add(k * 16).cast());
                _mm_prefetch::<_MM_HINT_T0>(first.wrapping_add(k * 16 + AHEAD).cast());
                _mm_prefetch::<_MM_HINT_T0>(second.wrapping_add(k * 16 + AHEAD).cast());
                for i in 0..4 {
                    let q = _mm512_set1_epi32(q.add(k * 16 + i * 4).cast::<i32>().read_unaligned());
                    a[i] = _mm512_dpbusd_epi32(a[i], _mm512_and_si512(v, masks[i]), q);
                    b[i] = _mm512_dpbusd_epi32(b[i], _mm512_and_si512(w, masks[i]), q);
                }
            }
            finish(a, group);
            finish(b, group + 1);
            group += 2;
        }
        if group < groups {
            let first = codes.add(group * tiles * 16);
            let mut a = [_mm512_setzero_si512(); 4];
            for k in 0..tiles {
                let v = _mm512_loadu_si512(first.add(k * 16).cast());
                for i in 0..4 {
                    let q = _mm512_set1_epi32(q.add(k * 16 + i * 4).cast::<i32>().read_unaligned());
                    a[i] = _mm512_dpbusd_epi32(a[i], _mm512_and_si512(v, masks[i]), q);
                }
            }
            finish(a, group);
        }
    }
    1
}

/// T tokens: each tile is unpacked once and meets all of them.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn gemm<const T: usize>(m: TernaryMatrix<'_>, q: &[i8], scale: &[f32], y: &mut [f32]) -> usize {
    let (rows, columns) = (m.scales.len(), m.columns);
    let tiles = columns / 16;
    let (codes, q, y) = (m.codes.as_ptr(), q.as_ptr(), y.as_mut_ptr());
    let mask = _mm512_set1_epi8(3);
    // SAFETY: as in `gemv`, with token t's q at t K and its y at t N, t < T.
    unsafe {
        let mut surplus = [_mm512_setzero_si512(); T];
        for t in 0..T {
            surplus[t] = sum(q.add(t * columns), columns);
        }
        for group in 0..rows / 16 {
            let first = codes.add(group * tiles * 16);
            let mut acc = [_mm512_setzero_si512(); T];
            for k in 0..tiles {
                let v = _mm512_loadu_si512(first.add(k * 16).cast());
                let fields = [
                    _mm512_and_si512(v, mask),
                    _mm512_and_si512(_mm512_srli_epi32::<2>(v), mask),
                    _mm512_and_si512(_mm512_srli_epi32::<4>(v), mask),
                    _mm512_and_si512(_mm512_srli_epi32::<6>(v), mask),
                ];
                for i in 0..4 {
                    for t in 0..T {
                        let at = q.add(t * columns + k * 16 + i * 4);
                        let q = _mm512_set1_epi32(at.cast::<i32>().read_unaligned());
                        acc[t] = _mm512_dpbusd_epi32(acc[t], fields[i], q);
                    }
                }
            }
            for t in 0..T {
                let sums = _mm512_sub_epi32(acc[t], surplus[t]);
                store(y.add(t * rows + group * 16), sums, m.scales.as_ptr().add(group * 16), scale[t]);
            }
        }
    }
    T
}

/// [`Kernels::head`](crate::kernels::Kernels::head). The int16 activations are split into a signed high and an
/// unsigned low byte; the high byte meets the weights made unsigned by flipping their sign bit (+128), which leaves
/// with one subtraction.
///
/// # Safety
/// The processor has the level. K = `e.columns` is a multiple of 16, at most 512, and x's length; y's length N is a
/// multiple of 16, `e.scales`' length, and `e.values` holds N K / 4 words.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(in crate::kernels) unsafe fn head(e: Embedding<'_>, x: &[i16], scale: f32, y: &mut [f32]) {
    let (mut high, mut low) = ([0i8; 512], [0u8; 512]);
    let mut total = 0;
    for ((h, l), &x) in high.iter_mut().zip(&mut low).zip(x) {
        *h = (x >> 8) as i8;
        *l = x as u8;
        total += i32::from(*h);
    }
    let surplus = _mm512_set1_epi32(128 * total);
    let sign = _mm512_set1_epi8(-128);
    let tiles = e.columns / 4;
    for group in 0..y.len() / 16 {
        // SAFETY: group g's tile k is the 16 words at (g tiles + k) 16, it meets x[4 k..][..4], and group g's rows
        // are y[16 g..][..16]: all within the caller's lengths.
        unsafe {
            let first = e.values.as_ptr().add(group * tiles * 16);
            let mut acc_high = [_mm512_setzero_si512(); 2];
            let mut acc_low = [_mm512_setzero_si512(); 2];
            // tiles is a multiple of 4; two sums each hide the instruction's latency
            for k in (0..tiles).step_by(2) {
                for j in 0..2 {
                    let v = _mm512_loadu_si512(first.add((k + j) * 16).cast());
                    let h = _mm512_set1_epi32(high.as_ptr().add((k + j) * 4).cast::<i32>().read_unaligned());
                    let l = _mm512_set1_epi32(low.as_ptr().add((k + j) * 4).cast::<i32>().read_unaligned());
                    acc_high[j] = _mm512_dpbusd_epi32(acc_high[j], _mm512_xor_si512(v, sign), h);
                    acc_low[j] = _mm512_dpbusd_epi32(acc_low[j], l, v);
                }
            }
            let acc_high = _mm512_sub_epi32(_mm512_add_epi32(acc_high[0], acc_high[1]), surplus);
            let sums = _mm512_add_epi32(_mm512_slli_epi32::<8>(acc_high), _mm512_add_epi32(acc_low[0], acc_low[1]));
            store(y.as_mut_ptr().add(group * 16), sums, e.scales.as_ptr().add(group * 16), scale);
        }
    }
}
