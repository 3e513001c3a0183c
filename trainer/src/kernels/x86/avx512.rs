//! Blocks of 12 rows and two panels in AVX-512 registers: 24 sums, two loads of the right factor, and the left
//! factor broadcast from memory by the multiplying instruction itself.

use std::arch::x86_64::*;
use std::mem::transmute;

use super::{BLOCK_COLS, Block, TernaryBlock};
use crate::kernels::Write;

/// Rows of a block.
pub const HEIGHT: usize = 12;

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

/// An int8 block of codes t + 1.
///
/// # Safety
/// `block` is as [`TernaryBlock`] describes, and the CPU has AVX-512 with VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub unsafe fn ternary_block(block: &TernaryBlock) {
    // SAFETY: the caller's promise; as many rows as are rounded up to may be read.
    unsafe {
        match block.block.rows {
            ..=4 => ternary_rows::<4>(block),
            5..=8 => ternary_rows::<8>(block),
            _ => ternary_rows::<12>(block),
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

/// # Safety
/// As [`ternary_block`]'s, of at most ROWS rows; so many rows of the left factor may be read.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
#[inline]
unsafe fn ternary_rows<const ROWS: usize>(ternary: &TernaryBlock) {
    let block = &ternary.block;
    let mut sums = [[_mm512_setzero_si512(); 2]; ROWS];
    for i in 0..block.steps * 16 {
        // SAFETY: a step is 1 KB of each panel and 64 bytes of each row, in 16 parts.
        unsafe {
            let b = [0, block.panel].map(|panel| _mm512_loadu_si512(block.b.add(panel + 64 * i).cast()));
            for (row, sums) in sums.iter_mut().enumerate() {
                let a = _mm512_set1_epi32(block.a.add(row * block.lda + 4 * i).cast::<i32>().read_unaligned());
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = _mm512_dpbusd_epi32(*sum, b, a);
                }
            }
        }
    }
    for (row, sums) in sums.into_iter().enumerate().take(block.rows) {
        // SAFETY: row < rows.
        let extra = _mm512_set1_epi32(unsafe { *ternary.row_sum.add(row) });
        // SAFETY: the caller's promise, and row < rows.
        unsafe { store_scaled(ternary, row, sums.map(|sum| _mm512_sub_epi32(sum, extra))) };
    }
}

/// Writes one row of a ternary block: the sums times both scales.
///
/// # Safety
/// `ternary` is as [`TernaryBlock`] describes, and `row` below its rows.
#[target_feature(enable = "avx512f")]
#[inline]
pub unsafe fn store_scaled(ternary: &TernaryBlock, row: usize, sums: [__m512i; BLOCK_COLS / 16]) {
    // SAFETY: row < rows; `scale` has 32 values; the mask keeps the store within the block's columns.
    unsafe {
        let row_scale = _mm512_set1_ps(*ternary.row_scale.add(row));
        for (i, sum) in sums.into_iter().enumerate() {
            let scale = _mm512_mul_ps(_mm512_loadu_ps(ternary.scale.add(16 * i)), row_scale);
            let y = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale);
            let to = ternary.block.c.wrapping_add(row * ternary.block.ldc + 16 * i);
            _mm512_mask_storeu_ps(to, first(ternary.block.cols.saturating_sub(16 * i)), y);
        }
    }
}

/// The mask of the first `count` lanes; all 16 when there are more.
#[inline(always)]
pub fn first(count: usize) -> __mmask16 {
    if count >= 16 { !0 } else { (1 << count) - 1 }
}
