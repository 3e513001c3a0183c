//! The integer product in plain loops, for a CPU of which nothing is known.

use super::{QuantizedRows, TernaryMatrix};

/// Outputs computed side by side, which share the widening of the activations.
const SIDE_BY_SIDE: usize = 4;

/// Row-major codes against row-major activations: compilers turn the dot product of sign-extended bytes into
/// the multiply-and-add-pairs instruction that most CPUs have.
#[inline(always)]
pub(super) fn ternary_forward(x: &QuantizedRows, w: &TernaryMatrix, y: &mut [f32]) {
    let stride = x.stride();
    let rows = x.q.as_ref().chunks_exact(stride).zip(x.scale.as_ref());
    for (y, (q, &scale)) in y.chunks_exact_mut(w.n()).zip(rows) {
        // the rows of codes are padded to a multiple of 32
        let groups = w.codes.as_ref().chunks_exact(SIDE_BY_SIDE * stride).zip(w.scale().chunks(SIDE_BY_SIDE));
        for (y, (codes, scales)) in y.chunks_mut(SIDE_BY_SIDE).zip(groups) {
            let sums = dot_products(q, codes);
            for ((y, s), sum) in y.iter_mut().zip(scales).zip(sums) {
                *y = sum as f32 * (s * scale);
            }
        }
    }
}

/// `q` times each of the rows of `codes`, which are as long.
#[inline(always)]
fn dot_products(q: &[i8], codes: &[i8]) -> [i32; SIDE_BY_SIDE] {
    let (first, second) = codes.split_at(2 * q.len());
    let ((a, b), (c, d)) = (first.split_at(q.len()), second.split_at(q.len()));
    let mut sums = [0; SIDE_BY_SIDE];
    for ((((&q, &a), &b), &c), &d) in q.iter().zip(a).zip(b).zip(c).zip(d) {
        for (sum, t) in sums.iter_mut().zip([a, b, c, d]) {
            *sum += q as i32 * t as i32;
        }
    }
    sums
}
