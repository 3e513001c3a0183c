//! A block: mixer, channel mixer, and where the model has one the router that lets tokens pass it by (mixture of
//! depths, Raposo et al., 2024).

use super::{ChannelMixer, Chunk, Mixer, Reach};
use crate::math;
use crate::memory::MAX_CHUNK;
use crate::parts::Parts;
use crate::streams::Streams;

/// One block's parameters.
pub(crate) struct Block<'a> {
    pub mixer: Mixer<'a>,
    pub ffn: ChannelMixer<'a>,
    /// D floats, where tokens are routed around the block.
    pub router: Option<&'a [f32]>,
}

/// Takes the residual stream through a block, the `index`th, and advances its state.
pub(crate) fn block(b: &Block<'_>, index: usize, chunk: &mut Chunk<'_>, streams: &mut Streams<'_>) {
    let Some(router) = b.router else {
        b.mixer.forward(chunk, Reach::Output, streams.mixer(index));
        b.ffn.forward(chunk, streams.ffn(index));
        return;
    };
    let d = router.len();
    let mut gates = [0.0; MAX_CHUNK];
    let gates = gates.front_mut(chunk.tokens);
    let s = &mut chunk.s;
    chunk.kernels.vectorize(
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
    let reach = if b.ffn.is_stateful() || gates.iter().any(|&gate| gate > 0.0) { Reach::Output } else { Reach::State };
    b.mixer.forward(chunk, reach, streams.mixer(index));
    if reach == Reach::Output {
        b.ffn.forward(chunk, streams.ffn(index));
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
