//! The specification: what every other level must equal, bit for bit.

use crate::model::{Embedding, TernaryMatrix};

/// Tiles whose sums fit int16: a tile adds at most 8 columns x 2 x 128 = 2048 to a lane.
const TILES_PER_FLUSH: usize = 15;

/// A tile is read as 32 half words, two a row, so that a baseline vector unit keeps eight 16-bit lanes busy: the
/// even lanes hold columns 4i and 4i + 1, the odd lanes columns 4i + 2 and 4i + 3.
pub(super) fn ternary(m: TernaryMatrix<'_>, q: &[i8], scale: &[f32], y: &mut [f32]) {
    let (rows, columns) = (m.scales.len(), m.columns);
    for ((q, &scale), y) in q.chunks_exact(columns).zip(scale).zip(y.chunks_exact_mut(rows)) {
        // the codes are 0, 1, 2 for -1, 0, +1
        let surplus: i32 = q.iter().map(|&q| i32::from(q)).sum();
        let groups = m.codes.chunks_exact(columns).zip(m.scales.chunks_exact(16)).zip(y.chunks_exact_mut(16));
        for ((tiles, row_scales), y) in groups {
            let mut sums = [-surplus; 16];
            for (tiles, q) in tiles.chunks(16 * TILES_PER_FLUSH).zip(q.chunks(16 * TILES_PER_FLUSH)) {
                let mut lanes = [0i16; 32];
                for (tile, q) in tiles.chunks_exact(16).zip(q.chunks_exact(16)) {
                    add_tile(bytemuck::must_cast_slice(tile), q, &mut lanes);
                }
                for (sum, halves) in sums.iter_mut().zip(lanes.chunks_exact(2)) {
                    *sum += i32::from(halves[0]) + i32::from(halves[1]);
                }
            }
            for ((y, sum), row_scale) in y.iter_mut().zip(sums).zip(row_scales) {
                *y = sum as f32 * (row_scale * scale);
            }
        }
    }
}

/// Adds one tile's products with the 16 activations `q` to its rows' lanes.
#[inline(always)]
fn add_tile(tile: &[u16], q: &[i8], lanes: &mut [i16; 32]) {
    for i in 0..4 {
        for b in 0..2 {
            let (even, odd) = (i16::from(q[4 * i + b]), i16::from(q[4 * i + b + 2]));
            for (lanes, tile) in lanes.chunks_exact_mut(8).zip(tile.chunks_exact(8)) {
                let q = [even, odd, even, odd, even, odd, even, odd];
                for j in 0..8 {
                    lanes[j] += (tile[j] >> (8 * b + 2 * i) & 3) as i16 * q[j];
                }
            }
        }
    }
}

pub(super) fn head(e: Embedding<'_>, x: &[i16], scale: f32, y: &mut [f32]) {
    let groups = e.values.chunks_exact(e.columns * 4).zip(e.scales.chunks_exact(16)).zip(y.chunks_exact_mut(16));
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
    while at + 96 <= n {
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
    for (row, &x) in w.chunks_exact(y.len()).zip(x) {
        for (sum, &w) in sums.iter_mut().zip(&row[at..at + BLOCK]) {
            *sum += w * x;
        }
    }
    y[at..at + BLOCK].copy_from_slice(&sums);
}
