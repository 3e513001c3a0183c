//! Blocks of 4 rows in AVX2 registers, one panel after the other: `vpmaddubsw` adds pairs of products in int16.

use std::arch::x86_64::*;

use super::TernaryBlock;

/// Rows of a block.
pub const HEIGHT: usize = 4;
/// Pair sums are at most 2 * 2 * 127 (or 128 where an input was not finite), so 63 of them fit int16.
const QUADS: usize = 63;

/// An int8 block of codes t + 1.
///
/// # Safety
/// `ternary` is as [`TernaryBlock`] describes, and the CPU has AVX2.
#[target_feature(enable = "avx2,fma")]
pub unsafe fn ternary_block(ternary: &TernaryBlock) {
    let block = &ternary.block;
    let quads = block.steps * 16;
    for panel in 0..block.cols.div_ceil(16) {
        let mut sums = [_mm256_setzero_si256(); 2 * HEIGHT];
        for begin in (0..quads).step_by(QUADS) {
            let mut pairs = [_mm256_setzero_si256(); 2 * HEIGHT];
            for i in begin..quads.min(begin + QUADS) {
                // SAFETY: a quad is 64 bytes of the panel and 4 bytes of each row, which may be read for 16 rows.
                unsafe {
                    let b = block.b.add(panel * block.panel + 64 * i).cast::<__m256i>();
                    let (low, high) = (_mm256_loadu_si256(b), _mm256_loadu_si256(b.add(1)));
                    for row in 0..HEIGHT {
                        let a = block.a.add(row * block.lda + 4 * i).cast::<i32>().read_unaligned();
                        let a = _mm256_set1_epi32(a);
                        pairs[2 * row] = _mm256_add_epi16(pairs[2 * row], _mm256_maddubs_epi16(low, a));
                        pairs[2 * row + 1] = _mm256_add_epi16(pairs[2 * row + 1], _mm256_maddubs_epi16(high, a));
                    }
                }
            }
            for i in 0..2 * HEIGHT {
                sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(pairs[i], _mm256_set1_epi16(1)));
            }
        }
        for (row, sums) in sums.as_chunks::<2>().0.iter().enumerate().take(block.rows) {
            let mut y = [0.0; 16];
            // SAFETY: row < rows; `scale` has 32 values and there are two panels; `y` has 16.
            unsafe {
                let extra = _mm256_set1_epi32(*ternary.row_sum.add(row));
                let row_scale = _mm256_set1_ps(*ternary.row_scale.add(row));
                for (half, &sum) in sums.iter().enumerate() {
                    let scale = _mm256_loadu_ps(ternary.scale.add(16 * panel + 8 * half));
                    let sum = _mm256_cvtepi32_ps(_mm256_sub_epi32(sum, extra));
                    let scaled = _mm256_mul_ps(sum, _mm256_mul_ps(scale, row_scale));
                    _mm256_storeu_ps(y.as_mut_ptr().add(8 * half), scaled);
                }
                let to = block.c.add(row * block.ldc + 16 * panel);
                to.copy_from_nonoverlapping(y.as_ptr(), (block.cols - 16 * panel).min(16));
            }
        }
    }
}
