//! The gradients of ternary layers in int8, on the forward's instructions.
//!
//! With `y = x t^T diag(s)` and `x = diag(a) q` the gradients are `dx = dy diag(s) t` and `dw = dy^T diag(a) q`. The
//! rows of `dy diag(s)` are quantised once, each by its absmax: `dy diag(s) = diag(r) g`. Then
//!
//! - `dx = diag(r) (g t)`
//! - `dw = diag(1 / s) (g^T diag(r a) q)`
//!
//! where what is in brackets is int8 times int8, summed exactly, so that these products too give the same bits at every
//! [`Isa`]. The weights `r a` of the rows cannot leave the second sum, which runs over rows. They go, relative to the
//! largest, into the narrower of the two factors, which is rounded up or down at random so that rows of little weight
//! count right in the mean (stochastic rounding; Gupta et al., 2015). What is random comes from the bits of r, so a run
//! that is repeated or resumed rounds alike. The idea of int8 in the backward at all is SwitchBack's (Wortsman et al.,
//! 2023), which keeps `dw` in 16 bits.

use flashlm_core::math::{absmax, sum_by};

use super::buffer::Buffer;
use super::operands::{INT8_PAD, LeftFactor, Lines, ROW_PAD, RightFactor};
use super::{Isa, Kernels, QuantizedRows, Write, portable};

/// The least absmax of a gradient's row: below, its inverse would overflow.
const MIN_ABSMAX: f32 = 1e-35;
/// Adding it leaves the nearest integer, ties to even, in the low bits: 1.5 times 2^23.
const ROUND: f32 = 12_582_912.0;
/// Values that are rounded at random side by side, two for each word of noise.
const LANES: usize = 32;
/// Bits behind the point while they are.
const FRACTION: u32 = 7;

/// A gradient in int8, and what is made of it.
#[derive(Clone)]
pub(super) struct Int8Scratch {
    /// g, (M, N), rows a multiple of [`INT8_PAD`] apart; r, and the sum of each row.
    g: Buffer<i8>,
    scale: Buffer<f32>,
    sum: Buffer<i32>,
    rows: usize,
    n: usize,
    /// One row of dy diag(s).
    row: Buffer<f32>,
    /// r a of every row, relative to the largest.
    share: Buffer<f32>,
    /// The factor of `dw` that took the shares.
    folded: Buffer<i8>,
    /// The two factors of `dw`.
    left: Buffer<i8>,
    right: Buffer<i8>,
    /// Both in int16, at [`Isa::Avx2`] alone: there products of int8 would saturate.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "read by products on x86-64"))]
    wide_left: Buffer<i16>,
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "read by products on x86-64"))]
    wide_right: Buffer<i16>,
    /// Of every row of `dw`, and of every column.
    row_scale: Buffer<f32>,
    row_extra: Buffer<i32>,
    ones: Buffer<f32>,
}

impl Int8Scratch {
    pub fn new() -> Self {
        Self {
            g: Buffer::new(0),
            scale: Buffer::new(0),
            sum: Buffer::new(0),
            rows: 0,
            n: 0,
            row: Buffer::new(0),
            share: Buffer::new(0),
            folded: Buffer::new(0),
            left: Buffer::new(0),
            right: Buffer::new(0),
            wide_left: Buffer::new(0),
            wide_right: Buffer::new(0),
            row_scale: Buffer::new(0),
            row_extra: Buffer::new(0),
            ones: Buffer::new(0),
        }
    }

    /// Quantises the rows of `dy diag(s)`, (M, N).
    #[inline(always)]
    pub fn quantize(&mut self, dy: &[f32], m: usize, s: &[f32]) {
        let n = s.len();
        let stride = n.next_multiple_of(INT8_PAD);
        (self.rows, self.n) = (m, n);
        let padded = m.next_multiple_of(ROW_PAD);
        let g = self.g.at_least(padded * stride);
        let (scale, sum) = (self.scale.at_least(padded), self.sum.at_least(padded));
        let row = &mut self.row.at_least(n)[..n];
        let rows = g.chunks_exact_mut(stride).zip(scale).zip(sum);
        for (dy, ((g, scale), sum)) in dy.chunks_exact(n).zip(rows) {
            for ((row, &dy), &s) in row.iter_mut().zip(dy).zip(s) {
                *row = dy * s;
            }
            let largest = absmax(row).max(MIN_ABSMAX);
            let inverse = 127.0 / largest;
            let (values, end) = g.split_at_mut(n);
            for (g, &v) in values.iter_mut().zip(&*row) {
                *g = (v * inverse + ROUND).to_bits() as i8;
            }
            end.fill(0);
            // no integer is NaN: a row with one that is, or an infinity, is worth NaN
            *scale = largest / 127.0 + sum_by(row, |v| v * 0.0);
            *sum = values.iter().map(|&g| i32::from(g)).sum();
        }
    }

    /// Rows and columns (M, N) of the gradient quantised last.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.n)
    }

    fn stride(&self) -> usize {
        self.n.next_multiple_of(INT8_PAD)
    }

    /// The gradient as the left factor of `dx`.
    pub fn factor(&self) -> LeftFactor<'_> {
        let (values, scale, extra) = (self.g.as_ref(), self.scale.as_ref(), self.sum.as_ref());
        LeftFactor { values, lines: Lines::Rows(self.stride()), rows: self.rows, scale, extra }
    }

    /// Sets the rows' shares in a gradient of weights, and returns the weight that they are relative to.
    #[inline(always)]
    pub fn weigh(&mut self, x: &QuantizedRows) -> f32 {
        let m = self.rows;
        let share = &mut self.share.at_least(m)[..m];
        for ((share, &r), &a) in share.iter_mut().zip(self.scale.as_ref()).zip(x.scale.as_ref()) {
            *share = r * a;
        }
        let largest = absmax(share);
        let inverse = if largest > 0.0 { 1.0 / largest } else { 0.0 };
        share.iter_mut().for_each(|share| *share *= inverse);
        largest
    }

    /// Fills in the factors of `dw`, for [`Self::multiply`].
    pub fn fold(&mut self, kernels: Kernels, x: &QuantizedRows, s: &[f32], largest: f32) {
        let (m, n, k) = (self.rows, self.n, x.k());
        let (g_stride, x_stride) = (self.stride(), x.stride());
        // of two as narrow g: activations behind a gate have the fewer small values to spare
        let into_g = n <= k;
        let (source, stride) = if into_g { (self.g.as_ref(), g_stride) } else { (x.q.as_ref(), x_stride) };
        let folded = self.folded.at_least(m.next_multiple_of(ROW_PAD) * stride);
        kernels.vectorize(
            #[inline(always)]
            || {
                let rows = source.chunks_exact(stride).zip(folded.chunks_exact_mut(stride));
                for ((q, folded), (&share, &r)) in rows.zip(self.share.as_ref().iter().zip(self.scale.as_ref())).take(m)
                {
                    round_at_random(q, share, r.to_bits(), folded);
                }
            },
        );
        let (g, x) = if into_g { (&*folded, x.q.as_ref()) } else { (self.g.as_ref(), &*folded) };
        let (depth, rows) = (m.next_multiple_of(INT8_PAD), n.next_multiple_of(ROW_PAD));
        let cols = k.next_multiple_of(ROW_PAD);
        let (g, x) = ((g, (m, n, g_stride)), (x, (m, k, x_stride)));
        let scale = self.row_scale.at_least(rows);
        scale.iter_mut().zip(s).for_each(|(scale, s)| *scale = largest / s);
        self.row_extra.at_least(rows);
        self.ones.at_least(cols).fill(1.0);
        match kernels.isa() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => {
                super::x86::pair(g.0, g.1, self.wide_left.at_least(rows * depth));
                super::x86::pair(x.0, x.1, self.wide_right.at_least(cols * depth));
            }
            #[cfg(target_arch = "x86_64")]
            isa @ (Isa::AvxVnni | Isa::Avx512) => {
                let left = self.left.at_least(rows * depth);
                super::x86::interleave(g.0, g.1, 0, left);
                super::x86::row_sums(isa, left, depth, -i32::from(OFFSET), self.row_extra.as_mut());
                super::x86::interleave(x.0, x.1, OFFSET, self.right.at_least(cols * depth));
            }
            #[cfg(target_arch = "aarch64")]
            isa @ (Isa::Neon | Isa::I8mm) => {
                super::aarch64::interleave(isa, g.0, g.1, self.left.at_least(rows * depth));
                super::aarch64::interleave(isa, x.0, x.1, self.right.at_least(cols * depth));
            }
            isa => {
                let left = self.left.at_least(rows * odd_stride(depth));
                left_factor(isa, g.0, g.1, left, odd_stride(depth));
                right_factor(isa, x.0, x.1, 0, self.right.at_least(cols * depth));
            }
        }
    }

    /// `dw (N, K) += left right` of the factors that [`Self::fold`] filled in.
    pub fn multiply(&self, kernels: Kernels, k: usize, dw: &mut [f32]) {
        let (rows, cols, depth) = (self.n, k, self.rows.next_multiple_of(INT8_PAD));
        let (scale, extra, ones) = (self.row_scale.as_ref(), self.row_extra.as_ref(), self.ones.as_ref());
        match kernels.isa() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => {
                let left = LeftFactor { values: self.wide_left.as_ref(), lines: Lines::Panels, rows, scale, extra };
                let right = RightFactor { values: self.wide_right.as_ref(), cols, depth, scale: ones };
                super::x86::int16_product(left, right, dw, Write::Add);
            }
            isa => {
                let panels = matches!(isa, Isa::AvxVnni | Isa::Avx512 | Isa::Neon | Isa::I8mm);
                let lines = if panels { Lines::Panels } else { Lines::Rows(odd_stride(depth)) };
                let left = LeftFactor { values: self.left.as_ref(), lines, rows, scale, extra };
                let right = RightFactor { values: self.right.as_ref(), cols, depth, scale: ones };
                kernels.int8_product(left, right, dw, Write::Add);
            }
        }
    }
}

/// So many bytes that the rows of a tile do not fall into the same few sets of L1: an odd number of cache lines.
fn odd_stride(depth: usize) -> usize {
    if (depth / INT8_PAD).is_multiple_of(2) { depth + INT8_PAD } else { depth }
}

/// What makes signed bytes unsigned ones, added without carry: they become 128 larger.
#[cfg(target_arch = "x86_64")]
const OFFSET: i8 = i8::MIN;

impl Kernels {
    /// `y (M, N) (+)= left right`, exact but for the scales.
    pub(super) fn int8_product(self, left: LeftFactor<'_>, right: RightFactor<'_>, y: &mut [f32], write: Write) {
        match self.isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::AvxVnni | Isa::Avx512 | Isa::Amx => {
                super::x86::int8_product(self.isa, left, right, y, write)
            }
            #[cfg(target_arch = "aarch64")]
            Isa::Neon | Isa::I8mm => super::aarch64::int8_product(self.isa, left, right, y, write),
            _ => self.vectorize(
                #[inline(always)]
                || portable::int8_product(left, right, y, write),
            ),
        }
    }
}

/// `out = f q`, rounded up or down at random, the likelier the nearer, so that the mean over `seed` is f q; f within
/// 0..=1, kept to 15 bits.
#[inline(always)]
fn round_at_random(q: &[i8], f: f32, seed: u32, out: &mut [i8]) {
    let factor = (f * f32::from(i16::MAX) + 0.5) as i16;
    let mut noise: [u32; LANES / 2] =
        std::array::from_fn(|lane| mixed(seed.wrapping_add((lane as u32 + 1).wrapping_mul(0x9e37_79b9))));
    for (q, out) in q.as_chunks::<LANES>().0.iter().zip(out.as_chunks_mut::<LANES>().0) {
        for x in &mut noise {
            // xorshift (Marsaglia, 2003)
            *x ^= *x << 13;
            *x ^= *x >> 17;
            *x ^= *x << 5;
        }
        let noise: &[[u16; 2]] = bytemuck::cast_slice(&noise);
        for ((out, &q), &noise) in out.iter_mut().zip(q).zip(noise.as_flattened()) {
            let product = ((((i32::from(q) << FRACTION) * i32::from(factor)) >> 14) + 1) >> 1;
            let noise = (noise & ((1 << FRACTION) - 1)) as i16;
            *out = ((product as i16 + noise) >> FRACTION) as i8;
        }
    }
}

/// A number that depends on every bit of `x` (the finaliser of MurmurHash3).
#[inline(always)]
fn mixed(x: u32) -> u32 {
    let x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b);
    let x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
    x ^ (x >> 16)
}

/// Rows (M, N), `stride` apart, as the left factor of a product that contracts them: (N, M), `out_stride` apart, zero
/// from M to the next multiple of [`INT8_PAD`].
fn left_factor(isa: Isa, rows: &[i8], (m, n, stride): (usize, usize, usize), out: &mut [i8], out_stride: usize) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Amx => super::x86::transpose(rows, (m, n, stride), out, out_stride),
        _ => transpose(rows, (m, n, stride), out, out_stride),
    }
}

/// Rows (M, N), `stride` apart, as the right factor of a product that contracts them, with `offset` added to every
/// value without carry.
pub(super) fn right_factor(isa: Isa, rows: &[i8], (m, n, stride): (usize, usize, usize), offset: i8, out: &mut [i8]) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::AvxVnni | Isa::Avx512 | Isa::Amx => super::x86::interleave(rows, (m, n, stride), offset, out),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon | Isa::I8mm => super::aarch64::interleave(isa, rows, (m, n, stride), out),
        _ => {
            debug_assert_eq!(offset, 0, "signed values at {isa}");
            transpose(rows, (m, n, stride), out, m.next_multiple_of(INT8_PAD));
        }
    }
}

/// `out` (N, M) is the transpose of `rows` (M, N), zero from M to the next multiple of [`INT8_PAD`].
fn transpose(rows: &[i8], (m, n, stride): (usize, usize, usize), out: &mut [i8], out_stride: usize) {
    for (column, out) in out.chunks_exact_mut(out_stride).take(n).enumerate() {
        for (out, row) in out.iter_mut().zip(rows.chunks_exact(stride).take(m)) {
            *out = row[column];
        }
        out[m..m.next_multiple_of(INT8_PAD)].fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_at_random_is_right_in_the_mean_and_never_off_by_one() {
        let q: [i8; 2 * LANES] = std::array::from_fn(|i| (i as i32 * 4 - 127) as i8);
        for f in [0.0, 0.003, 0.25, 0.6180, 0.999, 1.0] {
            let (mut sums, mut out) = ([0i32; 2 * LANES], [0; 2 * LANES]);
            let rounds = 4096;
            for round in 0..rounds {
                round_at_random(&q, f, mixed(round), &mut out);
                for (i, (&out, &q)) in out.iter().zip(&q).enumerate() {
                    let exact = f32::from(q) * f;
                    assert!((f32::from(out) - exact).abs() < 1.02, "{q} times {f} became {out}");
                    sums[i] += i32::from(out);
                }
            }
            for (sum, &q) in sums.into_iter().zip(&q) {
                let (mean, exact) = (sum as f32 / rounds as f32, f32::from(q) * f);
                // a standard deviation is at most half a step over the root of the rounds: 0.008
                assert!((mean - exact).abs() < 0.04, "{q} times {f} is {mean} in the mean, not {exact}");
            }
        }
    }
}
