//! The three products every layer is made of, once per instruction set, and bit-equal on all of them.
//!
//! [`scalar`] is the specification. The others may reorder nothing that a float could notice: integer sums are exact
//! in any order, and each float is the same expression of the same exact integers. Float loops outside these three
//! (norms, activations, scans) are plain Rust compiled again for each level by [`Kernels::vectorise`]; Rust neither
//! reorders nor fuses float operations, so those agree as well.
//!
//! A [`Kernels`] value proves that the processor has its level: it is made once by the host and passed down.
#![allow(unsafe_code)]

mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::arena::MAX_CHUNK;
use crate::model::{Embedding, TernaryMatrix};

/// An instruction set there are kernels for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Level {
    /// Plain Rust: runs everywhere and decides what is right.
    Scalar,
    /// x86-64 with AVX2: 32 int8 products an instruction, in pairs.
    Avx2,
    /// x86-64 with AVX-512 F, BW, VL and VNNI: 64 int8 products an instruction.
    Avx512,
}

impl Level {
    /// Every level, worst first.
    pub const ALL: [Self; 3] = [Self::Scalar, Self::Avx2, Self::Avx512];

    /// A name to print.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Whether this processor has the level: asked at run time on hosts, settled by the target's features elsewhere.
    fn is_available(self) -> bool {
        #[cfg(all(target_arch = "x86_64", any(feature = "std", test)))]
        macro_rules! has {
            ($($feature:tt),+) => { $(std::arch::is_x86_feature_detected!($feature))&&+ };
        }
        #[cfg(all(target_arch = "x86_64", not(any(feature = "std", test))))]
        macro_rules! has {
            ($($feature:tt),+) => { $(cfg!(target_feature = $feature))&&+ };
        }
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => has!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => has!("avx2", "avx512f", "avx512bw", "avx512vl", "avx512vnni"),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }
}

/// The kernels of one [`Level`], which the processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernels(Level);

impl Kernels {
    /// The kernels that run everywhere.
    pub const fn scalar() -> Self {
        Self(Level::Scalar)
    }

    /// The kernels of `level`, or `None` where the processor lacks it.
    pub fn new(level: Level) -> Option<Self> {
        level.is_available().then_some(Self(level))
    }

    /// The best kernels this processor has. Without the `std` feature only the features the target promises count.
    pub fn detect() -> Self {
        Self::available().last().unwrap_or(Self::scalar())
    }

    /// All kernels this processor has, slowest first.
    pub fn available() -> impl DoubleEndedIterator<Item = Self> {
        Level::ALL.into_iter().filter_map(Self::new)
    }

    /// Which level these are.
    pub const fn level(self) -> Level {
        self.0
    }

    /// Ternary product: `y[t][n] = sum_k(code[n][k] * q[t][k]) as f32 * (row_scale[n] * scale[t])`, the sum exact.
    ///
    /// q: T x K int8, scale: T (at most [`MAX_CHUNK`]), y: T x N.
    ///
    /// # Panics
    /// If the lengths disagree; the session's never do.
    pub(crate) fn ternary(self, m: TernaryMatrix<'_>, q: &[i8], scale: &[f32], y: &mut [f32]) {
        let (rows, columns, tokens) = (m.scales.len(), m.columns, scale.len());
        assert!(rows.is_multiple_of(16) && columns.is_multiple_of(16) && tokens <= MAX_CHUNK);
        assert!(m.codes.len() * 16 == rows * columns && q.len() == tokens * columns && y.len() == tokens * rows);
        match self.0 {
            Level::Scalar => scalar::ternary(m, q, scale, y),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level was available when `self` was made; the lengths were checked above.
            Level::Avx2 => unsafe { x86::avx2::ternary(m, q, scale, y) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx512 => unsafe { x86::avx512::ternary(m, q, scale, y) },
            #[cfg(not(target_arch = "x86_64"))]
            _ => scalar::ternary(m, q, scale, y),
        }
    }

    /// Rows of the output head: `y[n] = sum_k(w[n][k] * x[k]) as f32 * (row_scale[n] * scale)` for the `y.len()` rows
    /// from `first` on, both multiples of 16, the sum exact for K <= 512.
    ///
    /// # Panics
    /// If the lengths disagree; the session's never do.
    pub(crate) fn head(self, e: Embedding<'_>, first: usize, x: &[i16], scale: f32, y: &mut [f32]) {
        let columns = e.columns;
        assert!(first.is_multiple_of(16) && y.len().is_multiple_of(16) && first + y.len() <= e.scales.len());
        assert!(columns.is_multiple_of(16) && columns <= 512 && x.len() == columns);
        assert!(e.values.len() * 4 == e.scales.len() * columns);
        let values = &e.values[first * columns / 4..][..y.len() * columns / 4];
        let e = Embedding { values, scales: &e.scales[first..][..y.len()], columns };
        match self.0 {
            Level::Scalar => scalar::head(e, x, scale, y),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level was available when `self` was made; the lengths were checked above.
            Level::Avx2 => unsafe { x86::avx2::head(e, x, scale, y) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx512 => unsafe { x86::avx512::head(e, x, scale, y) },
            #[cfg(not(target_arch = "x86_64"))]
            _ => scalar::head(e, x, scale, y),
        }
    }

    /// Float product with a transposed matrix: `y[n] = sum_k w[k][n] * x[k]`, from 0 on in the order of k.
    ///
    /// w: K x N, x: K, y: N.
    pub(crate) fn matvec(self, w: &[f32], x: &[f32], y: &mut [f32]) {
        self.vectorise(
            #[inline(always)]
            || scalar::matvec(w, x, y),
        );
    }

    /// Runs `f` compiled for this level. Mark the closure and what it calls `#[inline(always)]`, or they stay
    /// compiled for the target's baseline: slower, and still bit-equal.
    pub(crate) fn vectorise<R>(self, f: impl FnOnce() -> R) -> R {
        match self.0 {
            Level::Scalar => f(),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level was available when `self` was made.
            Level::Avx2 => unsafe { x86::avx2::vectorise(f) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx512 => unsafe { x86::avx512::vectorise(f) },
            #[cfg(not(target_arch = "x86_64"))]
            _ => f(),
        }
    }
}

#[cfg(test)]
mod tests;
