//! AVX-VNNI, which processors without AVX-512 have: AVX2's registers, and AVX-512's `dpbusd` on them. The codes' offset
//! of 1 leaves with one subtraction of the activations' sum.

use core::arch::x86_64::*;
use core::mem::MaybeUninit;

use super::avx2::store;
use super::{Turned, has, word};
use crate::config::MAX_D_MODEL;
use crate::kernels::{Backend, by_tokens};
use crate::views::{Embedding, TernaryMatrix};

/// Words fetched ahead of their use, as on AVX-512.
const AHEAD: usize = 1024;

/// AVX2 and AVX-VNNI.
pub(in crate::kernels) struct AvxVnni;

impl Backend for AvxVnni {
    fn is_available() -> bool {
        has!("avx2", "avxvnni")
    }

    #[target_feature(enable = "avx2,avxvnni")]
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

    #[target_feature(enable = "avx2,avxvnni")]
    unsafe fn head(e: Embedding<'_>, x: &[i16], scale: f32, y: &mut [f32]) {
        // SAFETY: the caller's promises.
        unsafe { head(e, x, scale, y) }
    }

    fn prefetch(m: TernaryMatrix<'_>) {
        super::prefetch(m);
    }

    #[target_feature(enable = "avx2,avxvnni")]
    unsafe fn vectorize<R>(f: impl FnOnce() -> R) -> R {
        f()
    }
}

/// One token. The codes are masked but not shifted: field i then counts 4^i times, in its own sum, and is divided out
/// exactly at the end.
///
/// # Safety
/// The instruction set is available, and the lengths are as [`Backend::ternary`] asks for one token.
#[inline(never)]
#[target_feature(enable = "avx2,avxvnni")]
unsafe fn gemv(m: TernaryMatrix<'_>, q: &[i8], scale: f32, y: &mut [f32]) {
    let (groups, halves) = (m.scales.len() / 16, m.columns / 8);
    let (codes, row_scales, y) = (m.codes.as_ptr(), m.scales.as_ptr(), y.as_mut_ptr());
    let surplus = _mm256_set1_epi32(q.iter().map(|&q| i32::from(q)).sum());
    let mut turned = Turned::<1>::new();
    let (q, turned) = (q.as_ptr(), turned.fill(q));
    let mut group = 0;
    while group < groups {
        // SAFETY: these groups' half tiles are the `halves` times 8 words each from here on, half tile k meets the
        // activations 8 k..8 k + 8, and their rows are y[16 g..][..16]: all within the caller's lengths.
        unsafe {
            let (codes, y) = (codes.add(group * halves * 8), y.add(group * 16));
            let row_scales = row_scales.add(group * 16);
            group += match groups - group {
                2.. => gemv_groups::<2>(codes, halves, q, turned, surplus, row_scales, scale, y),
                _ => gemv_groups::<1>(codes, halves, q, turned, surplus, row_scales, scale, y),
            };
        }
    }
}

/// G groups of [`gemv`]'s, whose activations sum up to `surplus`: each load of the activations serves them all, and
/// eight sums hide the instruction's latency. Returns G.
///
/// # Safety
/// The processor has AVX-VNNI. G groups of `halves` half tiles can be read at `codes`, 8 `halves` bytes at `q` and
/// `turned`, and 16 G floats read at `row_scales` and written at `y`.
#[expect(clippy::too_many_arguments, reason = "a piece of one function")]
#[inline]
#[target_feature(enable = "avx2,avxvnni")]
unsafe fn gemv_groups<const G: usize>(
    codes: *const u32,
    halves: usize,
    q: *const i8,
    turned: *const i8,
    surplus: __m256i,
    row_scales: *const f32,
    scale: f32,
    y: *mut f32,
) -> usize {
    let masks = [0x03, 0x0C, 0x30, 0xC0u8].map(|mask| _mm256_set1_epi8(mask as i8));
    let mut acc = [[_mm256_setzero_si256(); 4]; G];
    // SAFETY: group g's half tile k is the 8 words at (g halves + k) 8, within what the caller promises; prefetching
    // reads nothing.
    unsafe {
        for k in 0..halves {
            let q = [q, q.add(4), turned, turned.add(4)].map(|q| _mm256_set1_epi32(word(q.add(k * 8))));
            for (g, acc) in acc.iter_mut().enumerate() {
                let at = codes.add((g * halves + k) * 8);
                let v = _mm256_loadu_si256(at.cast());
                _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(AHEAD).cast());
                for i in 0..4 {
                    acc[i] = _mm256_dpbusd_avx_epi32(acc[i], _mm256_and_si256(v, masks[i]), q[i]);
                }
            }
        }
        for (g, acc) in acc.into_iter().enumerate() {
            let low = _mm256_add_epi32(acc[0], _mm256_srai_epi32::<2>(acc[1]));
            let high = _mm256_add_epi32(_mm256_srai_epi32::<4>(acc[2]), _mm256_srai_epi32::<6>(acc[3]));
            for (i, sums) in [low, high].into_iter().enumerate() {
                let at = g * 16 + i * 8;
                store(y.add(at), _mm256_sub_epi32(sums, surplus), row_scales.add(at), scale);
            }
        }
    }
    G
}

/// The first T tokens: each half tile is unpacked once and meets all of them. Of one or two tokens either column of
/// fields has sums of its own, as four sums would wait for the instruction's latency.
///
/// # Safety
/// The instruction set is available, and the lengths are as [`Backend::ternary`] asks for T tokens or more.
#[inline(never)]
#[target_feature(enable = "avx2,avxvnni")]
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
            let mut acc = [[[_mm256_setzero_si256(); 2]; 2]; T];
            for k in 0..halves {
                let v = _mm256_loadu_si256(first.add(k * 8).cast());
                let fields = [
                    _mm256_and_si256(v, mask),
                    _mm256_and_si256(_mm256_srli_epi32::<2>(v), mask),
                    _mm256_and_si256(_mm256_srli_epi32::<4>(v), mask),
                    _mm256_and_si256(_mm256_srli_epi32::<6>(v), mask),
                ];
                for f in 0..2 {
                    for t in 0..T {
                        let at = t * columns + k * 8 + 4 * f;
                        let [low, high] = &mut acc[t][if T <= 2 { f } else { 0 }];
                        *low = _mm256_dpbusd_avx_epi32(*low, fields[f], _mm256_set1_epi32(word(q.add(at))));
                        *high = _mm256_dpbusd_avx_epi32(*high, fields[2 + f], _mm256_set1_epi32(word(turned.add(at))));
                    }
                }
            }
            for t in 0..T {
                for i in 0..2 {
                    let (sums, at) = (_mm256_add_epi32(acc[t][0][i], acc[t][1][i]), group * 16 + i * 8);
                    let sums = _mm256_sub_epi32(sums, surplus[t]);
                    store(y.add(t * rows + at), sums, m.scales.as_ptr().add(at), scale[t]);
                }
            }
        }
    }
}

/// The int16 activations are split into a signed high and an unsigned low byte; the high byte meets the weights made
/// unsigned by flipping their sign bit (+128), which leaves with one subtraction.
///
/// # Safety
/// The instruction set is available, and the lengths are as [`Backend::head`] asks.
#[target_feature(enable = "avx2,avxvnni")]
unsafe fn head(e: Embedding<'_>, x: &[i16], scale: f32, y: &mut [f32]) {
    let mut bytes = [[MaybeUninit::<u8>::uninit(); MAX_D_MODEL as usize]; 2];
    let [high, low] = &mut bytes;
    let mut total = 0;
    for (x, (high, low)) in x.iter().zip(high.iter_mut().zip(low)) {
        let [l, h] = x.to_le_bytes();
        total += i32::from(h as i8);
        high.write(h);
        low.write(l);
    }
    let surplus = _mm256_set1_epi32(total << 7);
    let tiles = e.columns / 4;
    let [high, low] = bytes.each_ref().map(|bytes| bytes.as_ptr().cast());
    let (values, scales, y, groups) = (e.values.as_ptr(), e.scales.as_ptr(), y.as_mut_ptr(), y.len() / 16);
    let mut group = 0;
    while group < groups {
        // SAFETY: these groups' tiles are the 16 tiles words each from here on, their rows y[16 g..][..16], and tile k
        // meets x[4 k..][..4]: all within the caller's lengths. The first 4 tiles bytes were written.
        unsafe {
            let (values, scales) = (values.add(group * tiles * 16), scales.add(group * 16));
            let y = y.add(group * 16);
            group += match groups - group {
                2.. => head_groups::<2>(values, tiles, high, low, surplus, scales, scale, y),
                _ => head_groups::<1>(values, tiles, high, low, surplus, scales, scale, y),
            };
        }
    }
}

/// G groups of [`head`]'s: each load of the activations serves them all. Returns G.
///
/// # Safety
/// The processor has AVX-VNNI. G groups of `tiles` tiles can be read at `values`, 4 `tiles` bytes at `high` and `low`,
/// and 16 G floats read at `row_scales` and written at `y`.
#[expect(clippy::too_many_arguments, reason = "a piece of one function")]
#[inline]
#[target_feature(enable = "avx2,avxvnni")]
unsafe fn head_groups<const G: usize>(
    values: *const u32,
    tiles: usize,
    high: *const i8,
    low: *const i8,
    surplus: __m256i,
    row_scales: *const f32,
    scale: f32,
    y: *mut f32,
) -> usize {
    let sign = _mm256_set1_epi8(-128);
    // of each half of the rows, the sums of the high and the low bytes
    let mut acc = [[[_mm256_setzero_si256(); 2]; 2]; G];
    // SAFETY: group g's tile k is the 16 words at (g tiles + k) 16, within what the caller promises; prefetching
    // reads nothing.
    unsafe {
        for k in 0..tiles {
            let h = _mm256_set1_epi32(word(high.add(k * 4)));
            let l = _mm256_set1_epi32(word(low.add(k * 4)));
            for (g, acc) in acc.iter_mut().enumerate() {
                let at = values.add((g * tiles + k) * 16);
                _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(AHEAD).cast());
                for (i, acc) in acc.iter_mut().enumerate() {
                    let v = _mm256_loadu_si256(at.add(i * 8).cast());
                    acc[0] = _mm256_dpbusd_avx_epi32(acc[0], _mm256_xor_si256(v, sign), h);
                    acc[1] = _mm256_dpbusd_avx_epi32(acc[1], l, v);
                }
            }
        }
        for (g, acc) in acc.into_iter().enumerate() {
            for (i, [high, low]) in acc.into_iter().enumerate() {
                let high = _mm256_slli_epi32::<8>(_mm256_sub_epi32(high, surplus));
                let at = g * 16 + i * 8;
                store(y.add(at), _mm256_add_epi32(high, low), row_scales.add(at), scale);
            }
        }
    }
    G
}
