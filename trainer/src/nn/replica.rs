//! One thread's copy of everything that depends on the micro-batch: activations, carried state, gradients.

use super::attention::{self, KeyValues};
use super::block::{self, Block};
use super::head::{self, EmbeddingMode, Head, IGNORE, LossScale};
use super::params::{Layout, RcsmSpans};
use super::profile::{Part, Profile};
use super::rcsm::{self, Losses, Passes, Rcsm};
use super::recurrence::Scratch;
use super::routing::Routing;
use super::shape::{BLOCK_ROWS, Shape};
use crate::kernels::{Kernels, Workspace, zeros};
use flashlm_core::config::ModelConfig;
use rayon::prelude::*;
use std::ops::Range;

/// The weights as the products read them, packed once per optimiser step and shared by all replicas.
pub struct PackedModel {
    pub kernels: Kernels,
    pub config: ModelConfig,
    pub embed: head::Weights,
    blocks: Vec<block::Weights>,
    rcsm: Option<rcsm::Weights>,
    rcsm_spans: Option<RcsmSpans>,
    embed_span: Range<usize>,
    norm_span: Range<usize>,
}

impl PackedModel {
    pub fn new(config: ModelConfig, kernels: Kernels, layout: &Layout, mode: EmbeddingMode) -> Self {
        let d = config.d_model as usize;
        let layers = 0..config.layers as usize;
        let range = |name: &str| layout.get(name).map_or(0..0, |t| t.range());
        Self {
            kernels,
            config,
            embed: head::Weights::new(kernels, mode, config.vocab as usize, d),
            blocks: layers.map(|i| block::Weights::new(kernels, &config, layout, i)).collect(),
            rcsm: config.rcsm.map(|c| rcsm::Weights::new(kernels, &c, d)),
            rcsm_spans: config.rcsm.map(|_| RcsmSpans::new(layout)),
            embed_span: range("embed"),
            norm_span: range("norm.gain"),
        }
    }

    /// Quantises every matrix of `params`; the work is split over the current rayon pool.
    pub fn pack(&mut self, params: &[f32]) {
        let Self { embed, blocks, rcsm, rcsm_spans, kernels, embed_span, .. } = self;
        let blocks = || blocks.par_iter_mut().with_max_len(1).for_each(|block| block.pack(params));
        let rcsm = || {
            if let (Some(rcsm), Some(spans)) = (rcsm, rcsm_spans) {
                rcsm.pack(params, spans);
            }
        };
        // `join` and not `scope`, whose tasks are boxed: a step allocates nothing
        rayon::join(|| embed.pack(*kernels, &params[embed_span.clone()]), || rayon::join(blocks, rcsm));
    }
}

/// What a forward pass is for.
#[derive(Clone, Copy, Debug)]
pub struct ForwardOptions {
    pub passes: Passes,
    pub memory_writes: bool,
    pub routing: Routing,
}

/// One replica.
pub struct Replica {
    shape: Shape,
    blocks: Vec<Block>,
    rcsm: Option<Rcsm>,
    head: Head,
    /// The residual stream before every layer and at the end, (M, D) each.
    x: Vec<Vec<f32>>,
    dx: Vec<f32>,
    scratch: Scratch,
    /// Whether a row starts from the initial state.
    reset: Vec<bool>,
    /// Whether the next chunk starts every sequence afresh.
    fresh: bool,
    pub ids: Vec<u16>,
    pub targets: Vec<u16>,
    pub grads: Vec<f32>,
    /// What the last call computed.
    pub nats: f64,
    pub passes: u64,
    pub scored: usize,
    /// Losses of all routers of the last forward, nats.
    pub routing_loss: f64,
}

impl Replica {
    pub fn new(config: &ModelConfig, kernels: Kernels, layout: &Layout, mode: EmbeddingMode, shape: Shape) -> Self {
        let (d, f, m) = (config.d_model as usize, config.d_ffn as usize, shape.rows());
        let layers = config.layers as usize;
        let rcsm = config.rcsm.map(|c| Rcsm::new(c, d, shape));
        let points = 2 * layers + 1 + usize::from(rcsm.is_some());
        let (r, s, o) = config.rcsm.map_or((0, 0, 0), |c| (c.width as usize, c.slots as usize, c.ops as usize));
        let widest = d.max(config.inner());
        let routed = config.routed(layers - 1);
        let narrow = (5 * widest).max(f).max(shape.sequences * r + 3 * r + s + o);
        Self {
            shape,
            blocks: (0..layers).map(|i| Block::new(kernels, config, layout, i, shape)).collect(),
            rcsm,
            head: Head::new(config.vocab as usize, d),
            x: (0..points).map(|_| zeros(m * d)).collect(),
            dx: zeros(m * d),
            scratch: Scratch {
                all: zeros(m * widest),
                block: zeros(BLOCK_ROWS * widest),
                carry: vec![0.0; shape.sequences * widest],
                wide: zeros(BLOCK_ROWS * Block::widest(config)),
                kept: zeros(if routed { m * d } else { 0 }),
                attention: attention::Workspace::new(config, mode.key_values(), shape),
                narrow: vec![0.0; narrow],
                workspace: Workspace::new(),
                profile: Profile::new(config.rcsm.map_or(0, |c| c.depths[c.depths.len() - 1] as usize)),
            },
            reset: vec![false; m],
            fresh: true,
            ids: vec![0; m],
            targets: vec![IGNORE; m],
            grads: zeros(layout.len),
            nats: 0.0,
            passes: 0,
            scored: 0,
            routing_loss: 0.0,
        }
    }

    /// The state every sequence carries into the next chunk, appended to `out`: recurrent
    /// states, token shifts, the attention's window, memory, positions.
    pub fn save_state(&self, out: &mut Vec<f32>) {
        out.push(if self.fresh { 1.0 } else { 0.0 });
        for block in &self.blocks {
            block.carried(|piece| out.extend_from_slice(piece));
        }
        if let Some(rcsm) = &self.rcsm {
            out.extend_from_slice(&rcsm.memory_carry);
        }
        self.scratch.attention.save(out);
    }

    /// Numbers that [`Self::save_state`] appends.
    pub fn state_len(&self) -> usize {
        let mut blocks = 0;
        for block in &self.blocks {
            block.carried(|piece| blocks += piece.len());
        }
        let memory = self.rcsm.as_ref().map_or(0, |r| r.memory_carry.len());
        1 + blocks + memory + self.scratch.attention.saved_len()
    }

    /// Time by part since it was cleared.
    pub fn profile(&self) -> &Profile {
        &self.scratch.profile
    }

    /// The same, to clear it.
    pub fn profile_mut(&mut self) -> &mut Profile {
        &mut self.scratch.profile
    }

    /// Restores what [`Self::save_state`] saved, [`Self::state_len`] numbers.
    pub fn load_state(&mut self, state: &[f32]) {
        let mut at = 1;
        self.fresh = state[0] != 0.0;
        let mut take = |to: &mut [f32]| {
            to.copy_from_slice(&state[at..at + to.len()]);
            at += to.len();
        };
        for block in &mut self.blocks {
            block.carried_mut(&mut take);
        }
        if let Some(rcsm) = &mut self.rcsm {
            take(&mut rcsm.memory_carry);
        }
        self.scratch.attention.load(&state[at..]);
    }

    /// Says what keys and values are rounded to from now on.
    pub fn set_key_values(&mut self, key_values: KeyValues) {
        self.scratch.attention.key_values = key_values;
    }

    /// Makes the next chunk start every sequence from the initial state.
    pub fn start_afresh(&mut self) {
        self.fresh = true;
    }

    /// Runs the model over `self.ids` up to the last norm, attention in core's order if `exact`.
    fn forward(&mut self, model: &PackedModel, params: &[f32], options: ForwardOptions, exact: bool) {
        for (i, (reset, &id)) in self.reset.iter_mut().zip(&self.ids).enumerate() {
            *reset = model.config.eot == Some(id as u32) || (self.fresh && i < self.shape.sequences);
        }
        self.fresh = false;
        let (k, scratch, reset) = (model.kernels, &mut self.scratch, &self.reset);
        scratch.profile.start();
        scratch.attention.begin(reset, exact);
        model.embed.embed(&self.ids, &mut self.x[0]);
        scratch.profile.lap(Part::Head);
        let mut at = 0;
        for (block, weights) in self.blocks.iter_mut().zip(&model.blocks) {
            let points = neighbours(&mut self.x, at);
            block.forward(k, weights, params, options.routing, points, reset, scratch);
            at += 2;
        }
        self.routing_loss = self.blocks.iter().map(Block::routing_loss).sum();
        if let (Some(rcsm), Some(w), Some(spans)) = (&mut self.rcsm, &model.rcsm, &model.rcsm_spans) {
            let [x, y] = neighbours(&mut self.x, at);
            rcsm.forward(k, w, params, spans, x, y, reset, options.passes, options.memory_writes, scratch);
        }
    }

    fn count(&mut self) {
        let scored = self.targets.iter().filter(|&&t| t != IGNORE);
        self.scored = scored.count();
        self.passes = self.rcsm.as_ref().map_or(0, |r| {
            r.row_passes.iter().zip(&self.targets).filter(|(_, t)| **t != IGNORE).map(|(&p, _)| p as u64).sum()
        });
    }

    /// How often every operation was chosen by the last forward; empty without RCSM.
    pub fn op_counts(&self) -> &[u32] {
        self.rcsm.as_ref().map_or(&[], |r| &r.op_counts)
    }

    /// Forward and backward of the micro-batch in `self.ids` and `self.targets`: adds to `self.grads`, sets `self.nats`.
    pub fn forward_backward(&mut self, model: &PackedModel, params: &[f32], losses: Losses, scale: LossScale) {
        let (passes, memory_writes) = (losses.passes, losses.memory_writes);
        self.forward(model, params, ForwardOptions { passes, memory_writes, routing: Routing::TopShare }, false);
        self.count();
        let Self { blocks, rcsm, head, x, dx, scratch, reset, grads, .. } = self;
        let k = model.kernels;
        let mut at = x.len() - 1;
        let spans = (model.norm_span.clone(), model.embed_span.clone());
        self.nats =
            head.forward_backward(k, &model.embed, params, spans, &x[at], &self.targets, scale, dx, grads, scratch);
        scratch.profile.lap(Part::Head);
        if let (Some(rcsm), Some(w), Some(spans)) = (rcsm, &model.rcsm, &model.rcsm_spans) {
            at -= 1;
            rcsm.backward(k, w, params, spans, &x[at], dx, grads, reset, losses, scratch);
        }
        for (block, weights) in blocks.iter_mut().zip(&model.blocks).rev() {
            let points = [&x[at - 2][..], &x[at - 1], &x[at]];
            block.backward(k, weights, params, scale, points, dx, grads, reset, scratch);
            at -= 2;
        }
        model.embed.embed_backward(&self.ids, dx, &mut grads[model.embed_span.clone()]);
        scratch.profile.lap(Part::Head);
    }

    /// Forward alone, with the head in f32 and attention in core's order: sets `self.nats`; `visit` sees (row, logits)
    /// of every row.
    pub fn score(
        &mut self,
        model: &PackedModel,
        params: &[f32],
        options: ForwardOptions,
        visit: impl FnMut(usize, &[f32]),
    ) {
        self.forward(model, params, options, true);
        self.count();
        let Some(x) = self.x.last() else { return };
        let (head, scratch) = (&mut self.head, &mut self.scratch);
        let norm = model.norm_span.clone();
        self.nats = head.score(model.kernels, &model.embed, params, norm, x, &self.targets, scratch, visit);
    }
}

/// Points of the residual stream from `i` on.
fn neighbours<const N: usize>(x: &mut [Vec<f32>], i: usize) -> [&mut [f32]; N] {
    let mut points = x[i..].iter_mut();
    std::array::from_fn(|_| points.next().map_or(&mut [][..], |point| &mut point[..]))
}
