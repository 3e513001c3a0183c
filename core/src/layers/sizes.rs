//! What every layer needs: bytes it carries from token to token, and floats it works in.

use super::{attention, gated, parallel, rcsm, relu2};
use crate::config::{ChannelMixer, Mixer, ModelConfig};

pub(crate) use rcsm::{memory_floats, pass_floats, past_floats, token_floats};

/// A mixer's needs.
pub(crate) struct MixerSize {
    /// Bytes a block of it carries.
    pub state: usize,
    /// Lines of these, the first, that are no floats but attention's ring.
    pub ring: usize,
    /// Floats of one head's window, for every softmax.
    pub scores: usize,
}

/// The mixer's of a model.
pub(crate) const fn mixer(c: &ModelConfig) -> MixerSize {
    let d = c.d_model as usize;
    match c.mixer {
        Mixer::GatedRecurrence => MixerSize { state: gated::state_bytes(d), ring: 0, scores: 0 },
        Mixer::ParallelRecurrence(heads) => {
            MixerSize { state: parallel::state_bytes(d, heads.inner()), ring: 0, scores: 0 }
        }
        Mixer::Attention(a) => MixerSize {
            state: attention::state_bytes(&a),
            ring: attention::ring_lines(&a),
            scores: a.map.softmaxes() * a.window as usize,
        },
    }
}

/// Bytes that a block's channel mixer carries.
pub(crate) const fn channel_mixer(c: &ModelConfig) -> usize {
    match c.ffn {
        ChannelMixer::Glu | ChannelMixer::Relu2 => 0,
        ChannelMixer::ShiftedRelu2 => relu2::state_bytes(c.d_model as usize),
    }
}
