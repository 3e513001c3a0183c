//! int8 products on AArch64 with the dot-product extension: `sdot` adds four products to each int32 lane, and takes
//! four values of a row by lane, so nothing has to be spread out. Both factors are signed.

use std::arch::aarch64::*;
use std::arch::asm;

use super::Write;
use super::operands::{INT8_PAD, LeftFactor, Lines, ROW_PAD, RightFactor};

/// Rows of a block; its columns are one panel.
const HEIGHT: usize = 4;
/// Columns of a panel, and of one register of sums.
const PANEL: usize = 16;
const LANES: usize = 4;

/// The sums of a block: of each row its columns.
type Sums = [[int32x4_t; PANEL / LANES]; HEIGHT];

/// `y (M, N) (+)= left right`, exact but for the scales.
pub(super) fn int8_product(left: LeftFactor<'_>, right: RightFactor<'_>, y: &mut [f32], write: Write) {
    let (m, n, depth) = (left.rows, right.cols, right.depth);
    let (rows, cols) = (m.next_multiple_of(ROW_PAD), n.next_multiple_of(ROW_PAD));
    let stride = match left.lines {
        Lines::Rows(stride) => stride,
        Lines::Panels => depth,
    };
    assert!(depth.is_multiple_of(INT8_PAD) && stride >= depth && left.values.len() >= rows * stride);
    assert!(right.values.len() >= cols * depth && right.scale.len() >= cols && y.len() >= m * n);
    let scales = &left.scale[..m];
    for col in (0..n).step_by(PANEL) {
        let scale: &[f32; PANEL] = right.scale[col..].first_chunk().expect("scales for whole panels");
        for row in (0..m).step_by(HEIGHT) {
            // SAFETY: the lengths checked above: whole panels of columns, and whole fours of rows; the caller's
            // `Kernels` proved the extension.
            let sums = unsafe {
                let b = right.values.as_ptr().add(col * depth);
                match left.lines {
                    Lines::Rows(stride) => of_rows(left.values.as_ptr().add(row * stride), stride, b, depth),
                    Lines::Panels => {
                        let panel = left.values.as_ptr().add(row / PANEL * PANEL * depth);
                        of_panel(panel.add(row % PANEL * 4), b, depth)
                    }
                }
            };
            for (i, sums) in sums.into_iter().enumerate().take(m - row) {
                let mut product = [0.0; PANEL];
                for (j, sums) in sums.into_iter().enumerate() {
                    // SAFETY: NEON is part of AArch64; `scale` and `product` have four values from 4 j on.
                    unsafe {
                        let scale = vmulq_n_f32(vld1q_f32(scale.as_ptr().add(LANES * j)), scales[row + i]);
                        let sums = vmulq_f32(vcvtq_f32_s32(sums), scale);
                        vst1q_f32(product.as_mut_ptr().add(LANES * j), sums);
                    }
                }
                let y = &mut y[(row + i) * n + col..][..PANEL.min(n - col)];
                match write {
                    Write::Set => y.copy_from_slice(&product[..y.len()]),
                    Write::Add => y.iter_mut().zip(product).for_each(|(y, product)| *y += product),
                }
            }
        }
    }
}

/// A block of a left factor in rows.
///
/// # Safety
/// Four rows at `a`, `stride` apart, and the panel at `b` have `depth` values to a column, a multiple of 16; the CPU
/// has the dot-product extension.
#[target_feature(enable = "neon,dotprod")]
unsafe fn of_rows(a: *const i8, stride: usize, b: *const i8, depth: usize) -> Sums {
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
unsafe fn of_panel(a: *const i8, b: *const i8, depth: usize) -> Sums {
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

/// int8 panels that contract the rows of `rows` (M, N), `stride` apart: `[N/16][M/4][16][4]`, zero from M to the next
/// multiple of [`INT8_PAD`].
pub(super) fn interleave(rows: &[i8], (m, n, stride): (usize, usize, usize), out: &mut [i8]) {
    let (depth, cols) = (m.next_multiple_of(INT8_PAD), n.next_multiple_of(PANEL));
    assert!(stride >= cols && rows.len() >= m * stride && out.len() >= cols * depth);
    for first in (0..depth).step_by(4) {
        for col in (0..cols).step_by(PANEL) {
            let four = [0, 1, 2, 3].map(|i| {
                let row = first + i;
                // SAFETY: rows below M are within `rows`, with 16 values from `col` on; NEON is part of AArch64.
                unsafe { if row < m { vld1q_s8(rows.as_ptr().add(row * stride + col)) } else { vdupq_n_s8(0) } }
            });
            let [a, b, c, d] = four;
            // SAFETY: the panel of 16 columns starts at col * depth, and 64 values follow those of the rows before.
            unsafe { vst4q_s8(out.as_mut_ptr().add(col * depth + first * PANEL), int8x16x4_t(a, b, c, d)) };
        }
    }
}
