//! Scalar mathematics with one result on every target.
//!
//! Rust never fuses `a * b + c` and never reorders floating-point operations, so these functions give the
//! same bits everywhere, and loops over them vectorise. Reductions run over [`LANES`] partial sums in a
//! fixed order, whatever the width of the machine's registers. The trainer calls the same functions, so its
//! forward pass and this crate's agree.

/// Partial sums of every reduction.
pub const LANES: usize = 16;
/// Added under every square root and variance.
pub const EPS: f32 = 1e-6;
/// The least absmax an activation vector is divided by.
pub const MIN_ABSMAX: f32 = 1e-5;
/// The least scale of a row of ternary weights.
pub const MIN_TERNARY_SCALE: f32 = 1e-5;

/// 1.5 * 2^23: adding and subtracting it rounds |x| < 2^22 to the nearest integer, ties to even.
const ROUND: f32 = 12_582_912.0;

/// Nearest integer, ties to even, for |x| < 2^22.
#[cfg_attr(not(unoptimized), inline(always))]
pub fn round_half_even(x: f32) -> f32 {
    (x + ROUND) - ROUND
}

/// e^x, within 2 ULP on [-87, 88]; saturates outside.
#[cfg_attr(not(unoptimized), inline(always))]
pub fn exp(x: f32) -> f32 {
    exp_bounded(x.clamp(-87.0, 88.0))
}

/// [`exp`] of an x that is at most 0, without a check for it.
#[cfg_attr(not(unoptimized), inline(always))]
pub fn exp_negative(x: f32) -> f32 {
    exp_bounded(if x < -87.0 { -87.0 } else { x })
}

/// [`exp`] of an x within [-87, 88].
#[cfg_attr(not(unoptimized), inline(always))]
fn exp_bounded(x: f32) -> f32 {
    let shifted = x * core::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts, the first exact in its product with n
    let r = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let p = p * (r * r) + r + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127);
    p * f32::from_bits(exponent << 23)
}

/// 1 / (1 + e^-x), within 2 ULP on [-87, 87].
#[cfg_attr(not(unoptimized), inline(always))]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// x * sigmoid(x), within 3 ULP on [-87, 87].
#[cfg_attr(not(unoptimized), inline(always))]
pub fn silu(x: f32) -> f32 {
    x * sigmoid(x)
}

/// Correctly rounded square root.
#[cfg_attr(not(unoptimized), inline(always))]
pub fn sqrt(x: f32) -> f32 {
    #[cfg(feature = "std")]
    return x.sqrt();
    #[cfg(not(feature = "std"))]
    libm::sqrtf(x)
}

/// 1 / sqrt(x), within 1 ULP of normal x > 0.
#[cfg_attr(not(unoptimized), inline(always))]
pub fn rsqrt(x: f32) -> f32 {
    1.0 / sqrt(x)
}

/// Adds the lanes of a reduction, pairing lane i with lane i + half, halving until one is left.
#[cfg_attr(not(unoptimized), inline(always))]
pub fn fold_lanes(mut acc: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            acc[i] += acc[i + half];
        }
        half /= 2;
    }
    acc[0]
}

/// Sum of `f(x)` over `x` in [`LANES`] partial sums, element i going to lane i mod [`LANES`].
#[cfg_attr(not(unoptimized), inline(always))]
pub fn sum_by(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut acc = [0.0; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (a, &v) in acc.iter_mut().zip(chunk) {
            *a += f(v);
        }
    }
    for (a, &v) in acc.iter_mut().zip(rest) {
        *a += f(v);
    }
    fold_lanes(acc)
}

/// max |x|, 0 when empty.
#[cfg_attr(not(unoptimized), inline(always))]
pub fn absmax(x: &[f32]) -> f32 {
    lane_max(x, 0.0, f32::abs)
}

/// The largest of `x`, -inf when empty; NaN is passed over.
#[cfg_attr(not(unoptimized), inline(always))]
pub fn max(x: &[f32]) -> f32 {
    lane_max(x, f32::NEG_INFINITY, |v| v)
}

/// The largest `f(x)`, or `least` if none is larger.
#[cfg_attr(not(unoptimized), inline(always))]
fn lane_max(x: &[f32], least: f32, f: impl Fn(f32) -> f32) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut acc = [least; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (a, &v) in acc.iter_mut().zip(chunk) {
            *a = larger(*a, f(v));
        }
    }
    for (a, &v) in acc.iter_mut().zip(rest) {
        *a = larger(*a, f(v));
    }
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            acc[i] = larger(acc[i], acc[i + half]);
        }
        half /= 2;
    }
    acc[0]
}

/// Quantises `x` to int8 by its absmax a: `q = round_half_even(x * 127 / a)`, within -127..=127. Returns the
/// scale a / 127 that undoes it. An input that is not finite gives an unspecified `q`.
#[cfg_attr(not(unoptimized), inline(always))]
pub fn quantize_int8(x: &[f32], q: &mut [i8]) -> f32 {
    let a = absmax(x);
    let a = if a > MIN_ABSMAX { a } else { MIN_ABSMAX };
    let inverse = 127.0 / a;
    for (q, &v) in q.iter_mut().zip(x) {
        // |v * inverse| <= 127 up to one rounding, so nothing is left to clamp, and the integer lies in the low byte
        *q = (v * inverse + ROUND).to_bits() as i8;
    }
    a / 127.0
}

/// One row of weights to ternary codes, `t = clamp(round_half_even(w / s), -1, 1)`; returns s = max(mean |w|, 1e-5)
/// (Ma et al., 2024, "The Era of 1-bit LLMs").
#[cfg_attr(not(unoptimized), inline(always))]
pub fn quantize_ternary(w: &[f32], codes: &mut [i8]) -> f32 {
    let mean = sum_by(w, f32::abs) / w.len() as f32;
    let s = if mean > MIN_TERNARY_SCALE { mean } else { MIN_TERNARY_SCALE };
    for (code, &w) in codes.iter_mut().zip(w) {
        // clamped first: the rounding is defined for |x| < 2^22, and rounding keeps -1 and 1
        *code = round_half_even((w / s).clamp(-1.0, 1.0)) as i8;
    }
    s
}

/// The largest magnitude L of the head's activations: products of `width` of them with int8 must sum up within an i32.
/// All of int16 up to 512 of them, 8,191 of 2,048.
pub const fn int16_range(width: usize) -> i16 {
    let width = if width > 512 { width } else { 512 };
    (i16::MAX as usize * 512 / width) as i16
}

/// Quantises `x` to int16 by its absmax a and L, the [`int16_range`]: `q = round_half_even(x * L / a)`. Returns the
/// scale a / L.
#[cfg_attr(not(unoptimized), inline(always))]
pub fn quantize_int16(x: &[f32], q: &mut [i16]) -> f32 {
    let range = f32::from(int16_range(x.len()));
    let a = absmax(x);
    let a = if a > MIN_ABSMAX { a } else { MIN_ABSMAX };
    let inverse = range / a;
    for (q, &v) in q.iter_mut().zip(x) {
        *q = (v * inverse + ROUND).to_bits() as i16;
    }
    a / range
}

/// Softmax in place.
#[cfg_attr(not(unoptimized), inline(always))]
pub fn softmax(x: &mut [f32]) {
    let most = max(x);
    for v in x.iter_mut() {
        *v = exp_negative(*v - most);
    }
    let total = 1.0
        / sum_by(
            x,
            #[inline(always)]
            |v| v,
        );
    x.iter_mut().for_each(|v| *v *= total);
}

/// Softmax of two values, the larger or an equal one first: within 1 and 2 ULP if their difference is exact and at
/// most 87.
#[cfg_attr(not(unoptimized), inline(always))]
pub fn softmax2(first: f32, second: f32) -> [f32; 2] {
    let e = exp(second - first);
    [1.0 / (1.0 + e), e / (1.0 + e)]
}

/// Index of the largest of `x`, the lowest among equals; 0 when empty.
#[cfg_attr(not(unoptimized), inline(always))]
pub fn argmax(x: &[f32]) -> usize {
    let mut best = (0, x.first().copied().unwrap_or_default());
    for (i, &v) in x.iter().enumerate() {
        if v > best.1 {
            best = (i, v);
        }
    }
    best.0
}

/// The two largest of `x`, the lower index first among equals: ((index, value), (index, value)), the indices
/// different. `x` must have at least two elements; NaN counts as smallest, as -inf.
#[cfg_attr(not(unoptimized), inline(always))]
pub fn top2(x: &[f32]) -> [(usize, f32); 2] {
    let mut best = [(0, f32::NEG_INFINITY), (1, f32::NEG_INFINITY)];
    for (i, &v) in x.iter().enumerate() {
        if v > best[0].1 {
            best = [(i, v), best[0]];
        } else if v > best[1].1 {
            best[1] = (i, v);
        }
    }
    // the first element displaced its own place, and none came after it
    if best[0].0 == best[1].0 {
        best[1] = (1, f32::NEG_INFINITY);
    }
    best
}

/// Makes `x` a unit vector: `x / (||x|| + EPS)`. Returns what it divided by, within 4 ULP for up to 512 values.
#[cfg_attr(not(unoptimized), inline(always))]
pub fn unit(x: &mut [f32]) -> f32 {
    let divisor = sqrt(sum_by(
        x,
        #[inline(always)]
        |v| v * v,
    )) + EPS;
    x.iter_mut().for_each(|v| *v /= divisor);
    divisor
}

/// `y = x * rsqrt(mean(x^2) + EPS)`. Returns the reciprocal root mean square, as precise as [`rms_norm`]'s.
#[cfg_attr(not(unoptimized), inline(always))]
pub fn rms(x: &[f32], y: &mut [f32]) -> f32 {
    let r = rsqrt(
        sum_by(
            x,
            #[inline(always)]
            |v| v * v,
        ) / x.len() as f32
            + EPS,
    );
    for (y, &v) in y.iter_mut().zip(x) {
        *y = v * r;
    }
    r
}

/// `y = x * rsqrt(mean(x^2) + EPS) * gain`. Returns the reciprocal root mean square, within 4 ULP for up to 512 values:
/// a lane's sum of 32 squares is what rounds; square root and division round once each.
#[cfg_attr(not(unoptimized), inline(always))]
pub fn rms_norm(x: &[f32], gain: &[f32], y: &mut [f32]) -> f32 {
    let r = rsqrt(sum_by(x, |v| v * v) / x.len() as f32 + EPS);
    for ((y, &v), &g) in y.iter_mut().zip(x).zip(gain) {
        *y = v * r * g;
    }
    r
}

/// `y = (x - mean) * rsqrt(var + EPS) * gain + bias`, the biased variance. Returns (mean, reciprocal deviation),
/// the latter within 4 ULP for up to 512 values that do not nearly cancel.
#[cfg_attr(not(unoptimized), inline(always))]
pub fn layer_norm(x: &[f32], gain: &[f32], bias: &[f32], y: &mut [f32]) -> (f32, f32) {
    let n = x.len() as f32;
    let mean = sum_by(x, |v| v) / n;
    let r = rsqrt(sum_by(x, |v| (v - mean) * (v - mean)) / n + EPS);
    for (((y, &v), &g), &b) in y.iter_mut().zip(x).zip(gain).zip(bias) {
        *y = (v - mean) * r * g + b;
    }
    (mean, r)
}

/// Sum of products in [`LANES`] partial sums, element i going to lane i mod [`LANES`].
#[cfg_attr(not(unoptimized), inline(always))]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut acc = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            acc[i] += a[i] * b[i];
        }
    }
    for ((acc, a), b) in acc.iter_mut().zip(a_rest).zip(b_rest) {
        *acc += a * b;
    }
    fold_lanes(acc)
}

/// The step that pair `index` of a rotary embedding (Su et al., 2021) over `width` channels turns a token, in 2^-32
/// turns: `10000^(-2 index / width) / 2 pi`. As an integer it stays exact however far a story goes.
pub fn rotary_step(index: usize, width: usize) -> u32 {
    const LOG2_10000: f64 = 13.287_712_379_549_449;
    let turns = libm::exp2(-2.0 * index as f64 / width as f64 * LOG2_10000) / core::f64::consts::TAU;
    libm::rint(turns * 4_294_967_296.0) as u32
}

/// Cosine and sine of an angle in 2^-32 turns, each within 2e-7.
#[cfg_attr(not(unoptimized), inline(always))]
pub fn cos_sin(angle: u32) -> (f32, f32) {
    // the nearest quarter turn, and what is left, within an eighth
    let quarter = angle.wrapping_add(1 << 29) >> 30;
    let x = angle.wrapping_sub(quarter << 30) as i32 as f32 * (core::f32::consts::TAU / 4_294_967_296.0);
    let z = x * x;
    // Cephes' polynomials (Moshier, 1992)
    let sin = x + x * z * (-1.666_665_5e-1 + z * (8.332_161e-3 + z * -1.951_529_6e-4));
    let cos = 1.0 - 0.5 * z + z * z * (4.166_664_6e-2 + z * (-1.388_731_6e-3 + z * 2.443_315_7e-5));
    let (cos, sin) = if quarter & 1 == 1 { (-sin, cos) } else { (cos, sin) };
    if quarter & 2 == 2 { (-cos, -sin) } else { (cos, sin) }
}

/// Turns every pair of neighbours (a, b) of `x` by its angle: (a cos - b sin, a sin + b cos).
#[cfg_attr(not(unoptimized), inline(always))]
pub fn rotate(x: &mut [f32], cos: &[f32], sin: &[f32]) {
    for ((pair, &c), &s) in x.as_chunks_mut::<2>().0.iter_mut().zip(cos).zip(sin) {
        let [a, b] = *pair;
        *pair = [a * c - b * s, a * s + b * c];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotary_angles_are_those_of_the_formula() {
        for position in [0u32, 1, 2, 17, 255, 256, 1000, 65_537] {
            for index in 0..32 {
                let angle = f64::from(position) * 10000f64.powf(-2.0 * index as f64 / 64.0);
                let (cos, sin) = cos_sin(position.wrapping_mul(rotary_step(index, 64)));
                // the step is rounded to 2^-33 turns
                let tolerance = 3e-7 + f64::from(position) * 8e-10;
                assert!((f64::from(cos) - angle.cos()).abs() < tolerance, "{position} {index}");
                assert!((f64::from(sin) - angle.sin()).abs() < tolerance, "{position} {index}");
            }
        }
    }

    #[test]
    fn exp_is_within_two_ulp() {
        let mut worst = 0;
        for i in 0..2_000_000 {
            let x = -86.9 + i as f32 * (174.8 / 2_000_000.0);
            let want = libm::exp(x as f64) as f32;
            worst = worst.max(exp(x).to_bits().abs_diff(want.to_bits()));
        }
        assert!(worst <= 2, "worst error {worst} ULP");
    }

    /// ULPs between `got` and the f32 nearest to `want`.
    fn ulps(got: f32, want: f64) -> u32 {
        let want = want as f32;
        assert_eq!(got.is_sign_negative(), want.is_sign_negative(), "{got} for {want}");
        got.to_bits().abs_diff(want.to_bits())
    }

    /// The largest error on a grid over [-87, 87].
    fn worst(f: impl Fn(f32) -> f32, truth: impl Fn(f64) -> f64) -> u32 {
        let grid = (0..1_000_000).map(|i| -87.0 + i as f32 * 1.74e-4);
        grid.map(|x| ulps(f(x), truth(x.into()))).max().unwrap_or(0)
    }

    fn exact_sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + libm::exp(-x))
    }

    #[test]
    fn activations_are_within_their_stated_ulp() {
        let errors = [
            ("sigmoid", 2, worst(sigmoid, exact_sigmoid)),
            ("silu", 3, worst(silu, |x| x * exact_sigmoid(x))),
            ("softmax2, larger", 1, worst(|x| softmax2(x.abs(), 0.0)[0], |x| exact_sigmoid(x.abs()))),
            ("softmax2, smaller", 2, worst(|x| softmax2(x.abs(), 0.0)[1], |x| exact_sigmoid(-x.abs()))),
        ];
        for (name, stated, found) in errors {
            assert!(found <= stated, "{name}: {found} ULP, stated {stated}");
        }
    }

    #[test]
    fn reciprocals_of_norms_are_within_their_stated_ulp() {
        let mut numbers = crate::testing::Numbers(1);
        let mut worst = [0; 4];
        for i in 0..10_000 {
            // two to 512 values of any size that activations have
            let n = 2 + i * 7 % 511;
            let size = exp(numbers.float(-9.0, 9.0));
            let x: Vec<f32> = (0..n).map(|_| numbers.float(-size, size)).collect();
            let gain = std::vec![1.0; n];
            let mut y = std::vec![0.0; n];
            let norms = [rms_norm(&x, &gain, &mut y), layer_norm(&x, &gain, &gain, &mut y).1, rms(&x, &mut y)];
            y.copy_from_slice(&x);
            let found = [norms[0], norms[1], norms[2], unit(&mut y)];
            let mean_by = |f: &dyn Fn(f64) -> f64| x.iter().map(|&v| f(v.into())).sum::<f64>() / n as f64;
            let mean = mean_by(&|v| v);
            let reciprocal = |square: f64| 1.0 / libm::sqrt(square + f64::from(EPS));
            let exact = [
                reciprocal(mean_by(&|v| v * v)),
                reciprocal(mean_by(&|v| (v - mean).powi(2))),
                reciprocal(mean_by(&|v| v * v)),
                libm::sqrt(mean_by(&|v| v * v) * n as f64) + f64::from(EPS),
            ];
            for ((worst, found), exact) in worst.iter_mut().zip(found).zip(exact) {
                *worst = ulps(found, exact).max(*worst);
            }
        }
        assert!(worst.iter().all(|&error| error <= 4), "rms_norm, layer_norm, rms, unit: {worst:?} ULP, stated 4");
    }

    #[test]
    fn quantising_is_exact_at_the_ends_and_rounds_half_to_even() {
        let mut q = [0; 6];
        assert_eq!(quantize_int8(&[-127.0, 127.0, 0.5, 1.5, -2.5, 126.5], &mut q), 1.0);
        assert_eq!(q, [-127, 127, 0, 2, -2, 126]);
        // absmax below the least: nothing is blown up to full scale
        quantize_int8(&[1e-7, -1e-7, 0.0], &mut q);
        assert_eq!(q[..3], [1, -1, 0]);
        // an absmax whose reciprocal rounds up must not reach 128
        for i in 1..100_000 {
            let a = i as f32 * 0.001_37;
            quantize_int8(&[a, -a], &mut q);
            assert_eq!(q[..2], [127, -127], "absmax {a}");
            let mut wide = [0; 2];
            quantize_int16(&[a, -a], &mut wide);
            assert_eq!(wide, [32767, -32767], "absmax {a}");
        }
        let mut wide = [0; 2048];
        quantize_int16(&[1.0; 2048], &mut wide);
        assert_eq!(wide, [8191; 2048]);
    }

    #[test]
    fn top2_prefers_the_lower_index_among_equals() {
        assert_eq!(top2(&[1.0, 3.0, 3.0, 3.0]), [(1, 3.0), (2, 3.0)]);
        assert_eq!(top2(&[2.0, 1.0, 0.0]), [(0, 2.0), (1, 1.0)]);
        assert_eq!(top2(&[0.0, 0.0]), [(0, 0.0), (1, 0.0)]);
        let (nan, low) = (f32::NAN, f32::NEG_INFINITY);
        assert_eq!(top2(&[1.0, nan]), [(0, 1.0), (1, low)]);
        assert_eq!(top2(&[nan, 1.0]), [(1, 1.0), (0, low)]);
        assert_eq!(top2(&[nan, nan, nan]), [(0, low), (1, low)]);
        assert_eq!(top2(&[nan, nan, 2.0]), [(2, 2.0), (0, low)]);
        assert_eq!(top2(&[1.0, nan, nan]), [(0, 1.0), (1, low)]);
    }

    #[test]
    fn rounding_is_half_to_even() {
        for (x, want) in [(0.5, 0.0), (1.5, 2.0), (2.5, 2.0), (-0.5, 0.0), (-1.5, -2.0), (126.5, 126.0)] {
            assert_eq!(round_half_even(x), want);
        }
    }
}
