//! The whole model over all threads: one replica each, one gradient reduction per optimiser step.

use std::sync::Arc;
use std::time::Duration;

use flashlm_core::config::ModelConfig;
use flashlm_host::{Shortage, check_memory, room_for_threads};
use rayon::prelude::*;

use super::attention::KeyValues;
use super::exchange::{Exchange, Joined};
use super::footprint::Footprint;
use super::head::{EmbeddingMode, IGNORE, LossScale};
use super::params::{Layout, Params};
use super::profile::{Part, PartProfile, Profile, StepProfile};
use super::rcsm::{Losses, Passes};
use super::relay::Relay;
use super::replica::{ForwardOptions, PackedModel, Replica, Rows};
use super::routing::Routing;
use super::shape::{BatchShape, Shape, add};
use super::stages::stages;
use super::tally::{self, StepStats, Sums};
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

impl StepOptions {
    /// What they ask of a replica, whose noise is that of `stream`, in a step of so many micro-batches.
    fn losses(&self, stream: u64, micro_batches: f32) -> Losses {
        let passes = match self.depth {
            TrainDepth::Fixed(n) => Passes::Fixed(n as usize),
            TrainDepth::Rows => Passes::Rows,
            TrainDepth::Blend { tau, noise_seed } => {
                let own = |seed: u64| seed ^ stream.wrapping_mul(0x9e37_79b9);
                Passes::Blend { tau, noise_seed: noise_seed.map(own) }
            }
        };
        Losses { passes, balance: self.balance / micro_batches }
    }
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

/// The model in training.
pub struct Engine {
    pub(super) params: Params,
    pub(super) packed: PackedModel,
    pub(super) replicas: Vec<Replica>,
    grads: Vec<f32>,
    /// Routes of the last step to every operation, and their shares, (O).
    op_counts: Vec<u64>,
    op_usage: Vec<f32>,
    /// What every replica measured of every micro-batch of the last step, a record each.
    tallies: Vec<f64>,
    /// The way to engines in other processes.
    joined: Option<Joined>,
    /// Of what the replicas do not do.
    profile: Profile,
    pub(super) shape: BatchShape,
    pub(super) pool: Arc<rayon::ThreadPool>,
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
            tallies: Vec::with_capacity(shape.threads * shape.accumulate * tally::record_len(ops)),
            joined: None,
            profile: Profile::new(0),
            shape,
            params,
            pool: Arc::new(pool),
        })
    }

    /// Makes this engine one of several that train one model: from now on [`Self::step`] is a step of all of them, and
    /// every process has to take it. Their parameters, shapes and steps' options have to be the same.
    ///
    /// # Errors
    /// There is no memory for gradients on their way.
    pub fn join(&mut self, exchange: Box<dyn Exchange>) -> Result<(), Shortage> {
        let bytes = 4 * (self.params.layout.len * self.shape.threads) as u64;
        check_memory("exchanging gradients with other processes", bytes, "fewer --threads take less")?;
        let stages = stages(&self.packed.config, &self.params.layout);
        self.joined = Some(Joined::new(exchange, stages, self.shape.threads));
        Ok(())
    }

    /// This process's place among those that train the model, and how many they are: the first and only one unless it
    /// [joined](Self::join) others.
    fn place(&self) -> (usize, usize) {
        self.joined.as_ref().map_or((0, 1), Joined::place)
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
    /// [`Self::grads`]; of all processes, where there are several.
    ///
    /// `fill(replica, rows)` writes the next chunk of every sequence of a replica of this process. Sequences carry
    /// their state from chunk to chunk; the end-of-story token resets it.
    pub fn step(&mut self, mut fill: impl FnMut(usize, Rows<'_>), options: &StepOptions) -> StepStats {
        let (place, processes) = self.place();
        let per_token = 1.0 / (processes * self.shape.step_tokens()) as f32;
        let &StepOptions { answer_weight, answer_smoothing, z_loss, .. } = options;
        let scale = LossScale { per_token, answer_weight, answer_smoothing, z_loss };
        let (threads, accumulate) = (self.shape.threads, self.shape.accumulate);
        let micro_batches = (processes * threads * accumulate) as f32;
        self.tallies.clear();
        for micro in 0..accumulate {
            for (i, replica) in self.replicas.iter_mut().enumerate() {
                fill(i, replica.rows());
            }
            let (packed, params, pool) = (&self.packed, &self.params.data[..], &self.pool);
            let replicas = &mut self.replicas;
            let mut run = |relay: Option<&Relay>| {
                pool.install(|| {
                    replicas.par_iter_mut().with_max_len(1).enumerate().for_each(|(i, replica)| {
                        let stream = ((place * threads + i) * 64 + micro) as u64;
                        let losses = options.losses(stream, micro_batches);
                        replica.forward_backward(packed, params, losses, scale, |stage, grads| {
                            if let Some(relay) = relay {
                                relay.hand_over(i, stage, grads);
                            }
                        });
                    });
                });
            };
            match &mut self.joined {
                Some(joined) if micro + 1 == accumulate => {
                    joined.during(&mut self.grads, |relay| run(Some(relay)));
                }
                _ => run(None),
            }
            self.replicas.iter().for_each(|replica| tally::write(replica, &mut self.tallies));
        }
        self.profile.start();
        if self.joined.is_none() {
            self.reduce();
        }
        self.profile.lap(Part::Reduction);
        self.measured(processes, micro_batches)
    }

    /// What all processes measured in the last step: records added up by micro-batch, then process, then replica, which
    /// is the order of one process that has all replicas.
    fn measured(&mut self, processes: usize, micro_batches: f32) -> StepStats {
        let Self { tallies, joined, op_counts, op_usage, shape, .. } = self;
        let gathered = joined.as_mut().map(|joined| joined.gather(tallies));
        let all = gathered.as_deref().unwrap_or(tallies);
        op_counts.fill(0);
        let record = tally::record_len(op_counts.len());
        let (of_micro, of_process) = (shape.threads * record, tallies.len());
        let mut sums = Sums::default();
        for micro in 0..shape.accumulate {
            for process in 0..processes {
                let records = &all[process * of_process + micro * of_micro..][..of_micro];
                records.chunks_exact(record).for_each(|record| sums.add(record, micro_batches, op_counts));
            }
        }
        let Sums { mut stats, passes } = sums;
        let tokens = stats.tokens.max(1) as f64;
        stats.loss /= tokens;
        stats.mean_passes = passes as f64 / tokens;
        let routes = op_counts.iter().sum::<u64>().max(1) as f32;
        for (share, &n) in op_usage.iter_mut().zip(&*op_counts) {
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
}
