//! Integer blocks in AVX2 registers, one panel after the other.

use std::arch::x86_64::*;

use super::ScaledBlock;
use crate::kernels::Write;

/// Rows of an int8 block, whose products `vpmaddubsw` adds in pairs in int16.
pub const HEIGHT: usize = 4;
/// Rows of an int16 block, a part of the 16 in a panel, whose products `vpmaddwd` adds in pairs in int32.
pub const HEIGHT_INT16: usize = 4;
/// Pair sums are at most 2 * 2 * 127 (or 128 where an input was not finite), so 63 of them fit int16.
const QUADS: usize = 63;

/// An int8 block whose right factor is of codes t + 1.
///
/// # Safety
/// `scaled` is as [`ScaledBlock`] describes, and the CPU has AVX2.
#[target_feature(enable = "avx2,fma")]
pub unsafe fn int8_block(scaled: &ScaledBlock) {
    let block = &scaled.block;
    let quads = block.steps * 16;
    for panel in 0..block.cols.div_ceil(16) {
        let mut sums = [[_mm256_setzero_si256(); 2]; HEIGHT];
        for begin in (0..quads).step_by(QUADS) {
            let mut pairs = [[_mm256_setzero_si256(); 2]; HEIGHT];
            for i in begin..quads.min(begin + QUADS) {
                // SAFETY: a quad is 64 bytes of the panel and 4 bytes of each row, which may be read for 16 rows.
                unsafe {
                    let b = block.b.add(panel * block.panel + 64 * i).cast::<__m256i>();
                    let b = [_mm256_loadu_si256(b), _mm256_loadu_si256(b.add(1))];
                    for (row, pairs) in pairs.iter_mut().enumerate() {
                        let a = block.a.add(row * block.lda + 4 * i).cast::<i32>().read_unaligned();
                        let a = _mm256_set1_epi32(a);
                        for (pair, b) in pairs.iter_mut().zip(b) {
                            *pair = _mm256_add_epi16(*pair, _mm256_maddubs_epi16(b, a));
                        }
                    }
                }
            }
            for (sums, pairs) in sums.iter_mut().zip(pairs) {
                for (sum, pair) in sums.iter_mut().zip(pairs) {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pair, _mm256_set1_epi16(1)));
                }
            }
        }
        for (row, sums) in sums.into_iter().enumerate().take(block.rows) {
            // SAFETY: row < rows, and panel below the block's.
            unsafe {
                let extra = _mm256_set1_epi32(*scaled.row_extra.add(row));
                store_scaled(scaled, row, panel, sums.map(|sum| _mm256_sub_epi32(sum, extra)));
            }
        }
    }
}

/// An int16 block, both factors in panels of pairs.
///
/// # Safety
/// `scaled` is as [`ScaledBlock`] describes, `a` within a panel, and the CPU has AVX2.
#[target_feature(enable = "avx2,fma")]
pub unsafe fn int16_block(scaled: &ScaledBlock) {
    let block = &scaled.block;
    for panel in 0..block.cols.div_ceil(16) {
        let mut sums = [[_mm256_setzero_si256(); 2]; HEIGHT_INT16];
        for i in 0..block.steps * 16 {
            // SAFETY: a pair is 64 bytes of the panel, and 4 bytes of each row, of which a panel has 16.
            unsafe {
                let b = block.b.add(panel * block.panel + 64 * i).cast::<__m256i>();
                let b = [_mm256_loadu_si256(b), _mm256_loadu_si256(b.add(1))];
                for (row, sums) in sums.iter_mut().enumerate() {
                    let a = block.a.add(row * 4 + 64 * i).cast::<i32>().read_unaligned();
                    let a = _mm256_set1_epi32(a);
                    for (sum, b) in sums.iter_mut().zip(b) {
                        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(b, a));
                    }
                }
            }
        }
        for (row, sums) in sums.into_iter().enumerate().take(block.rows) {
            // SAFETY: row < rows, and panel below the block's.
            unsafe { store_scaled(scaled, row, panel, sums) };
        }
    }
}

/// Writes one row of a panel: the sums times both scales.
///
/// # Safety
/// `scaled` is as [`ScaledBlock`] describes, `row` below its rows, and `panel` one of its panels. The CPU has AVX2.
#[target_feature(enable = "avx2,fma")]
#[inline]
pub unsafe fn store_scaled(scaled: &ScaledBlock, row: usize, panel: usize, sums: [__m256i; 2]) {
    let block = &scaled.block;
    let cols = (block.cols - 16 * panel).min(16);
    // SAFETY: row < rows; `scale` has 32 values and there are two panels; the block has `cols` columns in this one, and
    // `whole` all 16.
    unsafe {
        let row_scale = _mm256_set1_ps(*scaled.row_scale.add(row));
        let to = block.c.add(row * block.ldc + 16 * panel);
        let mut whole = [0.0; 16];
        let y = if cols == 16 { to } else { whole.as_mut_ptr() };
        if cols < 16 && block.write == Write::Add {
            y.copy_from_nonoverlapping(to, cols);
        }
        for (half, sum) in sums.into_iter().enumerate() {
            let scale = _mm256_loadu_ps(scaled.scale.add(16 * panel + 8 * half));
            let mut product = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(scale, row_scale));
            let at = y.add(8 * half);
            if block.write == Write::Add {
                product = _mm256_add_ps(_mm256_loadu_ps(at), product);
            }
            _mm256_storeu_ps(at, product);
        }
        if cols < 16 {
            to.copy_from_nonoverlapping(y, cols);
        }
    }
}
