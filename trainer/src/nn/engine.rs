//! The whole model over all threads: one replica each, one gradient reduction per optimiser step.

use std::sync::Arc;
use std::time::Duration;

use flashlm_core::config::{Depth, ModelConfig};
use flashlm_host::{Shortage, room_for_threads};
use rayon::prelude::*;

use super::attention::KeyValues;
use super::footprint::Footprint;
use super::head::{EmbeddingMode, IGNORE, LossScale};
use super::params::{Layout, Params};
use super::profile::{Part, PartProfile, Profile, StepProfile};
use super::rcsm::{Losses, Passes};
use super::replica::{Answers, ForwardOptions, PackedModel, Replica, Rows};
use super::routing::Routing;
use super::shape::{BatchShape, Shape, add};
use crate::kernels::{Kernels, zeros};

/// Depth of the reasoning loop in training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TrainDepth {
    /// As many as [`Rows::depths`] tells every row.
    Rows,
    /// This many passes for every token.
    Fixed(u8),
    /// All depths, blended by a Gumbel-softmax of temperature `tau`; without a seed by a plain softmax.
    Blend { tau: f32, noise_seed: Option<u64> },
}

/// What one optimiser step trains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepOptions {
    pub depth: TrainDepth,
    /// Weight of the load-balance loss over the operations.
    pub balance: f32,
    pub z_loss: f32,
    /// How many times as much as any other token an answer's counts that the passes taken are enough for.
    pub answer_weight: f32,
    /// Share of an answer's target that is spread evenly over the vocabulary.
    pub answer_smoothing: f32,
}

/// What one optimiser step measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepStats {
    /// Mean cross-entropy, nats per token.
    pub loss: f64,
    pub tokens: usize,
    /// Passes per token: those taken, or where depths are blended those a hard choice would take.
    pub mean_passes: f64,
    pub answers: Answers,
    /// Binary cross-entropy of the mixture of depths' routers, summed over the blocks, nats per token.
    pub routing_loss: f64,
}

/// What an evaluation measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// Negative log2-likelihood of all scored tokens.
    pub bits: f64,
    pub tokens: u64,
    /// Passes per token.
    pub mean_passes: f64,
}

/// Why a model cannot be trained here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    #[error(transparent)]
    Memory(#[from] Shortage),
    #[error("cannot start {threads} threads: {reason}; --threads asks for fewer, ulimit -u and -v show the limits")]
    Threads { threads: usize, reason: String },
}

/// Stack of a replica's thread: a main thread's, as whole runs are driven from one of them.
const STACK: usize = 8 << 20;

/// A story to score: its tokens, and whether the end-of-story token that follows is scored too.
pub type Story<'a> = (&'a [u16], bool);

/// The model in training.
pub struct Engine {
    params: Params,
    packed: PackedModel,
    replicas: Vec<Replica>,
    grads: Vec<f32>,
    /// Routes of the last step to every operation, and their shares, (O).
    op_counts: Vec<u64>,
    op_usage: Vec<f32>,
    /// Of what the replicas do not do.
    profile: Profile,
    shape: BatchShape,
    pool: Arc<rayon::ThreadPool>,
}

impl Engine {
    /// Takes the parameters, starts the threads and allocates everything training needs.
    ///
    /// # Errors
    /// There is not enough memory, or a limit on threads or addresses is in the way. Nothing large was allocated then.
    pub fn new(
        config: ModelConfig,
        kernels: Kernels,
        params: Params,
        shape: BatchShape,
        mode: EmbeddingMode,
    ) -> Result<Self, EngineError> {
        let all = Footprint::of(&config, kernels, shape, mode);
        // the parameters are here already
        Footprint { weights: all.weights - 4 * params.layout.len as u64, ..all }.check(0)?;
        let failed = |reason: String| EngineError::Threads { threads: shape.threads, reason };
        if !room_for_threads(shape.threads, STACK) {
            return Err(failed("no addresses left for their stacks".to_owned()));
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(shape.threads)
            .thread_name(|i| format!("replica-{i}"))
            .stack_size(STACK)
            .build()
            .map_err(|error| failed(error.to_string()))?;
        // every thread looks for work once, so that what rayon keeps for each is there before the first step
        pool.broadcast(|_| rayon::yield_now());
        let replica = Shape { sequences: shape.sequences, tokens: shape.tokens };
        let mut packed = PackedModel::new(config, kernels, &params.layout, mode);
        pool.install(|| packed.pack(&params.data));
        let ops = config.rcsm.map_or(0, |c| c.ops as usize);
        Ok(Self {
            packed,
            replicas: (0..shape.threads)
                .map(|_| Replica::new(&config, kernels, &params.layout, mode, replica))
                .collect(),
            grads: zeros(params.layout.len),
            op_counts: vec![0; ops],
            op_usage: vec![0.0; ops],
            profile: Profile::new(0),
            shape,
            params,
            pool: Arc::new(pool),
        })
    }

    pub fn config(&self) -> &ModelConfig {
        &self.packed.config
    }

    /// Says what keys and values are rounded to from now on, instead of what the embedding's mode stands for.
    pub fn set_key_values(&mut self, key_values: KeyValues) {
        self.replicas.iter_mut().for_each(|replica| replica.set_key_values(key_values));
    }

    pub fn kernels(&self) -> Kernels {
        self.packed.kernels
    }

    pub fn shape(&self) -> BatchShape {
        self.shape
    }

    /// The threads of the replicas, for work that shares them.
    ///
    /// Training that runs in one `install` of this pool allocates nothing after its first step. From any other thread
    /// [`Self::step`] and [`Self::update`] do the same, but each hand-over goes through the pool's queue, which
    /// allocates a block for every 63 of them.
    pub fn pool(&self) -> Arc<rayon::ThreadPool> {
        Arc::clone(&self.pool)
    }

    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Gradients of the last [`Self::step`], laid out as the parameters.
    pub fn grads(&self) -> &[f32] {
        &self.grads
    }

    /// Share of the last step's routes that went to every operation, (O).
    pub fn op_usage(&self) -> &[f32] {
        &self.op_usage
    }

    /// Lets `f` change the parameters, given the gradients, on the engine's threads; then packs the weights anew.
    pub fn update<R: Send>(&mut self, f: impl FnOnce(&mut [f32], &mut [f32], &Layout) -> R + Send) -> R {
        let Self { params, packed, grads, pool, profile, .. } = self;
        pool.install(|| {
            profile.start();
            let result = f(&mut params.data, grads, &params.layout);
            profile.lap(Part::Optimizer);
            packed.pack(&params.data);
            profile.lap(Part::Packing);
            result
        })
    }

    /// Forward and backward of all micro-batches, gradients of the mean loss over the step's tokens in
    /// [`Self::grads`].
    ///
    /// `fill(replica, rows)` writes the next chunk of every sequence of a replica. Sequences carry their state from
    /// chunk to chunk; the end-of-story token resets it.
    pub fn step(&mut self, mut fill: impl FnMut(usize, Rows<'_>), options: &StepOptions) -> StepStats {
        let per_token = 1.0 / self.shape.step_tokens() as f32;
        let &StepOptions { answer_weight, answer_smoothing, z_loss, .. } = options;
        let scale = LossScale { per_token, answer_weight, answer_smoothing, z_loss };
        let micro_batches = (self.shape.threads * self.shape.accumulate) as f32;
        let mut stats = StepStats::default();
        self.op_counts.fill(0);
        let mut passes = 0;
        for micro in 0..self.shape.accumulate {
            for (i, replica) in self.replicas.iter_mut().enumerate() {
                fill(i, replica.rows());
            }
            let (packed, params) = (&self.packed, &self.params.data[..]);
            let replicas = &mut self.replicas;
            self.pool.install(|| {
                replicas.par_iter_mut().with_max_len(1).enumerate().for_each(|(i, replica)| {
                    let losses = Losses {
                        passes: match options.depth {
                            TrainDepth::Fixed(n) => Passes::Fixed(n as usize),
                            TrainDepth::Rows => Passes::Rows,
                            TrainDepth::Blend { tau, noise_seed } => {
                                let stream = (i * 64 + micro) as u64;
                                let own = |seed: u64| seed ^ stream.wrapping_mul(0x9e37_79b9);
                                Passes::Blend { tau, noise_seed: noise_seed.map(own) }
                            }
                        },
                        balance: options.balance / micro_batches,
                    };
                    replica.forward_backward(packed, params, losses, scale);
                });
            });
            for replica in &self.replicas {
                stats.loss += replica.nats;
                stats.tokens += replica.scored;
                stats.answers += replica.answers;
                stats.routing_loss += replica.routing_loss / f64::from(micro_batches);
                passes += replica.passes;
                for (total, &n) in self.op_counts.iter_mut().zip(replica.op_counts()) {
                    *total += n as u64;
                }
            }
        }
        self.profile.start();
        self.reduce();
        self.profile.lap(Part::Reduction);
        let tokens = stats.tokens.max(1) as f64;
        stats.loss /= tokens;
        stats.mean_passes = passes as f64 / tokens;
        let routes = self.op_counts.iter().sum::<u64>().max(1) as f32;
        for (share, &n) in self.op_usage.iter_mut().zip(&self.op_counts) {
            *share = n as f32 / routes;
        }
        stats
    }

    /// Sums the replicas' gradients, in their order, and clears them.
    fn reduce(&mut self) {
        const CHUNK: usize = 1 << 15;
        let Self { grads, replicas, pool, .. } = self;
        pool.install(|| {
            for (i, replica) in replicas.iter_mut().enumerate() {
                let chunks = grads.par_chunks_mut(CHUNK).zip(replica.grads.par_chunks_mut(CHUNK));
                chunks.for_each(|(total, part)| {
                    if i == 0 {
                        total.copy_from_slice(part);
                    } else {
                        add(total, part);
                    }
                    part.fill(0.0);
                });
            }
        });
    }

    /// Logits (T B, V) of the chunk `ids`, time-major for the sequences and tokens of one replica, from the initial
    /// state, with the head in f32: as training computes them where `passes` blends or tells each row (by `depths`,
    /// else unread), else as inference does. Training's state is kept.
    pub fn logits(&mut self, ids: &[u16], passes: Passes, depths: &[u8]) -> Vec<f32> {
        let kept = self.states();
        self.packed.embed.pack_exact();
        let mut out = Vec::new();
        let (packed, params) = (&self.packed, &self.params.data[..]);
        if let Some(replica) = self.replicas.first_mut() {
            replica.start_afresh();
            replica.ids.copy_from_slice(ids);
            replica.targets.fill(IGNORE);
            if passes == Passes::Rows {
                replica.depths.copy_from_slice(depths);
            }
            let training = matches!(passes, Passes::Rows | Passes::Blend { .. });
            let routing = if training { Routing::TopShare } else { Routing::PositiveLogit };
            let options = ForwardOptions { passes, routing };
            replica.score(packed, params, options, |_, logits| out.extend_from_slice(logits));
        }
        let restored = self.set_states(&kept);
        debug_assert!(restored.is_ok());
        out
    }

    /// Makes every sequence start from the initial state.
    pub(super) fn start_all_afresh(&mut self) {
        self.replicas.iter_mut().for_each(Replica::start_afresh);
    }

    pub(super) fn replicas(&self) -> &[Replica] {
        &self.replicas
    }

    /// What the choices behind the first and the second depth look at, of every row of the chunk `ids` from the initial
    /// state: (T B, 2, R). Empty without a reasoning loop. Training's state is kept.
    pub fn choice_inputs(&mut self, ids: &[u16]) -> Vec<f32> {
        let Some(rcsm) = self.packed.config.rcsm else { return Vec::new() };
        let kept = self.states();
        self.logits(ids, Passes::Fixed(rcsm.depths[2].into()), &[]);
        let r = usize::from(rcsm.width);
        let mut out = vec![0.0; ids.len() * 2 * r];
        for (at, input) in out.chunks_exact_mut(r).enumerate() {
            self.replicas[0].choice_input(rcsm.depths[at % 2].into(), at / 2, input);
        }
        let restored = self.set_states(&kept);
        debug_assert!(restored.is_ok());
        out
    }

    /// Runs the next batch of `fill` at every depth: nats of each replica's rows, see [`Replica::depth_nats`].
    pub(super) fn depth_nats(&mut self, fill: &mut impl FnMut(usize, Rows<'_>)) -> Vec<Vec<[f32; 3]>> {
        self.packed.embed.pack_exact();
        for (i, replica) in self.replicas.iter_mut().enumerate() {
            fill(i, replica.rows());
        }
        let (packed, params, replicas) = (&self.packed, &self.params.data[..], &mut self.replicas);
        let run = |replica: &mut Replica| {
            let mut nats = Vec::new();
            replica.depth_nats(packed, params, &mut nats);
            nats
        };
        self.pool.install(|| replicas.par_iter_mut().with_max_len(1).map(run).collect())
    }

    /// Time and multiplications by part of all steps since the last call.
    pub fn take_profile(&mut self) -> StepProfile {
        let threads = self.replicas.len() as u32;
        let profiles = || self.replicas.iter().map(Replica::profile);
        let parts = Part::ALL.into_iter().map(|part| PartProfile {
            part,
            time: profiles().map(|p| p.spent(part)).sum::<Duration>() / threads + self.profile.spent(part),
            macs: profiles().map(|p| p.macs(part)).sum(),
        });
        let pass =
            |pass: usize| [0, 1].map(|way| profiles().map(|p| p.passes()[pass][way]).sum::<Duration>() / threads);
        let passes = profiles().next().map_or(0, |p| p.passes().len());
        let taken = StepProfile { parts: parts.collect(), passes: (0..passes).map(pass).collect() };
        self.replicas.iter_mut().for_each(|r| r.profile_mut().clear());
        self.profile.clear();
        taken
    }

    /// The state all sequences carry, for [`Self::set_states`].
    pub fn states(&self) -> Vec<f32> {
        let mut out = Vec::with_capacity(self.replicas.iter().map(Replica::state_len).sum());
        for replica in &self.replicas {
            replica.save_state(&mut out);
        }
        out
    }

    /// Restores what [`Self::states`] saved; on a wrong length returns the length expected and changes nothing.
    pub fn set_states(&mut self, states: &[f32]) -> Result<(), usize> {
        let expected = self.replicas.iter().map(Replica::state_len).sum();
        if states.len() != expected {
            return Err(expected);
        }
        let mut rest = states;
        for replica in &mut self.replicas {
            let (own, others) = rest.split_at(replica.state_len());
            replica.load_state(own);
            rest = others;
        }
        Ok(())
    }

    /// Bits of the stories at a hard depth, each from the reset state; a story's first token is predicted from the
    /// end-of-story token before it. Training's state is kept.
    pub fn evaluate(&mut self, stories: &[Story<'_>], depth: Depth) -> Evaluation {
        self.evaluate_with(stories, depth, |_, _, _| {})
    }

    /// [`Self::evaluate`], which shows `visit` (story, position, logits) of every scored token, in no certain order of
    /// stories. Runs on one thread if `visit` is to be called in order within a story.
    pub fn evaluate_with(
        &mut self,
        stories: &[Story<'_>],
        depth: Depth,
        mut visit: impl FnMut(usize, usize, &[f32]) + Send,
    ) -> Evaluation {
        let kept = self.states();
        self.packed.embed.pack_exact();
        let options = ForwardOptions {
            passes: match depth {
                Depth::Fixed(n) => Passes::Fixed(n as usize),
                Depth::Adaptive => Passes::Hard,
            },
            routing: Routing::PositiveLogit,
        };
        let eot = self.packed.config.eot.unwrap_or(0) as u16;
        for replica in &mut self.replicas {
            replica.start_afresh();
        }
        let (b, t) = (self.shape.sequences, self.shape.tokens);
        // per sequence: the story it reads and the position in it
        let mut queue = 0..stories.len();
        let mut cursors: Vec<Option<(usize, usize)>> =
            (0..b * self.replicas.len()).map(|_| queue.next().map(|s| (s, 0))).collect();
        let mut sources = vec![None; t * cursors.len()];
        let mut total = Evaluation::default();
        let mut passes = 0;
        let visit = std::sync::Mutex::new(&mut visit);
        while cursors.iter().any(Option::is_some) {
            sources.fill(None);
            for (r, replica) in self.replicas.iter_mut().enumerate() {
                for lane in 0..b {
                    let cursor = &mut cursors[r * b + lane];
                    for step in 0..t {
                        let at = step * b + lane;
                        (replica.ids[at], replica.targets[at]) = (eot, IGNORE);
                        let Some((story, position)) = *cursor else { continue };
                        let (tokens, terminated) = stories[story];
                        let target =
                            if position < tokens.len() { Some(tokens[position]) } else { terminated.then_some(eot) };
                        if position > 0 {
                            replica.ids[at] = tokens[position - 1];
                        }
                        if let Some(target) = target {
                            replica.targets[at] = target;
                            sources[r * b * t + at] = Some((story, position));
                        }
                        *cursor = if position < tokens.len() {
                            Some((story, position + 1))
                        } else {
                            queue.next().map(|s| (s, 0))
                        };
                    }
                }
            }
            let (packed, params) = (&self.packed, &self.params.data[..]);
            let (replicas, visit, sources) = (&mut self.replicas, &visit, &sources);
            self.pool.install(|| {
                replicas.par_iter_mut().with_max_len(1).enumerate().for_each(|(r, replica)| {
                    replica.score(packed, params, options, |row, logits| {
                        if let (Some((story, position)), Ok(mut visit)) = (sources[r * b * t + row], visit.lock()) {
                            visit(story, position, logits);
                        }
                    });
                });
            });
            for replica in &self.replicas {
                total.bits += replica.nats * std::f64::consts::LOG2_E;
                total.tokens += replica.scored as u64;
                passes += replica.passes;
            }
        }
        total.mean_passes = passes as f64 / total.tokens.max(1) as f64;
        // the lengths are our own
        let restored = self.set_states(&kept);
        debug_assert!(restored.is_ok());
        total
    }
}
