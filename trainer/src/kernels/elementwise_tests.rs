//! The element-wise functions of [`flashlm_core::math`] as [`Kernels::vectorize`] compiles them for each level: within
//! the error their documentation states over a dense sample, and the same bits at every level.

use flashlm_core::math;

use super::*;

/// Values in a sample.
const DENSE: usize = 1 << 20;

/// `DENSE` values evenly over `low ..= high`, and as many over the magnitudes from 2^-30 up within it, of both signs.
fn sample(low: f64, high: f64) -> Vec<f32> {
    let share = |i: usize| i as f64 / (DENSE - 1) as f64;
    let even = (0..DENSE).map(|i| low + (high - low) * share(i));
    let powers = (0..DENSE).map(|i| {
        let end = if (i % 2 == 0 && high > 0.0) || low == 0.0 { high } else { low };
        end.signum() * (-30.0 + (end.abs().log2() + 30.0) * share(i)).exp2()
    });
    even.chain(powers).map(|x| (x as f32).clamp(low as f32, high as f32)).collect()
}

/// Units in the last place between two f32 of one sign.
fn ulp(a: f32, b: f32) -> u32 {
    assert_eq!(a.is_sign_negative(), b.is_sign_negative(), "{a:e} and {b:e}");
    a.to_bits().abs_diff(b.to_bits())
}

/// Checks `run(kernels, x, y)`, which computes `y` of `x`, against `exact` in f64: `bound` ULP at most, at every level.
fn check(name: &str, bound: u32, x: &[f32], exact: impl Fn(f64) -> f64, run: impl Fn(Kernels, &[f32], &mut [f32])) {
    let want: Vec<f32> = x.iter().map(|&x| exact(x as f64) as f32).collect();
    let mut first: Option<Vec<f32>> = None;
    for isa in Isa::available() {
        let kernels = Kernels::new(isa, Precision::F32).expect("available");
        let mut y = vec![f32::NAN; x.len()];
        run(kernels, x, &mut y);
        for ((&x, &got), &want) in x.iter().zip(&y).zip(&want) {
            let error = ulp(got, want);
            assert!(error <= bound, "{name} at {isa}: {name}({x:e}) = {got:e} instead of {want:e}, {error} ULP");
        }
        match &first {
            None => first = Some(y),
            Some(first) => assert!(*first == y, "{name} at {isa} differs from the plain loop"),
        }
    }
}

/// [`check`] of a function of one number.
macro_rules! check_function {
    ($name:literal, $bound:literal, $low:literal ..= $high:literal, $exact:expr, $function:expr) => {
        check($name, $bound, &sample($low, $high), $exact, |kernels, x, y| {
            kernels.vectorize(
                #[inline(always)]
                || x.iter().zip(y).for_each(|(&x, y)| *y = $function(x)),
            )
        })
    };
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[test]
fn exp_is_within_two_ulp_at_every_level() {
    check_function!("exp", 2, -87.0..=88.0, f64::exp, math::exp);
}

#[test]
fn sigmoid_is_within_three_ulp_at_every_level() {
    check_function!("sigmoid", 3, -87.0..=88.0, sigmoid, math::sigmoid);
}

#[test]
fn silu_is_within_three_ulp_at_every_level() {
    check_function!("silu", 3, -80.0..=88.0, |x| x * sigmoid(x), math::silu);
}

#[test]
fn softmax_of_two_is_within_three_ulp_at_every_level() {
    check_function!("softmax2.0", 3, -87.0..=0.0, |x| sigmoid(-x), |x| math::softmax2(0.0, x)[0]);
    check_function!("softmax2.1", 3, -87.0..=0.0, sigmoid, |x| math::softmax2(0.0, x)[1]);
}

#[test]
fn rsqrt_is_within_one_ulp_at_every_level() {
    // the mantissas of two binades, which are all there is to it, at several exponents
    for exponent in [-100, -20, 0, 1, 60] {
        let x: Vec<f32> = (0..DENSE).map(|i| (1.0 + 3.0 * i as f32 / DENSE as f32) * 2f32.powi(exponent)).collect();
        check(
            "rsqrt",
            1,
            &x,
            |x| 1.0 / x.sqrt(),
            |kernels, x, y| {
                kernels.vectorize(
                    #[inline(always)]
                    || x.iter().zip(y).for_each(|(&x, y)| *y = math::rsqrt(x)),
                )
            },
        );
    }
}
