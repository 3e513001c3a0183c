//! Integer blocks with AVX-VNNI: AVX-512's scheme in AVX2's registers, one panel after the other.

use std::arch::x86_64::*;

use super::ScaledBlock;
use super::avx2::store_scaled;

/// Rows of a block: twelve sums, and the right factor's two registers.
pub const HEIGHT: usize = 6;
/// Rows of a block whose left factor is in panels: a part of their 16.
pub const HEIGHT_PANELS: usize = 4;

/// An int8 block whose right factor is unsigned.
///
/// # Safety
/// `block` is as [`ScaledBlock`] describes, and the CPU has AVX-VNNI.
#[target_feature(enable = "avx2,fma,avxvnni")]
pub unsafe fn int8_block(block: &ScaledBlock) {
    let lda = block.block.lda;
    // SAFETY: the caller's promise; as many rows as are rounded up to may be read.
    unsafe {
        match block.block.rows {
            ..=2 => int8_sums::<2>(block, lda, 4),
            3..=4 => int8_sums::<4>(block, lda, 4),
            _ => int8_sums::<HEIGHT>(block, lda, 4),
        }
    }
}

/// [`int8_block`] of a left factor in panels.
///
/// # Safety
/// `block` is as [`ScaledBlock`] describes, `a` within a panel, and the CPU has AVX-VNNI.
#[target_feature(enable = "avx2,fma,avxvnni")]
pub unsafe fn int8_panel_block(block: &ScaledBlock) {
    // SAFETY: the caller's promise; a panel has all of the rows.
    unsafe { int8_sums::<HEIGHT_PANELS>(block, 4, 64) };
}

/// A block whose left factor's rows are `lda` bytes apart, and four values of each row `quad` bytes behind the four
/// before.
///
/// # Safety
/// ROWS rows so spaced may be read, and are the block's where it has as many. The CPU has AVX-VNNI.
#[target_feature(enable = "avx2,fma,avxvnni")]
#[inline]
unsafe fn int8_sums<const ROWS: usize>(scaled: &ScaledBlock, lda: usize, quad: usize) {
    let block = &scaled.block;
    for panel in 0..block.cols.div_ceil(16) {
        let mut sums = [[_mm256_setzero_si256(); 2]; ROWS];
        for i in 0..block.steps * 16 {
            // SAFETY: a quad is 64 bytes of the panel and 4 bytes of each row.
            unsafe {
                let b = block.b.add(panel * block.panel + 64 * i).cast::<__m256i>();
                let b = [_mm256_loadu_si256(b), _mm256_loadu_si256(b.add(1))];
                for (row, sums) in sums.iter_mut().enumerate() {
                    let a = _mm256_set1_epi32(block.a.add(row * lda + quad * i).cast::<i32>().read_unaligned());
                    for (sum, b) in sums.iter_mut().zip(b) {
                        *sum = _mm256_dpbusd_avx_epi32(*sum, b, a);
                    }
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

/// `sums` are `factor` times the sum of each row of a panel `[depth/4][16][4]`.
///
/// # Safety
/// The CPU has AVX-VNNI.
#[target_feature(enable = "avx2,avxvnni")]
pub unsafe fn row_sums(panel: &[i8], factor: i32, sums: &mut [i32; 16]) {
    let mut halves = [_mm256_setzero_si256(); 2];
    for quad in panel.as_chunks::<32>().0.as_chunks::<2>().0 {
        for (sum, quad) in halves.iter_mut().zip(quad) {
            // SAFETY: 32 bytes.
            let quad = unsafe { _mm256_loadu_si256(quad.as_ptr().cast()) };
            *sum = _mm256_dpbusd_avx_epi32(*sum, _mm256_set1_epi8(1), quad);
        }
    }
    for (sums, half) in sums.as_chunks_mut::<8>().0.iter_mut().zip(halves) {
        // SAFETY: 8 numbers.
        unsafe { _mm256_storeu_si256(sums.as_mut_ptr().cast(), _mm256_mullo_epi32(half, _mm256_set1_epi32(factor))) };
    }
}
