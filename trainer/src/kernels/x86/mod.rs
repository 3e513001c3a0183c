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
mod avx_vnni;
mod bytes;
mod convert;

pub(super) use amx::Tiles;
pub(super) use bytes::{interleave, pair, transpose};

use super::operands::{BF16_PAD, INT8_PAD, LeftFactor, Lines, ROW_PAD, RightFactor, odd_lines};
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

/// A [`Block`] of integers whose sums, less `row_extra` where the right factor's values are unsigned, are multiplied
/// with both scales on the way out. `scale` has [`BLOCK_COLS`] values to read, `row_scale` and `row_extra` one for each
/// row.
#[derive(Clone, Copy)]
struct ScaledBlock {
    block: Block,
    scale: *const f32,
    row_scale: *const f32,
    row_extra: *const i32,
}

/// `y (M, N) (+)= left right`, exact but for the scales.
pub(super) fn int8_product(isa: Isa, left: LeftFactor<'_>, right: RightFactor<'_>, y: &mut [f32], write: Write) {
    let (height, run): (usize, unsafe fn(&ScaledBlock)) = match (isa, left.lines) {
        (Isa::Amx, Lines::Rows(_)) => (amx::HEIGHT, amx::int8_block),
        (Isa::Avx512, Lines::Rows(_)) => (avx512::HEIGHT, avx512::int8_block),
        (Isa::Avx512, Lines::Panels) => (avx512::HEIGHT_PANELS, avx512::int8_panel_block),
        (Isa::AvxVnni, Lines::Rows(_)) => (avx_vnni::HEIGHT, avx_vnni::int8_block),
        (Isa::AvxVnni, Lines::Panels) => (avx_vnni::HEIGHT_PANELS, avx_vnni::int8_panel_block),
        (Isa::Avx2, Lines::Rows(_)) => (avx2::HEIGHT, avx2::int8_block),
        _ => unreachable!("no left factor at {isa} is made {:?}", left.lines),
    };
    let _tiles = (isa == Isa::Amx).then(Tiles::configure);
    scaled_product(left, right, y, write, height, run);
}

/// The same of int16, for AVX2, whose products of int8 would saturate: both factors in panels of pairs.
pub(super) fn int16_product(left: LeftFactor<'_, i16>, right: RightFactor<'_, i16>, y: &mut [f32], write: Write) {
    scaled_product(left, right, y, write, avx2::HEIGHT_INT16, avx2::int16_block);
}

/// `sums` are `factor` times the sum of each row in `panels`, `[N/16][depth/4][16][4]`; every panel's 16 are written.
pub(super) fn row_sums(isa: Isa, panels: &[i8], depth: usize, factor: i32, sums: &mut [i32]) {
    assert!(isa.is_available());
    let run: unsafe fn(&[i8], i32, &mut [i32; 16]) = match isa {
        Isa::Avx512 => avx512::row_sums,
        Isa::AvxVnni => avx_vnni::row_sums,
        _ => unreachable!("{isa} needs no sums of panels"),
    };
    for (panel, sums) in panels.chunks_exact(16 * depth).zip(sums.as_chunks_mut::<16>().0) {
        // SAFETY: the instruction set was just checked.
        unsafe { run(panel, factor, sums) };
    }
}

/// Runs the blocks of an integer product.
fn scaled_product<T>(
    left: LeftFactor<'_, T>,
    right: RightFactor<'_, T>,
    y: &mut [f32],
    write: Write,
    height: usize,
    run: unsafe fn(&ScaledBlock),
) {
    let (m, n, depth) = (left.rows, right.cols, right.depth);
    let (rows, cols) = (m.next_multiple_of(ROW_PAD), n.next_multiple_of(ROW_PAD));
    let stride = match left.lines {
        Lines::Rows(stride) => stride,
        Lines::Panels => depth,
    };
    assert!(depth.is_multiple_of(INT8_PAD) && stride >= depth && left.values.len() >= rows * stride);
    assert!(left.scale.len() >= m && left.extra.len() >= m);
    assert!(right.values.len() >= cols * depth && right.scale.len() >= cols && y.len() >= m * n);
    let y = y.as_mut_ptr();
    // a block begins within a panel of 16 rows, four bytes of each side by side
    let (start, lda): (fn(usize, usize) -> usize, usize) = match left.lines {
        Lines::Rows(_) => (|row, stride| row * stride, size_of::<T>() * stride),
        Lines::Panels => (|row, depth| row / 16 * 16 * depth + row % 16 * (4 / size_of::<T>()), 4),
    };
    for_blocks(m, n, height, size_of::<T>() * depth, |row, col| {
        // SAFETY: the lengths checked above keep every block inside its buffers, whose rows are padded to
        // 32; the caller's `Kernels` proved the instruction set, and for AMX the tiles are configured.
        unsafe {
            run(&ScaledBlock {
                block: Block {
                    a: left.values.as_ptr().add(start(row, stride)).cast(),
                    lda,
                    b: right.values.as_ptr().add(col * depth).cast(),
                    panel: size_of::<T>() * 16 * depth,
                    steps: size_of::<T>() * depth / INT8_PAD,
                    c: y.add(row * n + col),
                    ldc: n,
                    rows: height.min(m - row),
                    cols: BLOCK_COLS.min(n - col),
                    write,
                },
                scale: right.scale.as_ptr().add(col),
                row_scale: left.scale.as_ptr().add(row),
                row_extra: left.extra.as_ptr().add(row),
            });
        }
    });
}

/// Which part of a product is wanted.
#[derive(Clone, Copy)]
enum Wanted {
    All,
    /// What lies on or below the diagonal, where the rows begin with this one of the whole; whole blocks are written.
    Lower {
        first: usize,
    },
}

impl Wanted {
    /// Whether any of a block is: of rows to `end`, and columns from `col`.
    #[inline(always)]
    fn has(self, end: usize, col: usize) -> bool {
        match self {
            Self::All => true,
            Self::Lower { first } => col < first + end,
        }
    }
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
    wanted: Wanted,
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
            if !wanted.has(rows.min(row + height), col) {
                return;
            }
            // SAFETY: as in `scaled_product`, by the lengths checked above.
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
    row_product(isa, dy, w.n(), Some(w.scale.as_ref()), w.bf16.as_ref(), dx, w.k(), (write, Wanted::All), ws);
}

/// `y = x W^T`.
pub(super) fn matmul_nt(isa: Isa, x: &[f32], w: &FloatMatrix, y: &mut [f32], ws: &mut Workspace) {
    row_product(isa, x, w.k(), None, w.by_k.as_ref(), y, w.n(), (Write::Set, Wanted::All), ws);
}

/// `y = x W^T` on and below the diagonal; what is above it is not to be read.
pub(super) fn matmul_nt_lower(isa: Isa, x: &[f32], w: &FloatMatrix, y: &mut [f32], ws: &mut Workspace) {
    let wanted = Wanted::Lower { first: 0 };
    row_product(isa, x, w.k(), None, w.by_k.as_ref(), y, w.n(), (Write::Set, wanted), ws);
}

/// `dx (+)= dy W`.
pub(super) fn matmul_nn(isa: Isa, dy: &[f32], w: &FloatMatrix, dx: &mut [f32], write: Write, ws: &mut Workspace) {
    row_product(isa, dy, w.n(), None, w.by_n.as_ref(), dx, w.k(), (write, Wanted::All), ws);
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
    (write, wanted): (Write, Wanted),
    ws: &mut Workspace,
) {
    let depth = inner.next_multiple_of(BF16_PAD);
    let stride = odd_lines(depth);
    let rows = (x.len() / inner).min(CHUNK_ROWS);
    let left = ws.left.at_least(rows.next_multiple_of(ROW_PAD) * stride);
    for (chunk, (x, out)) in x.chunks(CHUNK_ROWS * inner).zip(out.chunks_mut(CHUNK_ROWS * cols)).enumerate() {
        // SAFETY: precision bf16 proves AVX-512 with BF16.
        unsafe { convert::rows(Strided::dense(x, inner), scale, left, stride) };
        let wanted = match wanted {
            Wanted::All => Wanted::All,
            Wanted::Lower { first } => Wanted::Lower { first: first + chunk * CHUNK_ROWS },
        };
        product(isa, left, stride, right, depth, out, cols, x.len() / inner, cols, write, wanted);
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
        product(isa, left, stride, right, depth, dw, k, n, k, Write::Add, Wanted::All);
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
    product(isa, left, stride, right, depth, c, ldc, m, n, write, Wanted::All);
}

/// Writes the bfloat16 panels of ternary codes, rows of `k` values padded to [`INT8_PAD`].
pub(super) fn pack_ternary(codes: &[i8], k: usize, panels: &mut [u16]) {
    // SAFETY: precision bf16 proves AVX-512 with BF16.
    unsafe { convert::pair_int8_rows(codes, k.next_multiple_of(INT8_PAD), k, panels) };
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
