//! A block: mixer, channel mixer, and where the model has one the router that lets tokens pass it by (mixture of
//! depths, Raposo et al., 2024).

use super::attention::{Ring, attention, ring_lines};
use super::chunk::{Chunk, Reach};
use super::gated::gated_recurrence;
use super::glu::glu;
use super::parallel::parallel_recurrence;
use super::relu2::relu2;
use crate::math;
use crate::memory::{Line, MAX_CHUNK};
use crate::parts::Parts;
use crate::views::{Block, BlockFfn, BlockMixer};

/// Takes the residual stream through a block and advances its state.
pub(crate) fn block(b: &Block<'_>, chunk: &mut Chunk<'_>, mixer: &mut [Line], before: &mut [f32]) {
    let Some(router) = b.router else {
        mix(b, chunk, Reach::Output, mixer);
        mix_channels(b, chunk, before);
        return;
    };
    let d = router.len();
    let mut gates = [0.0; MAX_CHUNK];
    let gates = gates.front_mut(chunk.tokens);
    let s = &mut chunk.s;
    chunk.kernels.vectorise(
        #[inline(always)]
        || {
            for (gate, x) in gates.iter_mut().zip(s.x.rows(d)) {
                let logit = math::dot(x, router);
                *gate = if logit > 0.0 { math::sigmoid(logit) } else { 0.0 };
            }
        },
    );
    s.kept.front_mut(chunk.tokens * d).set(s.x.front(chunk.tokens * d));
    // a shifted channel mixer carries what the mixer made of a token, picked or not
    let stateful = matches!(&b.ffn, BlockFfn::Relu2(relu2) if relu2.shift.is_some());
    let reach = if stateful || gates.iter().any(|&gate| gate > 0.0) { Reach::Output } else { Reach::State };
    mix(b, chunk, reach, mixer);
    if reach == Reach::Output {
        mix_channels(b, chunk, before);
    }
    let s = &mut chunk.s;
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

fn mix(b: &Block<'_>, chunk: &mut Chunk<'_>, reach: Reach, state: &mut [Line]) {
    match &b.mixer {
        BlockMixer::Gated(m) => {
            let state = bytemuck::must_cast_slice_mut::<_, f32>(state).front_mut(2 * m.gain.len());
            gated_recurrence(m, chunk, reach, state);
        }
        BlockMixer::Parallel(m) => parallel_recurrence(m, chunk, reach, bytemuck::must_cast_slice_mut(state)),
        BlockMixer::Attention(m) => {
            let (codes, scales) = state.cut_mut(ring_lines(&m.config));
            let ring =
                Ring { codes: bytemuck::must_cast_slice_mut(codes), scales: bytemuck::must_cast_slice_mut(scales) };
            attention(m, chunk, reach, ring);
        }
    }
}

fn mix_channels(b: &Block<'_>, chunk: &mut Chunk<'_>, before: &mut [f32]) {
    match &b.ffn {
        BlockFfn::Glu(w) => glu(w, chunk),
        BlockFfn::Relu2(w) => relu2(w, chunk, before),
    }
}
