//! WebAssembly with 128-bit vectors. Its one multiplication that adds is `i32x4.dot_i16x8_s`: pairs of int16 products
//! in four lanes. The layout lets each of those serve two rows (see
//! [`TernaryShape`](crate::blob::layout::TernaryShape)): a half word `cA + 4096 cB` times `16 q` adds `16 cA q` to the
//! low half of a lane and `cB q` to its high half. With the codes' offset taken out, 16 columns of row A stay within
//! 16 x 127 x 16 = 32512, so the low halves are harvested every 16 columns.

use core::arch::wasm32::*;
use core::mem::MaybeUninit;

use super::{Backend, by_tokens};
use crate::config::MAX_D_FFN;
use crate::views::{Embedding, TernaryMatrix};

/// Tiles whose sums of row B, at most 16 x 127 each, fit the high half of a lane.
const TILES_PER_FLUSH: usize = 16;
/// Most tokens a product takes together.
const MAX_TOKENS: usize = 4;

/// SIMD128. A module either uses it or not: no host can be asked at run time.
pub(super) struct Simd128;

impl Backend for Simd128 {
    fn is_available() -> bool {
        cfg!(target_feature = "simd128")
    }

    unsafe fn ternary(m: TernaryMatrix<'_>, q: &[i8], scale: &[f32], y: &mut [f32]) {
        // SAFETY: the caller's promises, for each piece of the tokens.
        unsafe { by_tokens!(m, q, scale, y, gemm [4, 2, 1]) }
    }

    unsafe fn head(e: Embedding<'_>, x: &[i16], scale: f32, y: &mut [f32]) {
        // SAFETY: the caller's promises.
        unsafe { head(e, x, scale, y) }
    }

    unsafe fn vectorize<R>(f: impl FnOnce() -> R) -> R {
        f()
    }
}

/// What a tile's codes meet: for each half the pairs of activations (0, 2), (4, 6), (1, 3), (5, 7), times 16; and
/// where a lane's sums of 16 columns start, so that they end without the codes' offset.
#[derive(Clone, Copy)]
struct Activations {
    halves: [[i32; 4]; 2],
    start: i32,
}

impl Activations {
    /// Of the 16 activations at `q`.
    ///
    /// # Safety
    /// 16 bytes can be read at `q`.
    unsafe fn new(q: *const i8) -> Self {
        // SAFETY: the caller's promise.
        let q = unsafe { v128_load(q.cast()) };
        let wide = [i16x8_extend_low_i8x16(q), i16x8_extend_high_i8x16(q)];
        let pairs = wide.map(|w| i16x8_shl(i16x8_shuffle::<0, 2, 4, 6, 1, 3, 5, 7>(w, w), 4));
        let sums = i32x4_dot_i16x8(i16x8_add(pairs[0], pairs[1]), i16x8_splat(1));
        let sum = i32x4_extract_lane::<0>(sums)
            + i32x4_extract_lane::<1>(sums)
            + i32x4_extract_lane::<2>(sums)
            + i32x4_extract_lane::<3>(sums);
        let lanes = |v| {
            [
                i32x4_extract_lane::<0>(v),
                i32x4_extract_lane::<1>(v),
                i32x4_extract_lane::<2>(v),
                i32x4_extract_lane::<3>(v),
            ]
        };
        Self { halves: pairs.map(lanes), start: -(sum + (sum << 12)) }
    }
}

/// The first T tokens: four words of a half tile are unpacked once and meet all of them.
///
/// # Safety
/// The lengths are as [`Backend::ternary`] asks for T tokens or more.
unsafe fn gemm<const T: usize>(m: TernaryMatrix<'_>, q: &[i8], scale: &[f32], y: &mut [f32]) {
    const { assert!(T <= MAX_TOKENS) };
    let (rows, columns) = (m.scales.len(), m.columns);
    let tiles = columns / 16;
    let (codes, y) = (m.codes.as_ptr(), y.as_mut_ptr());
    let mask = u32x4_splat(0x3003_3003);
    let low_half = u32x4_splat(1);
    let mut activations = MaybeUninit::<[Activations; MAX_TOKENS * MAX_D_FFN as usize / 16]>::uninit();
    let activations = activations.as_mut_ptr().cast::<Activations>();
    assert!(tiles <= MAX_D_FFN as usize / 16);
    for k in 0..T * tiles {
        // SAFETY: T tokens of `tiles` x 16 activations are read and `activations` has room for as many tiles.
        unsafe { activations.add(k).write(Activations::new(q.as_ptr().add(k * 16))) };
    }
    for quarter in 0..rows / 8 {
        let (group, part) = (quarter / 2, quarter % 2);
        // SAFETY: group g's tile k is the 16 words at (g tiles + k) 16, token t's activations for it were written
        // above at t tiles + k, and group g's rows are y[16 g..][..16]: all within the caller's lengths.
        unsafe {
            let first = codes.add(group * tiles * 16 + part * 4);
            let mut a = [i32x4_splat(0); T];
            let mut b = [i32x4_splat(0); T];
            let mut start = 0;
            while start < tiles {
                let end = if start + TILES_PER_FLUSH < tiles { start + TILES_PER_FLUSH } else { tiles };
                // 16 A, and 65536 B + 16 A
                let mut low = [i32x4_splat(0); T];
                let mut both = [i32x4_splat(0); T];
                for k in start..end {
                    let mut sums = [i32x4_splat(0); T];
                    for t in 0..T {
                        sums[t] = i32x4_splat((*activations.add(t * tiles + k)).start);
                    }
                    for half in 0..2 {
                        let v = v128_load(first.add(k * 16 + half * 8).cast());
                        let turned = u8x16_shuffle::<1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12>(v, v);
                        let fields =
                            [v, u32x4_shr(v, 2), turned, u32x4_shr(turned, 2)].map(|field| v128_and(field, mask));
                        for t in 0..T {
                            let pairs = &(*activations.add(t * tiles + k)).halves[half];
                            for i in 0..4 {
                                let products =
                                    i32x4_dot_i16x8(fields[i], v128_load32_splat((&raw const pairs[i]).cast()));
                                sums[t] = i32x4_add(sums[t], products);
                            }
                        }
                    }
                    for t in 0..T {
                        // the low half times 1 and the high half times 0
                        low[t] = i32x4_add(low[t], i32x4_dot_i16x8(sums[t], low_half));
                        both[t] = i32x4_add(both[t], sums[t]);
                    }
                }
                for t in 0..T {
                    a[t] = i32x4_add(a[t], i32x4_shr(low[t], 4));
                    b[t] = i32x4_add(b[t], i32x4_shr(i32x4_sub(both[t], low[t]), 16));
                }
                start = end;
            }
            let at = group * 16 + part * 4;
            for t in 0..T {
                let (y, scales) = (y.add(t * rows + at), m.scales.as_ptr().add(at));
                store(y, a[t], scales, scale[t]);
                store(y.add(8), b[t], scales.add(8), scale[t]);
            }
        }
    }
}

/// `sums as f32 * (row_scales * scale)`, 4 rows.
///
/// # Safety
/// 4 floats can be written at `y` and read at `row_scales`.
unsafe fn store(y: *mut f32, sums: v128, row_scales: *const f32, scale: f32) {
    // SAFETY: the caller's promise.
    unsafe {
        let scales = f32x4_mul(v128_load(row_scales.cast()), f32x4_splat(scale));
        v128_store(y.cast(), f32x4_mul(f32x4_convert_i32x4(sums), scales));
    }
}

/// Weights are widened to int16, two rows a register, and two neighbouring lanes share a row until the end.
///
/// # Safety
/// The lengths are as [`Backend::head`] asks.
unsafe fn head(e: Embedding<'_>, x: &[i16], scale: f32, y: &mut [f32]) {
    let tiles = e.columns / 4;
    let y = y.as_mut_ptr();
    for group in 0..e.scales.len() / 16 {
        // SAFETY: group g's tile k is the 64 bytes at (g tiles + k) 64, it meets x[4 k..][..4], and group g's rows
        // are y[16 g..][..16]: all within the caller's lengths.
        unsafe {
            let first = e.values.as_ptr().cast::<i8>().add(group * tiles * 64);
            let mut acc = [i32x4_splat(0); 8];
            for k in 0..tiles {
                let x = v128_load64_splat(x.as_ptr().add(k * 4).cast());
                for j in 0..8 {
                    let v = i16x8_load_extend_i8x8(first.add(k * 64 + j * 8));
                    acc[j] = i32x4_add(acc[j], i32x4_dot_i16x8(v, x));
                }
            }
            for j in 0..4 {
                let even = i32x4_shuffle::<0, 2, 4, 6>(acc[2 * j], acc[2 * j + 1]);
                let odd = i32x4_shuffle::<1, 3, 5, 7>(acc[2 * j], acc[2 * j + 1]);
                let at = group * 16 + j * 4;
                store(y.add(at), i32x4_add(even, odd), e.scales.as_ptr().add(at), scale);
            }
        }
    }
}
