//! Tokens through all layers, at once or a layer at a time.

use crate::config::Depth;
use crate::kernels::Kernels;
use crate::layers::{self, Chunk, Positions, Resets};
use crate::memory::{MAX_CHUNK, Scratch, StateHeader};
use crate::model::Model;
use crate::observer::Observer;
use crate::parts::Parts;
use crate::streams::Streams;

/// Takes at most [`MAX_CHUNK`] tokens of the model's vocabulary through all layers, on the states of `streams`, which
/// say whose each is. `depths`: passes of each in the reasoning loop.
pub(super) fn forward(
    model: &Model<'_>,
    kernels: Kernels,
    tokens: &[u16],
    depths: &[Depth; MAX_CHUNK],
    streams: &mut Streams<'_>,
    scratch: Scratch<'_>,
    observer: &mut impl Observer,
) {
    let mut chunk = enter(model, kernels, tokens, streams, scratch);
    for index in 0..usize::from(model.config().layers) {
        layer(model, index, &mut chunk, depths, streams, observer);
    }
    leave(model, chunk, streams);
}

/// Counts the tokens and looks up their embeddings.
pub(super) fn enter<'a>(
    model: &Model<'_>,
    kernels: Kernels,
    tokens: &[u16],
    streams: &mut Streams<'_>,
    s: Scratch<'a>,
) -> Chunk<'a> {
    let (n, d) = (tokens.len(), usize::from(model.config().d_model));
    let resets = Resets::new(tokens, model.config().eot);
    layers::embed(model.embedding(), tokens, s.x.front_mut(n * d));
    let positions = Positions::count(n, resets, streams);
    let pairs = model.config().rotary_pairs();
    // the same steps in every state
    positions.rotations(n, streams.rotary().values(0).front_mut(pairs), s.rotation);
    Chunk { kernels, tokens: n, resets, positions, scales: [0.0; MAX_CHUNK], s }
}

/// Block `index`, and the reasoning loop where it comes behind that.
pub(super) fn layer(
    model: &Model<'_>,
    index: usize,
    chunk: &mut Chunk<'_>,
    depths: &[Depth; MAX_CHUNK],
    streams: &mut Streams<'_>,
    observer: &mut impl Observer,
) {
    layers::block(&model.block(index), index, chunk, streams);
    if let Some(rcsm) = model.rcsm_behind(index) {
        layers::reason(&rcsm, chunk, depths, streams, observer);
    }
}

/// Leaves in every stream what the head makes logits of: the activations after its last token.
pub(super) fn leave(model: &Model<'_>, chunk: Chunk<'_>, streams: &mut Streams<'_>) {
    let d = usize::from(model.config().d_model);
    let Chunk { kernels, tokens, s, .. } = chunk;
    for (t, x) in s.x.rows(d).enumerate().take(tokens) {
        if streams.is_last(t, tokens) {
            let mut head = streams.head();
            let q = head.values(t).front_mut(d);
            let head_scale = layers::final_norm(model.norm_gain(), kernels, x, s.n.front_mut(d), q).to_bits();
            let header = streams.header(t);
            streams.set_header(t, StateHeader { head_scale, ..header });
        }
    }
}
