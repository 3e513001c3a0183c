//! The layers, each over T tokens, of one stream or of several: products take all of them together, recurrences one by
//! one, each on its own stream's state. A token's result does not depend on what ran beside it, so `prefill`, `step`
//! and a batch agree bit for bit.
//!
//! A layer's file has the view of its parameters, the bytes that it carries from token to token, and its forward. The
//! line-up is here: which layers a block may be of, and what each needs.

mod attention;
mod block;
mod chunk;
mod embedding;
mod gated;
mod glu;
mod parallel;
mod rcsm;
mod relu2;

pub(crate) use block::{Block, block};
pub(crate) use chunk::{Chunk, Positions, Reach, Resets, Shift};
pub(crate) use embedding::{embed, final_norm};
pub(crate) use rcsm::{memory_floats, pass_floats, past_floats, reason, token_floats};

use self::attention::Attention;
use self::gated::GatedRecurrence;
use self::glu::Glu;
use self::parallel::ParallelRecurrence;
use self::relu2::Relu2;
use crate::config::{self, ModelConfig};
use crate::streams::Region;
use crate::views::TernaryMatrix;

/// A block's mixer.
pub(crate) enum Mixer<'a> {
    Gated(GatedRecurrence<'a>),
    Parallel(ParallelRecurrence<'a>),
    Attention(Attention<'a>),
}

impl<'a> Mixer<'a> {
    /// Of block `index`, whose mixer has these floats and these matrices, the one that reads its input and the one that
    /// writes its output.
    #[inline(always)]
    pub(crate) fn new(c: &ModelConfig, index: usize, floats: &'a [f32], matrices: [TernaryMatrix<'a>; 2]) -> Self {
        match c.mixer {
            config::Mixer::GatedRecurrence => Self::Gated(GatedRecurrence::new(c, floats, matrices)),
            config::Mixer::ParallelRecurrence(heads) => {
                Self::Parallel(ParallelRecurrence::new(c, heads, c.forget_floor(index), floats, matrices))
            }
            config::Mixer::Attention(attention) => Self::Attention(Attention::new(c, attention, floats, matrices)),
        }
    }

    /// Adds its output to the residual stream, if that is to be reached, and advances its state.
    fn forward(&self, chunk: &mut Chunk<'_>, reach: Reach, state: Region<'_>) {
        match self {
            Self::Gated(m) => m.forward(chunk, reach, state),
            Self::Parallel(m) => m.forward(chunk, reach, state),
            Self::Attention(m) => m.forward(chunk, reach, state),
        }
    }
}

/// A block's channel mixer.
pub(crate) enum ChannelMixer<'a> {
    Glu(Glu<'a>),
    Relu2(Relu2<'a>),
}

impl<'a> ChannelMixer<'a> {
    /// Of these floats and these matrices, the one that reads its input and the one that writes its output.
    #[inline(always)]
    pub(crate) fn new(c: &ModelConfig, floats: &'a [f32], matrices: [TernaryMatrix<'a>; 2]) -> Self {
        match c.ffn {
            config::ChannelMixer::Glu => Self::Glu(Glu::new(c, floats, matrices)),
            config::ChannelMixer::Relu2 => Self::Relu2(Relu2::new(c, floats, matrices)),
            config::ChannelMixer::ShiftedRelu2 => Self::Relu2(Relu2::shifted(c, floats, matrices)),
        }
    }

    /// Whether it carries something from token to token.
    fn is_stateful(&self) -> bool {
        matches!(self, Self::Relu2(relu2) if relu2.shift.is_some())
    }

    /// Adds its output to the residual stream; where tokens are shifted, `before` is the input of the token before.
    fn forward(&self, chunk: &mut Chunk<'_>, before: Region<'_>) {
        match self {
            Self::Glu(w) => w.forward(chunk),
            Self::Relu2(w) => w.forward(chunk, before),
        }
    }
}

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
pub(crate) const fn mixer_size(c: &ModelConfig) -> MixerSize {
    let d = c.d_model as usize;
    match c.mixer {
        config::Mixer::GatedRecurrence => MixerSize { state: gated::state_bytes(d), ring: 0, scores: 0 },
        config::Mixer::ParallelRecurrence(heads) => {
            MixerSize { state: parallel::state_bytes(d, heads.inner()), ring: 0, scores: 0 }
        }
        config::Mixer::Attention(a) => MixerSize {
            state: attention::state_bytes(&a),
            ring: attention::ring_lines(&a),
            scores: a.map.softmaxes() * a.window as usize,
        },
    }
}

/// Bytes that a block's channel mixer carries.
pub(crate) const fn channel_mixer_bytes(c: &ModelConfig) -> usize {
    match c.ffn {
        config::ChannelMixer::Glu | config::ChannelMixer::Relu2 => 0,
        config::ChannelMixer::ShiftedRelu2 => relu2::state_bytes(c.d_model as usize),
    }
}
