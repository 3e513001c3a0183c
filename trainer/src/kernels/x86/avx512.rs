//! Blocks of 12 rows and two panels in AVX-512 registers: 24 sums, two loads of the right factor, and the left
//! factor broadcast from memory by the multiplying instruction itself.

use std::arch::x86_64::*;
use std::mem::transmute;

use super::{BLOCK_COLS, Block, ScaledBlock};
use crate::kernels::Write;

/// Rows of a block.
pub const HEIGHT: usize = 12;
/// Rows of a block whose left factor is in panels: a part of their 16.
pub const HEIGHT_PANELS: usize = 8;

/// A bfloat16 block.
///
/// # Safety
/// `block` is as [`Block`] describes, and the CPU has AVX-512 with BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
pub unsafe fn block(block: &Block) {
    // SAFETY: the caller's promise; as many rows as are rounded up to may be read.
    unsafe {
        match block.rows {
            ..=4 => bf16_rows::<4>(block),
            5..=8 => bf16_rows::<8>(block),
            _ => bf16_rows::<12>(block),
        }
    }
}

/// An int8 block whose right factor is unsigned.
///
/// # Safety
/// `block` is as [`ScaledBlock`] describes, and the CPU has AVX-512 with VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub unsafe fn int8_block(block: &ScaledBlock) {
    // SAFETY: the caller's promise; as many rows as are rounded up to may be read.
    unsafe {
        match block.block.rows {
            ..=4 => int8_rows::<4>(block),
            5..=8 => int8_rows::<8>(block),
            _ => int8_rows::<12>(block),
        }
    }
}

/// # Safety
/// As [`block`]'s, of at most ROWS rows; so many rows of the left factor may be read.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
#[inline]
unsafe fn bf16_rows<const ROWS: usize>(block: &Block) {
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    for i in 0..block.steps * 16 {
        // SAFETY: a step is 1 KB of each panel and 64 bytes of each row, in 16 parts.
        unsafe {
            let b = [0, block.panel].map(|panel| _mm512_loadu_si512(block.b.add(panel + 64 * i).cast()));
            for (row, sums) in sums.iter_mut().enumerate() {
                let a = _mm512_set1_epi32(block.a.add(row * block.lda + 4 * i).cast::<i32>().read_unaligned());
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = _mm512_dpbf16_ps(*sum, transmute::<__m512i, __m512bh>(a), transmute::<__m512i, __m512bh>(b));
                }
            }
        }
    }
    for (row, sums) in sums.into_iter().enumerate().take(block.rows) {
        for (i, sum) in sums.into_iter().enumerate() {
            let mask = first(block.cols.saturating_sub(16 * i));
            let c = block.c.wrapping_add(row * block.ldc + 16 * i);
            // SAFETY: the mask keeps both accesses within the block's columns.
            unsafe {
                let before = match block.write {
                    Write::Set => _mm512_setzero_ps(),
                    Write::Add => _mm512_maskz_loadu_ps(mask, c),
                };
                _mm512_mask_storeu_ps(c, mask, _mm512_add_ps(before, sum));
            }
        }
    }
}

/// [`int8_block`] of a left factor in panels.
///
/// # Safety
/// `block` is as [`ScaledBlock`] describes, `a` within a panel, and the CPU has AVX-512 with VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub unsafe fn int8_panel_block(block: &ScaledBlock) {
    // SAFETY: the caller's promise; a panel has all of the rows.
    unsafe { int8_sums::<HEIGHT_PANELS>(block, 4, 64) };
}

/// # Safety
/// As [`int8_block`]'s, of at most ROWS rows; so many rows of the left factor may be read.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
#[inline]
unsafe fn int8_rows<const ROWS: usize>(scaled: &ScaledBlock) {
    // SAFETY: the caller's promise.
    unsafe { int8_sums::<ROWS>(scaled, scaled.block.lda, 4) };
}

/// A block whose left factor's rows are `lda` bytes apart, and four values of each row `quad` bytes behind the four
/// before.
///
/// # Safety
/// ROWS rows so spaced may be read, and are the block's where it has as many.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
#[inline]
unsafe fn int8_sums<const ROWS: usize>(scaled: &ScaledBlock, lda: usize, quad: usize) {
    let block = &scaled.block;
    let mut sums = [[_mm512_setzero_si512(); 2]; ROWS];
    for i in 0..block.steps * 16 {
        // SAFETY: a step is 1 KB of each panel and 64 bytes of each row, in 16 parts.
        unsafe {
            let b = [0, block.panel].map(|panel| _mm512_loadu_si512(block.b.add(panel + 64 * i).cast()));
            for (row, sums) in sums.iter_mut().enumerate() {
                let a = _mm512_set1_epi32(block.a.add(row * lda + quad * i).cast::<i32>().read_unaligned());
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = _mm512_dpbusd_epi32(*sum, b, a);
                }
            }
        }
    }
    for (row, sums) in sums.into_iter().enumerate().take(block.rows) {
        // SAFETY: row < rows.
        let extra = _mm512_set1_epi32(unsafe { *scaled.row_extra.add(row) });
        // SAFETY: the caller's promise, and row < rows.
        unsafe { store_scaled(scaled, row, sums.map(|sum| _mm512_sub_epi32(sum, extra))) };
    }
}

/// `sums` are `factor` times the sum of each row of a panel `[depth/4][16][4]`.
///
/// # Safety
/// The CPU has AVX-512 with VNNI.
#[target_feature(enable = "avx512f,avx512vnni")]
pub unsafe fn row_sums(panel: &[i8], factor: i32, sums: &mut [i32; 16]) {
    let mut sum = _mm512_setzero_si512();
    for quad in panel.as_chunks::<64>().0 {
        // SAFETY: 64 bytes.
        let quad = unsafe { _mm512_loadu_si512(quad.as_ptr().cast()) };
        sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), quad);
    }
    // SAFETY: 16 numbers.
    unsafe { _mm512_storeu_si512(sums.as_mut_ptr().cast(), _mm512_mullo_epi32(sum, _mm512_set1_epi32(factor))) };
}

/// Writes one row of an integer block: the sums times both scales.
///
/// # Safety
/// `scaled` is as [`ScaledBlock`] describes, and `row` below its rows.
#[target_feature(enable = "avx512f")]
#[inline]
pub unsafe fn store_scaled(scaled: &ScaledBlock, row: usize, sums: [__m512i; BLOCK_COLS / 16]) {
    // SAFETY: row < rows; `scale` has 32 values; the mask keeps the store within the block's columns.
    unsafe {
        let row_scale = _mm512_set1_ps(*scaled.row_scale.add(row));
        for (i, sum) in sums.into_iter().enumerate() {
            let scale = _mm512_mul_ps(_mm512_loadu_ps(scaled.scale.add(16 * i)), row_scale);
            let y = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale);
            let mask = first(scaled.block.cols.saturating_sub(16 * i));
            let to = scaled.block.c.wrapping_add(row * scaled.block.ldc + 16 * i);
            let y = match scaled.block.write {
                Write::Set => y,
                Write::Add => _mm512_add_ps(_mm512_maskz_loadu_ps(mask, to), y),
            };
            _mm512_mask_storeu_ps(to, mask, y);
        }
    }
}

/// The mask of the first `count` lanes; all 16 when there are more.
#[inline(always)]
pub fn first(count: usize) -> __mmask16 {
    if count >= 16 { !0 } else { (1 << count) - 1 }
}
