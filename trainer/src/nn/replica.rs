//! One thread's copy of everything that depends on the micro-batch: activations, carried state, gradients.

use std::ops::Range;

use flashlm_core::config::ModelConfig;
use rayon::prelude::*;

use super::attention::{KeyValues, window};
use super::block::{self, Block};
use super::context::{Context, Need, Scratch, Worker};
use super::head::{self, EmbeddingMode, Goals, Head, IGNORE, LossScale};
use super::params::Layout;
use super::profile::{Part, Profile};
use super::rcsm::{self, Losses, Passes, Rcsm};
use super::routing::Routing;
use super::shape::Shape;
use crate::kernels::{Kernels, Workspace, filled, zeros};

/// The weights as the products read them, packed once per optimiser step and shared by all replicas.
pub struct PackedModel {
    pub kernels: Kernels,
    pub config: ModelConfig,
    pub embed: head::Weights,
    blocks: Vec<block::Weights>,
    rcsm: Option<rcsm::Weights>,
}

impl PackedModel {
    pub fn new(config: ModelConfig, kernels: Kernels, layout: &Layout, mode: EmbeddingMode) -> Self {
        let d = config.d_model as usize;
        let layers = 0..config.layers as usize;
        Self {
            kernels,
            config,
            embed: head::Weights::new(kernels, mode, layout, config.vocab as usize, d),
            blocks: layers.map(|i| block::Weights::new(kernels, &config, layout, i)).collect(),
            rcsm: config.rcsm.map(|c| rcsm::Weights::new(kernels, layout, &c, d)),
        }
    }

    /// Quantises every matrix of `params`; the work is split over the current rayon pool.
    pub fn pack(&mut self, params: &[f32]) {
        let Self { embed, blocks, rcsm, kernels, .. } = self;
        let blocks = || blocks.par_iter_mut().with_max_len(1).for_each(|block| block.pack(params));
        let rcsm = || {
            if let Some(rcsm) = rcsm {
                rcsm.pack(params);
            }
        };
        // `join` and not `scope`, whose tasks are boxed: a step allocates nothing
        rayon::join(|| embed.pack(*kernels, params), || rayon::join(blocks, rcsm));
    }
}

/// The most facts that answers are told apart by.
pub const MOST_FACTS: usize = 4;

/// Answers predicted, by the facts they need (1 to [`MOST_FACTS`] or more) and the depth their rows took: how many, and
/// how many of them rightly, that is with no token likelier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    pub right: [[u32; 3]; MOST_FACTS],
    pub total: [[u32; 3]; MOST_FACTS],
}

impl std::ops::AddAssign for Answers {
    fn add_assign(&mut self, other: Self) {
        for facts in 0..MOST_FACTS {
            for depth in 0..3 {
                self.right[facts][depth] += other.right[facts][depth];
                self.total[facts][depth] += other.total[facts][depth];
            }
        }
    }
}

/// One micro-batch of a replica to be filled, time-major: row `t * sequences + b`.
pub struct Rows<'a> {
    pub ids: &'a mut [u16],
    pub targets: &'a mut [u16],
    /// Facts that the answer needs which a row predicts a token of; 0 where its target is no answer.
    pub facts: &'a mut [u8],
    /// Passes of the reasoning loop; read with [`TrainDepth::Rows`](super::TrainDepth::Rows) alone.
    pub depths: &'a mut [u8],
}

/// What a forward pass is for.
#[derive(Clone, Copy, Debug)]
pub struct ForwardOptions {
    pub passes: Passes,
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
    worker: Worker,
    /// Whether a row starts from the initial state.
    reset: Vec<bool>,
    /// Whether the next chunk starts every sequence afresh.
    fresh: bool,
    pub ids: Vec<u16>,
    pub targets: Vec<u16>,
    /// Of every row the facts that its answer needs, 0 where its target is none, and the passes it is told to take.
    pub facts: Vec<u8>,
    pub depths: Vec<u8>,
    pub grads: Vec<f32>,
    /// What the last call computed.
    pub nats: f64,
    pub passes: u64,
    pub scored: usize,
    pub answers: Answers,
    /// Losses of all routers of the last forward, nats.
    pub routing_loss: f64,
}

impl Replica {
    pub fn new(config: &ModelConfig, kernels: Kernels, layout: &Layout, mode: EmbeddingMode, shape: Shape) -> Self {
        let (d, m) = (config.d_model as usize, shape.rows());
        let layers = config.layers as usize;
        let rcsm = config.rcsm.map(|c| Rcsm::new(c, d, shape));
        let points = 2 * layers + 1 + usize::from(rcsm.is_some());
        let need = config.rcsm.map_or(Need::default(), |c| Rcsm::need(&c, d)).max(Block::need(config));
        let kept = if config.routed(layers - 1) { d } else { 0 };
        let attention = window::Workspace::new(config, mode.key_values(), shape);
        Self {
            shape,
            blocks: (0..layers).map(|i| Block::new(kernels, config, layout, i, shape)).collect(),
            rcsm,
            head: Head::new(config.vocab as usize, d, m),
            x: (0..points).map(|_| zeros(m * d)).collect(),
            dx: zeros(m * d),
            scratch: Scratch::new(need, shape, kept, attention),
            worker: Worker {
                kernels,
                workspace: Workspace::new(),
                profile: Profile::new(config.rcsm.map_or(0, |c| c.depths[c.depths.len() - 1] as usize)),
            },
            reset: zeros(m),
            fresh: true,
            ids: zeros(m),
            targets: filled(IGNORE, m),
            facts: zeros(m),
            depths: filled(1, m),
            grads: zeros(layout.len),
            nats: 0.0,
            passes: 0,
            scored: 0,
            answers: Answers::default(),
            routing_loss: 0.0,
        }
    }

    /// The state every sequence carries into the next chunk, appended to `out`: recurrent
    /// states, token shifts, the attention's window, memory, the engine's last inputs, positions.
    pub fn save_state(&self, out: &mut Vec<f32>) {
        out.push(if self.fresh { 1.0 } else { 0.0 });
        for block in &self.blocks {
            block.carried(|piece| out.extend_from_slice(piece));
        }
        if let Some(rcsm) = &self.rcsm {
            out.extend_from_slice(&rcsm.memory_carry);
            out.extend_from_slice(&rcsm.past);
        }
        self.scratch.attention.save(out);
    }

    /// Numbers that [`Self::save_state`] appends.
    pub fn state_len(&self) -> usize {
        let mut blocks = 0;
        for block in &self.blocks {
            block.carried(|piece| blocks += piece.len());
        }
        let memory = self.rcsm.as_ref().map_or(0, |r| r.memory_carry.len() + r.past.len());
        1 + blocks + memory + self.scratch.attention.saved_len()
    }

    /// Time by part since it was cleared.
    pub fn profile(&self) -> &Profile {
        &self.worker.profile
    }

    /// The same, to clear it.
    pub fn profile_mut(&mut self) -> &mut Profile {
        &mut self.worker.profile
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
            take(&mut rcsm.past);
        }
        self.scratch.attention.load(&state[at..]);
    }

    /// The micro-batch, to be filled.
    pub fn rows(&mut self) -> Rows<'_> {
        Rows { ids: &mut self.ids, targets: &mut self.targets, facts: &mut self.facts, depths: &mut self.depths }
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
        self.worker.profile.start();
        self.scratch.attention.begin(&self.reset, exact);
        model.embed.embed(&self.ids, &mut self.x[0]);
        self.worker.lap(Part::Head);
        let (after, layers) = (self.engine_after(model), self.blocks.len());
        self.run_blocks(model, params, options.routing, 0..after);
        if let (Some(rcsm), Some(weights)) = (&mut self.rcsm, &model.rcsm) {
            let [x, y] = neighbours(&mut self.x, 2 * after);
            let cx = &mut context(&mut self.worker, &mut self.scratch, params, &self.reset);
            rcsm.forward(cx, weights, x, y, options.passes, &self.depths);
        }
        self.run_blocks(model, params, options.routing, after..layers);
        self.routing_loss = self.blocks.iter().map(Block::routing_loss).sum();
    }

    /// Blocks before the engine; all of them where there is none.
    fn engine_after(&self, model: &PackedModel) -> usize {
        model.config.rcsm.map_or(self.blocks.len(), |c| c.after as usize)
    }

    /// Takes the residual stream through some blocks. The engine lies between two points of it, behind the blocks
    /// before it.
    fn run_blocks(&mut self, model: &PackedModel, params: &[f32], routing: Routing, range: Range<usize>) {
        let after = self.engine_after(model);
        let cx = &mut context(&mut self.worker, &mut self.scratch, params, &self.reset);
        for i in range {
            let points = neighbours(&mut self.x, point_of(i, after));
            self.blocks[i].forward(cx, &model.blocks[i], routing, points);
        }
    }

    fn count(&mut self) {
        let scored = self.targets.iter().filter(|&&t| t != IGNORE);
        self.scored = scored.count();
        self.passes = self.rcsm.as_ref().map_or(0, |r| {
            r.row_passes.iter().zip(&self.targets).filter(|(_, t)| **t != IGNORE).map(|(&p, _)| p as u64).sum()
        });
    }

    /// Counts the answers by facts and depth, after the head's pass over them.
    fn count_answers(&mut self, model: &PackedModel) {
        self.answers = Answers::default();
        let depths = model.config.rcsm.map(|c| c.depths);
        for (i, &facts) in self.facts.iter().enumerate().filter(|(i, f)| **f > 0 && self.targets[*i] != IGNORE) {
            let passes = self.rcsm.as_ref().map_or(1, |rcsm| rcsm.row_passes[i]);
            let depth = depths.and_then(|depths| depths.iter().position(|&d| d == passes)).unwrap_or(0);
            let facts = usize::from(facts.min(MOST_FACTS as u8)) - 1;
            self.answers.total[facts][depth] += 1;
            self.answers.right[facts][depth] += u32::from(self.head.right[i]);
        }
    }

    /// How often every operation was chosen by the last forward; empty without RCSM.
    pub fn op_counts(&self) -> &[u32] {
        self.rcsm.as_ref().map_or(&[], |r| &r.op_counts)
    }

    /// Forward and backward of the micro-batch in `self.ids` and `self.targets`: adds to `self.grads`, sets
    /// `self.nats`. Calls `finished` with the number of each of the [`stages`](super::stages::stages) as soon as
    /// nothing more is added to its gradients, and with all of them.
    pub fn forward_backward(
        &mut self,
        model: &PackedModel,
        params: &[f32],
        losses: Losses,
        scale: LossScale,
        mut finished: impl FnMut(usize, &mut [f32]),
    ) {
        self.forward(model, params, ForwardOptions { passes: losses.passes, routing: Routing::TopShare }, false);
        self.count();
        let after = self.engine_after(model);
        let Self { blocks, rcsm, head, x, dx, grads, .. } = self;
        let cx = &mut context(&mut self.worker, &mut self.scratch, params, &self.reset);
        let last = &x[x.len() - 1];
        let forced = model.rcsm.is_some() && matches!(losses.passes, Passes::Rows);
        let passes = forced.then_some(&self.depths[..]);
        let goals = Goals { targets: &self.targets, facts: &self.facts, passes };
        self.nats = head.forward_backward(cx, &model.embed, last, goals, scale, (dx, grads));
        cx.worker.lap(Part::Head);
        let mut stage = 0;
        let mut finish = |grads: &mut [f32], cx: &mut Context<'_>| {
            finished(stage, grads);
            stage += 1;
            cx.worker.lap(Part::Reduction);
        };
        for i in (0..blocks.len()).rev() {
            if let (Some(rcsm), Some(weights)) = (&mut *rcsm, &model.rcsm)
                && i + 1 == after
            {
                rcsm.backward(cx, weights, &x[2 * after], dx, grads, losses);
                finish(grads, cx);
            }
            let at = point_of(i, after);
            let points = [&x[at][..], &x[at + 1], &x[at + 2]];
            blocks[i].backward(cx, &model.blocks[i], scale.per_token, points, dx, grads);
            finish(grads, cx);
        }
        model.embed.embed_backward(&self.ids, dx, grads);
        cx.worker.lap(Part::Head);
        finish(grads, cx);
        self.count_answers(model);
    }

    /// What every depth makes of the batch: nats of every row at each of the three depths, as evaluation computes them,
    /// in `out` (M); 0 where there is no target. Leaves the state that the deepest leaves. `false` without an engine.
    pub fn depth_nats(&mut self, model: &PackedModel, params: &[f32], out: &mut Vec<[f32; 3]>) -> bool {
        let Some(depths) = model.config.rcsm.map(|c| c.depths) else { return false };
        let routing = Routing::PositiveLogit;
        let mut before = Vec::with_capacity(self.state_len());
        self.save_state(&mut before);
        self.score(model, params, ForwardOptions { passes: Passes::Fixed(depths[2] as usize), routing }, |_, _| {});
        let mut behind = Vec::with_capacity(self.state_len());
        self.save_state(&mut behind);
        out.clear();
        out.extend(self.head.row_nats.iter().map(|&nats| [0.0, 0.0, nats]));
        let (after, layers) = (self.engine_after(model), self.blocks.len());
        for (choice, &passes) in depths[..2].iter().enumerate() {
            // only the blocks behind the engine see a difference
            self.load_state(&before);
            self.fresh = false;
            self.scratch.attention.begin(&self.reset, true);
            if let (Some(rcsm), Some(weights)) = (&mut self.rcsm, &model.rcsm) {
                let [x, y] = neighbours(&mut self.x, 2 * after);
                let cx = &mut context(&mut self.worker, &mut self.scratch, params, &self.reset);
                rcsm.output_at(cx, weights, passes as usize, x, y);
            }
            self.run_blocks(model, params, routing, after..layers);
            self.score_head(model, params, |_, _| {});
            for (row, &nats) in out.iter_mut().zip(&self.head.row_nats) {
                row[choice] = nats;
            }
        }
        self.load_state(&behind);
        true
    }

    /// After [`Self::depth_nats`]: what the choice behind `passes` passes looks at, of row `i`, (R).
    pub fn choice_input(&self, passes: usize, i: usize, out: &mut [f32]) {
        if let Some(rcsm) = &self.rcsm {
            rcsm.choice_input(passes, i, out);
        }
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
        self.score_head(model, params, visit);
    }

    /// The head over the end of the residual stream, in f32.
    fn score_head(&mut self, model: &PackedModel, params: &[f32], visit: impl FnMut(usize, &[f32])) {
        let Some(x) = self.x.last() else { return };
        let cx = &mut context(&mut self.worker, &mut self.scratch, params, &self.reset);
        self.nats = self.head.score(cx, &model.embed, x, &self.targets, visit);
    }
}

/// What the layers of a replica are lent.
fn context<'a>(worker: &'a mut Worker, scratch: &'a mut Scratch, params: &'a [f32], reset: &'a [bool]) -> Context<'a> {
    Context { worker, scratch, params, reset }
}

/// Which point of the residual stream block `i` begins at, the engine behind block `after - 1`.
fn point_of(i: usize, after: usize) -> usize {
    2 * i + usize::from(i >= after)
}

/// Points of the residual stream from `i` on.
fn neighbours<const N: usize>(x: &mut [Vec<f32>], i: usize) -> [&mut [f32]; N] {
    let mut points = x[i..].iter_mut();
    std::array::from_fn(|_| points.next().map_or(&mut [][..], |point| &mut point[..]))
}
