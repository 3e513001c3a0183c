//! State in training: the end of a story cuts it, the end of a chunk does not, and no token sees a later one.

mod common;

use common::{SMALL, distance, engine, tokens};
use flashlm_core::config::Depth;
use trainer::kernels::Isa;
use trainer::nn::{Passes, Rng, StepOptions, TrainDepth};

const OPTIONS: StepOptions = StepOptions {
    depth: TrainDepth::Adaptive { tau: 1.0, noise_seed: None },
    memory_writes: true,
    balance: 0.0,
    pass_cost: 0.01,
    z_loss: 1e-4,
};

#[test]
fn two_stories_in_one_sequence_train_like_two_sequences() {
    const T: usize = 12;
    let mut rng = Rng::new(1);
    let story = |rng: &mut Rng| {
        let mut ids = tokens(rng, SMALL.vocab, T);
        ids[0] = 0;
        ids
    };
    let (a, b) = (story(&mut rng), story(&mut rng));
    let targets = tokens(&mut rng, SMALL.vocab, 2 * T);

    let mut one = engine(SMALL, Isa::detect(), 1, 2 * T);
    let joined: Vec<u16> = a.iter().chain(&b).copied().collect();
    let one_stats = one.step(
        |_, i, t| {
            i.copy_from_slice(&joined);
            t.copy_from_slice(&targets);
        },
        &OPTIONS,
    );
    let mut two = engine(SMALL, Isa::detect(), 2, T);
    let two_stats = two.step(
        |_, i, t| {
            for step in 0..T {
                (i[2 * step], i[2 * step + 1]) = (a[step], b[step]);
                (t[2 * step], t[2 * step + 1]) = (targets[step], targets[T + step]);
            }
        },
        &OPTIONS,
    );
    assert!((one_stats.loss - two_stats.loss).abs() < 1e-6 * two_stats.loss);
    for t in &one.params().layout.tensors {
        let d = distance(&one.grads()[t.range()], &two.grads()[t.range()]);
        assert!(d < 1e-4, "the gradient of {} differs by {d:.1e}", t.name);
    }
}

#[test]
fn a_story_cut_into_chunks_scores_the_same() {
    let mut rng = Rng::new(2);
    let stories: Vec<Vec<u16>> = [50, 3, 17, 80, 1, 31].map(|n| tokens(&mut rng, SMALL.vocab, n)).into();
    let stories: Vec<(&[u16], bool)> = stories.iter().map(|s| (&s[..], s.len() != 17)).collect();
    for depth in [Depth::Adaptive, Depth::Fixed(3)] {
        let whole = engine(SMALL, Isa::detect(), 6, 96).evaluate(&stories, depth);
        let cut = engine(SMALL, Isa::detect(), 2, 8).evaluate(&stories, depth);
        assert_eq!(whole.tokens, 50 + 3 + 17 + 80 + 1 + 31 + 5);
        assert_eq!(whole.tokens, cut.tokens);
        assert!((whole.bits - cut.bits).abs() < 1e-9 * whole.bits, "{} against {}", whole.bits, cut.bits);
        assert_eq!(whole.mean_passes, cut.mean_passes);
    }
}

#[test]
fn training_continues_a_story_over_chunks() {
    let mut rng = Rng::new(3);
    let mut ids = tokens(&mut rng, SMALL.vocab, 32);
    ids[0] = 0;
    let targets = tokens(&mut rng, SMALL.vocab, 32);
    let loss = |chunk: usize| {
        let mut engine = engine(SMALL, Isa::detect(), 1, chunk);
        let mut at = 0;
        (0..32 / chunk)
            .map(|_| {
                let fill = |_: usize, i: &mut [u16], t: &mut [u16]| {
                    i.copy_from_slice(&ids[at..at + chunk]);
                    t.copy_from_slice(&targets[at..at + chunk]);
                    at += chunk;
                };
                engine.step(fill, &OPTIONS).loss * chunk as f64
            })
            .sum::<f64>()
    };
    let (whole, cut) = (loss(32), loss(8));
    assert!((whole - cut).abs() < 1e-9 * whole, "{whole} against {cut}");
}

#[test]
fn no_trainer_logit_depends_on_a_later_token() {
    const T: usize = 24;
    let mut rng = Rng::new(4);
    let ids = tokens(&mut rng, SMALL.vocab, T);
    for isa in Isa::available() {
        let mut engine = engine(SMALL, isa, 1, T);
        for passes in [Passes::Hard, Passes::Fixed(1), Passes::Blend { tau: 1.0, noise_seed: Some(5) }] {
            let before = engine.logits(&ids, passes, true);
            for changed in 0..T {
                let mut other = ids.clone();
                other[changed] = 1 + (other[changed] + 40) % 127;
                let after = engine.logits(&other, passes, true);
                let earlier = changed * SMALL.vocab as usize;
                assert!(before[..earlier].iter().zip(&after).all(|(a, b)| a.to_bits() == b.to_bits()));
                assert_ne!(before[earlier..], after[earlier..], "token {changed} changes nothing");
            }
        }
    }
}
