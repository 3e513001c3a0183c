//! Where a step's time goes: every stretch of a replica's work is charged to the part it belongs to.

use std::time::{Duration, Instant};

/// A part of the training step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Embedding, final norm, head and cross-entropy, forward and backward.
    Head,
    /// int8 x ternary products of the projections.
    Forward,
    /// Gradients of the projections' inputs.
    BackwardInput,
    /// Gradients of the projections' weights.
    BackwardWeight,
    /// Norms, token shift, gates and scan of the recurrence.
    Recurrence,
    /// Norms and gates of the channel mixer.
    ChannelMixer,
    /// The RCSM loop forward.
    RcsmForward,
    /// The RCSM loop backward.
    RcsmBackward,
    /// RCSM's projections and weight gradients, outside the loop.
    RcsmProducts,
}

impl Part {
    pub const ALL: [Self; 9] = [
        Self::Head,
        Self::Forward,
        Self::BackwardInput,
        Self::BackwardWeight,
        Self::Recurrence,
        Self::ChannelMixer,
        Self::RcsmForward,
        Self::RcsmBackward,
        Self::RcsmProducts,
    ];

    /// What a table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Head => "embedding and head",
            Self::Forward => "projections forward",
            Self::BackwardInput => "dX",
            Self::BackwardWeight => "dW",
            Self::Recurrence => "recurrence",
            Self::ChannelMixer => "channel mixer",
            Self::RcsmForward => "rcsm loop forward",
            Self::RcsmBackward => "rcsm loop backward",
            Self::RcsmProducts => "rcsm products",
        }
    }
}

/// Time by part. One replica's; replicas run side by side.
#[derive(Clone, Debug)]
pub struct Profile {
    spent: [Duration; Part::ALL.len()],
    last: Instant,
}

impl Profile {
    pub fn new() -> Self {
        Self { spent: [Duration::ZERO; Part::ALL.len()], last: Instant::now() }
    }

    /// Begins a stretch.
    pub fn start(&mut self) {
        self.last = Instant::now();
    }

    /// Charges the stretch since the last call to `part`, and begins the next.
    pub fn lap(&mut self, part: Part) {
        let now = Instant::now();
        self.spent[part as usize] += now - self.last;
        self.last = now;
    }

    /// Time charged to `part` since the last [`Self::clear`].
    pub fn spent(&self, part: Part) -> Duration {
        self.spent[part as usize]
    }

    pub fn clear(&mut self) {
        self.spent.fill(Duration::ZERO);
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self::new()
    }
}
