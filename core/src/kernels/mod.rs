//! The three products every layer is made of, once per instruction set, and bit-equal on all of them.
//!
//! [`scalar`] is the specification. The others may reorder nothing that a float could notice: integer sums are exact
//! in any order, and each float is the same expression of the same exact integers. Float loops outside these three
//! (norms, activations, scans) are plain Rust compiled again for each level by [`Kernels::vectorize`]; Rust neither
//! reorders nor fuses float operations, so those agree as well.
//!
//! An instruction set is a type that implements [`Backend`]; [`Kernels`] proves that the processor has its level, is
//! made once by the host and passed down.
#![expect(unsafe_code, reason = "instruction sets are unsafe to use; this folder is where they are used")]

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(arm_dsp)]
mod dsp;
mod scalar;
// a module with one vector instruction is refused by an engine without: they are compiled in only where promised
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::config::MAX_D_MODEL;
use crate::math;
use crate::memory::MAX_CHUNK;
use crate::parts::Parts;
use crate::views::{Embedding, TernaryMatrix};

/// An instruction set there are kernels for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Level {
    /// Plain Rust: runs everywhere and decides what is right.
    Scalar,
    /// Cortex-M with the DSP extension: two 16-bit products an instruction.
    Dsp,
    /// x86-64 with AVX2: 32 int8 products an instruction, in pairs.
    Avx2,
    /// x86-64 with AVX2 and AVX-VNNI: 32 int8 products an instruction, with their sums.
    AvxVnni,
    /// x86-64 with AVX-512 F, BW, VL and VNNI: 64 int8 products an instruction.
    Avx512,
    /// The same with AMX: 16,384 int8 products an instruction where 16 tokens are prefilled together.
    Amx,
    /// AArch64: 8 int8 products an instruction.
    Neon,
    /// AArch64 with the dot-product extension: 16 int8 products an instruction.
    NeonDot,
    /// WebAssembly compiled with 128-bit vectors: 16 ternary products an instruction.
    Simd128,
}

impl Level {
    /// Every level, each architecture's worst first.
    pub const ALL: [Self; 9] = [
        Self::Scalar,
        Self::Dsp,
        Self::Avx2,
        Self::AvxVnni,
        Self::Avx512,
        Self::Amx,
        Self::Neon,
        Self::NeonDot,
        Self::Simd128,
    ];

    /// A name to print.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Dsp => "dsp",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avxvnni",
            Self::Avx512 => "avx512",
            Self::Amx => "amx",
            Self::Neon => "neon",
            Self::NeonDot => "neondot",
            Self::Simd128 => "simd128",
        }
    }
}

/// What an instruction set provides. Its functions may run only where [`is_available`](Self::is_available) holds,
/// and are called by [`Kernels`] alone, which checks every length first.
trait Backend {
    /// Whether this processor has the instruction set: asked at run time on hosts, settled by the target's features
    /// elsewhere.
    fn is_available() -> bool;

    /// [`Kernels::ternary`].
    ///
    /// # Safety
    /// The instruction set is available. With K = `m.columns` and N = `m.scales.len()`, both multiples of 16: `m.codes`
    /// holds N K / 16 words, q holds T K and y T N values, T being the length of `scale`.
    unsafe fn ternary(m: TernaryMatrix<'_>, q: &[i8], scale: &[f32], y: &mut [f32]);

    /// [`Kernels::head`] over all rows of `e`.
    ///
    /// # Safety
    /// The instruction set is available. K = `e.columns` is a multiple of 16, at most [`MAX_D_MODEL`], and x's length;
    /// y's length N is a multiple of 16, `e.scales`' length, and `e.values` holds N K / 4 words.
    unsafe fn head(e: Embedding<'_>, x: &[i16], scale: f32, y: &mut [f32]);

    /// [`Kernels::prefetch`].
    fn prefetch(_: TernaryMatrix<'_>) {}

    /// Runs `f` compiled for this instruction set.
    ///
    /// # Safety
    /// The instruction set is available.
    unsafe fn vectorize<R>(f: impl FnOnce() -> R) -> R;
}

/// Evaluates an expression with `$backend` standing for the type of a level. Levels of other architectures, of which
/// no [`Kernels`] exist, count as scalar.
macro_rules! at_level {
    ($level:expr, $backend:ident => $call:expr) => {
        match $level {
            #[cfg(arm_dsp)]
            Level::Dsp => {
                type $backend = dsp::Dsp;
                $call
            }
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => {
                type $backend = x86::Avx2;
                $call
            }
            #[cfg(target_arch = "x86_64")]
            Level::AvxVnni => {
                type $backend = x86::AvxVnni;
                $call
            }
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                type $backend = x86::Avx512;
                $call
            }
            #[cfg(target_arch = "x86_64")]
            Level::Amx => {
                type $backend = x86::Amx;
                $call
            }
            #[cfg(target_arch = "aarch64")]
            Level::Neon => {
                type $backend = aarch64::Neon;
                $call
            }
            #[cfg(target_arch = "aarch64")]
            Level::NeonDot => {
                type $backend = aarch64::NeonDot;
                $call
            }
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Level::Simd128 => {
                type $backend = wasm::Simd128;
                $call
            }
            _ => {
                type $backend = scalar::Scalar;
                $call
            }
        }
    };
}

/// The kernels of one [`Level`], which the processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Kernels(Level);

impl Kernels {
    /// The kernels that run everywhere.
    pub const fn scalar() -> Self {
        Self(Level::Scalar)
    }

    /// The kernels of `level`, or `None` where the processor lacks it.
    pub fn new(level: Level) -> Option<Self> {
        let foreign = match level {
            Level::Scalar => false,
            Level::Dsp => cfg!(not(arm_dsp)),
            Level::Avx2 | Level::AvxVnni | Level::Avx512 | Level::Amx => cfg!(not(target_arch = "x86_64")),
            Level::Neon | Level::NeonDot => cfg!(not(target_arch = "aarch64")),
            Level::Simd128 => cfg!(not(all(target_arch = "wasm32", target_feature = "simd128"))),
        };
        let available = at_level!(level, B => B::is_available());
        (available && !foreign).then_some(Self(level))
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
    /// q: T x K int8 in -127..=127, scale: T (at most [`MAX_CHUNK`]), y: T x N.
    ///
    /// The lengths agree by construction, which debug builds check; see [`Self::try_ternary`].
    pub(crate) fn ternary(self, m: TernaryMatrix<'_>, q: &[i8], scale: &[f32], y: &mut [f32]) {
        let fit = self.try_ternary(m, q, scale, y);
        debug_assert!(fit, "a ternary product of other lengths");
    }

    /// [`Self::ternary`] of any lengths: whether they agree, and nothing happens if not.
    pub(crate) fn try_ternary(self, m: TernaryMatrix<'_>, q: &[i8], scale: &[f32], y: &mut [f32]) -> bool {
        let (rows, columns, tokens) = (m.scales.len(), m.columns, scale.len());
        let tiled = rows.is_multiple_of(16) && columns.is_multiple_of(16) && tokens <= MAX_CHUNK;
        let fit = m.codes.len() * 16 == rows * columns && q.len() == tokens * columns && y.len() == tokens * rows;
        if !(tiled && fit) {
            return false;
        }
        debug_assert!(q.iter().all(|&q| q != i8::MIN));
        // SAFETY: the level was available when `self` was made; the lengths were checked above.
        at_level!(self.0, B => unsafe { B::ternary(m, q, scale, y) });
        true
    }

    /// Asks for the beginning of `m`, to be multiplied soon: the work until then hides the time memory takes. A hint
    /// for processors whose caches are smaller than a model; nothing elsewhere.
    pub(crate) fn prefetch(self, m: TernaryMatrix<'_>) {
        at_level!(self.0, B => B::prefetch(m));
    }

    /// Rows of the output head: `y[n] = sum_k(w[n][k] * x[k]) as f32 * (row_scale[n] * scale)` for the `y.len()` rows
    /// from `first` on, both multiples of 16, the sum exact for `|x| <=` [`int16_range(K)`](math::int16_range) and K <=
    /// [`MAX_D_MODEL`].
    ///
    /// The lengths agree by construction, which debug builds check; see [`Self::try_head`].
    pub(crate) fn head(self, e: Embedding<'_>, first: usize, x: &[i16], scale: f32, y: &mut [f32]) {
        let fit = self.try_head(e, first, x, scale, y);
        debug_assert!(fit, "rows of a head of other lengths");
    }

    /// [`Self::head`] of any lengths: whether they agree, and nothing happens if not.
    pub(crate) fn try_head(self, e: Embedding<'_>, first: usize, x: &[i16], scale: f32, y: &mut [f32]) -> bool {
        let columns = e.columns;
        let tiled = first.is_multiple_of(16) && y.len().is_multiple_of(16) && columns.is_multiple_of(16);
        let fit =
            columns <= MAX_D_MODEL as usize && x.len() == columns && e.values.len() * 4 == e.scales.len() * columns;
        let values = e.values.part(first * columns / 4, y.len() * columns / 4);
        let e = Embedding { values, scales: e.scales.part(first, y.len()), columns };
        let fit = tiled && fit && e.scales.len() == y.len();
        if !fit {
            return false;
        }
        debug_assert!(x.iter().all(|&x| x.unsigned_abs() <= math::int16_range(columns).unsigned_abs()));
        // SAFETY: the level was available when `self` was made; the lengths were checked above.
        at_level!(self.0, B => unsafe { B::head(e, x, scale, y) });
        true
    }

    /// Float product with a transposed matrix: `y[n] = sum_k w[k][n] * x[k]`, from 0 on in the order of k.
    ///
    /// w: K x N, x: K, y: N.
    pub(crate) fn matvec(self, w: &[f32], x: &[f32], y: &mut [f32]) {
        debug_assert!(w.len() == x.len() * y.len() && !y.is_empty());
        self.vectorize(
            #[inline(always)]
            || scalar::matvec(w, x, y),
        );
    }

    /// Runs `f` compiled for this level. Mark the closure and what it calls `#[inline(always)]`, or they stay
    /// compiled for the target's baseline: slower, and still bit-equal.
    pub(crate) fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        // SAFETY: the level was available when `self` was made.
        at_level!(self.0, B => unsafe { B::vectorize(f) })
    }
}

/// Runs a product over T tokens by the largest of `$sizes` (falling, the last 1) that still fits the tokens left:
/// `$product::<SIZE>(m, q, scale, y)` does the first SIZE of the tokens it is given.
#[allow(unused_macros, reason = "levels without registers for several tokens have no use for it")]
macro_rules! by_tokens {
    ($m:expr, $q:expr, $scale:expr, $y:expr, $product:ident [$($size:literal),+]) => {{
        let (rows, columns, tokens) = ($m.scales.len(), $m.columns, $scale.len());
        let mut t = 0;
        while t < tokens {
            let (q, scale, y) = (&$q[t * columns..], &$scale[t..], &mut $y[t * rows..]);
            $(if tokens - t >= $size {
                $product::<$size>($m, q, scale, y);
                t += $size;
                continue;
            })+
        }
    }};
}
#[allow(unused_imports, reason = "as the macro itself")]
use by_tokens;

#[cfg(test)]
mod tests;
