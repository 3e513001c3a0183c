//! NEON without dot products (Cortex-A53, A72): `smlal` multiplies 8 bytes and adds them to 8 int16 lanes, which are
//! widened to int32 before they can overflow.

use core::arch::aarch64::*;

use super::{store, surplus, turned};
use crate::kernels::{Backend, by_tokens};
use crate::views::{Embedding, TernaryMatrix};

/// Half tiles whose sums fit int16: each adds two products of at most 2 x 127 to a lane.
const HALVES_PER_FLUSH: usize = 64;

/// NEON.
pub(in crate::kernels) struct Neon;

impl Backend for Neon {
    fn is_available() -> bool {
        cfg!(target_feature = "neon")
    }

    #[target_feature(enable = "neon")]
    unsafe fn ternary(m: TernaryMatrix<'_>, q: &[i8], scale: &[f32], y: &mut [f32]) {
        // SAFETY: the caller's promises, for each piece of the tokens.
        unsafe { by_tokens!(m, q, scale, y, gemm [2, 1]) }
    }

    #[target_feature(enable = "neon")]
    unsafe fn head(e: Embedding<'_>, x: &[i16], scale: f32, y: &mut [f32]) {
        // SAFETY: the caller's promises.
        unsafe { head(e, x, scale, y) }
    }

    #[target_feature(enable = "neon")]
    unsafe fn vectorize<R>(f: impl FnOnce() -> R) -> R {
        f()
    }
}

/// 16 int16 sums, one for each byte of a register.
#[derive(Clone, Copy)]
struct Narrow([int16x8_t; 2]);

impl Narrow {
    /// # Safety
    /// The processor has NEON.
    #[target_feature(enable = "neon")]
    fn zero() -> Self {
        Self([vdupq_n_s16(0); 2])
    }

    /// Adds 16 products.
    ///
    /// # Safety
    /// The processor has NEON.
    #[inline]
    #[target_feature(enable = "neon")]
    fn add(&mut self, field: int8x16_t, q: int8x16_t) {
        self.0[0] = vmlal_s8(self.0[0], vget_low_s8(field), vget_low_s8(q));
        self.0[1] = vmlal_high_s8(self.0[1], field, q);
    }

    /// Sums of four lanes each: of the four rows.
    ///
    /// # Safety
    /// The processor has NEON.
    #[inline]
    #[target_feature(enable = "neon")]
    fn rows(self) -> int32x4_t {
        vpaddq_s32(vpaddlq_s16(self.0[0]), vpaddlq_s16(self.0[1]))
    }
}

/// The first T tokens: each half tile is unpacked once and meets all of them. More than two tokens' sums would not
/// fit the registers.
///
/// # Safety
/// The instruction set is available, and the lengths are as [`Backend::ternary`] asks for T tokens or more.
#[target_feature(enable = "neon")]
unsafe fn gemm<const T: usize>(m: TernaryMatrix<'_>, q: &[i8], scale: &[f32], y: &mut [f32]) {
    let (rows, columns) = (m.scales.len(), m.columns);
    let halves = columns / 8;
    let (codes, y) = (m.codes.as_ptr().cast::<u8>(), y.as_mut_ptr());
    let mask = vdupq_n_u8(3);
    let mut totals = [vdupq_n_s32(0); T];
    for t in 0..T {
        totals[t] = surplus(&q[t * columns..][..columns]);
    }
    for group in 0..rows / 16 {
        // SAFETY: group g's half tile k is the 32 bytes at (g halves + k) 32, its fields meet the activations
        // 8 k..8 k + 8, which are read with the 8 beside them in their tile of 16, and group g's rows are
        // y[16 g..][..16]: all within the caller's lengths.
        unsafe {
            let first = codes.add(group * halves * 32);
            // by token, rows A and B, register of the half tile
            let mut wide = [[[vdupq_n_s32(0); 2]; 2]; T];
            let mut start = 0;
            while start < halves {
                let end = if start + HALVES_PER_FLUSH < halves { start + HALVES_PER_FLUSH } else { halves };
                let mut narrow = [[[Narrow::zero(); 2]; 2]; T];
                let mut k = start;
                while k < end {
                    let mut words = [[vdupq_n_s32(0); 2]; T];
                    for t in 0..T {
                        let straight = vld1q_s8(q.as_ptr().add(t * columns + k * 8));
                        words[t] = [straight, turned(straight)].map(|q| vreinterpretq_s32_s8(q));
                    }
                    add_half::<T, 0, 1>(first.add(k * 32), mask, &words, &mut narrow);
                    add_half::<T, 2, 3>(first.add(k * 32 + 32), mask, &words, &mut narrow);
                    k += 2;
                }
                for (wide, narrow) in
                    wide.as_flattened_mut().as_flattened_mut().iter_mut().zip(narrow.as_flattened().as_flattened())
                {
                    *wide = vaddq_s32(*wide, narrow.rows());
                }
                start = end;
            }
            for t in 0..T {
                for (second, parts) in wide[t].into_iter().enumerate() {
                    for (part, sums) in parts.into_iter().enumerate() {
                        let at = group * 16 + second * 8 + part * 4;
                        store(y.add(t * rows + at), vsubq_s32(sums, totals[t]), m.scales.as_ptr().add(at), scale[t]);
                    }
                }
            }
        }
    }
}

/// Adds the products of the half tile at `half` with words F0 and F1 of each token's activations, straight for the
/// rows A and turned for the rows B.
///
/// # Safety
/// The processor has NEON, and 32 bytes can be read at `half`.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn add_half<const T: usize, const F0: i32, const F1: i32>(
    half: *const u8,
    mask: uint8x16_t,
    words: &[[int32x4_t; 2]; T],
    narrow: &mut [[[Narrow; 2]; 2]; T],
) {
    // SAFETY: the caller promises 32 bytes at `half`.
    let v = unsafe { [vld1q_u8(half), vld1q_u8(half.add(16))] };
    let first = v.map(|v| vreinterpretq_s8_u8(vandq_u8(v, mask)));
    let second = v.map(|v| vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8::<2>(v), mask)));
    let third = v.map(|v| vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8::<4>(v), mask)));
    let fourth = v.map(|v| vreinterpretq_s8_u8(vshrq_n_u8::<6>(v)));
    for t in 0..T {
        let [straight, turned] = words[t];
        let [a, b] = &mut narrow[t];
        for part in 0..2 {
            a[part].add(first[part], vreinterpretq_s8_s32(vdupq_laneq_s32::<F0>(straight)));
            a[part].add(second[part], vreinterpretq_s8_s32(vdupq_laneq_s32::<F1>(straight)));
            b[part].add(third[part], vreinterpretq_s8_s32(vdupq_laneq_s32::<F0>(turned)));
            b[part].add(fourth[part], vreinterpretq_s8_s32(vdupq_laneq_s32::<F1>(turned)));
        }
    }
}

/// Weights are widened to int16; each row has a register of four sums until the end.
///
/// # Safety
/// The instruction set is available, and the lengths are as [`Backend::head`] asks.
#[target_feature(enable = "neon")]
unsafe fn head(e: Embedding<'_>, x: &[i16], scale: f32, y: &mut [f32]) {
    let tiles = e.columns / 4;
    let y = y.as_mut_ptr();
    for group in 0..e.scales.len() / 16 {
        // SAFETY: group g's tile k is the 64 bytes at (g tiles + k) 64, it meets x[4 k..][..4], and group g's rows
        // are y[16 g..][..16]: all within the caller's lengths.
        unsafe {
            let first = e.values.as_ptr().cast::<i8>().add(group * tiles * 64);
            let mut acc = [[vdupq_n_s32(0); 4]; 4];
            for k in 0..tiles {
                let x = vld1_s16(x.as_ptr().add(k * 4));
                for part in 0..4 {
                    let v = vld1q_s8(first.add(k * 64 + part * 16));
                    let (low, high) = (vmovl_s8(vget_low_s8(v)), vmovl_high_s8(v));
                    let acc = &mut acc[part];
                    acc[0] = vmlal_s16(acc[0], vget_low_s16(low), x);
                    acc[1] = vmlal_s16(acc[1], vget_high_s16(low), x);
                    acc[2] = vmlal_s16(acc[2], vget_low_s16(high), x);
                    acc[3] = vmlal_s16(acc[3], vget_high_s16(high), x);
                }
            }
            for (part, acc) in acc.into_iter().enumerate() {
                let sums = vpaddq_s32(vpaddq_s32(acc[0], acc[1]), vpaddq_s32(acc[2], acc[3]));
                let at = group * 16 + part * 4;
                store(y.add(at), sums, e.scales.as_ptr().add(at), scale);
            }
        }
    }
}
