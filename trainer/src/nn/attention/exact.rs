//! Evaluation's way from queries, keys and values to what is read: the same sums in the same order as core's, to the
//! same bits at every level.

use flashlm_core::config::MAX_HEADS;
use flashlm_core::math;

use super::heads::Heads;
use super::inner::Factors;
use super::window::Workspace;
use crate::kernels::Kernels;
use crate::nn::shape::row_mut;

/// What attention reads, `y` (M, W), time-major. Keys and values are to be multiplied by their `scales`, (B, maps, H,
/// C + T) and (B, H, C + T).
pub fn forward(
    kernels: Kernels,
    h: &Heads,
    lambda: Option<&[f32; MAX_HEADS as usize]>,
    (q, k, v): Factors,
    (k_scale, v_scale): (&[f32], &[f32]),
    y: &mut [f32],
    workspace: &mut Workspace,
) {
    let Workspace { starts, weights: [first, second], .. } = workspace;
    let width = h.width;
    kernels.vectorize(
        #[inline(always)]
        || {
            for (i, y) in y.chunks_exact_mut(h.inner()).enumerate() {
                let (t, sequence) = (i / h.sequences, i % h.sequences);
                let seen = starts[i] as usize..t + h.carried + 1;
                let n = seen.len();
                let first = &mut first[..n];
                for head in 0..h.count {
                    for (map, out) in [&mut *first, &mut *second].into_iter().enumerate().take(h.maps) {
                        let j = map * h.count + head;
                        let query = &q[h.query_at(sequence, j, t)..][..width];
                        let at = h.key_at(sequence, j, seen.start);
                        weights(query, &k[at..][..n * width], &k_scale[at / width..][..n], &mut out[..n]);
                    }
                    if let Some(lambda) = lambda {
                        for (a, &b) in first.iter_mut().zip(second.iter()) {
                            *a -= lambda[head] * b;
                        }
                    }
                    let at = h.value_at(sequence, head, seen.start);
                    let y = row_mut(y, head, width);
                    y.fill(0.0);
                    let values = v[at..].chunks_exact(width).zip(&v_scale[at / width..]);
                    for (&weight, (value, &scale)) in first.iter().zip(values) {
                        let weight = weight * scale;
                        for (y, &v) in y.iter_mut().zip(value) {
                            *y += weight * v;
                        }
                    }
                }
            }
        },
    );
}

/// One query's weights over `keys`, rows of its width.
#[inline(always)]
fn weights(query: &[f32], keys: &[f32], scales: &[f32], out: &mut [f32]) {
    for ((score, key), &scale) in out.iter_mut().zip(keys.chunks_exact(query.len())).zip(scales) {
        *score = math::dot(query, key) * scale;
    }
    math::softmax(out);
}
