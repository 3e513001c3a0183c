//! Backward passes of the normalisations, one row at a time; the forward ones are `flashlm_core::math`'s.

use flashlm_core::math::{LANES, dot, fold_lanes};

/// sum_i a_i b_i c_i.
#[inline(always)]
fn dot3(a: &[f32], b: &[f32], c: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest), (c, c_rest)) =
        (a.as_chunks::<LANES>(), b.as_chunks::<LANES>(), c.as_chunks::<LANES>());
    let mut acc = [0.0; LANES];
    for ((a, b), c) in a.iter().zip(b).zip(c) {
        for i in 0..LANES {
            acc[i] += a[i] * b[i] * c[i];
        }
    }
    for (((acc, a), b), c) in acc.iter_mut().zip(a_rest).zip(b_rest).zip(c_rest) {
        *acc += a * b * c;
    }
    fold_lanes(acc)
}

/// Adds to `dx` and `dgain` the gradients of `y = x * r * gain`, r = rsqrt(mean(x^2) + EPS) as the forward
/// returned it. All slices are one row of width D.
#[inline(always)]
pub fn rms_norm_backward(x: &[f32], gain: &[f32], r: f32, dy: &[f32], dx: &mut [f32], dgain: &mut [f32]) {
    let d = x.len();
    let (gain, dy, dx, dgain) = (&gain[..d], &dy[..d], &mut dx[..d], &mut dgain[..d]);
    let inner = dot3(dy, gain, x);
    let pull = inner * r * r * r / d as f32;
    for i in 0..d {
        dx[i] += dy[i] * gain[i] * r - x[i] * pull;
        dgain[i] += dy[i] * x[i] * r;
    }
}

/// Adds to `dx`, `dgain` and `dbias` the gradients of `y = (x - mean) * r * gain + bias` with the mean and r that
/// the forward returned. All slices are one row of width R.
#[inline(always)]
pub fn layer_norm_backward(
    x: &[f32],
    (mean, r): (f32, f32),
    gain: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    dgain: &mut [f32],
    dbias: &mut [f32],
) {
    let d = x.len();
    let (gain, dy, dx) = (&gain[..d], &dy[..d], &mut dx[..d]);
    let (dgain, dbias) = (&mut dgain[..d], &mut dbias[..d]);
    let n = d as f32;
    let average = dot(dy, gain) / n;
    let inner = (dot3(dy, gain, x) - mean * average * n) * r / n;
    for i in 0..d {
        let hat = (x[i] - mean) * r;
        dx[i] += r * (dy[i] * gain[i] - average - hat * inner);
        dgain[i] += dy[i] * hat;
        dbias[i] += dy[i];
    }
}

/// d silu(x) / dx, given sigmoid(x).
#[inline(always)]
pub fn silu_slope(x: f32, sigmoid: f32) -> f32 {
    sigmoid * (1.0 + x * (1.0 - sigmoid))
}

#[cfg(test)]
mod tests {
    use flashlm_core::math;

    use super::*;
    use crate::nn::params::Rng;

    /// Central differences of `f` at `x` against `want`, each element within 2 % of the largest.
    fn check(x: &[f32], want: &[f32], f: impl Fn(&[f32]) -> f64) {
        let largest = want.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        for i in 0..x.len() {
            let at = |step: f32| {
                let mut x = x.to_vec();
                x[i] += step;
                f(&x)
            };
            let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
            assert!((slope as f32 - want[i]).abs() < 0.02 * largest, "element {i}: {slope} against {}", want[i]);
        }
    }

    fn row(rng: &mut Rng, n: usize) -> Vec<f32> {
        (0..n).map(|_| rng.normal()).collect()
    }

    #[test]
    fn rms_norm_gradients_match_finite_differences() {
        let mut rng = Rng::new(1);
        let (x, gain, dy) = (row(&mut rng, 37), row(&mut rng, 37), row(&mut rng, 37));
        let loss = |x: &[f32], gain: &[f32]| {
            let mut y = vec![0.0; 37];
            math::rms_norm(x, gain, &mut y);
            y.iter().zip(&dy).map(|(a, b)| (a * b) as f64).sum::<f64>()
        };
        let (mut dx, mut dgain) = (vec![0.0; 37], vec![0.0; 37]);
        let r = math::rms_norm(&x, &gain, &mut [0.0; 37]);
        rms_norm_backward(&x, &gain, r, &dy, &mut dx, &mut dgain);
        check(&x, &dx, |x| loss(x, &gain));
        check(&gain, &dgain, |gain| loss(&x, gain));
    }

    #[test]
    fn layer_norm_gradients_match_finite_differences() {
        let mut rng = Rng::new(2);
        let n = 40;
        let (x, gain, bias, dy) = (row(&mut rng, n), row(&mut rng, n), row(&mut rng, n), row(&mut rng, n));
        let loss = |x: &[f32], gain: &[f32], bias: &[f32]| {
            let mut y = vec![0.0; n];
            math::layer_norm(x, gain, bias, &mut y);
            y.iter().zip(&dy).map(|(a, b)| (a * b) as f64).sum::<f64>()
        };
        let (mut dx, mut dgain, mut dbias) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        let stats = math::layer_norm(&x, &gain, &bias, &mut vec![0.0; n]);
        layer_norm_backward(&x, stats, &gain, &dy, &mut dx, &mut dgain, &mut dbias);
        check(&x, &dx, |x| loss(x, &gain, &bias));
        check(&gain, &dgain, |gain| loss(&x, gain, &bias));
        check(&bias, &dbias, |bias| loss(&x, &gain, bias));
    }

    #[test]
    fn silu_slope_matches_finite_differences() {
        let x: Vec<f32> = (-20..20).map(|i| i as f32 * 0.37).collect();
        let want: Vec<f32> = x.iter().map(|&v| silu_slope(v, math::sigmoid(v))).collect();
        check(&x, &want, |x| x.iter().map(|&v| math::silu(v) as f64).sum());
    }
}
