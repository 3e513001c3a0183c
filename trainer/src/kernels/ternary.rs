//! Ternary weights in the layouts that their products read.

use flashlm_core::math;

use super::buffer::Buffer;
use super::operands::{BF16_PAD, INT8_PAD, ROW_PAD, RightFactor};
use super::{Backward, Isa, Kernels, int8};

/// Ternary weights (N, K) with one scale a row, made from the latent float weights by [`TernaryMatrix::pack`].
#[derive(Clone)]
pub struct TernaryMatrix {
    pub(super) kernels: Kernels,
    n: usize,
    k: usize,
    /// s, padded with zeros.
    pub(super) scale: Buffer<f32>,
    /// t, row-major, row stride `INT8_PAD`.
    codes: Buffer<i8>,
    /// t (AMX) or t + 1 (AVX2, AVX-512), as int8 panels; empty at [`Isa::Portable`].
    panels: Buffer<i8>,
    /// The same with contraction N; at [`Isa::Portable`] t, row-major (K, N). Only at [`Backward::Int8`].
    by_n: Buffer<i8>,
    /// A scale of 1 for every column of `by_n`.
    ones: Buffer<f32>,
    /// t as bfloat16 panels with contraction N; only at [`Backward::Bf16`].
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "read by products on x86-64"))]
    pub(super) bf16: Buffer<u16>,
    /// s t, row-major; only at [`Backward::F32`].
    pub(super) float: Buffer<f32>,
}

impl TernaryMatrix {
    /// An all-zero matrix of `n` outputs and `k` inputs in the layouts that `kernels` reads.
    pub fn new(kernels: Kernels, n: usize, k: usize) -> Self {
        assert!(n > 0 && k > 0, "an empty matrix ({n}, {k})");
        let (rows, stride) = (n.next_multiple_of(ROW_PAD), k.next_multiple_of(INT8_PAD));
        let only = |backward: Backward, len: usize| if kernels.backward() == backward { len } else { 0 };
        let cols = k.next_multiple_of(ROW_PAD);
        let mut matrix = Self {
            kernels,
            n,
            k,
            scale: Buffer::new(rows),
            codes: Buffer::new(rows * stride),
            panels: Buffer::new(if kernels.isa() == Isa::Portable { 0 } else { rows * stride }),
            by_n: Buffer::new(only(Backward::Int8, cols * n.next_multiple_of(INT8_PAD))),
            ones: Buffer::new(only(Backward::Int8, cols)),
            bf16: Buffer::new(only(Backward::Bf16, rows * k.next_multiple_of(BF16_PAD))),
            float: Buffer::new(only(Backward::F32, n * k)),
        };
        let zero = matrix.code_of_zero();
        matrix.panels.as_mut().fill(zero);
        matrix.ones.as_mut().fill(1.0);
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
        match kernels.backward() {
            Backward::F32 => {}
            #[cfg(target_arch = "x86_64")]
            Backward::Bf16 => super::x86::pack_ternary(self.codes.as_ref(), self.k, self.bf16.as_mut()),
            #[cfg(not(target_arch = "x86_64"))]
            Backward::Bf16 => unreachable!("Kernels grants bf16 on x86-64 alone"),
            Backward::Int8 => {
                let (codes, shape) = (self.codes.as_ref(), (self.n, self.k, k_stride(self.k)));
                int8::right_factor(kernels.isa(), codes, shape, self.code_of_zero(), self.by_n.as_mut());
            }
        }
    }

    /// What [`Kernels::ternary_forward`] multiplies with.
    pub(super) fn forward_factor(&self) -> RightFactor<'_> {
        let codes = if self.kernels.isa() == Isa::Portable { &self.codes } else { &self.panels };
        RightFactor { values: codes.as_ref(), cols: self.n, depth: self.stride(), scale: self.scale.as_ref() }
    }

    /// What the rows of a gradient are multiplied with, at [`Backward::Int8`].
    pub(super) fn backward_factor(&self) -> RightFactor<'_> {
        let depth = self.n.next_multiple_of(INT8_PAD);
        RightFactor { values: self.by_n.as_ref(), cols: self.k, depth, scale: self.ones.as_ref() }
    }

    pub(super) fn stride(&self) -> usize {
        k_stride(self.k)
    }

    fn code_of_zero(&self) -> i8 {
        i8::from(matches!(self.kernels.isa(), Isa::Avx2 | Isa::AvxVnni | Isa::Avx512))
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
        let panels: &mut [u32] = bytemuck::cast_slice_mut(self.panels.as_mut());
        // no byte carries into the next: -1 + 1 is 255 + 1, so the addition is done without carries
        let shift = u32::from_ne_bytes([shift; 4]);
        let i8mm = self.kernels.isa() == Isa::I8mm;
        for (panel, rows) in panels.chunks_exact_mut(16 * words).zip(codes.chunks_exact(16 * words)) {
            if i8mm {
                fill_panel::<2, 32>(rows, words, shift, panel);
            } else {
                fill_panel::<1, 16>(rows, words, shift, panel);
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

/// 16 rows of `words` words as a panel, `[words/TOGETHER][16][TOGETHER]`, with `shift` added byte by byte; GROUP is 16
/// times TOGETHER.
#[inline(always)]
fn fill_panel<const TOGETHER: usize, const GROUP: usize>(rows: &[u32], words: usize, shift: u32, panel: &mut [u32]) {
    for (j, group) in panel.as_chunks_mut::<GROUP>().0.iter_mut().enumerate() {
        for (row, together) in group.as_chunks_mut::<TOGETHER>().0.iter_mut().enumerate() {
            for (i, word) in together.iter_mut().enumerate() {
                *word = add_bytes(rows[row * words + j * TOGETHER + i], shift);
            }
        }
    }
}

/// Codes between the rows of a matrix of `k` inputs.
fn k_stride(k: usize) -> usize {
    k.next_multiple_of(INT8_PAD)
}

/// Adds two words byte by byte.
#[inline(always)]
fn add_bytes(a: u32, b: u32) -> u32 {
    const HIGH: u32 = 0x8080_8080;
    ((a & !HIGH) + (b & !HIGH)) ^ ((a ^ b) & HIGH)
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
