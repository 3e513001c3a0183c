//! Float and int8 matrices to bfloat16, rounding ties to even, in the two layouts of [`super`].
//!
//! Functions of this file need AVX-512 with BF16; they check every length themselves.

use std::arch::x86_64::*;
use std::mem::transmute;

use crate::kernels::Strided;

/// Two rows of a panel at a time, so many that reads and writes both run along whole lines.
const PAIRS: usize = 8;

/// Row-major to row-major: `out` row r is `x` row r, times `scale` column by column, zero-padded to a whole
/// 64-byte step. `scale` must be padded to it, too.
///
/// # Safety
/// The CPU has AVX-512 with BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
pub fn rows(x: Strided, scale: Option<&[f32]>, out: &mut [u16], stride: usize) {
    let cols = x.cols;
    let depth = cols.next_multiple_of(32);
    assert!(x.col_stride == 1 && stride >= depth && out.len() >= x.rows * stride);
    assert!(scale.is_none_or(|scale| scale.len() >= depth));
    for (row, out) in out.chunks_exact_mut(stride).enumerate().take(x.rows) {
        let x = x.row(row);
        for col in (0..depth).step_by(32) {
            let mut halves = if col + 32 <= cols {
                // SAFETY: 32 values follow col.
                unsafe { [0, 16].map(|i| _mm512_loadu_ps(x.as_ptr().add(col + i))) }
            } else {
                [0, 16].map(|i| load(x, col + i))
            };
            if let Some(scale) = scale {
                // SAFETY: `scale` is padded to depth.
                let scale = unsafe { [0, 16].map(|i| _mm512_loadu_ps(scale.as_ptr().add(col + i))) };
                halves = [0, 1].map(|i| _mm512_mul_ps(halves[i], scale[i]));
            }
            // SAFETY: `stride >= depth` and col is a multiple of 32 below depth: 64 bytes follow.
            unsafe { _mm512_storeu_si512(out.as_mut_ptr().add(col).cast(), halves_in_order(halves[0], halves[1])) };
        }
    }
}

/// Transposes: `out` row n is column n of `x` (M, N), times `scale` row by row of x, zero-padded to a whole
/// 64-byte step.
///
/// # Safety
/// The CPU has AVX-512 with BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
pub fn transposed_rows(x: Strided, scale: Option<&[f32]>, out: &mut [u16], stride: usize) {
    let (m, cols) = (x.rows, x.cols);
    let depth = m.next_multiple_of(32);
    assert!(x.col_stride == 1 && x.fits());
    assert!(stride >= depth && out.len() >= cols.next_multiple_of(16) * stride);
    assert!(scale.is_none_or(|scale| scale.len() >= m));
    for row in (0..depth).step_by(32) {
        for col in (0..cols).step_by(16) {
            let mask = super::avx512::first(cols - col);
            let scaled = |row: usize| {
                // SAFETY: called for rows below m alone, all within the data; the mask keeps the access inside the row.
                unsafe {
                    let x = _mm512_maskz_loadu_ps(mask, x.data.as_ptr().add(row * x.row_stride + col));
                    scale.map_or(x, |scale| _mm512_mul_ps(x, _mm512_set1_ps(*scale.get_unchecked(row))))
                }
            };
            let mut pairs = [_mm512_setzero_si512(); 16];
            if row + 32 <= m {
                for (i, pair) in pairs.iter_mut().enumerate() {
                    *pair = interleaved(scaled(row + 2 * i), scaled(row + 2 * i + 1));
                }
            } else {
                let scaled = |row| if row < m { scaled(row) } else { _mm512_setzero_ps() };
                for (i, pair) in pairs.iter_mut().enumerate() {
                    *pair = interleaved(scaled(row + 2 * i), scaled(row + 2 * i + 1));
                }
            }
            for (i, values) in transposed(pairs).into_iter().enumerate() {
                // SAFETY: row col + i is below cols rounded up to 16, and 64 bytes follow `row` in it.
                unsafe { _mm512_storeu_si512(out.as_mut_ptr().add((col + i) * stride + row).cast(), values) };
            }
        }
    }
}

/// Panels that contract the rows of `x` (M, N): `[N/16][M/2][16][2]`, zero-padded to 32 rows and columns.
///
/// # Safety
/// The CPU has AVX-512 with BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
pub fn pair_rows(x: Strided, out: &mut [u16]) {
    let (m, cols) = (x.rows, x.cols);
    assert!(x.col_stride == 1 && x.fits());
    write_panels(m, cols, out, |row, col| {
        let mask = if row < m { super::avx512::first(cols.saturating_sub(col)) } else { 0 };
        // SAFETY: the mask keeps the access inside the row, and empty outside the matrix, which is within the data.
        unsafe { _mm512_maskz_loadu_ps(mask, x.data.as_ptr().wrapping_add(row * x.row_stride + col)) }
    });
}

/// [`pair_rows`] of int8, `stride` values between rows, of which those past `cols` are zero; exact.
///
/// # Safety
/// The CPU has AVX-512 with BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
pub fn pair_int8_rows(q: &[i8], stride: usize, cols: usize, out: &mut [u16]) {
    let m = q.len() / stride;
    assert!(stride >= cols.next_multiple_of(32));
    write_panels(m, cols, out, |row, col| {
        if row >= m {
            return _mm512_setzero_ps();
        }
        // SAFETY: row < m, and 16 values follow col, which is below cols rounded up to 32.
        let q = unsafe { _mm_loadu_si128(q.as_ptr().add(row * stride + col).cast()) };
        _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(q))
    });
}

/// Panels that contract the columns of `x` (N, K): `[N/16][K/2][16][2]`, zero-padded to 32 rows and columns.
///
/// # Safety
/// The CPU has AVX-512 with BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
pub fn pair_cols(x: Strided, out: &mut [u16]) {
    let n = x.rows;
    let depth = x.cols.next_multiple_of(32);
    assert!(x.col_stride == 1 && out.len() >= n.next_multiple_of(32) * depth);
    for row in (0..n.next_multiple_of(32)).step_by(16) {
        for col in (0..depth).step_by(32) {
            let mut values = [_mm512_setzero_si512(); 16];
            for (values, row) in values.iter_mut().zip(row..n) {
                *values = halves_in_order(load(x.row(row), col), load(x.row(row), col + 16));
            }
            for (i, pairs) in transposed(values).into_iter().enumerate() {
                // SAFETY: the panel of 16 rows starts at row * depth and has depth / 2 pairs of 32 values.
                unsafe { _mm512_storeu_si512(out.as_mut_ptr().add(row * depth + (col / 2 + i) * 32).cast(), pairs) };
            }
        }
    }
}

/// Panels of a matrix of which `at(row, col)` gives 16 values of one row, zero outside.
///
/// # Safety
/// The CPU has AVX-512 with BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
#[inline]
fn write_panels(m: usize, cols: usize, out: &mut [u16], at: impl Fn(usize, usize) -> __m512) {
    let pairs = m.next_multiple_of(32) / 2;
    let cols = cols.next_multiple_of(32);
    assert!(out.len() >= 2 * pairs * cols);
    for first in (0..pairs).step_by(PAIRS) {
        for col in (0..cols).step_by(16) {
            for pair in first..first + PAIRS {
                let values = interleaved(at(2 * pair, col), at(2 * pair + 1, col));
                // SAFETY: the panel of 16 columns starts at col * 2 * pairs; pairs is a multiple of 16, so
                // pair is below it and 32 values follow.
                unsafe { _mm512_storeu_si512(out.as_mut_ptr().add(2 * pairs * col + 32 * pair).cast(), values) };
            }
        }
    }
}

/// Values `col..col + 16` of a row, zero past its end.
///
/// # Safety
/// The CPU has AVX-512.
#[target_feature(enable = "avx512f")]
#[inline]
fn load(row: &[f32], col: usize) -> __m512 {
    let mask = super::avx512::first(row.len().saturating_sub(col));
    // SAFETY: the mask keeps the access inside the row; a masked-out lane is not read.
    unsafe { _mm512_maskz_loadu_ps(mask, row.as_ptr().wrapping_add(col)) }
}

/// 32 bfloat16: those of `low`, then those of `high`.
///
/// # Safety
/// The CPU has AVX-512 with BF16.
#[target_feature(enable = "avx512f,avx512bf16")]
#[inline]
fn halves_in_order(low: __m512, high: __m512) -> __m512i {
    // SAFETY: both types are 64 bytes of plain bits.
    unsafe { transmute(_mm512_cvtne2ps_pbh(high, low)) }
}

/// 32 bfloat16: one of `even`, one of `odd`, by turns.
///
/// # Safety
/// The CPU has AVX-512 with BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
#[inline]
fn interleaved(even: __m512, odd: __m512) -> __m512i {
    const BY_TURNS: [u16; 32] = {
        let mut index = [0; 32];
        let mut i = 0;
        while i < 32 {
            index[i] = (i / 2 + i % 2 * 16) as u16;
            i += 1;
        }
        index
    };
    // SAFETY: both types are 64 bytes of plain bits.
    let index: __m512i = unsafe { transmute(BY_TURNS) };
    _mm512_permutexvar_epi16(index, halves_in_order(even, odd))
}

/// The transpose of 16 x 16 words.
///
/// # Safety
/// The CPU has AVX-512.
#[target_feature(enable = "avx512f")]
#[inline]
fn transposed(x: [__m512i; 16]) -> [__m512i; 16] {
    let mut t = x;
    for i in (0..16).step_by(2) {
        t[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
    }
    // u[4 g + c] holds column 4 l + c of rows 4 g .. 4 g + 4 in its 128-bit lane l
    let mut u = t;
    for i in (0..16).step_by(4) {
        u[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        u[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        u[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        u[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    let mut y = u;
    for c in 0..4 {
        let even = [0, 8].map(|g| _mm512_shuffle_i32x4::<0x88>(u[g + c], u[g + 4 + c]));
        let odd = [0, 8].map(|g| _mm512_shuffle_i32x4::<0xdd>(u[g + c], u[g + 4 + c]));
        y[c] = _mm512_shuffle_i32x4::<0x88>(even[0], even[1]);
        y[8 + c] = _mm512_shuffle_i32x4::<0xdd>(even[0], even[1]);
        y[4 + c] = _mm512_shuffle_i32x4::<0x88>(odd[0], odd[1]);
        y[12 + c] = _mm512_shuffle_i32x4::<0xdd>(odd[0], odd[1]);
    }
    y
}
