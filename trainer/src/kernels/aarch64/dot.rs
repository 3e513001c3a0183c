//! Blocks by the dot-product extension: `sdot` adds four products to each int32 lane, and takes four values of a row by
//! lane, so nothing has to be spread out.

use std::arch::aarch64::*;
use std::arch::asm;

use super::{HEIGHT, LANES, PANEL, Sums, four_rows};

/// A block of a left factor in rows.
///
/// # Safety
/// Four rows at `a`, `stride` apart, and the panel at `b` have `depth` values to a column, a multiple of 16; the CPU
/// has the dot-product extension.
#[target_feature(enable = "neon,dotprod")]
pub(super) unsafe fn of_rows(a: *const i8, stride: usize, b: *const i8, depth: usize) -> Sums {
    // SAFETY: as the caller promises.
    unsafe {
        let mut sums = [[vdupq_n_s32(0); PANEL / LANES]; HEIGHT];
        for k in (0..depth).step_by(16) {
            let a: [int8x16_t; HEIGHT] = std::array::from_fn(|row| vld1q_s8(a.add(row * stride + k)));
            let b = b.add(PANEL * k);
            four_columns::<0>(&mut sums, a, b);
            four_columns::<1>(&mut sums, a, b.add(64));
            four_columns::<2>(&mut sums, a, b.add(128));
            four_columns::<3>(&mut sums, a, b.add(192));
        }
        sums
    }
}

/// Adds the products of word LANE of each row with four values of each column.
///
/// # Safety
/// 64 values may be read at `b`; the CPU has the dot-product extension.
#[inline]
#[target_feature(enable = "neon,dotprod")]
unsafe fn four_columns<const LANE: usize>(sums: &mut Sums, a: [int8x16_t; HEIGHT], b: *const i8) {
    for j in 0..PANEL / LANES {
        // SAFETY: as the caller promises.
        let b = unsafe { vld1q_s8(b.add(16 * j)) };
        for (sums, a) in sums.iter_mut().zip(a) {
            sums[j] = sdot::<LANE>(sums[j], b, a);
        }
    }
}

/// A block of a left factor in panels, `a` its first row's place in one.
///
/// # Safety
/// Both panels have `depth` values to a column, a multiple of 4; the CPU has the dot-product extension.
#[target_feature(enable = "neon,dotprod")]
pub(super) unsafe fn of_panel(a: *const i8, b: *const i8, depth: usize) -> Sums {
    // SAFETY: as the caller promises.
    unsafe {
        let mut sums = [[vdupq_n_s32(0); PANEL / LANES]; HEIGHT];
        for k in (0..depth).step_by(4) {
            let a = vld1q_s8(a.add(PANEL * k));
            for j in 0..PANEL / LANES {
                let b = vld1q_s8(b.add(PANEL * k + 16 * j));
                sums[0][j] = sdot::<0>(sums[0][j], b, a);
                sums[1][j] = sdot::<1>(sums[1][j], b, a);
                sums[2][j] = sdot::<2>(sums[2][j], b, a);
                sums[3][j] = sdot::<3>(sums[3][j], b, a);
            }
        }
        sums
    }
}

/// `acc + a . b[LANE]`: four products a lane with word LANE of `b`. Rust's intrinsic of the instruction is not stable
/// yet.
///
/// # Safety
/// The CPU has the dot-product extension.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn sdot<const LANE: usize>(mut acc: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: registers in, registers out; the CPU has the extension, as the function says.
    unsafe {
        asm!(
            "sdot {acc:v}.4s, {a:v}.16b, {b:v}.4b[{lane}]",
            acc = inout(vreg) acc, a = in(vreg) a, b = in(vreg) b, lane = const LANE,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    acc
}

/// Rows `first` to `first + 4` of [`super::interleave`]: `[16][4]` in the panel at `out`.
///
/// # Safety
/// As [`four_rows`]; 64 values may be written at `out`.
pub(super) unsafe fn interleave(rows: &[i8], shape: (usize, usize), first: usize, col: usize, out: *mut i8) {
    // SAFETY: as the caller promises.
    unsafe {
        let [a, b, c, d] = four_rows(rows, shape, first, col);
        vst4q_s8(out, int8x16x4_t(a, b, c, d));
    }
}
