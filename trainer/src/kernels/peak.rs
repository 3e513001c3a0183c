//! Multiplications counted, and how many a second this CPU could do: the yardstick of `trainer bench`.
//!
//! The peak is measured and not taken from a data sheet, as clocks depend on the instruction, on the other cores and on
//! the machine's owner. The loops below only multiply and add, in registers, in as many independent chains as hide the
//! latency; what a product reaches of that is what loads, stores and conversions leave of it.

use std::iter::Sum;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

use super::Kernels;
#[cfg(any(target_arch = "x86_64", test))]
use super::{Isa, Precision};

/// Multiply-adds, by what is multiplied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Macs {
    /// int8 x int8 or int8 x ternary.
    pub int8: u64,
    /// The products in the [`Precision`] of the kernels.
    pub float: u64,
    /// f32 x f32 at any precision: the small products of the RCSM loop.
    pub single: u64,
}

impl Macs {
    /// All of them.
    pub fn total(self) -> u64 {
        self.int8 + self.float + self.single
    }
}

impl AddAssign for Macs {
    fn add_assign(&mut self, other: Self) {
        self.int8 += other.int8;
        self.float += other.float;
        self.single += other.single;
    }
}

impl Sum for Macs {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        let mut total = Self::default();
        iter.for_each(|macs| total += macs);
        total
    }
}

/// What a CPU multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Multiply {
    /// int8, summed in int32 (int16 at AVX2, as its kernel does).
    Int8,
    /// bfloat16, summed in f32.
    Bf16,
    /// f32.
    F32,
}

/// How long one burst of a loop is timed.
const BURST: Duration = Duration::from_millis(2);

impl Kernels {
    /// The most multiply-adds a second that this thread does with the widest instruction the kernels use for
    /// `multiply`, over `time` of trying. `None` where no loop is known: on other processors than x86-64, at
    /// [`Isa::Portable`], and of bfloat16 in f32 kernels.
    pub fn peak(self, multiply: Multiply, time: Duration) -> Option<f64> {
        let (rounds, macs) = self.loop_of(multiply)?;
        let (started, mut best) = (Instant::now(), 0.0f64);
        while started.elapsed() < time {
            let (burst, mut done) = (Instant::now(), 0u64);
            let spent = loop {
                rounds();
                done += macs;
                let spent = burst.elapsed();
                if spent >= BURST {
                    break spent;
                }
            };
            best = best.max(done as f64 / spent.as_secs_f64());
        }
        Some(best)
    }

    /// A loop of [`ROUNDS`] rounds, and the multiply-adds in it.
    #[cfg(target_arch = "x86_64")]
    fn loop_of(self, multiply: Multiply) -> Option<(impl Fn(), u64)> {
        if multiply == Multiply::Bf16 && self.precision() == Precision::F32 {
            return None;
        }
        let (run, macs): (unsafe fn(), u64) = match (self.isa(), multiply) {
            (Isa::Portable | Isa::Neon | Isa::I8mm, _) => return None,
            (Isa::Avx2, Multiply::Int8) => (x86::avx2_int8, 12 * 32),
            (Isa::AvxVnni, Multiply::Int8) => (x86::avx_vnni_int8, 12 * 32),
            (Isa::Avx2 | Isa::AvxVnni, _) => (x86::avx2_f32, 12 * 8),
            (Isa::Amx, Multiply::Int8) => (x86::amx_int8, 6 * 16 * 16 * 64),
            (Isa::Amx, Multiply::Bf16) => (x86::amx_bf16, 6 * 16 * 16 * 32),
            (Isa::Avx512, Multiply::Int8) => (x86::avx512_int8, 24 * 64),
            (Isa::Avx512, Multiply::Bf16) => (x86::avx512_bf16, 24 * 32),
            (Isa::Avx512 | Isa::Amx, Multiply::F32) => (x86::avx512_f32, 24 * 16),
        };
        let _tiles = (self.isa() == Isa::Amx).then(super::x86::Tiles::configure);
        let run = move || {
            let _ = &_tiles;
            // SAFETY: `Kernels::new` found the instructions of this level, and bfloat16's where the precision is that;
            // at AMX the tiles are configured.
            unsafe { run() }
        };
        Some((run, ROUNDS * macs))
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn loop_of(self, _: Multiply) -> Option<(fn(), u64)> {
        None
    }
}

/// Rounds of a loop, each of one multiplication in every chain: a few microseconds.
#[cfg(target_arch = "x86_64")]
const ROUNDS: u64 = 512;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::asm;

    use super::ROUNDS;

    /// A function of [`ROUNDS`] rounds of `$each`, in which `\i` is each of the chains in turn, after `$zero` of every
    /// register. All are zero: a multiplication takes the same time whatever the numbers.
    macro_rules! rounds {
        (
            $name:ident, $features:literal, $chains:literal, $each:literal, $registers:literal, $zero:literal,
            [$($out:tt)*]
        ) => {
            /// # Safety
            /// The CPU has the features above; for tiles, they are configured.
            #[target_feature(enable = $features)]
            pub unsafe fn $name() {
                // SAFETY: only registers that are declared overwritten change; the caller vouches for the instructions.
                unsafe {
                    asm!(
                        concat!(".irp i,", $registers, "\n", $zero, "\n.endr"),
                        "2:",
                        concat!(".irp i,", $chains, "\n", $each, "\n.endr"),
                        "dec {rounds}",
                        "jnz 2b",
                        rounds = inout(reg) ROUNDS => _,
                        $(out($out) _,)*
                        options(nomem, nostack),
                    );
                }
            }
        };
    }

    macro_rules! avx2 {
        ($name:ident, $each:literal) => {
            rounds!($name, "avx2,fma", "0,1,2,3,4,5,6,7,8,9,10,11", $each, "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
                "vpxor ymm\\i, ymm\\i, ymm\\i",
                ["ymm0" "ymm1" "ymm2" "ymm3" "ymm4" "ymm5" "ymm6" "ymm7" "ymm8" "ymm9" "ymm10" "ymm11" "ymm12" "ymm13"
                 "ymm14" "ymm15"]);
        };
    }

    macro_rules! avx512 {
        ($name:ident, $features:literal, $each:literal) => {
            rounds!($name, $features, "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23", $each,
                "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25",
                "vpxord zmm\\i, zmm\\i, zmm\\i",
                ["zmm0" "zmm1" "zmm2" "zmm3" "zmm4" "zmm5" "zmm6" "zmm7" "zmm8" "zmm9" "zmm10" "zmm11" "zmm12" "zmm13"
                 "zmm14" "zmm15" "zmm16" "zmm17" "zmm18" "zmm19" "zmm20" "zmm21" "zmm22" "zmm23" "zmm24" "zmm25"]);
        };
    }

    macro_rules! amx {
        ($name:ident, $each:literal) => {
            rounds!($name, "avx512f", "0,1,2,3,4,5", $each, "0,1,2,3,4,5,6,7", "tilezero tmm\\i",
                ["tmm0" "tmm1" "tmm2" "tmm3" "tmm4" "tmm5" "tmm6" "tmm7"]);
        };
    }

    avx2!(avx2_int8, "vpmaddubsw ymm12, ymm14, ymm15\nvpaddw ymm\\i, ymm\\i, ymm12");
    avx2!(avx_vnni_int8, "{{vex}} vpdpbusd ymm\\i, ymm14, ymm15");
    avx2!(avx2_f32, "vfmadd231ps ymm\\i, ymm14, ymm15");
    avx512!(avx512_int8, "avx512f,avx512vnni", "vpdpbusd zmm\\i, zmm24, zmm25");
    avx512!(avx512_bf16, "avx512f,avx512bf16", "vdpbf16ps zmm\\i, zmm24, zmm25");
    avx512!(avx512_f32, "avx512f", "vfmadd231ps zmm\\i, zmm24, zmm25");
    amx!(amx_int8, "tdpbssd tmm\\i, tmm6, tmm7");
    amx!(amx_bf16, "tdpbf16ps tmm\\i, tmm6, tmm7");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_measures_a_peak_of_its_own_instructions() {
        let time = Duration::from_millis(4);
        for isa in Isa::available() {
            for precision in [Precision::F32, Precision::Bf16] {
                let Ok(kernels) = Kernels::new(isa, precision) else { continue };
                for multiply in [Multiply::Int8, Multiply::Bf16, Multiply::F32] {
                    let own = cfg!(target_arch = "x86_64")
                        && isa != Isa::Portable
                        && (multiply, precision) != (Multiply::Bf16, Precision::F32);
                    let peak = kernels.peak(multiply, time);
                    assert_eq!(peak.is_some(), own, "{kernels:?} {multiply:?}");
                    // between a slow emulator and ten times the widest tile at 5 GHz
                    assert!(peak.is_none_or(|p| (1e6..1e15).contains(&p)), "{kernels:?} {multiply:?}: {peak:?}");
                }
            }
        }
    }

    #[test]
    fn counts_add_by_kind() {
        let a = Macs { int8: 1, float: 2, single: 3 };
        let total: Macs = [a, a].into_iter().sum();
        assert_eq!((total, total.total()), (Macs { int8: 2, float: 4, single: 6 }, 12));
    }
}
