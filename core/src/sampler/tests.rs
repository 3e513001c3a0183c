use std::vec::Vec as StdVec;

use super::*;
use crate::blob::{Facts, Role, write};
use crate::generate::Generation;
use crate::kernels::Kernels;
use crate::memory::Line;
use crate::model::Model;
use crate::session::{Session, SessionError};
use crate::testing::hostile::table;
use crate::testing::{Blob, Numbers, SMALL, random_blob, random_sections};

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

/// What is left of candidates, in order.
fn sorted(best: &mut Candidates) -> std::vec::Vec<(f32, u16)> {
    best.sort().iter().map(|best| (best.logit(), best.token())).collect()
}

#[test]
fn candidates_sort_by_their_logits_and_give_them_back() {
    let logits = [f32::INFINITY, f32::MAX, 2.0, 1.0, f32::MIN_POSITIVE, 1e-45, 0.0, -1e-45, -1.0, f32::MIN];
    let mut all: std::vec::Vec<_> = logits.iter().flat_map(|&v| [3, 9].map(|token| (v, token))).collect();
    all.push((f32::NEG_INFINITY, u16::MAX));
    let candidates: std::vec::Vec<_> = all.iter().map(|&(logit, token)| Candidate::new(logit, token)).collect();
    assert!(candidates.is_sorted());
    assert!(candidates.iter().map(|c| (c.logit(), c.token())).eq(all));
    assert_eq!(Candidate::new(-0.0, 1), Candidate::new(0.0, 1));
}

#[test]
fn any_order_is_selected_from_and_sorted() {
    let candidate = |logit: usize| Candidate::new(-(logit as f32), logit as u16);
    for (len, step) in [(0, 1), (1, 1), (2, 1), (2, 3), (3, 2), (5, 3), (64, 1), (64, 63), (65, 14), (128, 101)] {
        let shuffled: std::vec::Vec<_> = (0..len).map(|i| candidate(i * step % len)).collect();
        let sorted: std::vec::Vec<_> = (0..len).map(candidate).collect();
        for wanted in 0..=len {
            let mut all = shuffled.clone();
            select(&mut all, wanted);
            let (first, rest) = all.split_at(wanted);
            assert!(first.iter().all(|a| rest.iter().all(|b| a < b)), "{len} {step} {wanted}");
        }
        let mut all = shuffled;
        sort(&mut all);
        assert_eq!(all, sorted, "{len} {step}");
    }
}

#[test]
fn candidates_are_the_largest_lower_tokens_first_among_equals() {
    let mut best = Candidates::new(3);
    best.push(0, &[1.0, 5.0, 5.0, 0.0]);
    best.push(4, &[5.0, 6.0, f32::NAN, 5.0]);
    assert_eq!(sorted(&mut best), [(6.0, 5), (5.0, 1), (5.0, 2)]);
    let logits = |count: usize, step: usize| (0..count).map(move |i| (i * step % 4099) as f32 * 0.25 - 300.0);
    // in no order, in rising order, with equal ones, and pieces that are not full
    for (count, step, piece) in [(4096, 1237, 128), (2048, 1, 128), (5000, 4098, 50), (70, 0, 16)] {
        let logits: std::vec::Vec<f32> = logits(count, step).collect();
        for wanted in [1, 2, 5, MAX_CANDIDATES] {
            let mut best = Candidates::new(wanted);
            for (first, rows) in (0..).step_by(piece).zip(logits.chunks(piece)) {
                best.push(first, rows);
            }
            let mut all: std::vec::Vec<(f32, u16)> = logits.iter().copied().zip(0..).collect();
            all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            assert_eq!(sorted(&mut best), &all[..wanted], "{count} {step} {wanted}");
        }
    }
    let mut greedy = Candidates::new(1);
    greedy.push(0, &[2.0, 2.0]);
    assert_eq!(sorted(&mut greedy), [(2.0, 0)]);
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
                all.push(Kernels::scalar(), piece);
                best.push(first, piece);
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

/// A random model whose tokens spell bytes and pairs of earlier tokens, characters or not.
fn spelling(seed: u64) -> Blob {
    let mut numbers = Numbers(seed);
    let mut merges: StdVec<(u16, u16)> = StdVec::new();
    while merges.len() < 43 {
        let mut part = || match numbers.below(4) {
            0 => 257 + numbers.below(merges.len().max(1) as u32) as u16,
            1 => 1 + u16::from(b" abc"[numbers.below(4) as usize]),
            _ => 1 + 0x80 + numbers.below(0x80) as u16,
        };
        let pair = (part(), part());
        if pair.0.max(pair.1) < 257 + merges.len() as u16 && !merges.contains(&pair) {
            merges.push(pair);
        }
    }
    let mut sections = random_sections(&SMALL, seed);
    sections[Role::Tokenizer as usize] = table(&merges);
    Blob::new(&write(&SMALL, &Facts::default(), &sections).unwrap())
}

/// How a text that begins with `prompt` goes on for at most `n` tokens, and whether it ended.
fn told(blob: &Blob, config: SamplerConfig, prompt: &[u8], n: usize) -> (StdVec<u8>, bool) {
    let model = Model::from_bytes(blob.bytes()).unwrap();
    let tokenizer = model.tokenizer().unwrap();
    let mut session = Session::on_heap(model, Kernels::detect());
    let mut sampler = Sampler::new(config).unwrap();
    let mut text = StdVec::new();
    let mut story = Generation::begin(&mut session, &mut sampler, &tokenizer.encoded(prompt), &mut ()).unwrap();
    for _ in 0..n {
        let Some(token) = story.next(&mut session, &mut sampler, &mut ()).unwrap() else { return (text, true) };
        tokenizer.for_each_byte(token, |byte| text.push(byte));
    }
    (text, false)
}

#[test]
fn what_is_told_is_utf8_whatever_the_model_and_nothing_is_half_at_the_storys_end() {
    let (mut ends, mut characters) = (0, 0);
    for seed in 0..40 {
        let blob = spelling(seed);
        let config = [PLAIN, SamplerConfig { temperature: 0.0, ..PLAIN }, SamplerConfig { top_k: 1, ..PLAIN }];
        // the last prompt ends within a character, which what follows completes
        for (config, prompt) in config.into_iter().zip(["", "日本", "\u{1f642}\u{301}"].iter().cycle()) {
            for cut in 0..prompt.len().min(3) {
                let prompt = &prompt.as_bytes()[..prompt.len() - cut];
                let (text, ended) = told(&blob, SamplerConfig { seed, ..config }, prompt, 60);
                let all = [prompt, &text].concat();
                match core::str::from_utf8(&all) {
                    Ok(text) => characters += text.chars().filter(|c| !c.is_ascii()).count(),
                    Err(error) => {
                        assert!(error.error_len().is_none() && !ended, "{seed}, {ended}: {all:02x?}");
                        characters += core::str::from_utf8(&all[..error.valid_up_to()]).unwrap().chars().count();
                    }
                }
                ends += usize::from(ended);
            }
        }
    }
    assert!(ends > 5 && characters > 1000, "{ends} ends, {characters} characters say something");
}

#[test]
fn a_token_that_fits_is_drawn_as_if_nothing_had_been_asked_of_it() {
    let mut same = 0;
    for seed in 0..60 {
        let blob = spelling(seed);
        let session = session(&blob);
        let tokenizer = session.model().tokenizer().unwrap();
        let mut sampler = Sampler::new(SamplerConfig { seed, repetition_penalty: 1.1, ..PLAIN }).unwrap();
        for byte in [b'a', 0xE3, 0x81] {
            sampler.observe(1 + u16::from(byte));
            let (mut free, mut bound) = (sampler.clone(), sampler.clone());
            let token = session.draw(&mut free, None).unwrap();
            let before = free.unfinished(tokenizer);
            assert_eq!(before == Character::NONE, byte == b'a');
            let drawn = session.sample(&mut bound).unwrap();
            let fits = if token == 0 { before == Character::NONE } else { tokenizer.fits(before, token) };
            assert_eq!(fits, drawn == token && free.random.0 == bound.random.0);
            same += usize::from(fits);
        }
    }
    assert!((20..140).contains(&same), "{same} of 180");
}

#[test]
fn greedy_takes_the_likeliest_of_those_that_fit() {
    for seed in 0..20 {
        let blob = spelling(seed);
        let session = session(&blob);
        let tokenizer = session.model().tokenizer().unwrap();
        let ranked = ranked(&logits(&session), 1.0);
        for before in [&b"a"[..], b"\xe3", b"\xe3\x81", b"\xf0\x9f", b"\xed", b"\xff"] {
            let mut sampler = Sampler::new(SamplerConfig { temperature: 0.0, ..PLAIN }).unwrap();
            before.iter().for_each(|&byte| sampler.observe(1 + u16::from(byte)));
            let text = |token| [before.strip_prefix(b"\xff").unwrap_or(before), &tokenizer.piece(token)].concat();
            let fits = |token| match core::str::from_utf8(&text(token)) {
                Ok(_) => true,
                Err(error) => error.error_len().is_none() && token != 0,
            };
            let want = ranked.iter().map(|&(token, _)| token).find(|&token| fits(token)).unwrap();
            assert_eq!(session.sample(&mut sampler), Ok(want), "{seed} after {before:02x?}");
        }
    }
}

#[test]
fn a_story_that_owes_a_space_pays_it_or_ends() {
    let (mut words, mut ends) = (0, 0);
    for seed in 0..60 {
        let blob = spelling(seed);
        let model = Model::from_bytes(blob.bytes()).unwrap();
        let tokenizer = model.tokenizer().unwrap();
        let mut session = Session::on_heap(model, Kernels::detect());
        let mut sampler = Sampler::new(SamplerConfig { seed, ..PLAIN }).unwrap();
        // the second leaves a character unfinished, which a space ends
        let prompt = tokenizer.encoded([&b"ab"[..], b"\xe3\x81"][seed as usize % 2]);
        let mut story = Generation::begin(&mut session, &mut sampler, &prompt, &mut ()).unwrap();
        assert!(!story.owes_space());
        story.owe_space();
        story.add(&mut session, &mut sampler, &[], &mut ()).unwrap();
        assert!(story.owes_space(), "nothing was added");
        match story.next(&mut session, &mut sampler, &mut ()).unwrap() {
            Some(token) => {
                assert_eq!(tokenizer.piece(token).first(), Some(&b' '));
                words += 1;
            }
            None => ends += 1,
        }
        assert!(!story.owes_space());
        story.owe_space();
        story.add(&mut session, &mut sampler, &prompt, &mut ()).unwrap();
        assert!(!story.owes_space(), "what was added followed instead");
    }
    assert!(words > 5 && ends > 0, "{words} words, {ends} ends");
}

#[test]
fn the_latest_tokens_come_in_their_order_all_around_the_ring() {
    let mut recent = Recent::default();
    for token in 0..200 {
        let want: StdVec<u16> = (token.max(3) - 3..token).collect();
        assert_eq!(recent.latest::<3>().collect::<StdVec<_>>(), want);
        recent.push(token);
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
