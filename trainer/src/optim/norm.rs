//! The global gradient norm, added up in one fixed order.

use flashlm_core::math::sum_by;
use rayon::prelude::*;

use super::PIECE;
use crate::kernels::zeros;

/// The norm's partial sums, kept so that a step allocates nothing.
pub struct GlobalNorm {
    partial: Vec<f64>,
}

impl GlobalNorm {
    /// For vectors of `len` elements.
    pub fn new(len: usize) -> Self {
        Self { partial: zeros(len.div_ceil(PIECE)) }
    }

    /// `sqrt(sum x^2)`. Not finite when an element is not, or when a piece's squares overflow f32.
    pub fn of(&mut self, x: &[f32]) -> f64 {
        self.partial.par_iter_mut().zip(x.par_chunks(PIECE)).for_each(|(sum, piece)| {
            // sub-sums in f32, their total in f64: the error stays near one f32 rounding
            *sum = piece.chunks(1024).map(|c| sum_by(c, |v| v * v) as f64).sum();
        });
        self.partial.iter().sum::<f64>().sqrt()
    }
}
