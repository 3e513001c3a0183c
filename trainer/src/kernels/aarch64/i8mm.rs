//! Blocks by the matrix-multiplication extension (i8mm): `smmla` multiplies eight values of two rows with eight of two
//! columns and adds to the four sums, twice as many products as an `sdot`.

use std::arch::aarch64::*;
use std::arch::asm;

use super::{HEIGHT, LANES, PANEL, Sums, four_rows};

/// Bytes of a panel for eight values of the contraction.
const STEP: usize = 8 * PANEL;

/// The sums of two rows with each pair of columns: of the first row both, then of the second.
type Pairs = [[int32x4_t; PANEL / 2]; HEIGHT / 2];

/// A block of a left factor in rows.
///
/// # Safety
/// Four rows at `a`, `stride` apart, and the panel at `b` have `depth` values to a column, a multiple of 16; the CPU
/// has the extension.
#[target_feature(enable = "neon,i8mm")]
pub(super) unsafe fn of_rows(a: *const i8, stride: usize, b: *const i8, depth: usize) -> Sums {
    let mut pairs = [[vdupq_n_s32(0); PANEL / 2]; HEIGHT / 2];
    for k in (0..depth).step_by(16) {
        // SAFETY: as the caller promises.
        unsafe {
            let row = |i: usize| vreinterpretq_s64_s8(vld1q_s8(a.add(i * stride + k)));
            let first = [vzip1q_s64(row(0), row(1)), vzip1q_s64(row(2), row(3))].map(|a| vreinterpretq_s8_s64(a));
            let second = [vzip2q_s64(row(0), row(1)), vzip2q_s64(row(2), row(3))].map(|a| vreinterpretq_s8_s64(a));
            eight_values(&mut pairs, first, b.add(PANEL * k));
            eight_values(&mut pairs, second, b.add(PANEL * k + STEP));
        }
    }
    sums(pairs)
}

/// A block of a left factor in panels, `a` its first row's place in one.
///
/// # Safety
/// Both panels have `depth` values to a column, a multiple of 8; the CPU has the extension.
#[target_feature(enable = "neon,i8mm")]
pub(super) unsafe fn of_panel(a: *const i8, b: *const i8, depth: usize) -> Sums {
    let mut pairs = [[vdupq_n_s32(0); PANEL / 2]; HEIGHT / 2];
    for at in (0..depth * PANEL).step_by(STEP) {
        // SAFETY: as the caller promises.
        unsafe { eight_values(&mut pairs, [vld1q_s8(a.add(at)), vld1q_s8(a.add(at + 16))], b.add(at)) };
    }
    sums(pairs)
}

/// Adds the products of eight values of each row, two rows to a register, with eight of each column.
///
/// # Safety
/// [`STEP`] values may be read at `b`; the CPU has the extension.
#[inline]
#[target_feature(enable = "neon,i8mm")]
unsafe fn eight_values(pairs: &mut Pairs, a: [int8x16_t; HEIGHT / 2], b: *const i8) {
    for j in 0..PANEL / 2 {
        // SAFETY: as the caller promises.
        let b = unsafe { vld1q_s8(b.add(16 * j)) };
        for (pairs, a) in pairs.iter_mut().zip(a) {
            pairs[j] = smmla(pairs[j], a, b);
        }
    }
}

/// The same sums row by row.
///
/// # Safety
/// The CPU has NEON.
#[inline]
#[target_feature(enable = "neon")]
fn sums(pairs: Pairs) -> Sums {
    let mut sums = [[vdupq_n_s32(0); PANEL / LANES]; HEIGHT];
    for (rows, pairs) in sums.as_chunks_mut::<2>().0.iter_mut().zip(pairs) {
        for (j, &[left, right]) in pairs.as_chunks::<2>().0.iter().enumerate() {
            let (left, right) = (vreinterpretq_s64_s32(left), vreinterpretq_s64_s32(right));
            rows[0][j] = vreinterpretq_s32_s64(vzip1q_s64(left, right));
            rows[1][j] = vreinterpretq_s32_s64(vzip2q_s64(left, right));
        }
    }
    sums
}

/// `acc + a b^T` for `a` and `b` of two rows of eight, `acc` (2, 2). Rust's intrinsic of the instruction is not stable
/// yet.
///
/// # Safety
/// The CPU has the extension.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn smmla(mut acc: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: registers in, registers out; the CPU has the extension, as the function says.
    unsafe {
        asm!(
            "smmla {acc:v}.4s, {a:v}.16b, {b:v}.16b",
            acc = inout(vreg) acc, a = in(vreg) a, b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    acc
}

/// Rows `first` to `first + 8` of [`super::interleave`]: `[16][8]` in the panel at `out`.
///
/// # Safety
/// As [`four_rows`], of eight; [`STEP`] values may be written at `out`.
pub(super) unsafe fn interleave(rows: &[i8], shape: (usize, usize), first: usize, col: usize, out: *mut i8) {
    // SAFETY: as the caller promises.
    unsafe {
        let (upper, lower) = (four_rows(rows, shape, first, col), four_rows(rows, shape, first + 4, col));
        for (j, (upper, lower)) in four_values(upper).into_iter().zip(four_values(lower)).enumerate() {
            vst1q_s32(out.add(32 * j).cast(), vzip1q_s32(upper, lower));
            vst1q_s32(out.add(32 * j + 16).cast(), vzip2q_s32(upper, lower));
        }
    }
}

/// Four rows column by column, a column's four values in a lane.
#[inline]
fn four_values([a, b, c, d]: [int8x16_t; 4]) -> [int32x4_t; 4] {
    // SAFETY: NEON is part of AArch64.
    unsafe {
        let words = |a, b| (vreinterpretq_s16_s8(vzip1q_s8(a, b)), vreinterpretq_s16_s8(vzip2q_s8(a, b)));
        let ((a, b), (c, d)) = (words(a, b), words(c, d));
        [vzip1q_s16(a, c), vzip2q_s16(a, c), vzip1q_s16(b, d), vzip2q_s16(b, d)].map(|x| vreinterpretq_s32_s16(x))
    }
}
