//! The products that training spends its time in, on one thread each, at the CPU's best instruction set.
//!
//! Two kinds of matrix meet here. Ternary layers multiply int8 activations with ternary weights: the sums are
//! exact in int32, so [`Kernels::ternary_forward`] gives the same bits at every [`Isa`], and the same as the
//! inference core. Everything else, the backward products and the float layers, multiplies bfloat16 (or f32)
//! and sums in f32, in an order that depends on the instruction set.
//!
//! A [`Kernels`] is made once; it proves that the CPU has what it names. Weights are laid out for it once per
//! optimiser step ([`TernaryMatrix::pack`], [`FloatMatrix::pack`]), activations once per layer
//! ([`Kernels::quantize`]), and all scratch memory lives in one [`Workspace`] per thread.
//!
//! Shape letters: M rows (tokens), N outputs, K inputs; every matrix is row-major. Any M, N, K >= 1 works.
#![expect(unsafe_code, reason = "instruction sets are unsafe to use; this folder is where they are used")]

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod buffer;
#[cfg(test)]
mod elementwise_tests;
mod float;
mod int8;
mod isa;
mod memory;
mod operands;
mod peak;
mod portable;
mod small;
mod strided;
mod ternary;
#[cfg(test)]
mod tests;
mod workspace;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::fmt;

pub use isa::{Backward, Isa, Precision, Unavailable, UnknownName};
pub use memory::{counted, filled, room, zeros};
pub use operands::{FloatMatrix, QuantizedRows};
pub use peak::{Macs, Multiply};
pub use small::{Rounding, rows_times_matrix};
pub use strided::Strided;
pub use ternary::TernaryMatrix;
pub use workspace::Workspace;

/// What a product does to its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// Overwrites it; what it held, NaN included, does not matter.
    Set,
    /// Adds to it.
    Add,
}

/// The kernels of one instruction set in one precision, and what gradients of ternary layers are multiplied in. A value
/// proves that this CPU has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernels {
    isa: Isa,
    precision: Precision,
    backward: Backward,
}

impl fmt::Display for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, {} backward", self.isa, self.precision, self.backward)
    }
}

impl Kernels {
    /// The kernels of `isa` in `precision`, or why this CPU cannot run them.
    pub fn new(isa: Isa, precision: Precision) -> Result<Self, Unavailable> {
        if !isa.is_available() {
            return Err(Unavailable::Isa { isa });
        }
        if precision == Precision::Bf16 && !isa.has_bf16() {
            return Err(Unavailable::Bf16 { isa });
        }
        Ok(Self { isa, precision, backward: precision.into() })
    }

    /// The same with the gradients of ternary layers multiplied in `backward`, or why this CPU cannot.
    pub fn with_backward(self, backward: Backward) -> Result<Self, Unavailable> {
        if backward == Backward::Bf16 && !self.isa.has_bf16() {
            return Err(Unavailable::Bf16 { isa: self.isa });
        }
        Ok(Self { backward, ..self })
    }

    /// The same with the gradients of ternary layers multiplied in the precision of the other products.
    pub fn in_one_precision(self) -> Self {
        Self { backward: self.precision.into(), ..self }
    }

    /// The fastest kernels of this CPU: its best instruction set in [`Isa::default_precision`], and gradients of
    /// ternary layers in [`Isa::default_backward`].
    pub fn detect() -> Self {
        let isa = Isa::detect();
        Self { isa, precision: isa.default_precision(), backward: isa.default_backward() }
    }

    /// The same instruction set in f32, which every CPU has.
    pub fn in_f32(self) -> Self {
        Self { precision: Precision::F32, backward: Backward::F32, ..self }
    }

    /// The instruction set.
    pub fn isa(self) -> Isa {
        self.isa
    }

    /// The number format of float products.
    pub fn precision(self) -> Precision {
        self.precision
    }

    /// What the gradients of ternary layers are multiplied in.
    pub fn backward(self) -> Backward {
        self.backward
    }

    /// Runs `f` compiled with the instruction set's features, so that plain loops in it use its registers.
    /// Write the closure in the call, with `#[inline(always)]` before its bars: a closure that is not inlined
    /// is compiled for any CPU.
    #[inline]
    pub fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        #[cfg(target_arch = "x86_64")]
        {
            /// # Safety
            /// The CPU has these features.
            #[target_feature(enable = "avx2,fma,f16c,bmi2")]
            #[inline]
            fn avx2<R>(f: impl FnOnce() -> R) -> R {
                f()
            }
            /// # Safety
            /// The CPU has these features.
            #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512cd,fma,f16c,bmi2,avx512vnni")]
            #[inline]
            fn avx512<R>(f: impl FnOnce() -> R) -> R {
                f()
            }
            match self.isa {
                Isa::Portable => f(),
                // SAFETY: `Kernels::new` found these features.
                Isa::Avx2 | Isa::AvxVnni => unsafe { avx2(f) },
                // SAFETY: as above; `Isa::Amx` includes all of `Isa::Avx512`.
                Isa::Avx512 | Isa::Amx => unsafe { avx512(f) },
                Isa::Neon | Isa::I8mm => unreachable!("not on this processor"),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        f()
    }

    /// Quantises every row of `x` (M, K) with [`flashlm_core::math::quantize_int8`]. Panics when `out` was made
    /// for another K or for fewer rows.
    pub fn quantize(self, x: &[f32], m: usize, k: usize, out: &mut QuantizedRows) {
        assert_eq!(k, out.k(), "rows of {k} values for a buffer of rows of {}", out.k());
        self.vectorize(
            #[inline(always)]
            || out.fill(x, m),
        );
    }

    /// `y (M, N) = x t^T diag(s)`: element (m, n) is `sum_k t_nk q_mk` as f32 times `(s_n * scale_m)`, the same
    /// bits at every [`Isa`].
    pub fn ternary_forward(self, x: &QuantizedRows, w: &TernaryMatrix, y: &mut [f32], ws: &mut Workspace) {
        self.check(w.kernels);
        assert_eq!(x.k(), w.k(), "activations of width {} for a matrix of {} inputs", x.k(), w.k());
        assert_eq!(y.len(), x.rows() * w.n(), "output is not ({}, {})", x.rows(), w.n());
        ws.macs.int8 += (x.rows() * w.n() * w.k()) as u64;
        self.int8_product(x.factor(), w.forward_factor(), y, Write::Set);
    }

    /// `dx (M, K) (+)= dy (M, N) diag(s) t`, the gradient of [`Kernels::ternary_forward`]'s input, in floats. Panics
    /// where the matrix was made for [`Self::int8_backward_input`].
    pub fn backward_input(
        self,
        dy: &[f32],
        m: usize,
        w: &TernaryMatrix,
        dx: &mut [f32],
        write: Write,
        ws: &mut Workspace,
    ) {
        self.check(w.kernels);
        check_shape("dy", dy, m, w.n());
        check_shape("dx", dx, m, w.k());
        ws.macs.float += (m * w.n() * w.k()) as u64;
        match w.kernels.backward {
            Backward::F32 => float::backward_input(dy, m, w, dx, write),
            #[cfg(target_arch = "x86_64")]
            Backward::Bf16 => x86::backward_input(self.isa, dy, w, dx, write, ws),
            #[cfg(not(target_arch = "x86_64"))]
            Backward::Bf16 => no_bf16(ws),
            Backward::Int8 => panic!("a matrix made for gradients in int8"),
        }
    }

    /// `dw (N, K) += dy^T (q * scale)`, the gradient of the ternary weights, passed straight through to the
    /// latent ones.
    pub fn backward_weight(self, dy: &[f32], x: &QuantizedRows, n: usize, dw: &mut [f32], ws: &mut Workspace) {
        check_shape("dy", dy, x.rows(), n);
        check_shape("dw", dw, n, x.k());
        ws.macs.float += (x.rows() * n * x.k()) as u64;
        match (self.backward, self.precision) {
            (Backward::F32, _) | (Backward::Int8, Precision::F32) => float::backward_weight(dy, x, n, dw, ws),
            #[cfg(target_arch = "x86_64")]
            _ => x86::backward_weight(self.isa, dy, x, n, dw, ws),
            #[cfg(not(target_arch = "x86_64"))]
            _ => no_bf16(ws),
        }
    }

    /// `dx (M, K) = dy (M, N) diag(s) t` in int8: the gradient of [`Kernels::ternary_forward`]'s input, within some
    /// percent of a row's absmax / 127 for each of its N values. What is quantised stays in `ws` for
    /// [`Self::int8_backward_weight`].
    pub fn int8_backward_input(self, dy: &[f32], m: usize, w: &TernaryMatrix, dx: &mut [f32], ws: &mut Workspace) {
        self.check(w.kernels);
        check_shape("dy", dy, m, w.n());
        check_shape("dx", dx, m, w.k());
        ws.macs.int8 += (m * w.n() * w.k()) as u64;
        self.vectorize(
            #[inline(always)]
            || ws.int8.quantize(dy, m, w.scale()),
        );
        self.int8_product(ws.int8.factor(), w.backward_factor(), dx, Write::Set);
    }

    /// `dw (N, K) += dy^T (q * scale)` of the `dy` that [`Self::int8_backward_input`] of the same matrix quantised
    /// last, the gradient of the latent weights.
    pub fn int8_backward_weight(self, x: &QuantizedRows, w: &TernaryMatrix, dw: &mut [f32], ws: &mut Workspace) {
        let (n, k) = (w.n(), w.k());
        check_shape("dw", dw, n, k);
        assert_eq!((x.rows(), n), ws.int8.shape(), "the gradient quantised last has another shape");
        assert_eq!(x.k(), k, "activations of another width");
        ws.macs.int8 += (x.rows() * n * k) as u64;
        let largest = self.vectorize(
            #[inline(always)]
            || ws.int8.weigh(x),
        );
        if largest == 0.0 {
            return;
        }
        ws.int8.fold(self, x, w.scale(), largest);
        ws.int8.multiply(self, k, dw);
    }

    /// `y (M, N) = x (M, K) W^T`.
    pub fn matmul_nt(self, x: &[f32], m: usize, w: &FloatMatrix, y: &mut [f32], ws: &mut Workspace) {
        self.check(w.kernels);
        check_shape("x", x, m, w.k());
        check_shape("y", y, m, w.n());
        ws.macs.float += (m * w.n() * w.k()) as u64;
        match self.precision {
            Precision::F32 => float::matmul_nt(x, m, w, y),
            #[cfg(target_arch = "x86_64")]
            Precision::Bf16 => x86::matmul_nt(self.isa, x, w, y, ws),
            #[cfg(not(target_arch = "x86_64"))]
            Precision::Bf16 => no_bf16(ws),
        }
    }

    /// [`Self::matmul_nt`] of a square y (N, N) that is symmetric: little more than half of it is computed.
    pub fn matmul_nt_symmetric(self, x: &[f32], w: &FloatMatrix, y: &mut [f32], ws: &mut Workspace) {
        self.check(w.kernels);
        let n = w.n();
        check_shape("x", x, n, w.k());
        check_shape("y", y, n, n);
        ws.macs.float += (n * (n + 1) / 2 * w.k()) as u64;
        match self.precision {
            Precision::F32 => float::matmul_nt_lower(x, w, y),
            #[cfg(target_arch = "x86_64")]
            Precision::Bf16 => x86::matmul_nt_lower(self.isa, x, w, y, ws),
            #[cfg(not(target_arch = "x86_64"))]
            Precision::Bf16 => no_bf16(ws),
        }
        mirror(y, n);
    }

    /// `dx (M, K) (+)= dy (M, N) W`, the gradient of [`Kernels::matmul_nt`]'s input.
    pub fn matmul_nn(self, dy: &[f32], m: usize, w: &FloatMatrix, dx: &mut [f32], write: Write, ws: &mut Workspace) {
        self.check(w.kernels);
        check_shape("dy", dy, m, w.n());
        check_shape("dx", dx, m, w.k());
        ws.macs.float += (m * w.n() * w.k()) as u64;
        match self.precision {
            Precision::F32 => float::matmul_nn(dy, m, w, dx, write),
            #[cfg(target_arch = "x86_64")]
            Precision::Bf16 => x86::matmul_nn(self.isa, dy, w, dx, write, ws),
            #[cfg(not(target_arch = "x86_64"))]
            Precision::Bf16 => no_bf16(ws),
        }
    }

    /// `dw (N, K) += dy (M, N)^T x (M, K)`, the gradient of [`Kernels::matmul_nt`]'s weights.
    #[expect(clippy::too_many_arguments, reason = "operands and their shapes, as a BLAS call has them")]
    pub fn matmul_tn(self, dy: &[f32], x: &[f32], m: usize, n: usize, k: usize, dw: &mut [f32], ws: &mut Workspace) {
        check_shape("dy", dy, m, n);
        check_shape("x", x, m, k);
        check_shape("dw", dw, n, k);
        ws.macs.float += (m * n * k) as u64;
        match self.precision {
            Precision::F32 => float::matmul_tn(dy, x, m, n, k, dw),
            #[cfg(target_arch = "x86_64")]
            Precision::Bf16 => x86::matmul_tn(self.isa, dy, x, n, k, dw, ws),
            #[cfg(not(target_arch = "x86_64"))]
            Precision::Bf16 => no_bf16(ws),
        }
    }

    /// A matrix is laid out for the kernels it was made with, and read by no others.
    fn check(self, other: Self) {
        assert_eq!((self.isa, self.precision), (other.isa, other.precision), "a matrix made for other kernels");
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn no_bf16(_: &mut Workspace) {
    unreachable!("Kernels::new grants bf16 on x86-64 alone")
}

/// Makes y (N, N) symmetric by what lies below its diagonal, in square tiles that stay in the nearest cache.
fn mirror(y: &mut [f32], n: usize) {
    const TILE: usize = 16;
    for row0 in (0..n).step_by(TILE) {
        for col0 in (row0..n).step_by(TILE) {
            for row in row0..(row0 + TILE).min(n) {
                for col in col0.max(row + 1)..(col0 + TILE).min(n) {
                    y[row * n + col] = y[col * n + row];
                }
            }
        }
    }
}

fn check_shape(name: &str, x: &[f32], rows: usize, cols: usize) {
    assert_eq!(x.len(), rows * cols, "{name} is not ({rows}, {cols})");
}
