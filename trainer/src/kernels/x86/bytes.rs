//! int8 matrices transposed and laid out in panels, for products that contract their rows.

use std::arch::x86_64::*;

use crate::kernels::Isa;
use crate::kernels::operands::INT8_PAD;

/// Rows and columns of a tile that is transposed at once.
const TILE: usize = 16;
/// Columns that AVX-512 transposes at once: four tiles.
const WIDE: usize = 64;

/// `out` (N, M), rows `out_stride` apart, is the transpose of `rows` (M, N), which are `stride` apart and whole
/// multiples of 64 long; zero from M to the next multiple of [`INT8_PAD`]. Rows of `out` from N to the next multiple of
/// 16 are overwritten with what stands in the rows' padding. Panics without AVX-512.
pub fn transpose(rows: &[i8], (m, n, stride): (usize, usize, usize), out: &mut [i8], out_stride: usize) {
    let (depth, cols) = (m.next_multiple_of(INT8_PAD), n.next_multiple_of(TILE));
    assert!(stride.is_multiple_of(WIDE) && stride >= n && rows.len() >= m * stride);
    assert!(out_stride >= depth && out.len() >= cols * out_stride);
    assert!(Isa::Avx512.is_available(), "this transpose is AVX-512's");
    for first in (0..depth).step_by(TILE) {
        let count = m.saturating_sub(first).min(TILE);
        for col in (0..cols).step_by(WIDE) {
            let tiles = (cols - col).min(WIDE) / TILE;
            // SAFETY: `count` rows from `first` on lie within `rows`, each with 64 values from `col` on, as the stride
            // is a multiple of 64; `tiles` times 16 rows of `out` from `col` on have 16 values from `first` on; the CPU
            // has AVX-512.
            unsafe {
                let from = rows.as_ptr().wrapping_add(first * stride + col);
                transpose_tiles(from, stride, count, out.as_mut_ptr().add(col * out_stride + first), out_stride, tiles);
            }
        }
    }
}

/// The columns of four tiles side by side, of whose rows those from `count` on are zero, and of which the first `tiles`
/// are written.
///
/// # Safety
/// 64 values of each of `count` rows may be read, and 16 of each of 16 `tiles` rows of `to` written. The CPU has
/// AVX-512 BW.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn transpose_tiles(from: *const i8, stride: usize, count: usize, to: *mut i8, to_stride: usize, tiles: usize) {
    // SAFETY: as the caller promises.
    unsafe {
        let mut rows = [_mm512_setzero_si512(); TILE];
        for (i, row) in rows.iter_mut().enumerate().take(count) {
            *row = _mm512_loadu_si512(from.add(i * stride).cast());
        }
        // each round turns the eight bits of a value's place, row then column, by one
        for _ in 0..4 {
            let before = rows;
            for i in 0..TILE / 2 {
                rows[2 * i] = _mm512_unpacklo_epi8(before[i], before[i + TILE / 2]);
                rows[2 * i + 1] = _mm512_unpackhi_epi8(before[i], before[i + TILE / 2]);
            }
        }
        for (i, row) in rows.into_iter().enumerate() {
            let parts = [
                _mm512_castsi512_si128(row),
                _mm512_extracti32x4_epi32::<1>(row),
                _mm512_extracti32x4_epi32::<2>(row),
                _mm512_extracti32x4_epi32::<3>(row),
            ];
            for (tile, part) in parts.into_iter().enumerate().take(tiles) {
                _mm_storeu_si128(to.add((tile * TILE + i) * to_stride).cast(), part);
            }
        }
    }
}

/// int8 panels that contract the rows of `rows` (M, N), `stride` apart: `[N/16][M/4][16][4]`, with `offset` added to
/// every value without carry, zero from M to the next multiple of [`INT8_PAD`].
pub fn interleave(rows: &[i8], (m, n, stride): (usize, usize, usize), offset: i8, out: &mut [i8]) {
    let (depth, cols) = (m.next_multiple_of(INT8_PAD), n.next_multiple_of(TILE));
    assert!(stride >= cols && rows.len() >= m * stride && out.len() >= cols * depth);
    for first in (0..depth).step_by(4) {
        let count = m.saturating_sub(first).min(4);
        for col in (0..cols).step_by(TILE) {
            // SAFETY: `count` rows lie within `rows`, each with 16 values from `col` on; the panel of 16 columns starts
            // at col * depth, and 64 values follow those of the rows before. SSE2 is part of x86-64.
            unsafe {
                let to = out.as_mut_ptr().add(col * depth + first * TILE);
                let mut quad = [_mm_setzero_si128(); 4];
                for (i, row) in quad.iter_mut().enumerate().take(count) {
                    let row_start = rows.as_ptr().add((first + i) * stride + col);
                    *row = _mm_add_epi8(_mm_loadu_si128(row_start.cast()), _mm_set1_epi8(offset));
                }
                let [a, b, c, d] = quad;
                let (ab, cd) = (_mm_unpacklo_epi8(a, b), _mm_unpacklo_epi8(c, d));
                _mm_storeu_si128(to.cast(), _mm_unpacklo_epi16(ab, cd));
                _mm_storeu_si128(to.add(16).cast(), _mm_unpackhi_epi16(ab, cd));
                let (ab, cd) = (_mm_unpackhi_epi8(a, b), _mm_unpackhi_epi8(c, d));
                _mm_storeu_si128(to.add(32).cast(), _mm_unpacklo_epi16(ab, cd));
                _mm_storeu_si128(to.add(48).cast(), _mm_unpackhi_epi16(ab, cd));
            }
        }
    }
}

/// int16 panels that contract the rows of `rows` (M, N), `stride` apart: `[N/16][M/2][16][2]`, zero from M to the next
/// multiple of [`INT8_PAD`].
pub fn pair(rows: &[i8], (m, n, stride): (usize, usize, usize), out: &mut [i16]) {
    let (depth, cols) = (m.next_multiple_of(INT8_PAD), n.next_multiple_of(TILE));
    assert!(stride >= cols && rows.len() >= m * stride && out.len() >= cols * depth);
    for first in (0..depth).step_by(2) {
        let count = m.saturating_sub(first).min(2);
        for col in (0..cols).step_by(TILE) {
            // SAFETY: as in `interleave`: 32 values follow.
            unsafe {
                let to = out.as_mut_ptr().add(col * depth + first * TILE);
                let mut halves = [[_mm_setzero_si128(); 2]; 2];
                for (i, halves) in halves.iter_mut().enumerate().take(count) {
                    let row = _mm_loadu_si128(rows.as_ptr().add((first + i) * stride + col).cast());
                    // a byte above itself, shifted down: extended by its sign
                    *halves =
                        [_mm_unpacklo_epi8(row, row), _mm_unpackhi_epi8(row, row)].map(|x| _mm_srai_epi16::<8>(x));
                }
                let [a, b] = halves;
                for half in 0..2 {
                    _mm_storeu_si128(to.add(16 * half).cast(), _mm_unpacklo_epi16(a[half], b[half]));
                    _mm_storeu_si128(to.add(16 * half + 8).cast(), _mm_unpackhi_epi16(a[half], b[half]));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transpose_has_every_value_in_its_place_and_zeros_behind() {
        if !Isa::Avx512.is_available() {
            return;
        }
        for (m, n) in [(1usize, 1usize), (16, 64), (37, 100), (130, 17)] {
            let (stride, out_stride) = (n.next_multiple_of(64), m.next_multiple_of(64) + 64);
            let rows: Vec<i8> = (0..m * stride).map(|i| (i * 31 % 251) as u8 as i8).collect();
            let mut out = vec![7; n.next_multiple_of(16) * out_stride];
            transpose(&rows, (m, n, stride), &mut out, out_stride);
            for (column, out) in out.chunks_exact(out_stride).take(n).enumerate() {
                let (values, zeros) = out[..m.next_multiple_of(64)].split_at(m);
                assert!(values.iter().enumerate().all(|(row, &v)| v == rows[row * stride + column]), "({m}, {n})");
                assert!(zeros.iter().all(|&v| v == 0), "({m}, {n})");
            }
        }
    }
}
