//! Token embedding, and the norm before the head that shares it.

use crate::kernels::Kernels;
use crate::math;
use crate::parts::Parts;
use crate::views::Embedding;

/// `x[t] = embedding[tokens[t]] * sqrt(D)`, T x D.
pub(crate) fn embed(e: Embedding<'_>, tokens: &[u16], x: &mut [f32]) {
    debug_assert!(x.len() == tokens.len() * e.columns && e.columns.is_multiple_of(4));
    debug_assert!(tokens.iter().all(|&token| usize::from(token) < e.scales.len()), "the session checks tokens");
    let width = math::sqrt(e.columns as f32);
    for (&token, x) in tokens.iter().zip(x.rows_mut(e.columns)) {
        let (group, row) = (usize::from(token) / 16, usize::from(token) % 16);
        let scale = e.scales.get(usize::from(token)).copied().unwrap_or_default();
        let tiles = e.values.part(group * e.columns * 4, e.columns * 4);
        for (x, tile) in x.as_chunks_mut::<4>().0.iter_mut().zip(tiles.as_chunks::<16>().0) {
            for (x, value) in x.iter_mut().zip(tile[row].to_le_bytes()) {
                *x = f32::from(value as i8) * scale * width;
            }
        }
    }
}

/// One token's activations for the head: `rms_norm(x)` as int16 q. Returns their scale. `n` is scratch of D floats.
pub(crate) fn final_norm(gain: &[f32], kernels: Kernels, x: &[f32], n: &mut [f32], q: &mut [i16]) -> f32 {
    debug_assert!([x.len(), n.len(), q.len()] == [gain.len(); 3]);
    kernels.vectorize(
        #[inline(always)]
        || {
            math::rms_norm(x, gain, n);
            math::quantize_int16(n, q)
        },
    )
}
