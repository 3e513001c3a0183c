//! What the layers of a replica are lent for a micro-batch: parameters, buffers, and a worker that multiplies and keeps
//! account of the time.

use std::time::Duration;

use super::attention::window::Workspace as AttentionWorkspace;
use super::profile::{Part, Profile};
use super::shape::{BLOCK_ROWS, Shape};
use crate::kernels::{Backward, Kernels, Macs, QuantizedRows, TernaryMatrix, Workspace, Write, zeros};

/// What every layer is given, forward and backward.
pub struct Context<'a> {
    pub worker: &'a mut Worker,
    pub scratch: &'a mut Scratch,
    /// All latent parameters, in the order of the [`Layout`](super::Layout).
    pub params: &'a [f32],
    /// Whether a row's token starts from the initial state, (M).
    pub reset: &'a [bool],
}

/// Buffers that are lent to every layer in turn; what is in them does not outlive a call, but for [`Self::kept`]. Their
/// widths are the largest [`Need`].
pub struct Scratch {
    /// (M, `need.all`).
    pub all: Vec<f32>,
    /// (BLOCK_ROWS, `need.block`).
    pub block: Vec<f32>,
    /// (BLOCK_ROWS, `need.wide`).
    pub wide: Vec<f32>,
    /// (B, `need.carry`).
    pub carry: Vec<f32>,
    /// `need.narrow` numbers.
    pub narrow: Vec<f32>,
    /// A gradient that passes a routed block by, (M, D); empty without routers.
    pub kept: Vec<f32>,
    /// What all attention layers share; empty without them.
    pub attention: AttentionWorkspace,
}

/// What a layer needs of the [`Scratch`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Need {
    /// Numbers for every row of the micro-batch.
    pub all: usize,
    /// For every row of a block of rows; and a second time, where products are wider.
    pub block: usize,
    pub wide: usize,
    /// For every sequence.
    pub carry: usize,
    /// In all.
    pub narrow: usize,
}

impl Need {
    /// What serves both.
    pub fn max(self, other: Self) -> Self {
        Self {
            all: self.all.max(other.all),
            block: self.block.max(other.block),
            wide: self.wide.max(other.wide),
            carry: self.carry.max(other.carry),
            narrow: self.narrow.max(other.narrow),
        }
    }
}

impl Scratch {
    /// Enough for layers that need so much; `kept` is D where a block is routed, else 0.
    pub fn new(need: Need, shape: Shape, kept: usize, attention: AttentionWorkspace) -> Self {
        let m = shape.rows();
        Self {
            all: zeros(m * need.all),
            block: zeros(BLOCK_ROWS * need.block),
            wide: zeros(BLOCK_ROWS * need.wide),
            carry: zeros(shape.sequences * need.carry),
            narrow: vec![0.0; need.narrow],
            kept: zeros(m * kept),
            attention,
        }
    }
}

/// One thread's products, with an account of what they cost.
pub struct Worker {
    pub kernels: Kernels,
    pub workspace: Workspace,
    pub profile: Profile,
}

impl Worker {
    /// `y = q w^T`: the int8 rows of `q` (M, K) by a ternary matrix (N, K).
    pub fn project(&mut self, q: &QuantizedRows, w: &TernaryMatrix, y: &mut [f32]) {
        self.kernels.ternary_forward(q, w, y, &mut self.workspace);
        self.lap_products(Part::Forward);
    }

    /// The gradients of [`Self::project`]: `dx = dy w`, (M, N) by (N, K), of what it read, and `dw += dy^T q`, (N, K),
    /// of its matrix.
    pub fn backward(&mut self, dy: &[f32], q: &QuantizedRows, w: &TernaryMatrix, dx: &mut [f32], dw: &mut [f32]) {
        let (kernels, ws) = (self.kernels, &mut self.workspace);
        if kernels.backward() == Backward::Int8 {
            kernels.int8_backward_input(dy, q.rows(), w, dx, ws);
        } else {
            kernels.backward_input(dy, q.rows(), w, dx, Write::Set, ws);
        }
        self.lap_products(Part::BackwardInput);
        let ws = &mut self.workspace;
        if kernels.backward() == Backward::Int8 {
            kernels.int8_backward_weight(q, w, dw, ws);
        } else {
            kernels.backward_weight(dy, q, w.n(), dw, ws);
        }
        self.lap_products(Part::BackwardWeight);
    }

    /// Work on rows, compiled for the instruction set at hand and charged to `part`.
    #[inline(always)]
    pub fn rows<T>(&mut self, part: Part, work: impl FnOnce() -> T) -> T {
        let result = self.kernels.vectorize(work);
        self.lap(part);
        result
    }

    /// Charges the time since the last call to `part`.
    pub fn lap(&mut self, part: Part) -> Duration {
        self.profile.lap(part)
    }

    /// The same, with the multiplications done since the last one.
    pub fn lap_products(&mut self, part: Part) {
        self.profile.lap_products(part, self.workspace.take_macs());
    }

    /// The same of pass `pass` (from 0) of the RCSM loop, and of `more` multiplications that were done outside the
    /// workspace.
    pub fn lap_pass(&mut self, part: Part, pass: usize, more: Macs) {
        self.profile.lap_pass(part, pass);
        let mut macs = self.workspace.take_macs();
        macs += more;
        self.profile.lap_products(part, macs);
    }
}
