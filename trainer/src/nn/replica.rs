//! One thread's copy of everything that depends on the micro-batch: activations, carried state, gradients.

use super::glu::{self, Glu};
use super::head::{self, EmbeddingMode, Head, IGNORE, LossScale};
use super::params::{BlockSpans, Layout, RcsmSpans};
use super::profile::{Part, Profile};
use super::rcsm::{self, Losses, Passes, Rcsm};
use super::recurrence::{self, GatedRecurrence, Scratch};
use super::shape::{BLOCK_ROWS, Shape};
use crate::kernels::{Kernels, TernaryMatrix, Workspace, zeros};
use flashlm_core::config::ModelConfig;
use rayon::prelude::*;
use std::ops::Range;

/// The weights as the products read them, packed once per optimiser step and shared by all replicas.
pub struct PackedModel {
    pub kernels: Kernels,
    pub config: ModelConfig,
    pub embed: head::Weights,
    mixers: Vec<recurrence::Weights>,
    ffns: Vec<glu::Weights>,
    rcsm: Option<rcsm::Weights>,
    blocks: Vec<BlockSpans>,
    rcsm_spans: Option<RcsmSpans>,
    embed_span: Range<usize>,
    norm_span: Range<usize>,
}

impl PackedModel {
    pub fn new(config: ModelConfig, kernels: Kernels, layout: &Layout, mode: EmbeddingMode) -> Self {
        let (d, f) = (config.d_model as usize, config.d_ffn as usize);
        let layers = 0..config.layers as usize;
        let ternary = |n, k| TernaryMatrix::new(kernels, n, k);
        let range = |name: &str| layout.get(name).map_or(0..0, |t| t.range());
        Self {
            kernels,
            config,
            embed: head::Weights::new(kernels, mode, config.vocab as usize, d),
            mixers: layers
                .clone()
                .map(|_| recurrence::Weights { gate_value_out: ternary(3 * d, d), proj: ternary(d, d) })
                .collect(),
            ffns: layers.clone().map(|_| glu::Weights { gate_up: ternary(2 * f, d), down: ternary(d, f) }).collect(),
            rcsm: config.rcsm.map(|c| rcsm::Weights::new(kernels, &c, d)),
            blocks: layers.map(|i| BlockSpans::new(layout, i)).collect(),
            rcsm_spans: config.rcsm.map(|_| RcsmSpans::new(layout)),
            embed_span: range("embed"),
            norm_span: range("norm.gain"),
        }
    }

    /// Quantises every matrix of `params`; the work is split over the current rayon pool.
    pub fn pack(&mut self, params: &[f32]) {
        let Self { embed, mixers, ffns, rcsm, blocks, rcsm_spans, kernels, embed_span, .. } = self;
        let layers = || {
            let layers = mixers.par_iter_mut().zip(ffns.par_iter_mut()).zip(blocks.par_iter()).with_max_len(1);
            layers.for_each(|((mixer, ffn), spans)| {
                mixer.gate_value_out.pack(&params[spans.gate_value_out.clone()]);
                mixer.proj.pack(&params[spans.proj.clone()]);
                ffn.gate_up.pack(&params[spans.gate_up.clone()]);
                ffn.down.pack(&params[spans.down.clone()]);
            });
        };
        let rcsm = || {
            if let (Some(rcsm), Some(spans)) = (rcsm, rcsm_spans) {
                rcsm.pack(params, spans);
            }
        };
        // `join` and not `scope`, whose tasks are boxed: a step allocates nothing
        rayon::join(|| embed.pack(*kernels, &params[embed_span.clone()]), || rayon::join(layers, rcsm));
    }
}

/// What a forward pass is for.
#[derive(Clone, Copy, Debug)]
pub struct ForwardOptions {
    pub passes: Passes,
    pub memory_writes: bool,
}

/// One replica.
pub struct Replica {
    shape: Shape,
    mixers: Vec<GatedRecurrence>,
    ffns: Vec<Glu>,
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
}

impl Replica {
    pub fn new(config: &ModelConfig, kernels: Kernels, layout: &Layout, shape: Shape) -> Self {
        let (d, f, m) = (config.d_model as usize, config.d_ffn as usize, shape.rows());
        let layers = config.layers as usize;
        let rcsm = config.rcsm.map(|c| Rcsm::new(c, d, shape));
        let points = 2 * layers + 1 + usize::from(rcsm.is_some());
        let (r, s, o) = config.rcsm.map_or((0, 0, 0), |c| (c.width as usize, c.slots as usize, c.ops as usize));
        let narrow = (5 * d).max(f).max(shape.sequences * r + 3 * r + s + o);
        Self {
            shape,
            mixers: (0..layers).map(|_| GatedRecurrence::new(kernels, d, shape)).collect(),
            ffns: (0..layers).map(|_| Glu::new(kernels, d, f, shape)).collect(),
            rcsm,
            head: Head::new(config.vocab as usize, d),
            x: (0..points).map(|_| zeros(m * d)).collect(),
            dx: zeros(m * d),
            scratch: Scratch {
                all: zeros(m * d),
                block: zeros(BLOCK_ROWS * d),
                carry: vec![0.0; shape.sequences * d],
                wide: zeros(BLOCK_ROWS * 3 * f.max(d)),
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
        }
    }

    /// The state every sequence carries into the next chunk, appended to `out`: recurrent states, token shifts, memory.
    pub fn save_state(&self, out: &mut Vec<f32>) {
        out.push(if self.fresh { 1.0 } else { 0.0 });
        for mixer in &self.mixers {
            out.extend_from_slice(&mixer.h_carry);
            out.extend_from_slice(&mixer.n_carry);
        }
        if let Some(rcsm) = &self.rcsm {
            out.extend_from_slice(&rcsm.memory_carry);
        }
    }

    /// Numbers that [`Self::save_state`] appends.
    pub fn state_len(&self) -> usize {
        let mixers: usize = self.mixers.iter().map(|m| m.h_carry.len() + m.n_carry.len()).sum();
        1 + mixers + self.rcsm.as_ref().map_or(0, |r| r.memory_carry.len())
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
        for mixer in &mut self.mixers {
            take(&mut mixer.h_carry);
            take(&mut mixer.n_carry);
        }
        if let Some(rcsm) = &mut self.rcsm {
            take(&mut rcsm.memory_carry);
        }
    }

    /// Makes the next chunk start every sequence from the initial state.
    pub fn start_afresh(&mut self) {
        self.fresh = true;
    }

    /// Runs the model over `self.ids` up to the last norm.
    fn forward(&mut self, model: &PackedModel, params: &[f32], options: ForwardOptions) {
        for (i, (reset, &id)) in self.reset.iter_mut().zip(&self.ids).enumerate() {
            *reset = model.config.eot == Some(id as u32) || (self.fresh && i < self.shape.sequences);
        }
        self.fresh = false;
        let (k, scratch, reset) = (model.kernels, &mut self.scratch, &self.reset);
        scratch.profile.start();
        model.embed.embed(&self.ids, &mut self.x[0]);
        scratch.profile.lap(Part::Head);
        let mut at = 0;
        for (layer, spans) in model.blocks.iter().enumerate() {
            let [x, y] = neighbours(&mut self.x, at);
            self.mixers[layer].forward(k, &model.mixers[layer], params, spans, x, y, reset, scratch);
            let [x, y] = neighbours(&mut self.x, at + 1);
            self.ffns[layer].forward(k, &model.ffns[layer], params, spans, x, y, scratch);
            at += 2;
        }
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
        self.forward(model, params, ForwardOptions { passes: losses.passes, memory_writes: losses.memory_writes });
        self.count();
        let Self { mixers, ffns, rcsm, head, x, dx, scratch, reset, grads, .. } = self;
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
        for (layer, spans) in model.blocks.iter().enumerate().rev() {
            ffns[layer].backward(k, &model.ffns[layer], params, spans, &x[at - 1], dx, grads, scratch);
            mixers[layer].backward(k, &model.mixers[layer], params, spans, &x[at - 2], dx, grads, reset, scratch);
            at -= 2;
        }
        model.embed.embed_backward(&self.ids, dx, &mut grads[model.embed_span.clone()]);
        scratch.profile.lap(Part::Head);
    }

    /// Forward alone, with the head in f32: sets `self.nats`; `visit` sees (row, logits) of every row.
    pub fn score(
        &mut self,
        model: &PackedModel,
        params: &[f32],
        options: ForwardOptions,
        visit: impl FnMut(usize, &[f32]),
    ) {
        self.forward(model, params, options);
        self.count();
        let Some(x) = self.x.last() else { return };
        let (head, scratch) = (&mut self.head, &mut self.scratch);
        let norm = model.norm_span.clone();
        self.nats = head.score(model.kernels, &model.embed, params, norm, x, &self.targets, scratch, visit);
    }
}

/// Points `i` and `i + 1` of the residual stream, the first to read and the second to write.
fn neighbours(x: &mut [Vec<f32>], i: usize) -> [&mut [f32]; 2] {
    let (left, right) = x.split_at_mut(i + 1);
    [&mut left[i], &mut right[0]]
}
