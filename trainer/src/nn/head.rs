//! The embedding and, tied to it, the output head with its cross-entropy: logits exist for a block of rows at a time.

use std::ops::Range;

use flashlm_core::config::MAX_D_MODEL;
use flashlm_core::math::{exp, max, quantize_int8, rms_norm};

use super::attention::KeyValues;
use super::context::{Context, Worker};
use super::norm::rms_norm_backward;
use super::params::Layout;
use super::profile::Part;
use super::shape::{row, row_mut};
use crate::kernels::{FloatMatrix, Kernels, Write, zeros};

/// A target that is not scored.
pub const IGNORE: u16 = u16::MAX;

/// Rows whose logits exist at once.
const BLOCK: usize = 128;

/// What the forward sees of the embedding, and at first of the keys and values that attention looks back at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmbeddingMode {
    /// Rows rounded to int8 by their absmax, as the blob stores them, and so are keys and values, as sessions keep
    /// them; gradients pass straight through.
    Int8,
    /// The floats: what the reference computes.
    Float,
}

impl EmbeddingMode {
    /// What keys and values are rounded to.
    pub fn key_values(self) -> KeyValues {
        match self {
            Self::Int8 => KeyValues::Int8,
            Self::Float => KeyValues::F32,
        }
    }
}

/// The embedding (V, D), packed.
pub struct Weights {
    d: usize,
    mode: EmbeddingMode,
    /// The rows the forward looks up.
    rows: Vec<f32>,
    /// The same for the head's products, in training's precision and, for evaluation, in f32.
    train: FloatMatrix,
    exact: FloatMatrix,
    exact_is_current: bool,
    /// Where the embedding and the gain of the last norm lie among the parameters.
    embed: Range<usize>,
    norm: Range<usize>,
}

impl Weights {
    pub fn new(kernels: Kernels, mode: EmbeddingMode, layout: &Layout, vocab: usize, d: usize) -> Self {
        Self {
            d,
            mode,
            embed: layout.one(None, "embed"),
            norm: layout.one(None, "norm.gain"),
            rows: zeros(vocab * d),
            train: FloatMatrix::new(kernels, vocab, d),
            exact: FloatMatrix::new(kernels.in_f32(), vocab, d),
            exact_is_current: false,
        }
    }

    /// Takes the latent embedding.
    pub fn pack(&mut self, kernels: Kernels, params: &[f32]) {
        self.rows.copy_from_slice(&params[self.embed.clone()]);
        if self.mode == EmbeddingMode::Int8 {
            let d = self.d;
            kernels.vectorize(
                #[inline(always)]
                || {
                    let mut q = [0i8; MAX_D_MODEL as usize];
                    for row in self.rows.chunks_exact_mut(d) {
                        let scale = quantize_int8(row, &mut q[..d]);
                        for (v, &q) in row.iter_mut().zip(&q[..d]) {
                            *v = q as f32 * scale;
                        }
                    }
                },
            );
        }
        self.train.pack(&self.rows);
        self.exact_is_current = false;
    }

    /// Brings the f32 copy that evaluation reads up to date.
    pub fn pack_exact(&mut self) {
        if !self.exact_is_current {
            self.exact.pack(&self.rows);
            self.exact_is_current = true;
        }
    }

    /// `x = embed[id] * sqrt(D)`, (M, D).
    pub fn embed(&self, ids: &[u16], x: &mut [f32]) {
        let root = (self.d as f32).sqrt();
        for (x, &id) in x.chunks_exact_mut(self.d).zip(ids) {
            for (x, &e) in x.iter_mut().zip(row(&self.rows, id as usize, self.d)) {
                *x = e * root;
            }
        }
    }

    /// Adds to `grads` the gradient of [`Self::embed`].
    pub fn embed_backward(&self, ids: &[u16], dx: &[f32], grads: &mut [f32]) {
        let (root, dembed) = ((self.d as f32).sqrt(), &mut grads[self.embed.clone()]);
        for (dx, &id) in dx.chunks_exact(self.d).zip(ids) {
            for (e, &dx) in row_mut(dembed, id as usize, self.d).iter_mut().zip(dx) {
                *e += dx * root;
            }
        }
    }
}

/// How the loss of a micro-batch is formed.
#[derive(Clone, Copy, Debug)]
pub struct LossScale {
    /// 1 / tokens of the optimiser step.
    pub per_token: f32,
    /// How many times as much as any other token an answer's counts.
    pub answer_weight: f32,
    /// Share of an answer's target that is spread evenly over the vocabulary.
    pub answer_smoothing: f32,
    /// Weight of the squared log-normaliser (Chowdhery et al., 2022).
    pub z_loss: f32,
}

/// What every row is to predict, all (M).
#[derive(Clone, Copy)]
pub struct Goals<'a> {
    /// Tokens, or [`IGNORE`].
    pub targets: &'a [u16],
    /// Facts that the answer needs which the target is a part of; 0 where it is none.
    pub facts: &'a [u8],
    /// Passes that a row takes, where they are forced. A pass is a hop from one fact to the next.
    pub passes: Option<&'a [u8]>,
}

impl Goals<'_> {
    /// Whether row `i` predicts a token of an answer.
    #[inline(always)]
    fn is_answer(&self, i: usize) -> bool {
        self.facts[i] > 0 && self.targets[i] != IGNORE
    }

    /// Whether its passes are enough for the facts that the answer needs. Where they are not, it can only be guessed,
    /// and what would be learned is to guess.
    #[inline(always)]
    fn within_reach(&self, i: usize) -> bool {
        self.passes.is_none_or(|passes| self.facts[i] <= passes[i])
    }
}

/// Scratch of one replica.
pub struct Head {
    d: usize,
    vocab: usize,
    norm_r: Vec<f32>,
    normed: Vec<f32>,
    dnormed: Vec<f32>,
    logits: Vec<f32>,
    /// Of every row of the last call: whether no logit was above the target's, where it was asked, and the nats of its
    /// target, 0 without one; (M).
    pub right: Vec<bool>,
    pub row_nats: Vec<f32>,
}

impl Head {
    pub fn new(vocab: usize, d: usize, rows: usize) -> Self {
        let block = || vec![0.0; BLOCK * d];
        Self {
            d,
            vocab,
            norm_r: vec![0.0; BLOCK],
            normed: block(),
            dnormed: block(),
            logits: zeros(BLOCK * vocab),
            right: zeros(rows),
            row_nats: zeros(rows),
        }
    }

    /// Logits of `rows`, at most [`BLOCK`] of them, left in `self.logits`.
    fn logits(&mut self, worker: &mut Worker, kernels: Kernels, matrix: &FloatMatrix, gain: &[f32], x: &[f32]) {
        let (d, rows) = (self.d, x.len() / self.d);
        kernels.vectorize(
            #[inline(always)]
            || {
                for i in 0..rows {
                    self.norm_r[i] = rms_norm(row(x, i, d), gain, row_mut(&mut self.normed, i, d));
                }
            },
        );
        worker.lap(Part::Head);
        let logits = &mut self.logits[..rows * self.vocab];
        kernels.matmul_nt(&self.normed[..rows * d], rows, matrix, logits, &mut worker.workspace);
        worker.lap_products(Part::HeadProducts);
    }

    /// Cross-entropy in nats, summed over the rows whose target is not [`IGNORE`], and the gradient of the loss, in
    /// which answers within a row's reach weigh more: sets `dx` (M, D), adds to `grads`.
    pub fn forward_backward(
        &mut self,
        cx: &mut Context<'_>,
        weights: &Weights,
        x: &[f32],
        goals: Goals<'_>,
        scale: LossScale,
        (dx, grads): (&mut [f32], &mut [f32]),
    ) -> f64 {
        let (d, v) = (self.d, self.vocab);
        let (worker, params) = (&mut *cx.worker, cx.params);
        let kernels = worker.kernels;
        let Weights { norm, embed, .. } = weights;
        let mut nats = 0.0;
        let blocks = x.chunks(BLOCK * d).zip(goals.targets.chunks(BLOCK)).zip(dx.chunks_mut(BLOCK * d));
        for (block, ((x, targets), dx)) in blocks.enumerate() {
            let first = block * BLOCK;
            let rows = targets.len();
            self.logits(worker, kernels, &weights.train, &params[norm.clone()], x);
            let logits = &mut self.logits[..rows * v];
            nats += kernels.vectorize(
                #[inline(always)]
                || {
                    let mut nats = 0.0;
                    for (i, (logits, &target)) in logits.chunks_exact_mut(v).zip(targets).enumerate() {
                        let mut scale = scale;
                        let mut smoothing = 0.0;
                        if goals.is_answer(first + i) {
                            self.right[first + i] = max(logits) <= logits[target as usize];
                            if goals.within_reach(first + i) {
                                scale.per_token *= scale.answer_weight;
                                smoothing = scale.answer_smoothing;
                            }
                        }
                        nats += cross_entropy_row(logits, target, smoothing, scale);
                    }
                    nats
                },
            );
            worker.lap(Part::Head);
            let dnormed = &mut self.dnormed[..rows * d];
            kernels.matmul_nn(logits, rows, &weights.train, dnormed, Write::Set, &mut worker.workspace);
            let dembed = &mut grads[embed.clone()];
            kernels.matmul_tn(logits, &self.normed[..rows * d], rows, v, d, dembed, &mut worker.workspace);
            worker.lap_products(Part::HeadProducts);
            let (gain, dgain) = (&params[norm.clone()], &mut grads[norm.clone()]);
            kernels.vectorize(
                #[inline(always)]
                || {
                    dx.fill(0.0);
                    for i in 0..rows {
                        let dx = row_mut(dx, i, d);
                        rms_norm_backward(row(x, i, d), gain, self.norm_r[i], row(dnormed, i, d), dx, dgain);
                    }
                },
            );
        }
        nats
    }

    /// Cross-entropy in nats as evaluation counts it: f32 products, summed over the targets that are not [`IGNORE`].
    /// `visit` sees (row, logits) of every row.
    pub fn score(
        &mut self,
        cx: &mut Context<'_>,
        weights: &Weights,
        x: &[f32],
        targets: &[u16],
        mut visit: impl FnMut(usize, &[f32]),
    ) -> f64 {
        assert!(weights.exact_is_current, "the f32 head is packed before it is read");
        let (d, v) = (self.d, self.vocab);
        let (worker, gain) = (&mut *cx.worker, &cx.params[weights.norm.clone()]);
        let kernels = worker.kernels.in_f32();
        let mut nats = 0.0;
        for (block, (x, targets)) in x.chunks(BLOCK * d).zip(targets.chunks(BLOCK)).enumerate() {
            self.logits(worker, kernels, &weights.exact, gain, x);
            for (i, (logits, &target)) in self.logits.chunks_exact(v).zip(targets).enumerate() {
                visit(block * BLOCK + i, logits);
                self.row_nats[block * BLOCK + i] = 0.0;
                if target != IGNORE {
                    let row = kernels.vectorize(
                        #[inline(always)]
                        || log_normalizer(logits),
                    ) - logits[target as usize] as f64;
                    self.row_nats[block * BLOCK + i] = row as f32;
                    nats += row;
                }
            }
        }
        nats
    }
}

/// ln sum_v exp(l_v).
#[inline(always)]
fn log_normalizer(logits: &[f32]) -> f64 {
    let top = max(logits);
    let total = flashlm_core::math::sum_by(
        logits,
        #[inline(always)]
        |l| exp(l - top),
    );
    top as f64 + (total as f64).ln()
}

/// Replaces one row of logits (V) by their gradient and returns its cross-entropy in nats; 0 for [`IGNORE`].
///
/// The softmax in it is within 8 + V / 1024 ULP of the exact one of the logits' rounded distances from the largest, the
/// second term for the sum over V in f32; where the distance is below -87, exp is flat.
#[inline(always)]
fn cross_entropy_row(logits: &mut [f32], target: u16, smoothing: f32, scale: LossScale) -> f64 {
    if target == IGNORE {
        logits.fill(0.0);
        return 0.0;
    }
    let top = max(logits);
    let at_target = logits[target as usize];
    let mut lanes = [0.0; 16];
    let mut chunks = logits.chunks_exact_mut(16);
    for chunk in &mut chunks {
        for (total, l) in lanes.iter_mut().zip(chunk) {
            *l = exp(*l - top);
            *total += *l;
        }
    }
    for (total, l) in lanes.iter_mut().zip(chunks.into_remainder()) {
        *l = exp(*l - top);
        *total += *l;
    }
    let total = flashlm_core::math::fold_lanes(lanes);
    let normalizer = top as f64 + (total as f64).ln();
    let slope = scale.per_token * (1.0 + 2.0 * scale.z_loss * normalizer as f32) / total;
    // label smoothing (Szegedy et al., 2016): a token that is never an answer is pushed down to this share and no
    // further
    let floor = scale.per_token * smoothing / logits.len() as f32;
    for l in logits.iter_mut() {
        *l = *l * slope - floor;
    }
    logits[target as usize] -= scale.per_token * (1.0 - smoothing);
    normalizer - at_target as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cross_entropy_gradient_matches_finite_differences() {
        let scale = LossScale { per_token: 0.5, answer_weight: 1.0, answer_smoothing: 0.0, z_loss: 0.1 };
        let logits: Vec<f32> = (0..19).map(|i| (i as f32 * 1.3).sin() * 2.0).collect();
        let loss = |l: &[f32]| {
            let z = l.iter().map(|v| (*v as f64).exp()).sum::<f64>().ln();
            let mean = l.iter().map(|v| *v as f64).sum::<f64>() / l.len() as f64;
            0.5 * (z - 0.7 * l[4] as f64 - 0.3 * mean + 0.1 * z * z)
        };
        let mut got = logits.clone();
        let nats = cross_entropy_row(&mut got, 4, 0.3, scale);
        let z = logits.iter().map(|v| (*v as f64).exp()).sum::<f64>().ln();
        assert!((nats - (z - logits[4] as f64)).abs() < 1e-5);
        for i in 0..19 {
            let at = |step: f32| {
                let mut l = logits.clone();
                l[i] += step;
                loss(&l)
            };
            let slope = (at(1e-3) - at(-1e-3)) / 2e-3;
            assert!((slope as f32 - got[i]).abs() < 1e-4, "{slope} {}", got[i]);
        }
        assert_eq!(cross_entropy_row(&mut got, IGNORE, 0.3, scale), 0.0);
        assert!(got.iter().all(|&g| g == 0.0));
    }

    #[test]
    fn an_answer_is_within_reach_where_a_pass_is_left_for_each_of_its_facts() {
        let (targets, facts) = ([5, 5, 5, 5, IGNORE], [0, 1, 2, 3, 1]);
        let forced = Goals { targets: &targets, facts: &facts, passes: Some(&[1, 1, 1, 3, 8]) };
        let chosen = Goals { passes: None, ..forced };
        assert_eq!([0, 1, 2, 3, 4].map(|i| forced.is_answer(i)), [false, true, true, true, false]);
        assert_eq!([1, 2, 3].map(|i| forced.within_reach(i)), [true, false, true]);
        assert_eq!([1, 2, 3].map(|i| chosen.within_reach(i)), [true; 3]);
    }

    #[test]
    fn softmax_is_within_its_bound_at_every_level() {
        let scale = LossScale { per_token: 1.0, answer_weight: 1.0, answer_smoothing: 0.0, z_loss: 0.0 };
        let mut rng = crate::nn::Rng::new(3);
        for isa in crate::kernels::Isa::available() {
            let kernels = Kernels::new(isa, crate::kernels::Precision::F32).expect("available");
            for (vocab, spread) in [(2u32, 1.0), (17, 0.1), (320, 4.0), (4096, 1.0), (4096, 12.0), (65_000, 6.0)] {
                for _ in 0..8 {
                    // multiples of 1/64 below 128: their distances are exact
                    let logits: Vec<f32> = (0..vocab)
                        .map(|_| (64.0 * spread * rng.normal()).round().clamp(-4096.0, 4096.0) / 64.0)
                        .collect();
                    let mut got = logits.clone();
                    kernels.vectorize(
                        #[inline(always)]
                        || cross_entropy_row(&mut got, 0, 0.0, scale),
                    );
                    let top = max(&logits) as f64;
                    let total: f64 = logits.iter().map(|&l| (l as f64 - top).exp()).sum();
                    for (i, (&got, &l)) in got.iter().zip(&logits).enumerate().skip(1) {
                        let want = ((l as f64 - top).exp() / total) as f32;
                        // below the least exponent the trainer's exp is flat
                        if l as f64 - top > -87.0 {
                            let error = got.to_bits().abs_diff(want.to_bits());
                            assert!(
                                error <= 8 + vocab / 1024,
                                "{isa}: V {vocab}, logit {i}: {got:e} against {want:e}, {error} ULP"
                            );
                        }
                    }
                }
            }
        }
    }
}
