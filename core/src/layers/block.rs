//! A block: mixer, channel mixer, and where the model has one the router that lets tokens pass it by (mixture of depths,
//! Raposo et al., 2024).

use super::{Positions, Resets, Ring, attention, gated_recurrence, glu, parallel_recurrence, relu2};
use crate::arena::{Line, MAX_CHUNK, Scratch, ring_lines};
use crate::kernels::Kernels;
use crate::math;
use crate::model::{Block, BlockFfn, BlockMixer};
use crate::parts::Parts;

/// How far a mixer must go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// All the way into the residual stream.
    Output,
    /// Its state only: no token of the chunk takes its output.
    State,
}

/// Takes the residual stream `s.x` (T x D) through a block and advances its state.
pub(crate) fn block(
    b: &Block<'_>,
    kernels: Kernels,
    tokens: usize,
    resets: Resets,
    positions: &Positions,
    mixer: &mut [Line],
    before: &mut [f32],
    s: &mut Scratch<'_>,
) {
    let Some(router) = b.router else {
        mix(b, kernels, tokens, resets, positions, Reach::Output, mixer, s);
        mix_channels(b, kernels, tokens, resets, before, s);
        return;
    };
    let d = router.len();
    let mut gates = [0.0; MAX_CHUNK];
    let gates = gates.front_mut(tokens);
    kernels.vectorise(
        #[inline(always)]
        || {
            for (gate, x) in gates.iter_mut().zip(s.x.rows(d)) {
                let logit = math::dot(x, router);
                *gate = if logit > 0.0 { math::sigmoid(logit) } else { 0.0 };
            }
        },
    );
    s.kept.front_mut(tokens * d).set(s.x.front(tokens * d));
    // a shifted channel mixer carries what the mixer made of a token, picked or not
    let stateful = matches!(&b.ffn, BlockFfn::Relu2(relu2) if relu2.shift.is_some());
    let reach = if stateful || gates.iter().any(|&gate| gate > 0.0) { Reach::Output } else { Reach::State };
    mix(b, kernels, tokens, resets, positions, reach, mixer, s);
    if reach == Reach::Output {
        mix_channels(b, kernels, tokens, resets, before, s);
    }
    for ((&gate, x), kept) in gates.iter().zip(s.x.rows_mut(d)).zip(s.kept.rows(d)) {
        if gate > 0.0 {
            for (x, &kept) in x.iter_mut().zip(kept) {
                *x = kept + gate * (*x - kept);
            }
        } else {
            x.set(kept);
        }
    }
}

fn mix(
    b: &Block<'_>,
    kernels: Kernels,
    tokens: usize,
    resets: Resets,
    positions: &Positions,
    reach: Reach,
    state: &mut [Line],
    s: &mut Scratch<'_>,
) {
    match &b.mixer {
        BlockMixer::Gated(m) => {
            let state = bytemuck::must_cast_slice_mut::<_, f32>(state).front_mut(2 * m.gain.len());
            gated_recurrence(m, kernels, tokens, resets, reach, state, s);
        }
        BlockMixer::Parallel(m) => {
            let state = bytemuck::must_cast_slice_mut(state);
            parallel_recurrence(m, kernels, tokens, resets, reach, state, s);
        }
        BlockMixer::Attention(m) => {
            let (codes, scales) = state.cut_mut(ring_lines(&m.config));
            let ring =
                Ring { codes: bytemuck::must_cast_slice_mut(codes), scales: bytemuck::must_cast_slice_mut(scales) };
            attention(m, kernels, tokens, positions, reach, ring, s);
        }
    }
}

fn mix_channels(
    b: &Block<'_>,
    kernels: Kernels,
    tokens: usize,
    resets: Resets,
    before: &mut [f32],
    s: &mut Scratch<'_>,
) {
    match &b.ffn {
        BlockFfn::Glu(w) => glu(w, kernels, tokens, s),
        BlockFfn::Relu2(w) => relu2(w, kernels, tokens, resets, before, s),
    }
}
