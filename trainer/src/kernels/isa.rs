//! Which instruction sets the kernels know, and which of them this CPU has.

use std::fmt;
use std::str::FromStr;

/// The instruction sets the kernels are written for, the slowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// Plain Rust loops: any CPU.
    Portable,
    /// NEON with the dot-product extension, on AArch64.
    Neon,
    /// The matrix-multiplication extension for int8 beside [`Isa::Neon`]: Neoverse V1 and N2, Apple's M2, and later.
    I8mm,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-VNNI beside AVX2 and FMA: what processors have that were made after AVX-512 was left out of them.
    AvxVnni,
    /// AVX-512 F, BW, CD, DQ, VL and VNNI.
    Avx512,
    /// AMX tiles for int8 and bfloat16, beside all of AVX-512 including BF16. Linux only: the kernel has to
    /// grant a process the tile registers.
    Amx,
}

/// The number format of float products and of the backward products; sums are f32 in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    /// Factors in f32: any CPU.
    F32,
    /// Factors rounded to bfloat16, ties to even: AVX-512 BF16 or AMX.
    Bf16,
}

/// What the gradients of ternary layers are multiplied in; sums are exact int32 or f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Backward {
    /// Gradients and activations in f32: any CPU.
    F32,
    /// Gradients rounded to bfloat16: AVX-512 BF16 or AMX.
    Bf16,
    /// Gradients quantised row by row to int8, see [`super::int8`]: any CPU.
    Int8,
}

/// Why [`Kernels::new`](super::Kernels::new) refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The CPU, or the operating system, lacks the instruction set.
    #[error("this CPU does not offer {needs}, which the instruction set `{isa}` needs", needs = .isa.needs())]
    Isa {
        /// The one asked for.
        isa: Isa,
    },
    /// The instruction set has no bfloat16 products on this CPU.
    #[error("`bf16` needs avx512_bf16 at instruction set `avx512` or `amx`; this CPU has none at `{isa}`")]
    Bf16 {
        /// The one asked for.
        isa: Isa,
    },
}

/// A name that is none of the known ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not one of {known}")]
pub struct UnknownName {
    name: String,
    known: &'static str,
}

impl Isa {
    /// All of them, the slowest first.
    pub const ALL: [Self; 7] =
        [Self::Portable, Self::Neon, Self::I8mm, Self::Avx2, Self::AvxVnni, Self::Avx512, Self::Amx];

    /// The fastest instruction set of this CPU.
    pub fn detect() -> Self {
        Self::ALL.into_iter().rev().find(|isa| isa.is_available()).unwrap_or(Self::Portable)
    }

    /// All instruction sets of this CPU, the slowest first.
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|isa| isa.is_available()).collect()
    }

    /// Whether this CPU and its operating system offer this instruction set.
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "aarch64")]
            Self::Neon => std::arch::is_aarch64_feature_detected!("dotprod"),
            #[cfg(target_arch = "aarch64")]
            Self::I8mm => Self::Neon.is_available() && std::arch::is_aarch64_feature_detected!("i8mm"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => x86::has_avx2(),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => x86::has_avx_vnni(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => x86::has_avx512(),
            #[cfg(target_arch = "x86_64")]
            Self::Amx => x86::has_amx(),
            // another processor's
            _ => false,
        }
    }

    /// Whether bfloat16 products run at this instruction set on this CPU.
    pub fn has_bf16(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self >= Self::Avx512 && self.is_available() && x86::has_avx512_bf16();
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// What float products are multiplied in unless told otherwise: bf16 where it is the faster. With AMX and on AMD's
    /// processors it is; on Intel's without tiles its products take twice as long as those of f32.
    pub fn default_precision(self) -> Precision {
        #[cfg(target_arch = "x86_64")]
        if self.has_bf16() && (self == Self::Amx || !x86::is_intel()) {
            return Precision::Bf16;
        }
        Precision::F32
    }

    /// What gradients of ternary layers are multiplied in unless told otherwise: int8 where its products are the
    /// faster, which at [`Isa::Amx`] nobody has measured.
    pub fn default_backward(self) -> Backward {
        match self {
            Self::Portable => Backward::F32,
            Self::Neon | Self::I8mm | Self::Avx2 | Self::AvxVnni | Self::Avx512 => Backward::Int8,
            Self::Amx => Backward::Bf16,
        }
    }

    fn needs(self) -> &'static str {
        match self {
            Self::Portable => "nothing",
            Self::Neon => "dotprod (on AArch64)",
            Self::I8mm => "i8mm beside dotprod (on AArch64)",
            Self::Avx2 => "avx2, fma, f16c and bmi2",
            Self::AvxVnni => "avx_vnni beside avx2, fma, f16c and bmi2",
            Self::Avx512 => "avx512 f, bw, cd, dq, vl and vnni",
            Self::Amx => "amx_tile, amx_int8, amx_bf16 and avx512_bf16, granted by Linux,",
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Portable => "portable",
            Self::Neon => "neon",
            Self::I8mm => "i8mm",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avxvnni",
            Self::Avx512 => "avx512",
            Self::Amx => "amx",
        })
    }
}

impl FromStr for Isa {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let known = "portable, neon, i8mm, avx2, avxvnni, avx512, amx";
        let unknown = || UnknownName { name: name.to_owned(), known };
        // what core calls it
        let name = if name == "scalar" { "portable" } else { name };
        Self::ALL.into_iter().find(|isa| isa.to_string() == name).ok_or_else(unknown)
    }
}

impl Backward {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::Int8];
}

impl From<Precision> for Backward {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::Bf16 => Self::Bf16,
        }
    }
}

impl fmt::Display for Backward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        })
    }
}

impl FromStr for Backward {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let unknown = || UnknownName { name: name.to_owned(), known: "f32, bf16, int8" };
        Self::ALL.into_iter().find(|backward| backward.to_string() == name).ok_or_else(unknown)
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for Precision {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let unknown = || UnknownName { name: name.to_owned(), known: "f32, bf16" };
        [Self::F32, Self::Bf16].into_iter().find(|precision| precision.to_string() == name).ok_or_else(unknown)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::is_x86_feature_detected as has;
    use std::sync::LazyLock;

    pub fn has_avx2() -> bool {
        has!("avx2") && has!("fma") && has!("f16c") && has!("bmi2")
    }

    pub fn has_avx_vnni() -> bool {
        has_avx2() && has!("avxvnni")
    }

    pub fn has_avx512() -> bool {
        has_avx2()
            && has!("avx512f")
            && has!("avx512bw")
            && has!("avx512cd")
            && has!("avx512dq")
            && has!("avx512vl")
            && has!("avx512vnni")
    }

    pub fn has_avx512_bf16() -> bool {
        has_avx512() && has!("avx512bf16")
    }

    pub fn is_intel() -> bool {
        let name = cpuid(0);
        [name.ebx, name.edx, name.ecx].map(u32::to_le_bytes).as_flattened() == b"GenuineIntel"
    }

    pub fn has_amx() -> bool {
        static AMX: LazyLock<bool> = LazyLock::new(|| has_avx512_bf16() && cpu_has_bf16_tiles() && core_has_tiles());
        *AMX
    }

    /// Whether core found int8 tiles: the processor has them and the operating system grants the registers.
    fn core_has_tiles() -> bool {
        flashlm_core::Kernels::new(flashlm_core::Level::Amx).is_some()
    }

    fn cpu_has_bf16_tiles() -> bool {
        const BF16: u32 = 1 << 22;
        cpuid(0).eax >= 7 && cpuid(7).edx & BF16 != 0
    }

    /// What the processor says of itself: the first part of a leaf, which is to be read only where leaf 0 lists it.
    #[allow(unused_unsafe, reason = "`__cpuid_count` became a safe function after our minimum Rust version")]
    fn cpuid(leaf: u32) -> std::arch::x86_64::CpuidResult {
        // SAFETY: every x86-64 processor has the instruction.
        unsafe { std::arch::x86_64::__cpuid_count(leaf, 0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for isa in Isa::ALL {
            assert_eq!(isa.to_string().parse(), Ok(isa));
        }
        for precision in [Precision::F32, Precision::Bf16] {
            assert_eq!(precision.to_string().parse(), Ok(precision));
        }
        for backward in Backward::ALL {
            assert_eq!(backward.to_string().parse(), Ok(backward));
        }
        assert!("sse".parse::<Isa>().unwrap_err().to_string().contains("avx512"));
    }

    #[test]
    fn the_detected_instruction_set_is_the_last_available() {
        let available = Isa::available();
        assert_eq!(available.first(), Some(&Isa::Portable));
        assert_eq!(available.last(), Some(&Isa::detect()));
        assert!(available.is_sorted());
    }
}
