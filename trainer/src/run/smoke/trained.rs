//! Figures of a tiny model that learnt, within seconds, to answer questions of one and two facts. It is trained as any
//! model is, calibrated, packed, and asked through core about stories it never saw.

use std::time::Instant;

use anyhow::Context;
use flashlm_core::config::{Depth, ModelConfig, RcsmConfig, Writes};
use flashlm_core::{Facts, Line, Observer, Pass, Sampler, SamplerConfig, Session};
use flashlm_host::Blob;
use flashlm_probe::statistics::Paired;
use flashlm_probe::tasks::Part;

use super::stories::{EOT, Lanes, Token, VOCAB};
use super::untrained::entropy;
use crate::export;
use crate::kernels::Kernels;
use crate::nn::{BatchShape, EmbeddingMode, Engine, Params, StepOptions, TrainDepth};
use crate::optim::{self, Optimizer};

/// 136 thousand parameters.
const CONFIG: ModelConfig = ModelConfig {
    vocab: VOCAB,
    d_model: 64,
    layers: 2,
    d_ffn: 128,
    rcsm: Some(RCSM),
    eot: Some(EOT as u32),
    ..ModelConfig::SUPERNOVA
};
const RCSM: RcsmConfig = RcsmConfig { width: 48, slots: 48, after: 2, ..RcsmConfig::DEFAULT };

/// Sequences of all threads together, about as many with any number of them, and tokens of each a step.
const SEQUENCES: usize = 16;
const TOKENS: usize = 128;
/// Optimiser steps; both kinds of question are answered after some 200.
const STEPS: usize = 350;
const LEARNING_RATE: f32 = 5e-3;
/// Steps over which the learning rate rises, and the share of all steps over which it falls.
const WARMUP: f32 = 20.0;
const COOLDOWN: f32 = 0.4;
/// How many times as much as any other token an answer counts: what else follows is mostly chance.
const ANSWER_WEIGHT: f32 = 20.0;
const BALANCE: f32 = 0.01;
/// Batches that the choice of depth is calibrated on, and the nats that a deeper depth has to save.
const CALIBRATION: usize = 16;
const MARGIN: f32 = 0.1;

/// Held-out stories asked about, of six questions each.
const STORIES: u64 = 150;
/// Greedy tokens of the speed of generation.
const GENERATED: usize = 2000;

/// The trained model, packed; the stories to ask about; and what training measured.
pub(super) struct Trained {
    blob: Blob,
    /// The same model that writes nothing into its memory.
    without_memory: Blob,
    stories: Vec<Vec<Token>>,
    tokens_per_second: f64,
    /// Answers as [`Self::ask`] gives them at each of the depths, once asked for.
    answers: [Option<Vec<Answer>>; 3],
}

/// An answer given: how many facts it needs, and whether it was right.
type Answer = (u8, bool);

impl Trained {
    /// Trains, calibrates and packs.
    pub(super) fn new(kernels: Kernels, threads: usize, seed: u64) -> anyhow::Result<Self> {
        let sequences = SEQUENCES.div_ceil(threads);
        let shape = BatchShape { threads, sequences, tokens: TOKENS, accumulate: 1 };
        let params = Params::init(&CONFIG, seed);
        let settings = optim::Settings {
            kind: optim::Kind::Adamw,
            weight_decay: optim::PerKind { ternary: 0.01, embedding: 0.0, float: 0.0 },
            ..Default::default()
        };
        let mut optimizer = Optimizer::new(kernels, &params.layout, settings);
        let mut engine = Engine::new(CONFIG, kernels, params, shape, EmbeddingMode::Int8)?;
        let mut lanes = Lanes::new(threads, sequences, RCSM.depths, seed);
        let options = StepOptions {
            depth: TrainDepth::Rows,
            balance: BALANCE,
            z_loss: 0.0,
            answer_weight: ANSWER_WEIGHT,
            answer_smoothing: 0.0,
        };
        let started = Instant::now();
        for step in 0..STEPS {
            let left = (STEPS - step) as f32 / (COOLDOWN * STEPS as f32);
            let rate = LEARNING_RATE * ((step + 1) as f32 / WARMUP).min(1.0) * left.min(1.0);
            engine.step(|replica, mut rows| lanes.fill(replica, &mut rows), &options);
            engine.update(|params, grads, _| optimizer.update(params, grads, rate));
        }
        let tokens_per_second = (STEPS * shape.step_tokens()) as f64 / started.elapsed().as_secs_f64();
        engine
            .calibrate(|replica, mut rows| lanes.fill(replica, &mut rows), CALIBRATION, MARGIN)
            .context("there was nothing to calibrate on")?;
        let mut words = lanes.into_words()?;
        let stories = (0..STORIES).map(|index| words.story(Part::Test, seed, index)).collect::<anyhow::Result<_>>()?;
        let no_writes = ModelConfig { rcsm: Some(RcsmConfig { writes: Writes::None, ..RCSM }), ..CONFIG };
        Ok(Self {
            blob: pack(&CONFIG, engine.params())?,
            without_memory: pack(&no_writes, engine.params())?,
            stories,
            tokens_per_second,
            answers: [const { None }; 3],
        })
    }

    /// Of the training.
    pub(super) fn tokens_per_second(&self) -> f64 {
        self.tokens_per_second
    }

    /// Greedy answers to all questions of the stories, each story told up to its question.
    fn ask(&self, blob: &Blob, depth: u8) -> anyhow::Result<Vec<Answer>> {
        let mut session = blob.session(Some(Depth::Fixed(depth)))?;
        let mut answers = Vec::new();
        for story in &self.stories {
            let mut told = vec![EOT];
            for token in story {
                if token.facts > 0 {
                    session.prefill(&told)?;
                    told.clear();
                    answers.push((token.facts, likeliest(&session)? == token.id));
                }
                told.push(token.id);
            }
        }
        Ok(answers)
    }

    /// [`Self::ask`] at the `depth`th of the depths, asked once.
    fn answers(&mut self, depth: usize) -> anyhow::Result<&[Answer]> {
        let answers = match self.answers[depth].take() {
            Some(answers) => answers,
            None => self.ask(&self.blob, RCSM.depths[depth])?,
        };
        Ok(self.answers[depth].insert(answers))
    }

    /// Share of right answers at depth 8 to questions of two facts, the memory never written.
    pub(super) fn right_without_memory(&self) -> anyhow::Result<f64> {
        Ok(right(&self.ask(&self.without_memory, RCSM.depths[2])?, 2))
    }

    /// One fact at the first and the last depth; two facts at each, the last above the first, and p of that.
    pub(super) fn probe(&mut self) -> anyhow::Result<Vec<f64>> {
        let (first, last) = (self.answers(0)?.to_vec(), self.answers(2)?.to_vec());
        let second = right(self.answers(1)?, 2);
        let pairs = first.iter().zip(&last).filter(|(a, _)| a.0 == 2).map(|(a, b)| (a.1, b.1));
        let two = [right(&first, 2), second, right(&last, 2)];
        Ok(vec![right(&first, 1), right(&last, 1), two[0], two[1], two[2], two[2] - two[0], Paired::of(pairs).p])
    }

    /// Passes that the model chooses at tokens that two-fact answers follow and at those no answer follows, and the
    /// difference.
    pub(super) fn chosen_passes(&self) -> anyhow::Result<Vec<f64>> {
        let mut session = self.blob.session(Some(Depth::Adaptive))?;
        let mut seen = Seen::default();
        let (mut deep, mut plain) = (Mean::default(), Mean::default());
        for story in &self.stories {
            let tokens: Vec<u16> = std::iter::once(EOT).chain(story.iter().map(|t| t.id)).collect();
            seen.passes.clear();
            session.prefill_observed(&tokens, &mut seen)?;
            for (next, &passes) in story.iter().zip(&seen.passes) {
                match next.facts {
                    0 => plain.add(passes),
                    1 => {}
                    _ => deep.add(passes),
                }
            }
        }
        let (deep, plain) = (deep.value(), plain.value());
        Ok(vec![deep, plain, deep - plain])
    }

    /// Operations taken at the last depth: how many, and the entropy of their shares.
    pub(super) fn operations_used(&self) -> anyhow::Result<Vec<f64>> {
        let mut session = self.blob.session(Some(Depth::Fixed(RCSM.depths[2])))?;
        let mut seen = Seen::default();
        for story in &self.stories {
            let tokens: Vec<u16> = std::iter::once(EOT).chain(story.iter().map(|t| t.id)).collect();
            session.prefill_observed(&tokens, &mut seen)?;
        }
        let counts = seen.ops.map(|n| n as f64);
        Ok(vec![counts.iter().filter(|&&n| n > 0.0).count() as f64, entropy(&counts)])
    }

    /// Tokens a second, decoded one by one at the chosen depth behind the start of a story.
    pub(super) fn generation(&self) -> anyhow::Result<Vec<f64>> {
        let mut session = self.blob.session(Some(Depth::Adaptive))?;
        let mut sampler = Sampler::new(SamplerConfig { temperature: 1.0, ..SamplerConfig::default() })?;
        session.step(EOT)?;
        let started = Instant::now();
        for _ in 0..GENERATED {
            let token = session.sample(&mut sampler)?;
            session.step(token)?;
        }
        Ok(vec![GENERATED as f64 / started.elapsed().as_secs_f64()])
    }
}

/// Packs the parameters as the model of `config`.
fn pack(config: &ModelConfig, params: &Params) -> anyhow::Result<Blob> {
    let facts = Facts { name: "smoke", data: "questions of one and two facts", ..Facts::default() };
    Blob::copy("smoke", &export::write_blob(config, &facts, &[], &|name| params.tensor(name))?)
}

/// The token that is likeliest to come next, the first among equals.
fn likeliest(session: &Session<'_, Vec<Line>>) -> anyhow::Result<u16> {
    let mut best = (0, f32::NEG_INFINITY);
    session.logits(|first, rows| {
        for (row, &logit) in (first..).zip(rows) {
            if logit > best.1 {
                best = (row as u16, logit);
            }
        }
    })?;
    Ok(best.0)
}

/// Share of right ones among the answers that need `facts` facts; not a number where there are none.
fn right(answers: &[Answer], facts: u8) -> f64 {
    let of: Vec<bool> = answers.iter().filter(|a| a.0 == facts).map(|a| a.1).collect();
    of.iter().filter(|&&right| right).count() as f64 / of.len() as f64
}

/// A mean of whole numbers; not a number of none.
#[derive(Default)]
struct Mean {
    sum: u64,
    count: u64,
}

impl Mean {
    fn add(&mut self, n: u8) {
        self.sum += u64::from(n);
        self.count += 1;
    }

    fn value(&self) -> f64 {
        self.sum as f64 / self.count as f64
    }
}

/// What the reasoning loop did: the passes of every token, and how often it took each operation.
#[derive(Default)]
struct Seen {
    passes: Vec<u8>,
    ops: [u64; RCSM.ops as usize],
}

impl Observer for Seen {
    fn depth(&mut self, passes: u8, _: &[f32]) {
        self.passes.push(passes);
    }

    fn pass(&mut self, pass: Pass<'_>) {
        pass.ops.iter().for_each(|&op| self.ops[usize::from(op)] += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::super::stories::Words;
    use super::*;

    #[test]
    fn shares_are_of_the_answers_asked_for_and_of_none_no_number() {
        let answers = [(1, true), (2, false), (2, true), (2, false), (2, false)];
        assert_eq!((right(&answers, 1), right(&answers, 2)), (1.0, 0.25));
        assert!(right(&answers, 3).is_nan() && Mean::default().value().is_nan());
    }

    /// Without training the checks of the trained model fail: nothing is answered better than by chance.
    #[test]
    fn an_untrained_model_does_not_pass_for_a_trained_one() {
        let params = Params::init(&CONFIG, 1);
        let mut words = Words::default();
        let stories = (0..20).map(|index| words.story(Part::Test, 1, index).unwrap()).collect();
        let blob = || pack(&CONFIG, &params).unwrap();
        let mut model = Trained {
            blob: blob(),
            without_memory: blob(),
            stories,
            tokens_per_second: 0.0,
            answers: [const { None }; 3],
        };
        let probe = model.probe().unwrap();
        assert!(probe.len() == 7 && probe[..5].iter().all(|&right| right < 0.5) && probe[5] < 0.2, "{probe:?}");
        assert_eq!(model.chosen_passes().unwrap(), [1.0, 1.0, 0.0]);
        assert_eq!(model.operations_used().unwrap().len(), 2);
    }
}
