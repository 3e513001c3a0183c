//! Cortex-M with the DSP extension (M4, M7; M33, M55 and M85 where the chip has it): SMLAD, two 16-bit products and
//! two additions an instruction.
//!
//! Stable Rust has no intrinsics for these instructions, and the inner loops need every register, so they are naked
//! functions. What is done once a vector is Rust.

/// What tells the assembler of the extension, which on Armv8-M it knows of some processors alone: a target's name does
/// not say it, and rustc hands its own flags' features to compiled code only.
#[cfg(arm_v8m)]
macro_rules! assembler_knows_dsp {
    () => {
        ".cpu cortex-m33"
    };
}
#[cfg(not(arm_v8m))]
macro_rules! assembler_knows_dsp {
    () => {
        ""
    };
}

mod head;
mod pairs;
mod scale;
mod ternary;

use super::Backend;
use crate::views::{Embedding, TernaryMatrix};

/// Armv7E-M, or Armv8-M Mainline with the DSP extension. `build.rs` compiles this module only for those.
pub(super) struct Dsp;

impl Backend for Dsp {
    fn is_available() -> bool {
        true
    }

    unsafe fn ternary(m: TernaryMatrix<'_>, q: &[i8], scale: &[f32], y: &mut [f32]) {
        ternary::product(m, q, scale, y);
    }

    unsafe fn head(e: Embedding<'_>, x: &[i16], scale: f32, y: &mut [f32]) {
        head::product(e, x, scale, y);
    }

    unsafe fn vectorize<R>(f: impl FnOnce() -> R) -> R {
        f()
    }
}
