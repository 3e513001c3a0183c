//! NEON with the dot-product extension: `sdot` adds four int8 products to each int32 lane, and takes the four
//! activations of a word by lane, so nothing has to be spread out.

use core::arch::aarch64::*;
use core::arch::asm;

use super::{store, surplus, turned};
use crate::kernels::{Backend, by_tokens};
use crate::views::{Embedding, TernaryMatrix};

/// NEON and the dot-product extension.
pub(in crate::kernels) struct NeonDot;

impl Backend for NeonDot {
    fn is_available() -> bool {
        #[cfg(any(feature = "std", test))]
        let available = std::arch::is_aarch64_feature_detected!("dotprod");
        #[cfg(not(any(feature = "std", test)))]
        let available = cfg!(target_feature = "dotprod");
        available
    }

    #[target_feature(enable = "neon,dotprod")]
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

    #[target_feature(enable = "neon,dotprod")]
    unsafe fn head(e: Embedding<'_>, x: &[i16], scale: f32, y: &mut [f32]) {
        // SAFETY: the caller's promises.
        unsafe { head(e, x, scale, y) }
    }

    #[target_feature(enable = "neon,dotprod")]
    unsafe fn vectorize<R>(f: impl FnOnce() -> R) -> R {
        f()
    }
}

/// `acc + a . b[LANE]`, signed: four products a lane with word LANE of `b`. Rust's intrinsic of the instruction is
/// not stable yet.
///
/// # Safety
/// The processor has the dot-product extension.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn sdot<const LANE: usize>(mut acc: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: registers in, registers out; the processor has the extension, as the function says.
    unsafe {
        asm!(
            "sdot {acc:v}.4s, {a:v}.16b, {b:v}.4b[{lane}]",
            acc = inout(vreg) acc, a = in(vreg) a, b = in(vreg) b, lane = const LANE,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    acc
}

/// [`sdot`] on unsigned bytes.
///
/// # Safety
/// The processor has the dot-product extension.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn udot<const LANE: usize>(mut acc: uint32x4_t, a: uint8x16_t, b: uint8x16_t) -> uint32x4_t {
    // SAFETY: as in `sdot`.
    unsafe {
        asm!(
            "udot {acc:v}.4s, {a:v}.16b, {b:v}.4b[{lane}]",
            acc = inout(vreg) acc, a = in(vreg) a, b = in(vreg) b, lane = const LANE,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    acc
}

/// One token. Fields are masked but not shifted, so each counts 1, 4 or 16 times, in its own sum that is divided
/// exactly at the end. The last is shifted instead of masked: 2 << 6 would be negative.
///
/// # Safety
/// The instruction set is available, and the lengths are as [`Backend::ternary`] asks for one token.
#[target_feature(enable = "neon,dotprod")]
unsafe fn gemv(m: TernaryMatrix<'_>, q: &[i8], scale: f32, y: &mut [f32]) {
    let (rows, columns) = (m.scales.len(), m.columns);
    let tiles = columns / 16;
    let (codes, y) = (m.codes.as_ptr().cast::<u8>(), y.as_mut_ptr());
    let masks = [0x03, 0x0C, 0x30].map(|mask| vdupq_n_u8(mask));
    let surplus = surplus(q);
    for group in 0..rows / 16 {
        // SAFETY: group g's tile k is the 64 bytes at (g tiles + k) 64, it meets the activations q[16 k..][..16], and
        // group g's rows are y[16 g..][..16]: all within the caller's lengths.
        unsafe {
            let first = codes.add(group * tiles * 64);
            // by register of the half tile, then by field
            let mut acc = [[vdupq_n_s32(0); 4]; 2];
            for k in 0..tiles {
                let straight = vld1q_s8(q.as_ptr().add(k * 16));
                let turned = turned(straight);
                for part in 0..2 {
                    let fields = |half: usize| {
                        let v = vld1q_u8(first.add(k * 64 + half * 32 + part * 16));
                        let masked = masks.map(|mask| vreinterpretq_s8_u8(vandq_u8(v, mask)));
                        [masked[0], masked[1], masked[2], vreinterpretq_s8_u8(vshrq_n_u8::<6>(v))]
                    };
                    let acc = &mut acc[part];
                    let half = fields(0);
                    acc[0] = sdot::<0>(acc[0], half[0], straight);
                    acc[1] = sdot::<1>(acc[1], half[1], straight);
                    acc[2] = sdot::<0>(acc[2], half[2], turned);
                    acc[3] = sdot::<1>(acc[3], half[3], turned);
                    let half = fields(1);
                    acc[0] = sdot::<2>(acc[0], half[0], straight);
                    acc[1] = sdot::<3>(acc[1], half[1], straight);
                    acc[2] = sdot::<2>(acc[2], half[2], turned);
                    acc[3] = sdot::<3>(acc[3], half[3], turned);
                }
            }
            for (part, acc) in acc.into_iter().enumerate() {
                let a = vaddq_s32(acc[0], vshrq_n_s32::<2>(acc[1]));
                let b = vaddq_s32(vshrq_n_s32::<4>(acc[2]), acc[3]);
                let at = group * 16 + part * 4;
                store(y.add(at), vsubq_s32(a, surplus), m.scales.as_ptr().add(at), scale);
                store(y.add(at + 8), vsubq_s32(b, surplus), m.scales.as_ptr().add(at + 8), scale);
            }
        }
    }
}

/// The first T tokens, by one register of each half tile at a time: four rows A and four rows B, unpacked once to
/// meet all tokens, and two sums a token.
///
/// # Safety
/// The instruction set is available, and the lengths are as [`Backend::ternary`] asks for T tokens or more.
#[target_feature(enable = "neon,dotprod")]
unsafe fn gemm<const T: usize>(m: TernaryMatrix<'_>, q: &[i8], scale: &[f32], y: &mut [f32]) {
    let (rows, columns) = (m.scales.len(), m.columns);
    let tiles = columns / 16;
    let (codes, y) = (m.codes.as_ptr().cast::<u8>(), y.as_mut_ptr());
    let mask = vdupq_n_u8(3);
    let mut surplus = [vdupq_n_s32(0); T];
    for t in 0..T {
        surplus[t] = super::surplus(&q[t * columns..][..columns]);
    }
    for quarter in 0..rows / 8 {
        let (group, part) = (quarter / 2, quarter % 2);
        // SAFETY: group g's tile k is the 64 bytes at (g tiles + k) 64, it meets the activations 16 k..16 k + 16 of
        // each token, and group g's rows are y[16 g..][..16]: all within the caller's lengths.
        unsafe {
            let first = codes.add(group * tiles * 64 + part * 16);
            let mut a = [vdupq_n_s32(0); T];
            let mut b = [vdupq_n_s32(0); T];
            for k in 0..tiles {
                let fields = |half: usize| {
                    let v = vld1q_u8(first.add(k * 64 + half * 32));
                    [
                        vreinterpretq_s8_u8(vandq_u8(v, mask)),
                        vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8::<2>(v), mask)),
                        vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8::<4>(v), mask)),
                        vreinterpretq_s8_u8(vshrq_n_u8::<6>(v)),
                    ]
                };
                let halves = [fields(0), fields(1)];
                for t in 0..T {
                    let straight = vld1q_s8(q.as_ptr().add(t * columns + k * 16));
                    let turned = turned(straight);
                    a[t] = sdot::<0>(a[t], halves[0][0], straight);
                    b[t] = sdot::<0>(b[t], halves[0][2], turned);
                    a[t] = sdot::<1>(a[t], halves[0][1], straight);
                    b[t] = sdot::<1>(b[t], halves[0][3], turned);
                    a[t] = sdot::<2>(a[t], halves[1][0], straight);
                    b[t] = sdot::<2>(b[t], halves[1][2], turned);
                    a[t] = sdot::<3>(a[t], halves[1][1], straight);
                    b[t] = sdot::<3>(b[t], halves[1][3], turned);
                }
            }
            let at = group * 16 + part * 4;
            for t in 0..T {
                let (y, scales) = (y.add(t * rows + at), m.scales.as_ptr().add(at));
                store(y, vsubq_s32(a[t], surplus[t]), scales, scale[t]);
                store(y.add(8), vsubq_s32(b[t], surplus[t]), scales.add(8), scale[t]);
            }
        }
    }
}

/// The int16 activations are split into a signed high and an unsigned low byte. The low byte meets the weights made
/// unsigned by flipping their sign bit (+128), which leaves with one subtraction.
///
/// # Safety
/// The instruction set is available, and the lengths are as [`Backend::head`] asks.
#[target_feature(enable = "neon,dotprod")]
unsafe fn head(e: Embedding<'_>, x: &[i16], scale: f32, y: &mut [f32]) {
    let low_bytes: i32 = x.iter().map(|&x| i32::from(x as u8)).sum();
    let surplus = vdupq_n_s32(128 * low_bytes);
    let sign = vdupq_n_u8(0x80);
    let (columns, y) = (e.columns, y.as_mut_ptr());
    for group in 0..e.scales.len() / 16 {
        // SAFETY: group g's columns 16 k..16 k + 16 are four tiles in the 256 bytes at (g columns + 16 k) 16, they
        // meet x[16 k..][..16], and group g's rows are y[16 g..][..16]: all within the caller's lengths.
        unsafe {
            let first = e.values.as_ptr().cast::<u8>().add(group * columns * 16);
            let mut high = [vdupq_n_s32(0); 4];
            let mut low = [vdupq_n_u32(0); 4];
            for k in 0..columns / 16 {
                let uint8x16x2_t(x_low, x_high) = vld2q_u8(x.as_ptr().add(k * 16).cast());
                let x_high = vreinterpretq_s8_u8(x_high);
                for part in 0..4 {
                    let weights = |tile: usize| {
                        let v = vld1q_u8(first.add(k * 256 + tile * 64 + part * 16));
                        (vreinterpretq_s8_u8(v), veorq_u8(v, sign))
                    };
                    let (high, low) = (&mut high[part], &mut low[part]);
                    let (signed, unsigned) = weights(0);
                    (*high, *low) = (sdot::<0>(*high, signed, x_high), udot::<0>(*low, unsigned, x_low));
                    let (signed, unsigned) = weights(1);
                    (*high, *low) = (sdot::<1>(*high, signed, x_high), udot::<1>(*low, unsigned, x_low));
                    let (signed, unsigned) = weights(2);
                    (*high, *low) = (sdot::<2>(*high, signed, x_high), udot::<2>(*low, unsigned, x_low));
                    let (signed, unsigned) = weights(3);
                    (*high, *low) = (sdot::<3>(*high, signed, x_high), udot::<3>(*low, unsigned, x_low));
                }
            }
            for part in 0..4 {
                let low = vsubq_s32(vreinterpretq_s32_u32(low[part]), surplus);
                let at = group * 16 + part * 4;
                store(y.add(at), vaddq_s32(vshlq_n_s32::<8>(high[part]), low), e.scales.as_ptr().add(at), scale);
            }
        }
    }
}
