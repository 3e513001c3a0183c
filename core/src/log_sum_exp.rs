//! The normaliser of logits that come in pieces.

use crate::kernels::Kernels;
use crate::math;

/// `ln(sum(exp(x)))` over values that come in pieces, each piece in f32 relative to its largest value, all pieces in
/// f64.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LogSumExp {
    max: f32,
    sum: f64,
}

impl LogSumExp {
    /// Adds a piece. Returns its largest value, -inf when empty.
    pub fn push(&mut self, kernels: Kernels, x: &[f32]) -> f32 {
        let (max, sum) = kernels.vectorize(
            #[inline(always)]
            || {
                let max = math::max(x);
                (max, math::sum_by(x, |v| math::exp_negative(v - max)))
            },
        );
        if x.is_empty() {
            return max;
        }
        if self.sum == 0.0 {
            *self = Self { max, sum: sum.into() };
        } else if max > self.max {
            *self = Self { max, sum: self.sum * libm::exp(f64::from(self.max) - f64::from(max)) + f64::from(sum) };
        } else {
            self.sum += f64::from(sum) * libm::exp(f64::from(max) - f64::from(self.max));
        }
        max
    }

    /// `ln(sum(exp(x)))` of all that was added.
    pub fn value(&self) -> f64 {
        f64::from(self.max) + libm::log(self.sum)
    }

    /// The largest value added.
    pub fn max(&self) -> f32 {
        self.max
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn log_sum_exp_in_pieces_is_that_of_the_whole() {
        let x: Vec<f32> = (0..1000).map(|i| ((i * 7919) % 1000) as f32 * 0.08 - 40.0).collect();
        let want = x.iter().map(|&v| f64::from(v).exp()).sum::<f64>().ln();
        for piece in [1, 7, 128, 1000] {
            let mut all = LogSumExp::default();
            for piece in x.chunks(piece) {
                let max = piece.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
                assert_eq!(all.push(Kernels::scalar(), piece), max);
            }
            assert!((all.value() - want).abs() < 1e-6, "{} {want}", all.value());
            assert_eq!(all.max(), 39.92);
        }
    }

    #[test]
    fn log_sum_exp_of_what_is_no_number_is_none() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        for pieces in [&[[nan, 1.0], [2.0, 3.0]], &[[1.0, 2.0], [inf, 0.0]], &[[nan; 2]; 2], &[[-inf; 2]; 2]] {
            let mut all = LogSumExp::default();
            for piece in pieces {
                all.push(Kernels::scalar(), piece);
            }
            assert!(!all.value().is_finite(), "{pieces:?}: {}", all.value());
        }
    }

    #[test]
    fn log_sum_exp_has_the_same_bits_at_every_level() {
        let x: Vec<f32> = (0..777).map(|i| ((i * 7919) % 1000) as f32 * 0.02).collect();
        let value = |kernels| {
            let mut all = LogSumExp::default();
            for piece in x.chunks(128) {
                all.push(kernels, piece);
            }
            all.value().to_bits()
        };
        for kernels in Kernels::available() {
            assert_eq!(value(kernels), value(Kernels::scalar()), "{:?}", kernels.level());
        }
    }
}
