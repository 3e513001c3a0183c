//! AdamW (Loshchilov & Hutter, 2019, "Decoupled Weight Decay Regularization").

use std::ops::Range;

use rayon::prelude::*;

use super::PIECE;
use super::moments::{Moment, Moments, noise};
use crate::kernels::Kernels;

/// One step's constants.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub kernels: Kernels,
    pub beta1: f32,
    pub beta2: f32,
    pub eps: f32,
    /// Multiplies every gradient (clipping).
    pub grad_scale: f32,
    /// `1 / (1 - beta1^t)`.
    pub correct1: f32,
    /// `1 / (1 - beta2^t)`.
    pub correct2: f32,
    /// The step's number t.
    pub update: u64,
}

/// Moves `params[span]` by `grads[span]`, updating the moments (first, second) of the same span.
pub fn step(
    rule: &Rule,
    lr: f32,
    decay: f32,
    span: Range<usize>,
    params: &mut [f32],
    grads: &[f32],
    moments: (&mut Moments, &mut Moments),
) {
    let start = span.start;
    let (p, g) = (&mut params[span.clone()], &grads[span.clone()]);
    match moments {
        (Moments::F32(m), Moments::F32(v)) => {
            spread(rule, (lr, decay), start, p, g, &mut m[span.clone()], &mut v[span])
        }
        (Moments::Bf16(m), Moments::Bf16(v)) => {
            spread(rule, (lr, decay), start, p, g, &mut m[span.clone()], &mut v[span])
        }
        _ => unreachable!("both moments are stored alike"),
    }
}

/// Shares a span out to the threads.
fn spread<M: Moment>(
    rule: &Rule,
    (lr, decay): (f32, f32),
    start: usize,
    params: &mut [f32],
    grads: &[f32],
    m: &mut [M],
    v: &mut [M],
) {
    if params.len() <= PIECE {
        return piece(rule, (lr, decay), start, params, grads, m, v);
    }
    params
        .par_chunks_mut(PIECE)
        .zip(grads.par_chunks(PIECE))
        .zip(m.par_chunks_mut(PIECE).zip(v.par_chunks_mut(PIECE)))
        .enumerate()
        .for_each(|(i, ((p, g), (m, v)))| piece(rule, (lr, decay), start + i * PIECE, p, g, m, v));
}

/// The rule itself, element by element: no order to depend on, and vectorised by the compiler.
fn piece<M: Moment>(
    rule: &Rule,
    (lr, decay): (f32, f32),
    start: usize,
    params: &mut [f32],
    grads: &[f32],
    m: &mut [M],
    v: &mut [M],
) {
    let Rule { kernels, beta1, beta2, eps, grad_scale, correct1, correct2, update } = *rule;
    let keep = 1.0 - lr * decay;
    let lr = lr * correct1;
    kernels.vectorize(
        #[inline(always)]
        || {
            let moments = m.iter_mut().zip(v.iter_mut());
            for (i, ((p, &g), (m, v))) in params.iter_mut().zip(grads).zip(moments).enumerate() {
                let g = g * grad_scale;
                let first = beta1 * m.load() + (1.0 - beta1) * g;
                let second = beta2 * v.load() + (1.0 - beta2) * g * g;
                *p = *p * keep - lr * first / ((second * correct2).sqrt() + eps);
                let bits = noise((start + i) as u32, update as u32);
                *m = M::store(first, bits);
                *v = M::store(second, bits);
            }
        },
    );
}
