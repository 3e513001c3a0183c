use std::vec::Vec as StdVec;

use super::*;
use crate::blob::{Facts, Role, write};
use crate::kernels::Kernels;
use crate::memory::Line;
use crate::model::Model;
use crate::session::{Session, SessionError};
use crate::testing::{Blob, SMALL, random_blob, random_sections};

fn session(blob: &Blob) -> Session<'_, StdVec<Line>> {
    let mut session = Session::on_heap(Model::from_bytes(blob.bytes()).unwrap(), Kernels::detect());
    session.prefill(&[0, 5, 6]).unwrap();
    session
}

fn logits(session: &Session<'_, StdVec<Line>>) -> StdVec<f32> {
    let mut all = StdVec::new();
    session.logits(|_, rows| all.extend_from_slice(rows)).unwrap();
    all
}

const PLAIN: SamplerConfig =
    SamplerConfig { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, repetition_penalty: 1.0, seed: 1 };

/// Probabilities over the vocabulary in f64, likeliest first.
fn ranked(logits: &[f32], temperature: f64) -> StdVec<(u16, f64)> {
    let sum: f64 = logits.iter().map(|&v| (f64::from(v) / temperature).exp()).sum();
    let p = |&v: &f32| (f64::from(v) / temperature).exp() / sum;
    let mut ranked: StdVec<(u16, f64)> = logits.iter().enumerate().map(|(i, v)| (i as u16, p(v))).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    ranked
}

fn draws(config: SamplerConfig, n: usize) -> StdVec<u16> {
    let blob = random_blob(&SMALL, 9);
    let session = session(&blob);
    let mut sampler = Sampler::new(config).unwrap();
    (0..n)
        .map(|_| {
            sampler.forget();
            session.sample(&mut sampler).unwrap()
        })
        .collect()
}

#[test]
fn temperature_zero_takes_the_likeliest() {
    let blob = random_blob(&SMALL, 9);
    let logits = logits(&session(&blob));
    let best = ranked(&logits, 1.0)[0].0;
    assert!(draws(SamplerConfig { temperature: 0.0, ..PLAIN }, 5).iter().all(|&t| t == best));
    assert!(draws(SamplerConfig { top_k: 1, ..PLAIN }, 5).iter().all(|&t| t == best));
    assert!(draws(SamplerConfig { top_p: 1e-6, ..PLAIN }, 5).iter().all(|&t| t == best));
    assert!(draws(SamplerConfig { min_p: 1.0, ..PLAIN }, 5).iter().all(|&t| t == best));
}

#[test]
fn draws_follow_the_probabilities() {
    let blob = random_blob(&SMALL, 9);
    for (temperature, top_k) in [(1.0, 8), (0.6, 20)] {
        let ranked = ranked(&logits(&session(&blob)), temperature);
        let kept = &ranked[..top_k];
        let total: f64 = kept.iter().map(|k| k.1).sum();
        let n = 4000;
        let config = SamplerConfig { temperature: temperature as f32, top_k: top_k as u32, ..PLAIN };
        let drawn = draws(config, n);
        for &(token, p) in kept {
            let p = p / total;
            let share = drawn.iter().filter(|&&t| t == token).count() as f64 / n as f64;
            assert!((share - p).abs() < 4.5 * (p * (1.0 - p) / n as f64).sqrt() + 1e-3, "{token}: {share} for {p}");
        }
        assert!(drawn.iter().all(|t| kept.iter().any(|k| k.0 == *t)));
    }
}

#[test]
fn top_p_and_min_p_cut_at_whole_vocabulary_probabilities() {
    let blob = random_blob(&SMALL, 9);
    let ranked = ranked(&logits(&session(&blob)), 1.0);
    let mut mass = 0.0;
    let nucleus = 1 + ranked.iter().take_while(|r| (mass += r.1, mass < 0.2).1).count();
    let drawn = draws(SamplerConfig { top_p: 0.2, ..PLAIN }, 2000);
    assert!(drawn.iter().all(|t| ranked[..nucleus].iter().any(|r| r.0 == *t)));
    assert!(drawn.contains(&ranked[nucleus - 1].0), "the token that reaches top-p belongs to it");
    let least = ranked[0].1 * 0.5;
    let drawn = draws(SamplerConfig { min_p: 0.5, ..PLAIN }, 2000);
    assert!(drawn.iter().all(|t| ranked.iter().any(|r| r.0 == *t && r.1 >= least * 0.9999)));
}

#[test]
fn the_same_seed_draws_the_same_tokens() {
    assert_eq!(draws(PLAIN, 50), draws(PLAIN, 50));
    assert_ne!(draws(PLAIN, 50), draws(SamplerConfig { seed: 2, ..PLAIN }, 50));
}

#[test]
fn every_level_draws_the_same_tokens() {
    let blob = random_blob(&SMALL, 9);
    let model = Model::from_bytes(blob.bytes()).unwrap();
    let run = |kernels| {
        let mut session = Session::on_heap(model, kernels);
        let mut sampler = Sampler::new(SamplerConfig { repetition_penalty: 1.2, ..PLAIN }).unwrap();
        session.step(0).unwrap();
        let mut text = StdVec::new();
        for _ in 0..60 {
            let token = session.sample(&mut sampler).unwrap();
            session.step(token).unwrap();
            text.push(token);
        }
        text
    };
    for kernels in Kernels::available() {
        assert_eq!(run(kernels), run(Kernels::scalar()), "{:?}", kernels.level());
    }
}

#[test]
fn the_repetition_penalty_counts_a_token_once() {
    let mut sampler = Sampler::new(SamplerConfig { repetition_penalty: 2.0, ..PLAIN }).unwrap();
    for token in [130, 129, 130, 5] {
        sampler.observe(token);
    }
    let mut rows = [4.0, -3.0, 1.0];
    sampler.penalise(129, &mut rows);
    assert_eq!(rows, [2.0, -6.0, 1.0]);
    // far enough back, a token no longer counts
    for _ in 0..PENALTY_WINDOW {
        sampler.observe(7);
    }
    let mut rows = [4.0, -3.0, 1.0];
    sampler.penalise(129, &mut rows);
    assert_eq!(rows, [4.0, -3.0, 1.0]);
}

#[test]
fn candidates_are_the_largest_lower_tokens_first_among_equals() {
    let mut best = Candidates::new(3);
    best.push(0, &[1.0, 5.0, 5.0, 0.0], 5.0);
    best.push(4, &[5.0, 6.0, f32::NAN, 5.0], 6.0);
    assert_eq!(best.sort(), [(6.0, 5), (5.0, 1), (5.0, 2)]);
    for wanted in [1, 2, 5, MAX_CANDIDATES] {
        let logits: std::vec::Vec<f32> = (0..300).map(|i| (i * 7919 % 101) as f32).collect();
        let mut best = Candidates::new(wanted);
        for (first, rows) in (0..).step_by(50).zip(logits.chunks(50)) {
            best.push(first, rows, math::max(rows));
        }
        let mut all: std::vec::Vec<(f32, u16)> = logits.iter().copied().zip(0..).collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        assert_eq!(best.sort(), &all[..wanted]);
    }
    let mut greedy = Candidates::new(1);
    greedy.push(0, &[2.0, 2.0], 2.0);
    assert_eq!(greedy.sort(), [(2.0, 0)]);
}

/// A model that was accepted may still overflow: what comes of it must be a token all the same.
#[test]
fn logits_that_are_no_numbers_draw_the_likeliest_of_the_others() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let cases: [(&[f32], &[u16]); 6] = [
        (&[nan, 1.0, 2.0, nan], &[2]),
        (&[nan; 4], &[0]),
        (&[-inf; 4], &[0]),
        (&[1.0, inf, 2.0, inf], &[1]),
        (&[-inf, nan, inf, 3.0], &[2]),
        // one impossible token is only that
        (&[1.0, -inf, 1.0], &[0, 2]),
    ];
    for (logits, allowed) in cases {
        for (min_p, top_p) in [(0.0, 1.0), (0.3, 0.9), (1.0, 0.1)] {
            let mut sampler = Sampler::new(SamplerConfig { min_p, top_p, ..PLAIN }).unwrap();
            let (mut best, mut all) = (Candidates::new(MAX_CANDIDATES), LogSumExp::default());
            for (piece, first) in logits.chunks(2).zip((0..).step_by(2)) {
                sampler.penalise(first, &mut piece.to_vec());
                let max = all.push(Kernels::scalar(), piece);
                best.push(first, piece, max);
            }
            let best = best.sort();
            for _ in 0..20 {
                let token = sampler.pick(best, &all);
                assert!(allowed.contains(&token), "{logits:?}: {token}");
            }
        }
    }
}

#[test]
fn a_model_that_overflows_still_draws_and_scores() {
    // an infinite gain before the head makes every logit NaN; infinite decays make the state infinite, and what is
    // quantised from that is zero
    for (role, finite) in [(Role::Norm, false), (Role::BlockVectors, true)] {
        let mut sections = random_sections(&SMALL, 9);
        let huge = f32::MAX.to_le_bytes();
        sections[role as usize].chunks_exact_mut(4).for_each(|float| float.copy_from_slice(&huge));
        let blob = Blob::new(&write(&SMALL, &Facts::default(), &sections).unwrap());
        let mut session = session(&blob);
        assert_eq!(logits(&session).iter().all(|v| v.is_finite()), finite);
        let floats: &[f32] = bytemuck::must_cast_slice(session.state());
        assert!(role == Role::Norm || floats.iter().any(|v| !v.is_finite()));
        for temperature in [0.0, 1e-3, 1.0, 100.0] {
            let mut sampler = Sampler::new(SamplerConfig { temperature, repetition_penalty: 1.5, ..PLAIN }).unwrap();
            for _ in 0..70 {
                let token = session.sample(&mut sampler).unwrap();
                session.step(token).unwrap();
            }
        }
        let mut score = crate::score::Score::default();
        score.add_story(&mut session, &[1, 2, 3, 299], 9).unwrap();
        assert_eq!((score.tokens, score.bits.is_finite()), (4, finite), "no figure where there is none");
    }
}

#[test]
fn parameters_out_of_range_are_refused() {
    let bad = |config, error| assert_eq!(Sampler::new(config).err(), Some(error));
    for temperature in [-0.1, f32::NAN, f32::INFINITY] {
        bad(SamplerConfig { temperature, ..PLAIN }, SamplerError::Temperature);
    }
    for top_p in [0.0, -1.0, 1.1, f32::NAN] {
        bad(SamplerConfig { top_p, ..PLAIN }, SamplerError::TopP);
    }
    for min_p in [-0.1, 1.1, f32::NAN] {
        bad(SamplerConfig { min_p, ..PLAIN }, SamplerError::MinP);
    }
    for repetition_penalty in [0.0, -1.0, f32::INFINITY, f32::NAN] {
        bad(SamplerConfig { repetition_penalty, ..PLAIN }, SamplerError::RepetitionPenalty);
    }
}

#[test]
fn there_is_nothing_to_draw_before_the_first_token() {
    let blob = random_blob(&SMALL, 9);
    let session = Session::on_heap(Model::from_bytes(blob.bytes()).unwrap(), Kernels::scalar());
    assert_eq!(session.sample(&mut Sampler::new(PLAIN).unwrap()), Err(SessionError::Empty));
}

/// First outputs of the published generator from state 1, 2, 3, 4.
#[test]
fn random_numbers_are_xoshiro128_plus_plus() {
    let mut random = Xoshiro128([1, 2, 3, 4]);
    assert_eq!([random.next(), random.next(), random.next()], [641, 1_573_767, 3_222_811_527]);
}
