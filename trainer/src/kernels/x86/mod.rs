//! The products on x86-64: loops over blocks of the output here, the blocks themselves in one file an
//! instruction set.
//!
//! Every product has the same form. The left factor is row-major, its rows whole 64-byte steps long; the right
//! factor is panels of 16 columns, in which a step is 1 KB: 64 int8 or 32 bfloat16 of the contraction for each
//! column. A block is up to 32 columns wide; a strip of blocks side by side stays in L1 while the left factor
//! streams past it.

mod amx;
mod avx2;
mod avx512;
mod convert;

pub(super) use amx::Tiles;

use super::operands::{BF16_PAD, INT8_PAD, ROW_PAD, odd_lines};
use super::{FloatMatrix, Isa, QuantizedRows, Strided, TernaryMatrix, Workspace, Write};

/// Columns of a block: two panels.
const BLOCK_COLS: usize = 32;
/// Values of the contraction summed before a block is written.
const MAX_DEPTH: usize = 512;
/// Bytes of the right factor in a strip: two thirds of a 48 KB L1.
const STRIP_BYTES: usize = 32 << 10;
/// Rows turned to bfloat16 at a time, so that they are still in L2 when they are multiplied.
const CHUNK_ROWS: usize = 256;
/// Rows contracted at a time in a weight gradient.
const CHUNK_DEPTH: usize = 512;

/// One block of a product: `c (rows, cols) (+)= a b`.
///
/// `a` has `lda` bytes between rows and may be read for `rows` rounded up to 16; each of the two panels, at `b`
/// and at `b + panel`, is `steps` KB; `c` has `ldc` elements between rows. `rows` is at most the height that
/// the instruction set asked for, `cols` at most [`BLOCK_COLS`].
#[derive(Clone, Copy)]
struct Block {
    a: *const u8,
    lda: usize,
    b: *const u8,
    panel: usize,
    steps: usize,
    c: *mut f32,
    ldc: usize,
    rows: usize,
    cols: usize,
    write: Write,
}

/// A [`Block`] of int8 whose sums are multiplied with both scales on the way out. `scale` has [`BLOCK_COLS`]
/// values to read, `row_scale` and `row_sum` one for each row; `write` is not read.
#[derive(Clone, Copy)]
struct TernaryBlock {
    block: Block,
    scale: *const f32,
    row_scale: *const f32,
    row_sum: *const i32,
}

/// `y = x t^T diag(s)`.
pub(super) fn ternary_forward(isa: Isa, x: &QuantizedRows, w: &TernaryMatrix, y: &mut [f32]) {
    let (m, n, stride) = (x.rows(), w.n(), x.stride());
    let (q, panels) = (x.q.as_ref(), w.int8.as_ref());
    let (rows, cols) = (m.next_multiple_of(ROW_PAD), n.next_multiple_of(ROW_PAD));
    assert!(q.len() >= rows * stride && x.scale.as_ref().len() >= m && x.sum.as_ref().len() >= m);
    assert!(w.stride() == stride && panels.len() >= cols * stride && w.scale.as_ref().len() >= cols);
    assert!(y.len() >= m * n);
    let (height, run): (usize, unsafe fn(&TernaryBlock)) = match isa {
        Isa::Amx => (amx::HEIGHT, amx::ternary_block),
        Isa::Avx512 => (avx512::HEIGHT, avx512::ternary_block),
        _ => (avx2::HEIGHT, avx2::ternary_block),
    };
    let _tiles = (isa == Isa::Amx).then(Tiles::configure);
    let y = y.as_mut_ptr();
    for_blocks(m, n, height, stride, |row, col| {
        // SAFETY: the lengths checked above keep every block inside its buffers, whose rows are padded to
        // 32; the caller's `Kernels` proved the instruction set, and for AMX the tiles are configured.
        unsafe {
            run(&TernaryBlock {
                block: Block {
                    a: q.as_ptr().add(row * stride).cast(),
                    lda: stride,
                    b: panels.as_ptr().add(col * stride).cast(),
                    panel: 16 * stride,
                    steps: stride / INT8_PAD,
                    c: y.add(row * n + col),
                    ldc: n,
                    rows: height.min(m - row),
                    cols: BLOCK_COLS.min(n - col),
                    write: Write::Set,
                },
                scale: w.scale.as_ref().as_ptr().add(col),
                row_scale: x.scale.as_ref().as_ptr().add(row),
                row_sum: x.sum.as_ref().as_ptr().add(row),
            });
        }
    });
}

/// `c (rows, cols) (+)= left right`, contracting `depth` values, a multiple of 32; `left` has `stride` values
/// between rows and rows to whole tiles, `c` has `ldc` between rows.
#[expect(clippy::too_many_arguments, reason = "operands and their shapes, as a BLAS call has them")]
fn product(
    isa: Isa,
    left: &[u16],
    stride: usize,
    right: &[u16],
    depth: usize,
    c: &mut [f32],
    ldc: usize,
    rows: usize,
    cols: usize,
    write: Write,
) {
    assert!(depth.is_multiple_of(BF16_PAD) && stride >= depth);
    assert!(left.len() >= rows.next_multiple_of(ROW_PAD) * stride);
    assert!(right.len() >= cols.next_multiple_of(BLOCK_COLS) * depth);
    assert!(ldc >= cols && c.len() >= (rows - 1) * ldc + cols);
    let (height, run): (usize, unsafe fn(&Block)) = match isa {
        Isa::Amx => (amx::HEIGHT, amx::block),
        _ => (avx512::HEIGHT, avx512::block),
    };
    let _tiles = (isa == Isa::Amx).then(Tiles::configure);
    let c = c.as_mut_ptr();
    let step = depth.div_ceil(depth.div_ceil(MAX_DEPTH)).next_multiple_of(BF16_PAD);
    for first in (0..depth).step_by(step) {
        let write = if first == 0 { write } else { Write::Add };
        for_blocks(rows, cols, height, 2 * step, |row, col| {
            // SAFETY: as in `ternary_forward`, by the lengths checked above.
            unsafe {
                run(&Block {
                    a: left.as_ptr().add(row * stride + first).cast(),
                    lda: 2 * stride,
                    b: right.as_ptr().add(col * depth + first * 16).cast(),
                    panel: 2 * 16 * depth,
                    steps: step.min(depth - first) / BF16_PAD,
                    c: c.add(row * ldc + col),
                    ldc,
                    rows: height.min(rows - row),
                    cols: BLOCK_COLS.min(cols - col),
                    write,
                });
            }
        });
    }
}

/// Calls `run(row, col)` for every block, strip by strip of columns that have `col_bytes` each.
#[inline(always)]
fn for_blocks(rows: usize, cols: usize, height: usize, col_bytes: usize, run: impl Fn(usize, usize)) {
    let strip = (STRIP_BYTES / (BLOCK_COLS * col_bytes)).max(1) * BLOCK_COLS;
    for left in (0..cols).step_by(strip) {
        for row in (0..rows).step_by(height) {
            for col in (left..cols.min(left + strip)).step_by(BLOCK_COLS) {
                run(row, col);
            }
        }
    }
}

/// `dx (+)= dy diag(s) t`.
pub(super) fn backward_input(
    isa: Isa,
    dy: &[f32],
    w: &TernaryMatrix,
    dx: &mut [f32],
    write: Write,
    ws: &mut Workspace,
) {
    row_product(isa, dy, w.n(), Some(w.scale.as_ref()), w.bf16.as_ref(), dx, w.k(), write, ws);
}

/// `y = x W^T`.
pub(super) fn matmul_nt(isa: Isa, x: &[f32], w: &FloatMatrix, y: &mut [f32], ws: &mut Workspace) {
    row_product(isa, x, w.k(), None, w.by_k.as_ref(), y, w.n(), Write::Set, ws);
}

/// `dx (+)= dy W`.
pub(super) fn matmul_nn(isa: Isa, dy: &[f32], w: &FloatMatrix, dx: &mut [f32], write: Write, ws: &mut Workspace) {
    row_product(isa, dy, w.n(), None, w.by_n.as_ref(), dx, w.k(), write, ws);
}

/// `out (M, cols) (+)= x (M, inner) diag(scale) right`.
#[expect(clippy::too_many_arguments, reason = "operands and their shapes, as a BLAS call has them")]
fn row_product(
    isa: Isa,
    x: &[f32],
    inner: usize,
    scale: Option<&[f32]>,
    right: &[u16],
    out: &mut [f32],
    cols: usize,
    write: Write,
    ws: &mut Workspace,
) {
    let depth = inner.next_multiple_of(BF16_PAD);
    let stride = odd_lines(depth);
    let rows = (x.len() / inner).min(CHUNK_ROWS);
    let left = ws.left.at_least(rows.next_multiple_of(ROW_PAD) * stride);
    for (x, out) in x.chunks(CHUNK_ROWS * inner).zip(out.chunks_mut(CHUNK_ROWS * cols)) {
        // SAFETY: precision bf16 proves AVX-512 with BF16.
        unsafe { convert::rows(Strided::dense(x, inner), scale, left, stride) };
        product(isa, left, stride, right, depth, out, cols, x.len() / inner, cols, write);
    }
}

/// `dw += dy^T diag(scale) q`.
pub(super) fn backward_weight(isa: Isa, dy: &[f32], x: &QuantizedRows, n: usize, dw: &mut [f32], ws: &mut Workspace) {
    let (m, stride) = (x.rows(), x.stride());
    contract_rows(isa, dy, Some(&x.scale.as_ref()[..m]), m, n, x.k(), dw, ws, |first, rows, right| {
        let q = &x.q.as_ref()[first * stride..][..rows * stride];
        // SAFETY: precision bf16 proves AVX-512 with BF16.
        unsafe { convert::pair_int8_rows(q, stride, x.k(), right) };
    });
}

/// `dw += dy^T x`.
pub(super) fn matmul_tn(isa: Isa, dy: &[f32], x: &[f32], n: usize, k: usize, dw: &mut [f32], ws: &mut Workspace) {
    contract_rows(isa, dy, None, dy.len() / n, n, k, dw, ws, |first, rows, right| {
        // SAFETY: precision bf16 proves AVX-512 with BF16.
        unsafe { convert::pair_rows(Strided::dense(&x[first * k..][..rows * k], k), right) };
    });
}

/// `dw (N, K) += dy (M, N)^T diag(scale) x`, where `pair(first, rows, out)` writes the panels of rows `first..`
/// of x.
#[expect(clippy::too_many_arguments, reason = "operands and their shapes, as a BLAS call has them")]
fn contract_rows(
    isa: Isa,
    dy: &[f32],
    scale: Option<&[f32]>,
    m: usize,
    n: usize,
    k: usize,
    dw: &mut [f32],
    ws: &mut Workspace,
    pair: impl Fn(usize, usize, &mut [u16]),
) {
    // the deepest chunk's, whatever m: a later product of more rows must find the room
    let left = ws.left.at_least(n.next_multiple_of(ROW_PAD) * odd_lines(CHUNK_DEPTH));
    let right = ws.right.at_least(k.next_multiple_of(BLOCK_COLS) * CHUNK_DEPTH);
    for first in (0..m).step_by(CHUNK_DEPTH) {
        let rows = CHUNK_DEPTH.min(m - first);
        let depth = rows.next_multiple_of(BF16_PAD);
        let stride = odd_lines(depth);
        let scale = scale.map(|scale| &scale[first..][..rows]);
        // SAFETY: precision bf16 proves AVX-512 with BF16.
        unsafe { convert::transposed_rows(Strided::dense(&dy[first * n..][..rows * n], n), scale, left, stride) };
        pair(first, rows, right);
        product(isa, left, stride, right, depth, dw, k, n, k, Write::Add);
    }
}

/// `c (+)= a b`, rows of c `ldc` apart; the caller checked the shapes.
pub(super) fn strided_product(
    isa: Isa,
    a: Strided,
    b: Strided,
    c: &mut [f32],
    ldc: usize,
    write: Write,
    ws: &mut Workspace,
) {
    let (m, n) = (a.rows, b.cols);
    let depth = a.cols.next_multiple_of(BF16_PAD);
    let stride = odd_lines(depth);
    let left = ws.left.at_least(m.next_multiple_of(ROW_PAD) * stride);
    let right = ws.right.at_least(n.next_multiple_of(BLOCK_COLS) * depth);
    // SAFETY: precision bf16 proves AVX-512 with BF16.
    unsafe {
        match a.col_stride {
            1 => convert::rows(a, None, left, stride),
            _ => convert::transposed_rows(a.transposed(), None, left, stride),
        }
        match b.col_stride {
            1 => convert::pair_rows(b, right),
            _ => convert::pair_cols(b.transposed(), right),
        }
    }
    product(isa, left, stride, right, depth, c, ldc, m, n, write);
}

/// Writes the bfloat16 panels of a matrix whose codes are set.
pub(super) fn pack_ternary(w: &mut TernaryMatrix) {
    let (stride, k) = (w.stride(), w.k());
    // SAFETY: precision bf16 proves AVX-512 with BF16.
    unsafe { convert::pair_int8_rows(w.codes.as_ref(), stride, k, w.bf16.as_mut()) };
}

/// Writes the bfloat16 panels of `weight` (N, K).
pub(super) fn pack_float(w: &mut FloatMatrix, weight: &[f32]) {
    let weight = Strided::dense(weight, w.k());
    // SAFETY: precision bf16 proves AVX-512 with BF16.
    unsafe {
        convert::pair_rows(weight, w.by_n.as_mut());
        convert::pair_cols(weight, w.by_k.as_mut());
    }
}
