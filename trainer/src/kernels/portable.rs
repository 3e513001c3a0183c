//! The integer product in plain loops, for a CPU of which nothing is known.

use super::{QuantisedRows, TernaryMatrix};

/// Row-major codes against row-major activations: compilers turn the dot product of sign-extended bytes into
/// the multiply-and-add-pairs instruction that most CPUs have.
#[inline(always)]
pub(super) fn ternary_forward(x: &QuantisedRows, w: &TernaryMatrix, y: &mut [f32]) {
    let stride = x.stride();
    let rows = x.q.as_ref().chunks_exact(stride).zip(x.scale.as_ref());
    for (y, (q, &scale)) in y.chunks_exact_mut(w.n()).zip(rows) {
        let weights = w.codes.as_ref().chunks_exact(stride).zip(w.scale());
        for (y, (codes, &s)) in y.iter_mut().zip(weights) {
            let sum: i32 = codes.iter().zip(q).map(|(&t, &q)| t as i32 * q as i32).sum();
            *y = sum as f32 * (s * scale);
        }
    }
}
