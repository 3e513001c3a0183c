//! AVX-512 with VNNI. `dpbusd` multiplies unsigned codes by signed activations, four products a lane; the codes'
//! offset of 1 leaves with one subtraction of the activations' sum.

use core::arch::x86_64::*;
use core::mem::MaybeUninit;

use super::{Turned, has, word};
use crate::config::MAX_D_MODEL;
use crate::kernels::{Backend, by_tokens};
use crate::views::{Embedding, TernaryMatrix};

/// Words fetched ahead of their use: the weights of a step exceed the second-level cache, and the streams of two row
/// groups are too short for the processor to see them coming.
const AHEAD: usize = 1024;

/// AVX-512 F, BW, VL and VNNI.
pub(in crate::kernels) struct Avx512;

impl Backend for Avx512 {
    fn is_available() -> bool {
        has!("avx2", "avx512f", "avx512bw", "avx512vl", "avx512vnni")
    }

    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn ternary(m: TernaryMatrix<'_>, q: &[i8], scale: &[f32], y: &mut [f32]) {
        // SAFETY: the caller's promises, for each piece of the tokens.
        unsafe {
            if let &[scale] = scale
                && m.columns <= MAX_GEMV
            {
                gemv(m, q, scale, y);
            } else {
                by_tokens!(m, q, scale, y, gemm [8, 4, 2, 1]);
            }
        }
    }

    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn head(e: Embedding<'_>, x: &[i16], scale: f32, y: &mut [f32]) {
        // SAFETY: the caller's promises.
        unsafe { head(e, x, scale, y) }
    }

    fn prefetch(m: TernaryMatrix<'_>) {
        super::prefetch(m);
    }

    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn vectorize<R>(f: impl FnOnce() -> R) -> R {
        f()
    }
}

/// The sum of `columns` int8 at `q`, in every lane.
///
/// # Safety
/// The processor has AVX-512. `columns` values can be read at `q`, a multiple of 16.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) unsafe fn sum(q: *const i8, columns: usize) -> __m512i {
    let mut acc = _mm_setzero_si128();
    for k in (0..columns).step_by(16) {
        // SAFETY: the caller promises `columns` values at q, and columns is a multiple of 16.
        let v = unsafe { _mm_loadu_si128(q.add(k).cast()) };
        acc = _mm_dpbusd_epi32(acc, _mm_set1_epi8(1), v);
    }
    in_every_lane(acc)
}

/// The sum of four lanes, in sixteen.
///
/// # Safety
/// The processor has AVX-512.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
fn in_every_lane(acc: __m128i) -> __m512i {
    let acc = _mm_add_epi32(acc, _mm_shuffle_epi32::<0b01_00_11_10>(acc));
    let acc = _mm_add_epi32(acc, _mm_shuffle_epi32::<0b10_11_00_01>(acc));
    _mm512_broadcastd_epi32(acc)
}

/// `sums as f32 * (row_scales * scale)`, 16 rows.
///
/// # Safety
/// The processor has AVX-512. 16 floats can be written at `y` and read at `row_scales`.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) unsafe fn store(y: *mut f32, sums: __m512i, row_scales: *const f32, scale: f32) {
    // SAFETY: the caller promises 16 floats at y and at row_scales.
    unsafe {
        let scales = _mm512_mul_ps(_mm512_loadu_ps(row_scales), _mm512_set1_ps(scale));
        _mm512_storeu_ps(y, _mm512_mul_ps(_mm512_cvtepi32_ps(sums), scales));
    }
}

/// Most columns [`gemv`] has room for.
const MAX_GEMV: usize = 1024;

/// One token. A register is a whole tile, its lower half the first 8 columns of 8 x 2 rows, its upper half the other
/// 8, so the activations are spread out once: four registers for every 16 columns. The codes are masked but not
/// shifted: field i then counts 4^i times, in its own sum, and is divided out exactly at the end. That leaves two
/// instructions for every 64 weights.
///
/// # Safety
/// The instruction set is available, and the lengths are as [`Backend::ternary`] asks for one token; the columns are at
/// most [`MAX_GEMV`].
#[inline(never)]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn gemv(m: TernaryMatrix<'_>, q: &[i8], scale: f32, y: &mut [f32]) {
    let (rows, columns) = (m.scales.len(), m.columns);
    let tiles = columns / 16;
    let (codes, y) = (m.codes.as_ptr(), y.as_mut_ptr());
    let mut spread = MaybeUninit::<[[__m512i; 4]; MAX_GEMV / 16]>::uninit();
    let spread = spread.as_mut_ptr().cast::<[__m512i; 4]>();
    // SAFETY: `spread` has room for MAX_GEMV columns and is written before it is read. Group g's tile k is the 16
    // words at (g tiles + k) 16, it meets the activations q[16 k..][..16], and group g's rows are y[16 g..][..16]:
    // all within the caller's lengths.
    unsafe {
        let mut total = _mm_setzero_si128();
        for k in 0..tiles {
            let v = _mm_loadu_si128(q.as_ptr().add(k * 16).cast());
            total = _mm_dpbusd_epi32(total, _mm_set1_epi8(1), v);
            let q = _mm512_castsi128_si512(v);
            let first = _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2), q);
            let second = _mm512_permutexvar_epi32(_mm512_setr_epi32(1, 1, 1, 1, 1, 1, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3), q);
            let turned = [_mm512_rol_epi32::<8>(first), _mm512_rol_epi32::<8>(second)];
            spread.add(k).write([first, second, turned[0], turned[1]]);
        }
        let surplus = in_every_lane(total);
        let scales = m.scales.as_ptr();
        let (groups, mut group) = (rows / 16, 0);
        while group < groups {
            let (codes, y, scales) = (codes.add(group * tiles * 16), y.add(group * 16), scales.add(group * 16));
            group += match groups - group {
                4.. => gemv_groups::<4>(codes, tiles, spread, surplus, scales, scale, y),
                2.. => gemv_groups::<2>(codes, tiles, spread, surplus, scales, scale, y),
                _ => gemv_groups::<1>(codes, tiles, spread, surplus, scales, scale, y),
            };
        }
    }
}

/// G groups of [`gemv`]'s, whose activations are `spread` and sum up to `surplus`; returns G. Four groups share each
/// load of the activations, and so keep to two loads for every four products: the processor makes one in a cycle.
///
/// # Safety
/// The processor has AVX-512. G groups of `tiles` tiles can be read at `codes`, `tiles` at `spread`, and 16 G floats
/// read at `row_scales` and written at `y`.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn gemv_groups<const G: usize>(
    codes: *const u32,
    tiles: usize,
    spread: *const [__m512i; 4],
    surplus: __m512i,
    row_scales: *const f32,
    scale: f32,
    y: *mut f32,
) -> usize {
    let masks = [0x03, 0x0C, 0x30, 0xC0u8].map(|mask| _mm512_set1_epi8(mask as i8));
    let mut acc = [[_mm512_setzero_si512(); 4]; G];
    // SAFETY: group g's tile k is the 16 words at (g tiles + k) 16, within what the caller promises; prefetching
    // reads nothing.
    unsafe {
        for k in 0..tiles {
            let q = &*spread.add(k);
            for (g, acc) in acc.iter_mut().enumerate() {
                let at = codes.add((g * tiles + k) * 16);
                let v = _mm512_loadu_si512(at.cast());
                _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(AHEAD).cast());
                for i in 0..4 {
                    acc[i] = _mm512_dpbusd_epi32(acc[i], _mm512_and_si512(v, masks[i]), q[i]);
                }
            }
        }
        for (g, acc) in acc.into_iter().enumerate() {
            let low = _mm512_add_epi32(acc[0], _mm512_srai_epi32::<2>(acc[1]));
            let high = _mm512_add_epi32(_mm512_srai_epi32::<4>(acc[2]), _mm512_srai_epi32::<6>(acc[3]));
            let halves = [_mm512_shuffle_i64x2::<0x44>(low, high), _mm512_shuffle_i64x2::<0xEE>(low, high)];
            let sums = _mm512_sub_epi32(_mm512_add_epi32(halves[0], halves[1]), surplus);
            store(y.add(g * 16), sums, row_scales.add(g * 16), scale);
        }
    }
    G
}

/// The first T tokens. A register is half a tile of each of two groups, unpacked once to meet all tokens.
///
/// # Safety
/// The instruction set is available, and the lengths are as [`Backend::ternary`] asks for T tokens or more.
#[inline(never)]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn gemm<const T: usize>(m: TernaryMatrix<'_>, q: &[i8], scale: &[f32], y: &mut [f32]) {
    let (rows, columns) = (m.scales.len(), m.columns);
    let (groups, halves) = (rows / 16, columns / 8);
    let (codes, y) = (m.codes.as_ptr(), y.as_mut_ptr());
    let mask = _mm512_set1_epi8(3);
    let mut turned = Turned::<T>::new();
    let (q, turned) = (q.as_ptr(), turned.fill(&q[..T * columns]));
    // SAFETY: group g's half tile k is the 8 words at (g halves + k) 8, its fields meet the activations
    // 8 k..8 k + 8 of each token, and group g's rows are y[16 g..][..16]: all within the caller's lengths.
    unsafe {
        let mut surplus = [_mm512_setzero_si512(); T];
        for t in 0..T {
            surplus[t] = sum(q.add(t * columns), columns);
        }
        let mut group = 0;
        while group < groups {
            // a last group without a partner is its own
            let paired = group + 1 < groups;
            let first = codes.add(group * halves * 8);
            let second = if paired { first.add(halves * 8) } else { first };
            let mut low = [_mm512_setzero_si512(); T];
            let mut high = [_mm512_setzero_si512(); T];
            for k in 0..halves {
                let v = _mm512_castsi256_si512(_mm256_loadu_si256(first.add(k * 8).cast()));
                let v = _mm512_inserti64x4::<1>(v, _mm256_loadu_si256(second.add(k * 8).cast()));
                let fields = [
                    _mm512_and_si512(v, mask),
                    _mm512_and_si512(_mm512_srli_epi32::<2>(v), mask),
                    _mm512_and_si512(_mm512_srli_epi32::<4>(v), mask),
                    _mm512_and_si512(_mm512_srli_epi32::<6>(v), mask),
                ];
                for f in 0..2 {
                    for t in 0..T {
                        let at = t * columns + k * 8 + 4 * f;
                        low[t] = _mm512_dpbusd_epi32(low[t], fields[f], _mm512_set1_epi32(word(q.add(at))));
                        high[t] = _mm512_dpbusd_epi32(high[t], fields[2 + f], _mm512_set1_epi32(word(turned.add(at))));
                    }
                }
            }
            for t in 0..T {
                let y = y.add(t * rows + group * 16);
                let scales = m.scales.as_ptr().add(group * 16);
                let sums = _mm512_shuffle_i64x2::<0x44>(low[t], high[t]);
                store(y, _mm512_sub_epi32(sums, surplus[t]), scales, scale[t]);
                if paired {
                    let sums = _mm512_shuffle_i64x2::<0xEE>(low[t], high[t]);
                    store(y.add(16), _mm512_sub_epi32(sums, surplus[t]), scales.add(16), scale[t]);
                }
            }
            group += 2;
        }
    }
}

/// The int16 activations are split into a signed high and an unsigned low byte; the high byte meets the weights made
/// unsigned by flipping their sign bit (+128), which leaves with one subtraction.
///
/// # Safety
/// The instruction set is available, and the lengths are as [`Backend::head`] asks.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn head(e: Embedding<'_>, x: &[i16], scale: f32, y: &mut [f32]) {
    let mut high = [MaybeUninit::<i8>::uninit(); MAX_D_MODEL as usize];
    let mut low = [MaybeUninit::<u8>::uninit(); MAX_D_MODEL as usize];
    let mut total = _mm_setzero_si128();
    for k in (0..e.columns).step_by(16) {
        // SAFETY: x has that many columns, a multiple of 16, and the two have room for as many as a model can have.
        unsafe {
            let v = _mm256_loadu_si256(x.as_ptr().add(k).cast());
            let byte = _mm256_cvtepi16_epi8(_mm256_srai_epi16::<8>(v));
            total = _mm_dpbusd_epi32(total, _mm_set1_epi8(1), byte);
            _mm_storeu_si128(high.as_mut_ptr().add(k).cast(), byte);
            _mm_storeu_si128(low.as_mut_ptr().add(k).cast(), _mm256_cvtepi16_epi8(v));
        }
    }
    let surplus = _mm512_slli_epi32::<7>(in_every_lane(total));
    let tiles = e.columns / 4;
    let (high, low) = (high.as_ptr().cast(), low.as_ptr().cast());
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
/// The processor has AVX-512. G groups of `tiles` tiles can be read at `values`, 4 `tiles` bytes at `high` and `low`,
/// and 16 G floats read at `row_scales` and written at `y`.
#[expect(clippy::too_many_arguments, reason = "a piece of one function")]
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn head_groups<const G: usize>(
    values: *const u32,
    tiles: usize,
    high: *const i32,
    low: *const i32,
    surplus: __m512i,
    row_scales: *const f32,
    scale: f32,
    y: *mut f32,
) -> usize {
    let sign = _mm512_set1_epi8(-128);
    // two sums each hide the instruction's latency; tiles is a multiple of 4
    let mut acc = [[[_mm512_setzero_si512(); 2]; 2]; G];
    // SAFETY: group g's tile k is the 16 words at (g tiles + k) 16, within what the caller promises; prefetching
    // reads nothing.
    unsafe {
        for k in (0..tiles).step_by(2) {
            for j in 0..2 {
                let h = _mm512_set1_epi32(high.add(k + j).read_unaligned());
                let l = _mm512_set1_epi32(low.add(k + j).read_unaligned());
                for (g, acc) in acc.iter_mut().enumerate() {
                    let at = values.add((g * tiles + k + j) * 16);
                    let v = _mm512_loadu_si512(at.cast());
                    _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(AHEAD).cast());
                    acc[0][j] = _mm512_dpbusd_epi32(acc[0][j], _mm512_xor_si512(v, sign), h);
                    acc[1][j] = _mm512_dpbusd_epi32(acc[1][j], l, v);
                }
            }
        }
        for (g, [high, low]) in acc.into_iter().enumerate() {
            let high = _mm512_sub_epi32(_mm512_add_epi32(high[0], high[1]), surplus);
            let sums = _mm512_add_epi32(_mm512_slli_epi32::<8>(high), _mm512_add_epi32(low[0], low[1]));
            store(y.add(g * 16), sums, row_scales.add(g * 16), scale);
        }
    }
    G
}
