//! int8 products on AArch64, where both factors are signed: [`dot`] with the dot-product extension, [`i8mm`] with the
//! one of matrix multiplication.

mod dot;
mod i8mm;

use std::arch::aarch64::*;

use super::operands::{INT8_PAD, LeftFactor, Lines, ROW_PAD, RightFactor};
use super::{Isa, Write};

/// Rows of a block; its columns are one panel.
const HEIGHT: usize = 4;
/// Columns of a panel, and of one register of sums.
const PANEL: usize = 16;
const LANES: usize = 4;

/// The sums of a block: of each row its columns.
type Sums = [[int32x4_t; PANEL / LANES]; HEIGHT];

/// `y (M, N) (+)= left right`, exact but for the scales.
pub(super) fn int8_product(isa: Isa, left: LeftFactor<'_>, right: RightFactor<'_>, y: &mut [f32], write: Write) {
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
                let rows = |stride| left.values.as_ptr().add(row * stride);
                let panel = |together| left.values.as_ptr().add(row / PANEL * PANEL * depth + row % PANEL * together);
                match (isa, left.lines) {
                    (Isa::I8mm, Lines::Rows(stride)) => i8mm::of_rows(rows(stride), stride, b, depth),
                    (_, Lines::Rows(stride)) => dot::of_rows(rows(stride), stride, b, depth),
                    (Isa::I8mm, Lines::Panels) => i8mm::of_panel(panel(8), b, depth),
                    (_, Lines::Panels) => dot::of_panel(panel(4), b, depth),
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

/// int8 panels that contract the rows of `rows` (M, N), `stride` apart: `[N/16][M/4][16][4]`, with [`Isa::I8mm`]
/// `[N/16][M/8][16][8]`; zero from M to the next multiple of [`INT8_PAD`].
pub(super) fn interleave(isa: Isa, rows: &[i8], (m, n, stride): (usize, usize, usize), out: &mut [i8]) {
    let (depth, cols) = (m.next_multiple_of(INT8_PAD), n.next_multiple_of(PANEL));
    assert!(stride >= cols && rows.len() >= m * stride && out.len() >= cols * depth);
    let together = if isa == Isa::I8mm { 8 } else { 4 };
    for first in (0..depth).step_by(together) {
        for col in (0..cols).step_by(PANEL) {
            // SAFETY: the lengths checked above; the panel of 16 columns starts at col * depth, and what is written
            // follows the values of the rows before.
            unsafe {
                let out = out.as_mut_ptr().add(col * depth + first * PANEL);
                match isa {
                    Isa::I8mm => i8mm::interleave(rows, (m, stride), first, col, out),
                    _ => dot::interleave(rows, (m, stride), first, col, out),
                }
            }
        }
    }
}

/// 16 values from `col` on of the rows `first` to `first + 4`, zeros of those past the last.
///
/// # Safety
/// `rows` has M rows, `stride` apart, with 16 values from `col` on in every one.
#[inline]
unsafe fn four_rows(rows: &[i8], (m, stride): (usize, usize), first: usize, col: usize) -> [int8x16_t; 4] {
    [0, 1, 2, 3].map(|i| {
        let row = first + i;
        // SAFETY: as the caller promises; NEON is part of AArch64.
        unsafe { if row < m { vld1q_s8(rows.as_ptr().add(row * stride + col)) } else { vdupq_n_s8(0) } }
    })
}
