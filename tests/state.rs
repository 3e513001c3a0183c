//! State in training: the end of a story cuts it, the end of a chunk does not, and no token sees a later one.

mod common;

use common::{SMALL, depths, distance, engine, models, tokens};
use flashlm_core::ModelConfig;
use flashlm_core::config::Mixer;
use trainer::kernels::Isa;
use trainer::nn::{Passes, Rng, Rows, StepOptions, TrainDepth};

const OPTIONS: StepOptions =
    StepOptions { depth: TrainDepth::Rows, balance: 0.0, z_loss: 1e-4, answer_weight: 3.0, answer_smoothing: 0.0 };

/// All depths blended.
const BLEND: StepOptions = StepOptions { depth: TrainDepth::Blend { tau: 1.0, noise_seed: None }, ..OPTIONS };

/// All without routers: these pick among the tokens of a chunk, so that training depends on how text is cut.
fn unrouted() -> impl Iterator<Item = (&'static str, ModelConfig)> {
    models().into_iter().map(|(name, config)| (name, ModelConfig { mixture_of_depths: None, ..config }))
}

#[test]
fn two_stories_in_one_sequence_train_like_two_sequences() {
    const T: usize = 12;
    /// Of the two stories.
    const PASSES: [u8; 2] = [8, 3];
    for (name, config) in unrouted() {
        let apart = |seed, options: &StepOptions| {
            let mut rng = Rng::new(seed);
            let mut story = || {
                let mut ids = tokens(&mut rng, SMALL.vocab, T);
                ids[0] = 0;
                ids
            };
            let (a, b) = (story(), story());
            let targets = tokens(&mut rng, SMALL.vocab, 2 * T);
            let mut one = engine(config, Isa::detect(), 1, 2 * T);
            let joined: Vec<u16> = a.iter().chain(&b).copied().collect();
            let one_stats = one.step(
                |_, rows| {
                    rows.ids.copy_from_slice(&joined);
                    rows.targets.copy_from_slice(&targets);
                    for step in 0..2 * T {
                        (rows.depths[step], rows.facts[step]) = (PASSES[step / T], u8::from(step % 3 == 0));
                    }
                },
                options,
            );
            let mut two = engine(config, Isa::detect(), 2, T);
            let two_stats = two.step(
                |_, rows| {
                    for step in 0..T {
                        for (lane, story) in [&a, &b].into_iter().enumerate() {
                            let (at, whole) = (2 * step + lane, lane * T + step);
                            (rows.ids[at], rows.targets[at]) = (story[step], targets[whole]);
                            (rows.depths[at], rows.facts[at]) = (PASSES[lane], u8::from(whole % 3 == 0));
                        }
                    }
                },
                options,
            );
            let tensors = one.params().layout.tensors.iter();
            let gradients = tensors.map(|t| distance(&one.grads()[t.range()], &two.grads()[t.range()]));
            let loss = (one_stats.loss - two_stats.loss).abs() / two_stats.loss;
            gradients.fold(0.0, f64::max).max(100.0 * loss)
        };
        let mut apart: Vec<f64> =
            (1..=15).map(|seed| apart(seed, if seed % 3 == 0 { &BLEND } else { &OPTIONS })).collect();
        apart.sort_by(f64::total_cmp);
        // Attention's sums are blocked otherwise in training, which moves an int8 by one step in about one text of ten,
        // and then a gradient by up to 3e-2. A state that leaks into the next story would show in all of them.
        let (typical, most) = (apart[7], apart[14]);
        assert!(typical < 1e-5, "{name}: the gradients of half the texts differ by {typical:.1e} or more");
        assert!(most < 1e-4 || matches!(config.mixer, Mixer::Attention(_)), "{name}: {most:.1e}");
    }
}

#[test]
fn a_story_cut_into_chunks_scores_the_same() {
    let mut rng = Rng::new(2);
    let stories: Vec<Vec<u16>> = [50, 3, 17, 80, 1, 31].map(|n| tokens(&mut rng, SMALL.vocab, n)).into();
    let stories: Vec<(&[u16], bool)> = stories.iter().map(|s| (&s[..], s.len() != 17)).collect();
    for (name, config) in models() {
        for depth in depths(&config) {
            let whole = engine(config, Isa::detect(), 6, 96).evaluate(&stories, depth);
            let cut = engine(config, Isa::detect(), 2, 8).evaluate(&stories, depth);
            assert_eq!(whole.tokens, 50 + 3 + 17 + 80 + 1 + 31 + 5);
            assert_eq!(whole.tokens, cut.tokens);
            assert!((whole.bits - cut.bits).abs() < 1e-9 * whole.bits, "{name}: {} {}", whole.bits, cut.bits);
            assert_eq!(whole.mean_passes, cut.mean_passes, "{name}");
        }
    }
}

#[test]
fn training_continues_a_story_over_chunks() {
    let mut rng = Rng::new(3);
    let mut ids = tokens(&mut rng, SMALL.vocab, 32);
    ids[0] = 0;
    let targets = tokens(&mut rng, SMALL.vocab, 32);
    for (name, config) in unrouted() {
        let loss = |chunk: usize| {
            let mut engine = engine(config, Isa::detect(), 1, chunk);
            let mut at = 0;
            (0..32 / chunk)
                .map(|_| {
                    let fill = |_: usize, rows: Rows| {
                        rows.ids.copy_from_slice(&ids[at..at + chunk]);
                        rows.targets.copy_from_slice(&targets[at..at + chunk]);
                        for (i, depth) in rows.depths.iter_mut().enumerate() {
                            *depth = [1, 8, 3][(at + i) % 3];
                        }
                        at += chunk;
                    };
                    // a chunk's state goes through a checkpoint and back
                    let states = engine.states();
                    engine.set_states(&states).expect("its own length");
                    engine.step(fill, &OPTIONS).loss * chunk as f64
                })
                .sum::<f64>()
        };
        let (whole, cut) = (loss(32), loss(8));
        let tolerance = if config.heads().is_some() { 1e-4 } else { 1e-9 };
        assert!((whole - cut).abs() < tolerance * whole, "{name}: {whole} against {cut}");
    }
}

#[test]
fn no_trainer_logit_depends_on_a_later_token() {
    const T: usize = 24;
    let mut rng = Rng::new(4);
    let ids = tokens(&mut rng, SMALL.vocab, T);
    for (name, config) in models() {
        for isa in Isa::available() {
            let mut engine = engine(config, isa, 1, T);
            let depths: Vec<u8> = (0..T).map(|t| [3, 1, 8][t % 3]).collect();
            let blend = Passes::Blend { tau: 1.0, noise_seed: Some(5) };
            for passes in [Passes::Hard, Passes::Fixed(1), Passes::Fixed(8), Passes::Rows, blend] {
                // in training a router compares the tokens of a chunk, later ones too
                if config.mixture_of_depths.is_some() && matches!(passes, Passes::Rows | Passes::Blend { .. }) {
                    continue;
                }
                let before = engine.logits(&ids, passes, &depths);
                for changed in 0..T {
                    let mut other = ids.clone();
                    other[changed] = 1 + (other[changed] + 40) % 127;
                    let after = engine.logits(&other, passes, &depths);
                    let earlier = changed * SMALL.vocab as usize;
                    assert!(
                        before[..earlier].iter().zip(&after).all(|(a, b)| a.to_bits() == b.to_bits()),
                        "{name}: token {changed} changed an earlier logit"
                    );
                    assert_ne!(before[earlier..], after[earlier..], "{name}: token {changed} changes nothing");
                }
            }
        }
    }
}
