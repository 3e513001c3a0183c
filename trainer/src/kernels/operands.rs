//! The factors of the products, in the layouts the kernels read.
//!
//! A factor is laid out once and read many times: weights once per optimiser step, activations once per layer
//! that shares them. Every dimension is padded with zeros to whole tiles, so no kernel has a scalar tail:
//!
//! - quantised rows: row-major int8, row stride [`QuantizedRows::stride`]
//! - int8 panels of ternary weights: `[N/16][K/4][16][4]`, where 16 rows times 4 columns fill one register
//!   of dot products (`vpdpbusd`) and 16 of those one tile (`tdpbssd`); with [`Isa::I8mm`](super::Isa::I8mm)
//!   `[N/16][K/8][16][8]`, of which 2 rows fill a register of `smmla`
//! - bfloat16 panels of a factor (contraction R, columns C): `[C/16][R/2][16][2]`, for `vdpbf16ps`, `tdpbf16ps`

use flashlm_core::math;

use super::buffer::Buffer;
use super::{Kernels, Precision};

/// Rows are padded to whole pairs of tiles.
pub(super) const ROW_PAD: usize = 32;
/// The contraction of int8 products is padded to the width of a tile.
pub(super) const INT8_PAD: usize = 64;
/// The contraction of bfloat16 products is padded to the width of a tile.
pub(super) const BF16_PAD: usize = 32;

/// How the rows of a left factor lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lines {
    /// One after the other, so many values apart.
    Rows(usize),
    /// In panels, as the right factor's columns do.
    Panels,
}

/// The left factor of an integer product, int8 unless said otherwise: rows of the right factor's depth, zero past their
/// end. Rows may be read up to whole pairs of tiles.
#[derive(Clone, Copy)]
pub(super) struct LeftFactor<'a, T = i8> {
    pub values: &'a [T],
    pub lines: Lines,
    /// Rows of the product, M.
    pub rows: usize,
    /// What the sums of a row are worth.
    pub scale: &'a [f32],
    /// What the right factor's unsigned values add to each sum of a row too many; not read where they are signed.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "read by products on x86-64"))]
    pub extra: &'a [i32],
}

/// The right factor of an integer product, `depth` values of the contraction for each column, a multiple of
/// [`INT8_PAD`]: panels as described above, pairs where they are int16, or at [`Isa::Portable`](super::Isa::Portable)
/// one column after another.
#[derive(Clone, Copy)]
pub(super) struct RightFactor<'a, T = i8> {
    pub values: &'a [T],
    /// Columns of the product, N; there are values and scales for whole pairs of tiles.
    pub cols: usize,
    pub depth: usize,
    /// What the sums of a column are worth.
    pub scale: &'a [f32],
}

/// Activations (M, K) in int8, one scale a row, as [`Kernels::quantize`] writes them.
#[derive(Clone)]
pub struct QuantizedRows {
    pub(super) q: Buffer<i8>,
    pub(super) scale: Buffer<f32>,
    /// Sum of each row's values: what unsigned codes t + 1 add to a product too many.
    pub(super) sum: Buffer<i32>,
    pub(super) rows: usize,
    pub(super) k: usize,
    capacity: usize,
}

impl QuantizedRows {
    /// Room for `max_rows` rows of `k` values.
    pub fn with_capacity(max_rows: usize, k: usize) -> Self {
        let rows = max_rows.next_multiple_of(ROW_PAD);
        Self {
            q: Buffer::new(rows * k.next_multiple_of(INT8_PAD)),
            scale: Buffer::new(rows),
            sum: Buffer::new(rows),
            rows: 0,
            k,
            capacity: max_rows,
        }
    }

    /// The number of rows M quantised last.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The values in a row, K.
    pub fn k(&self) -> usize {
        self.k
    }

    /// The int8 values of one row, (K).
    pub fn q(&self, row: usize) -> &[i8] {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        &self.q.as_ref()[row * self.stride()..][..self.k]
    }

    /// What one int8 step of a row is worth: its absmax / 127.
    pub fn scale(&self, row: usize) -> f32 {
        self.scale.as_ref()[..self.rows][row]
    }

    /// Declares that `m` rows follow, each to be written by [`Self::quantize_row`] or [`Self::copy_row`]: for layers
    /// that make a row and quantise it while it is in L1.
    pub fn begin(&mut self, m: usize) {
        assert!(m <= self.capacity, "{m} rows exceed the capacity of {}", self.capacity);
        self.rows = m;
    }

    /// Quantises `x` (K) into row `row`.
    #[inline(always)]
    pub fn quantize_row(&mut self, row: usize, x: &[f32]) {
        assert!(row < self.rows && x.len() == self.k, "row {row} of {}, {} values", self.rows, x.len());
        let (k, stride) = (self.k, self.stride());
        let q = &mut self.q.as_mut()[row * stride..][..stride];
        self.scale.as_mut()[row] = math::quantize_int8(x, &mut q[..k]);
        self.sum.as_mut()[row] = q.iter().map(|&q| q as i32).sum();
    }

    /// Copies row `from` of `source`, of the same width, into row `row`.
    #[inline(always)]
    pub fn copy_row(&mut self, row: usize, source: &Self, from: usize) {
        assert!(row < self.rows && from < source.rows && self.k == source.k, "row {row} from {from}");
        let stride = self.stride();
        self.q.as_mut()[row * stride..][..stride].copy_from_slice(&source.q.as_ref()[from * stride..][..stride]);
        self.scale.as_mut()[row] = source.scale.as_ref()[from];
        self.sum.as_mut()[row] = source.sum.as_ref()[from];
    }

    pub(super) fn stride(&self) -> usize {
        self.k.next_multiple_of(INT8_PAD)
    }

    pub(super) fn factor(&self) -> LeftFactor<'_> {
        let (values, lines, rows) = (self.q.as_ref(), Lines::Rows(self.stride()), self.rows);
        LeftFactor { values, lines, rows, scale: self.scale.as_ref(), extra: self.sum.as_ref() }
    }

    #[inline(always)]
    pub(super) fn fill(&mut self, x: &[f32], m: usize) {
        assert_eq!(x.len(), m * self.k, "activations are not ({m}, {})", self.k);
        assert!(m <= self.capacity, "{m} rows exceed the capacity of {}", self.capacity);
        let (k, stride) = (self.k, self.stride());
        let rows = self.q.as_mut().chunks_exact_mut(stride).zip(self.scale.as_mut()).zip(self.sum.as_mut());
        for (x, ((q, scale), sum)) in x.chunks_exact(k).zip(rows) {
            *scale = math::quantize_int8(x, &mut q[..k]);
            *sum = q.iter().map(|&q| q as i32).sum();
        }
        self.rows = m;
    }
}

/// Float weights (N, K) in the layouts the float products read, made by [`FloatMatrix::pack`].
#[derive(Clone)]
pub struct FloatMatrix {
    pub(super) kernels: Kernels,
    pub(super) n: usize,
    pub(super) k: usize,
    /// bfloat16 panels with contraction K, for `x W^T`; only at [`Precision::Bf16`].
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "read by products on x86-64"))]
    pub(super) by_k: Buffer<u16>,
    /// bfloat16 panels with contraction N, for `dy W`; only at [`Precision::Bf16`].
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "read by products on x86-64"))]
    pub(super) by_n: Buffer<u16>,
    /// Row-major; only at [`Precision::F32`].
    pub(super) float: Buffer<f32>,
}

impl FloatMatrix {
    /// An all-zero matrix of `n` outputs and `k` inputs in the layouts that `kernels` reads.
    pub fn new(kernels: Kernels, n: usize, k: usize) -> Self {
        assert!(n > 0 && k > 0, "an empty matrix ({n}, {k})");
        let (panels, float) = match kernels.precision() {
            Precision::Bf16 => (n.next_multiple_of(ROW_PAD) * k.next_multiple_of(BF16_PAD), 0),
            Precision::F32 => (0, n * k),
        };
        Self { kernels, n, k, by_k: Buffer::new(panels), by_n: Buffer::new(panels), float: Buffer::new(float) }
    }

    /// Outputs, N.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Inputs, K.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Takes the values of `weight`, row-major (N, K).
    pub fn pack(&mut self, weight: &[f32]) {
        assert_eq!(weight.len(), self.n * self.k, "weight is not ({}, {})", self.n, self.k);
        match self.kernels.precision() {
            Precision::F32 => self.float.as_mut().copy_from_slice(weight),
            #[cfg(target_arch = "x86_64")]
            Precision::Bf16 => super::x86::pack_float(self, weight),
            #[cfg(not(target_arch = "x86_64"))]
            Precision::Bf16 => unreachable!("Kernels::new grants bf16 on x86-64 alone"),
        }
    }
}

/// A row of `depth` bfloat16 padded to an odd number of cache lines, so that the rows of a tile do not fall
/// into the same few sets of L1.
pub(super) fn odd_lines(depth: usize) -> usize {
    if (depth / 32).is_multiple_of(2) { depth + 32 } else { depth }
}
