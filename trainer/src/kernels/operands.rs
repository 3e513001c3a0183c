//! The factors of the products, in the layouts the kernels read.
//!
//! A factor is laid out once and read many times: weights once per optimiser step, activations once per layer
//! that shares them. Every dimension is padded with zeros to whole tiles, so no kernel has a scalar tail:
//!
//! - quantised rows: row-major int8, row stride [`QuantizedRows::stride`]
//! - int8 panels of ternary weights: `[N/16][K/4][16][4]`, where 16 rows times 4 columns fill one register
//!   of dot products (`vpdpbusd`) and 16 of those one tile (`tdpbssd`)
//! - bfloat16 panels of a factor (contraction R, columns C): `[C/16][R/2][16][2]`, for `vdpbf16ps`, `tdpbf16ps`

use flashlm_core::math;

use super::buffer::Buffer;
use super::{Isa, Kernels, Macs, Precision};

/// Rows are padded to whole pairs of tiles.
pub(super) const ROW_PAD: usize = 32;
/// The contraction of int8 products is padded to the width of a tile.
pub(super) const INT8_PAD: usize = 64;
/// The contraction of bfloat16 products is padded to the width of a tile.
pub(super) const BF16_PAD: usize = 32;

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

/// Ternary weights (N, K) with one scale a row, made from the latent float weights by [`TernaryMatrix::pack`].
#[derive(Clone)]
pub struct TernaryMatrix {
    pub(super) kernels: Kernels,
    pub(super) n: usize,
    pub(super) k: usize,
    /// s, padded with zeros.
    pub(super) scale: Buffer<f32>,
    /// t, row-major, row stride `INT8_PAD`.
    pub(super) codes: Buffer<i8>,
    /// t (AMX) or t + 1 (AVX2, AVX-512), as int8 panels; empty at [`Isa::Portable`].
    pub(super) int8: Buffer<i8>,
    /// t as bfloat16 panels with contraction N; only at [`Precision::Bf16`].
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code))]
    pub(super) bf16: Buffer<u16>,
    /// s t, row-major; only at [`Precision::F32`].
    pub(super) float: Buffer<f32>,
}

impl TernaryMatrix {
    /// An all-zero matrix of `n` outputs and `k` inputs in the layouts that `kernels` reads.
    pub fn new(kernels: Kernels, n: usize, k: usize) -> Self {
        assert!(n > 0 && k > 0, "an empty matrix ({n}, {k})");
        let (rows, stride) = (n.next_multiple_of(ROW_PAD), k.next_multiple_of(INT8_PAD));
        let panels = if kernels.isa() == Isa::Portable { 0 } else { rows * stride };
        let (bf16, float) = match kernels.precision() {
            Precision::Bf16 => (rows * k.next_multiple_of(BF16_PAD), 0),
            Precision::F32 => (0, n * k),
        };
        let mut matrix = Self {
            kernels,
            n,
            k,
            scale: Buffer::new(rows),
            codes: Buffer::new(rows * stride),
            int8: Buffer::new(panels),
            bf16: Buffer::new(bf16),
            float: Buffer::new(float),
        };
        let zero = matrix.code_of_zero();
        matrix.int8.as_mut().fill(zero);
        matrix
    }

    /// Outputs, N.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Inputs, K.
    pub fn k(&self) -> usize {
        self.k
    }

    /// s, (N): the mean absolute latent weight of each row, at least 1e-5.
    pub fn scale(&self) -> &[f32] {
        &self.scale.as_ref()[..self.n]
    }

    /// The codes -1, 0, +1 of one output row, (K).
    pub fn codes(&self, row: usize) -> &[i8] {
        assert!(row < self.n, "row {row} of {}", self.n);
        &self.codes.as_ref()[row * self.stride()..][..self.k]
    }

    /// Takes the ternary values of the latent `weight`, row-major (N, K): s = max(mean |w|, 1e-5) and
    /// t = clamp(round_half_even(w / s), -1, 1), row by row.
    pub fn pack(&mut self, weight: &[f32]) {
        assert_eq!(weight.len(), self.n * self.k, "weight is not ({}, {})", self.n, self.k);
        let kernels = self.kernels;
        kernels.vectorize(
            #[inline(always)]
            || self.fill(weight),
        );
        #[cfg(target_arch = "x86_64")]
        if kernels.precision() == Precision::Bf16 {
            super::x86::pack_ternary(self);
        }
    }

    pub(super) fn stride(&self) -> usize {
        self.k.next_multiple_of(INT8_PAD)
    }

    fn code_of_zero(&self) -> i8 {
        i8::from(matches!(self.kernels.isa(), Isa::Avx2 | Isa::Avx512))
    }

    #[inline(always)]
    fn fill(&mut self, weight: &[f32]) {
        let (k, stride) = (self.k, self.stride());
        let rows = self.codes.as_mut().chunks_exact_mut(stride).zip(self.scale.as_mut());
        for (w, (codes, scale)) in weight.chunks_exact(k).zip(rows) {
            *scale = math::quantize_ternary(w, &mut codes[..k]);
        }
        let shift = self.code_of_zero() as u8;
        let codes: &[u32] = bytemuck::cast_slice(self.codes.as_ref());
        let words = stride / 4;
        let panels: &mut [u32] = bytemuck::cast_slice_mut(self.int8.as_mut());
        // no byte carries into the next: -1 + 1 is 255 + 1, so the addition is done without carries
        let shift = u32::from_ne_bytes([shift; 4]);
        for (panel, rows) in panels.chunks_exact_mut(16 * words).zip(codes.chunks_exact(16 * words)) {
            for (j, quad) in panel.as_chunks_mut::<16>().0.iter_mut().enumerate() {
                for (row, word) in quad.iter_mut().enumerate() {
                    *word = add_bytes(rows[row * words + j], shift);
                }
            }
        }
        let scale = self.scale.as_ref();
        for ((float, codes), &s) in
            self.float.as_mut().chunks_exact_mut(k).zip(self.codes.as_ref().chunks_exact(stride)).zip(scale)
        {
            for (float, &t) in float.iter_mut().zip(codes) {
                *float = s * t as f32;
            }
        }
    }
}

/// Adds two words byte by byte.
#[inline(always)]
fn add_bytes(a: u32, b: u32) -> u32 {
    const HIGH: u32 = 0x8080_8080;
    ((a & !HIGH) + (b & !HIGH)) ^ ((a ^ b) & HIGH)
}

/// Float weights (N, K) in the layouts the float products read, made by [`FloatMatrix::pack`].
#[derive(Clone)]
pub struct FloatMatrix {
    pub(super) kernels: Kernels,
    pub(super) n: usize,
    pub(super) k: usize,
    /// bfloat16 panels with contraction K, for `x W^T`; only at [`Precision::Bf16`].
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code))]
    pub(super) by_k: Buffer<u16>,
    /// bfloat16 panels with contraction N, for `dy W`; only at [`Precision::Bf16`].
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code))]
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

/// Scratch memory of the products: one for each thread. It grows the first time a shape is seen, and no product
/// allocates once it has seen the largest.
#[derive(Clone)]
pub struct Workspace {
    /// The left factor in bfloat16, row-major.
    pub(super) left: Buffer<u16>,
    /// The right factor in bfloat16 panels.
    pub(super) right: Buffer<u16>,
    /// A product before it is added to its destination, or a factor in f32.
    pub(super) float: Buffer<f32>,
    /// Multiplications done with this workspace.
    pub(super) macs: Macs,
}

impl Workspace {
    /// Empty scratch memory.
    pub fn new() -> Self {
        Self { left: Buffer::new(0), right: Buffer::new(0), float: Buffer::new(0), macs: Macs::default() }
    }

    /// Makes room for bfloat16 products of up to (m, k) times (k, n), whatever is multiplied first.
    pub fn reserve(&mut self, m: usize, k: usize, n: usize) {
        let depth = k.next_multiple_of(BF16_PAD);
        self.left.at_least(m.next_multiple_of(ROW_PAD) * odd_lines(depth));
        self.right.at_least(n.next_multiple_of(ROW_PAD) * depth);
    }

    /// The multiplications of all products since the last call.
    pub fn take_macs(&mut self) -> Macs {
        std::mem::take(&mut self.macs)
    }
}

impl Default for Workspace {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_add_without_carrying() {
        assert_eq!(add_bytes(0xff00_01ff, 0x0101_0101), 0x0001_0200);
    }

    #[test]
    fn ternary_rows_round_half_to_even_and_clamp() {
        let mut codes = [0; 5];
        // mean |w| = 4.0; 2.0 / 4.0 and -2.0 / 4.0 are ties and go to the even 0
        assert_eq!(math::quantize_ternary(&[2.0, -2.0, 2.5, 12.5, -1.0], &mut codes), 4.0);
        assert_eq!(codes, [0, 0, 1, 1, 0]);
        assert_eq!(math::quantize_ternary(&[0.0, 1e-5, -1e30 * 0.0, 0.0, 0.0], &mut codes), 1e-5);
        assert_eq!(codes, [0, 1, 0, 0, 0]);
    }
}
