//! Where a step's time goes: every stretch of work is charged to the part it belongs to, with the multiplications done
//! in it.

use std::time::{Duration, Instant};

use crate::kernels::Macs;

/// A part of the training step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Embedding, final norm and cross-entropy, forward and backward.
    Head,
    /// The head's three products: logits, and the gradients of its input and of the embedding.
    HeadProducts,
    /// int8 x ternary products of the projections, also where the backward makes activations again.
    Forward,
    /// Gradients of the projections' inputs.
    BackwardInput,
    /// Gradients of the projections' weights.
    BackwardWeight,
    /// Norms, token shift, gates and scan of the recurrence.
    Recurrence,
    /// Norms, rotations and products of attention.
    Attention,
    /// Norms and gates of the channel mixer.
    ChannelMixer,
    /// The RCSM loop forward.
    RcsmForward,
    /// The RCSM loop backward.
    RcsmBackward,
    /// RCSM's projections and weight gradients, outside the loop.
    RcsmProducts,
    /// Adding up the replicas' gradients.
    Reduction,
    /// What [`Engine::update`](super::Engine::update) was given to do.
    Optimizer,
    /// Quantising and laying out the weights anew.
    Packing,
}

impl Part {
    pub const ALL: [Self; 14] = [
        Self::Head,
        Self::HeadProducts,
        Self::Forward,
        Self::BackwardInput,
        Self::BackwardWeight,
        Self::Recurrence,
        Self::Attention,
        Self::ChannelMixer,
        Self::RcsmForward,
        Self::RcsmBackward,
        Self::RcsmProducts,
        Self::Reduction,
        Self::Optimizer,
        Self::Packing,
    ];

    /// What a table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Head => "embedding and loss",
            Self::HeadProducts => "head products",
            Self::Forward => "projections forward",
            Self::BackwardInput => "dX",
            Self::BackwardWeight => "dW",
            Self::Recurrence => "recurrence",
            Self::Attention => "attention",
            Self::ChannelMixer => "channel mixer",
            Self::RcsmForward => "rcsm loop forward",
            Self::RcsmBackward => "rcsm loop backward",
            Self::RcsmProducts => "rcsm products",
            Self::Reduction => "reduction",
            Self::Optimizer => "optimiser",
            Self::Packing => "packing",
        }
    }
}

/// Time by part. One thread's; replicas run side by side.
#[derive(Clone, Debug)]
pub struct Profile {
    spent: [Duration; Part::ALL.len()],
    macs: [Macs; Part::ALL.len()],
    /// Time of every pass of the RCSM loop, forward and backward: of that charged to the loop.
    passes: Vec<[Duration; 2]>,
    last: Instant,
}

impl Profile {
    /// For a model of at most `passes` RCSM passes.
    pub fn new(passes: usize) -> Self {
        Self {
            spent: [Duration::ZERO; Part::ALL.len()],
            macs: [Macs::default(); Part::ALL.len()],
            passes: vec![[Duration::ZERO; 2]; passes],
            last: Instant::now(),
        }
    }

    /// Begins a stretch.
    pub fn start(&mut self) {
        self.last = Instant::now();
    }

    /// Charges the stretch since the last call to `part`, and begins the next. Returns its length.
    pub fn lap(&mut self, part: Part) -> Duration {
        let now = Instant::now();
        let stretch = now - self.last;
        self.spent[part as usize] += stretch;
        self.last = now;
        stretch
    }

    /// [`Self::lap`] of a stretch in which `macs` were done: what
    /// [`Workspace::take_macs`](crate::kernels::Workspace::take_macs) says of the products in it.
    pub fn lap_products(&mut self, part: Part, macs: Macs) {
        self.lap(part);
        self.macs[part as usize] += macs;
    }

    /// [`Self::lap`] of pass `pass` (from 0) of the RCSM loop, forward or backward as `part` says.
    pub fn lap_pass(&mut self, part: Part, pass: usize) {
        let stretch = self.lap(part);
        self.passes[pass][usize::from(part == Part::RcsmBackward)] += stretch;
    }

    /// Time charged to `part` since the last [`Self::clear`].
    pub fn spent(&self, part: Part) -> Duration {
        self.spent[part as usize]
    }

    /// Multiplications charged to `part` since the last [`Self::clear`].
    pub fn macs(&self, part: Part) -> Macs {
        self.macs[part as usize]
    }

    /// Time of every RCSM pass, forward and backward, since the last [`Self::clear`].
    pub fn passes(&self) -> &[[Duration; 2]] {
        &self.passes
    }

    pub fn clear(&mut self) {
        self.spent.fill(Duration::ZERO);
        self.macs.fill(Macs::default());
        self.passes.fill([Duration::ZERO; 2]);
    }
}

/// One part of all steps since the profile was taken last.
#[derive(Clone, Copy, Debug)]
pub struct PartProfile {
    pub part: Part,
    /// Mean over the threads.
    pub time: Duration,
    /// Sum over the threads; those of the optimiser are not counted here.
    pub macs: Macs,
}

/// Where the steps' time went.
#[derive(Clone, Debug)]
pub struct StepProfile {
    /// Every part, in the order of [`Part::ALL`].
    pub parts: Vec<PartProfile>,
    /// Of the RCSM loop's time, that of every pass forward and backward; mean over the threads.
    pub passes: Vec<[Duration; 2]>,
}
