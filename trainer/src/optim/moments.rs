//! Storage of the optimiser's moments: f32, or bfloat16 at half the memory.
//!
//! A moving average in bfloat16 moves by less than half a unit in the last place at most steps, and rounding to
//! nearest would then leave it where it is forever. So bfloat16 moments are rounded stochastically: up with a
//! probability equal to the part cut off. The "random" bits are a hash of element and step, so a run
//! stays reproducible whatever the number of threads.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::kernels;

/// How moments are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 4 bytes each.
    F32,
    /// 2 bytes each, stochastically rounded.
    Bf16,
}

/// A vector of moments.
pub enum Moments {
    F32(Vec<f32>),
    Bf16(Vec<u16>),
}

/// One stored moment.
pub trait Moment: Copy + Send + Sync {
    /// The value.
    fn load(self) -> f32;
    /// The nearest (or stochastically chosen neighbouring) storable value; `noise` is 16 uniform bits.
    fn store(value: f32, noise: u32) -> Self;
}

impl Moment for f32 {
    #[inline(always)]
    fn load(self) -> f32 {
        self
    }
    #[inline(always)]
    fn store(value: f32, _: u32) -> Self {
        value
    }
}

impl Moment for u16 {
    #[inline(always)]
    fn load(self) -> f32 {
        f32::from_bits((self as u32) << 16)
    }
    #[inline(always)]
    fn store(value: f32, noise: u32) -> Self {
        // moments are finite: gradients were checked before, so the carry cannot reach a NaN
        (value.to_bits().wrapping_add(noise) >> 16) as u16
    }
}

/// 16 bits that look random, from an element's index and the step.
#[inline(always)]
pub(super) fn noise(index: u32, step: u32) -> u32 {
    let mut h = index.wrapping_mul(0x9e37_79b1) ^ step.wrapping_mul(0x85eb_ca77);
    h ^= h >> 15;
    h = h.wrapping_mul(0x2c1b_3c6d);
    h ^= h >> 12;
    h = h.wrapping_mul(0x297a_2d39);
    h >> 16
}

impl Moments {
    /// `len` zeros.
    pub fn zeros(len: usize, precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32(kernels::zeros(len)),
            Precision::Bf16 => Self::Bf16(kernels::zeros(len)),
        }
    }

    /// The values of `span`, replacing what `values` held.
    pub fn decode(&self, span: Range<usize>, values: &mut Vec<f32>) {
        values.clear();
        match self {
            Self::F32(x) => values.extend_from_slice(&x[span]),
            Self::Bf16(x) => values.extend(x[span].iter().map(|v| v.load())),
        }
    }

    /// Stores `values` in `span`; exact for values that [`decode`](Self::decode) returned.
    pub fn encode(&mut self, span: Range<usize>, values: &[f32]) {
        match self {
            Self::F32(x) => x[span].copy_from_slice(values),
            Self::Bf16(x) => {
                for (x, &v) in x[span].iter_mut().zip(values) {
                    *x = u16::store(v, 0x7fff);
                }
            }
        }
    }
}
