//! The specification: what every other level must equal, bit for bit.

use super::Backend;
use crate::parts::Parts;
use crate::views::{Embedding, TernaryMatrix};

/// Plain Rust.
pub(super) struct Scalar;

impl Backend for Scalar {
    fn is_available() -> bool {
        true
    }

    unsafe fn ternary(m: TernaryMatrix<'_>, q: &[i8], scale: &[f32], y: &mut [f32]) {
        ternary(m, q, scale, y);
    }

    unsafe fn head(e: Embedding<'_>, x: &[i16], scale: f32, y: &mut [f32]) {
        head(e, x, scale, y);
    }

    unsafe fn vectorize<R>(f: impl FnOnce() -> R) -> R {
        f()
    }
}

/// Columns whose sums fit int16: every 8 add four products of at most 2 x 127 to a lane.
const COLUMNS_PER_FLUSH: usize = 256;

fn ternary(m: TernaryMatrix<'_>, q: &[i8], scale: &[f32], y: &mut [f32]) {
    let (rows, columns) = (m.scales.len(), m.columns);
    for ((q, &scale), y) in q.rows(columns).zip(scale).zip(y.rows_mut(rows)) {
        // the codes are 0, 1, 2 for -1, 0, +1
        let surplus: i32 = q.iter().map(|&q| i32::from(q)).sum();
        let groups = m.codes.rows(columns).zip(m.scales.chunks_exact(16)).zip(y.chunks_exact_mut(16));
        for ((group, row_scales), y) in groups {
            let mut sums = [-surplus; 16];
            for (halves, q) in group.chunks(COLUMNS_PER_FLUSH).zip(q.chunks(COLUMNS_PER_FLUSH)) {
                // two half words a row: rows 0 to 7, then 8 to 15
                let mut lanes = [[0i16; 16]; 2];
                for (half, q) in halves.as_chunks::<8>().0.iter().zip(q.as_chunks::<8>().0) {
                    add_half(bytemuck::must_cast_ref(half), q, &mut lanes);
                }
                for (sum, lanes) in sums.iter_mut().zip(lanes.as_flattened().as_chunks::<2>().0) {
                    *sum += i32::from(lanes[0]) + i32::from(lanes[1]);
                }
            }
            for ((y, sum), row_scale) in y.iter_mut().zip(sums).zip(row_scales) {
                *y = sum as f32 * (row_scale * scale);
            }
        }
    }
}

/// Adds half a tile's products with its 8 activations, as 16-bit lanes that keep a baseline vector unit busy: each
/// half word has, per f, two columns of row j and two of row j + 8.
#[inline(always)]
fn add_half(half: &[u16; 16], q: &[i8; 8], lanes: &mut [[i16; 16]; 2]) {
    for f in 0..2 {
        let q = |b: usize| i16::from(q[(4 * f + b) % 8]);
        // (shift, columns b of the even and of the odd half words)
        let first = [(2 * f, [0, 2]), (2 * f + 8, [1, 3])];
        let second = [(2 * f + 4, [3, 1]), (2 * f + 12, [0, 2])];
        for (lanes, fields) in lanes.iter_mut().zip([first, second]) {
            for (shift, [even, odd]) in fields {
                let pair = [q(even), q(odd)];
                for i in 0..16 {
                    lanes[i] += ((half[i] >> shift) & 3) as i16 * pair[i % 2];
                }
            }
        }
    }
}

fn head(e: Embedding<'_>, x: &[i16], scale: f32, y: &mut [f32]) {
    let groups = e.values.rows(e.columns * 4).zip(e.scales.chunks_exact(16)).zip(y.chunks_exact_mut(16));
    for ((tiles, row_scales), y) in groups {
        let mut sums = [0i32; 16];
        for (tile, x) in tiles.chunks_exact(16).zip(x.chunks_exact(4)) {
            for (sum, values) in sums.iter_mut().zip(tile) {
                for (value, &x) in values.to_le_bytes().into_iter().zip(x) {
                    *sum += i32::from(value as i8) * i32::from(x);
                }
            }
        }
        for ((y, sum), row_scale) in y.iter_mut().zip(sums).zip(row_scales) {
            *y = sum as f32 * (row_scale * scale);
        }
    }
}

/// Columns are taken in blocks whose sums stay in registers.
#[inline(always)]
pub(super) fn matvec(w: &[f32], x: &[f32], y: &mut [f32]) {
    let n = y.len();
    let mut at = 0;
    // sums of so many columns need a vector unit
    while cfg!(not(arm_dsp)) && at + 96 <= n {
        matvec_block::<96>(w, x, y, at);
        at += 96;
    }
    while at + 16 <= n {
        matvec_block::<16>(w, x, y, at);
        at += 16;
    }
    while at < n {
        matvec_block::<1>(w, x, y, at);
        at += 1;
    }
}

#[inline(always)]
fn matvec_block<const BLOCK: usize>(w: &[f32], x: &[f32], y: &mut [f32], at: usize) {
    let mut sums = [0.0; BLOCK];
    for (row, &x) in w.rows(y.len()).zip(x) {
        let Some(row) = row.cut(at).1.first_chunk::<BLOCK>() else { return };
        for (sum, &w) in sums.iter_mut().zip(row) {
            *sum += w * x;
        }
    }
    y.cut_mut(at).1.front_mut(BLOCK).set(&sums);
}
