use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::config::{ModelConfig, Writes};
use crate::kernels::Level;
use crate::observer::{MemoryWrite, Pass};
use crate::testing::{Blob, MODELS, Numbers, SMALL, random_blob};

fn on_heap(blob: &Blob, kernels: Kernels) -> Session<'_, Vec<Line>> {
    Session::on_heap(Model::from_bytes(blob.bytes()).unwrap(), kernels)
}

/// The logits after the last token, as bits.
fn logits<A: AsRef<[Line]> + AsMut<[Line]>>(session: &Session<'_, A>) -> Vec<u32> {
    let mut all = Vec::new();
    session
        .logits(|first, rows| {
            assert_eq!(first as usize, all.len());
            all.extend(rows.iter().map(|v| v.to_bits()));
        })
        .unwrap();
    assert_eq!(all.len(), session.model().config().vocab as usize);
    all
}

fn tokens(n: usize, seed: u64) -> Vec<u16> {
    let mut numbers = Numbers(seed);
    // one in ten ends a story
    (0..n).map(|_| if numbers.below(10) == 0 { 0 } else { numbers.below(300) as u16 }).collect()
}

#[test]
fn logits_are_finite_and_depend_on_the_text() {
    let blob = random_blob(&SMALL, 3);
    let mut session = on_heap(&blob, Kernels::scalar());
    session.prefill(&[5, 6, 7]).unwrap();
    let first = logits(&session);
    assert!(first.iter().all(|&bits| f32::from_bits(bits).is_finite()));
    session.step(7).unwrap();
    assert_ne!(first, logits(&session));
    assert_eq!(session.position(), 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn prefill_equals_as_many_steps_bit_for_bit(
        seed in any::<u64>(), n in 1usize..60, cut in 0usize..60, room in 1usize..=16,
    ) {
        let blob = random_blob(&MODELS[seed as usize % MODELS.len()], seed % 7);
        let tokens = tokens(n, seed);
        let mut steps = on_heap(&blob, Kernels::detect());
        for &token in &tokens {
            steps.step(token).unwrap();
        }
        let mut arena = std::vec![Line::ZERO; crate::arena_lines(blob.bytes(), room)];
        let model = Model::from_bytes(blob.bytes()).unwrap();
        let mut prefilled = Session::new(model, Kernels::detect(), arena.as_mut_slice()).unwrap();
        let (first, second) = tokens.split_at(cut.min(n));
        prefilled.prefill(first).unwrap();
        prefilled.prefill(second).unwrap();
        prop_assert_eq!(logits(&prefilled), logits(&steps));
        prop_assert_eq!(prefilled.state(), steps.state());
    }

    #[test]
    fn every_level_gives_the_same_bits_through_the_whole_model(seed in any::<u64>()) {
        let blob = random_blob(&MODELS[seed as usize % MODELS.len()], seed);
        let tokens = tokens(40, seed);
        let run = |kernels| {
            let mut session = on_heap(&blob, kernels);
            session.prefill(&tokens[..29]).unwrap();
            tokens[29..].iter().for_each(|&token| session.step(token).unwrap());
            (logits(&session), session.state().to_vec())
        };
        let want = run(Kernels::scalar());
        for kernels in Kernels::available() {
            prop_assert!(run(kernels) == want, "{:?}", kernels.level());
        }
    }

    #[test]
    fn no_later_token_changes_an_earlier_logit(seed in any::<u64>(), at in 1usize..40) {
        let blob = random_blob(&MODELS[seed as usize % MODELS.len()], seed % 5);
        let text = tokens(40, seed);
        let mut other = text.clone();
        for token in &mut other[at..] {
            *token = (*token + 1) % 300;
        }
        let run = |tokens: &[u16]| {
            let mut bits = std::vec![Vec::new(); tokens.len()];
            let collect = |t: usize, _, rows: &[f32]| bits[t].extend(rows.iter().map(|v| v.to_bits()));
            on_heap(&blob, Kernels::detect()).prefill_logits(tokens, collect).unwrap();
            bits
        };
        let (a, b) = (run(&text), run(&other));
        prop_assert!(a[..at] == b[..at]);
        prop_assert!(a[at..] != b[at..]);
    }
}

#[test]
fn prefill_logits_are_those_after_each_step() {
    let blob = random_blob(&SMALL, 5);
    let tokens = tokens(37, 5);
    let mut streamed = std::vec![Vec::new(); tokens.len()];
    let mut session = on_heap(&blob, Kernels::detect());
    session
        .prefill_logits(&tokens, |t, first, rows| {
            assert_eq!(first as usize, streamed[t].len());
            streamed[t].extend(rows.iter().map(|v| v.to_bits()));
        })
        .unwrap();
    let mut steps = on_heap(&blob, Kernels::detect());
    for (&token, streamed) in tokens.iter().zip(&streamed) {
        steps.step(token).unwrap();
        assert_eq!(*streamed, logits(&steps));
    }
    assert_eq!(session.state(), steps.state());
}

#[test]
fn the_end_of_story_token_resets_everything() {
    for config in MODELS {
        let blob = random_blob(&config, 5);
        let mut fresh = on_heap(&blob, Kernels::detect());
        fresh.prefill(&[0, 9, 8]).unwrap();
        let mut used = on_heap(&blob, Kernels::detect());
        used.prefill(&tokens(50, 1)).unwrap();
        used.prefill(&[0, 9, 8]).unwrap();
        assert_eq!(logits(&used), logits(&fresh));
        // without such a token nothing resets
        let config = ModelConfig { eot: None, ..config };
        let blob = random_blob(&config, 5);
        let mut endless = on_heap(&blob, Kernels::detect());
        endless.prefill(&[4, 0, 9, 8]).unwrap();
        let mut other = on_heap(&blob, Kernels::detect());
        other.prefill(&[0, 9, 8]).unwrap();
        assert_ne!(logits(&endless), logits(&other));
    }
}

/// A routed block passes some tokens by, and the product of picked and passed ones is the same however they come.
#[test]
fn routers_pick_some_tokens_and_pass_others_by() {
    let config = MODELS[2];
    let blob = random_blob(&config, 5);
    let model = Model::from_bytes(blob.bytes()).unwrap();
    let router = model.block(0).router.unwrap();
    let mut picked = [0; 2];
    for token in 1..300 {
        let mut x = [0.0; 48];
        layers::embed(model.embedding(), &[token], &mut x);
        picked[usize::from(math::dot(&x, router) > 0.0)] += 1;
    }
    assert!(picked.iter().all(|&n| n > 30), "{picked:?}");
}

#[test]
fn reset_and_restore_go_back_exactly() {
    MODELS.iter().for_each(reset_and_restore);
}

fn reset_and_restore(config: &ModelConfig) {
    let blob = random_blob(config, 5);
    let mut session = on_heap(&blob, Kernels::detect());
    session.prefill(&[0, 4, 5]).unwrap();
    let (saved, then) = (session.state().to_vec(), logits(&session));
    session.prefill(&[6, 7]).unwrap();
    let later = logits(&session);
    session.restore(&saved).unwrap();
    assert_eq!(logits(&session), then);
    session.prefill(&[6, 7]).unwrap();
    assert_eq!(logits(&session), later);
    session.reset();
    assert_eq!(session.position(), 0);
    assert_eq!(session.logits(|_, _| ()), Err(SessionError::Empty));
    session.prefill(&[0, 4, 5]).unwrap();
    assert_eq!(logits(&session), then);

    let other = random_blob(config, 6);
    assert_eq!(on_heap(&other, Kernels::detect()).restore(&saved), Err(SessionError::State));
    assert_eq!(session.restore(&saved[1..]), Err(SessionError::State));
    assert_eq!(session.restore(&[]), Err(SessionError::State));
}

/// A state may come from a file or a link: what no session writes is refused, the rest runs.
#[test]
fn a_damaged_state_is_refused_and_changes_nothing() {
    let blob = random_blob(&SMALL, 5);
    let mut session = on_heap(&blob, Kernels::detect());
    session.prefill(&[0, 4, 5]).unwrap();
    let (saved, then) = (session.state().to_vec(), logits(&session));
    let damaged = |change: &dyn Fn(&mut [u8])| {
        let mut state = saved.clone();
        change(bytemuck::must_cast_slice_mut(&mut state));
        state
    };
    let last = saved.len() * 64 - session.layout.head_lines() * 64;
    let signalling = 0x7F80_0080_u32.to_le_bytes();
    for state in [
        // the head's sums are proven for -32767..=32767 at this width
        damaged(&|b| b[last..last + 2].copy_from_slice(&i16::MIN.to_le_bytes())),
        // a NaN whose low bits would be taken for a quantised value
        damaged(&|b| b[64..68].copy_from_slice(&signalling)),
        damaged(&|b| b[12..16].copy_from_slice(&signalling)),
    ] {
        assert_eq!(session.restore(&state), Err(SessionError::Damaged));
        assert!(session.state() == saved && logits(&session) == then);
    }
    let other_model = damaged(&|b| b[8] ^= 1);
    assert_eq!(session.restore(&other_model), Err(SessionError::State));
    // arithmetic's own NaN and any position can be restored
    let state = damaged(&|b| {
        b[..8].fill(0xFF);
        b[64..68].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    session.restore(&state).unwrap();
    session.prefill(&[6, 7]).unwrap();
    assert_eq!(session.position(), u64::MAX);
}

proptest! {
    #[test]
    fn any_state_is_refused_or_runs(seed in any::<u64>(), ours in any::<bool>(), special in 0u8..6) {
        let mut numbers = Numbers(seed);
        let config = crate::testing::hostile::config(&mut numbers);
        let blob = Blob::new(&crate::testing::hostile::blob(&config, &mut numbers));
        let model = Model::from_bytes(blob.bytes()).unwrap();
        let mut state = std::vec![Line::ZERO; Layout::new(&config).state_lines()];
        for word in bytemuck::must_cast_slice_mut::<_, u32>(&mut state) {
            *word = match special {
                0 => f32::NAN.to_bits(),
                1 => f32::INFINITY.to_bits() | numbers.next() << 31,
                2 => f32::MAX.to_bits(),
                3 => numbers.float(-2.0, 2.0).to_bits(),
                _ => numbers.next() << 1,
            };
        }
        if ours {
            let (model, head_scale) = (model.checksum(), numbers.next());
            let header = StateHeader { position: seed, model, head_scale, story: !seed };
            header.write(&mut state[0]);
        }
        let got = crate::testing::exercise::state(model, &state);
        prop_assert!(ours || got == Err(SessionError::State));
        prop_assert!(matches!(got, Ok(()) | Err(SessionError::State | SessionError::Damaged)), "{:?}", got);
    }
}

#[derive(Default)]
struct Log {
    depths: Vec<(u8, usize)>,
    passes: usize,
    writes: usize,
    reads: Vec<Vec<f32>>,
}

impl Observer for Log {
    fn depth(&mut self, passes: u8, logits: &[f32]) {
        self.depths.push((passes, logits.len()));
    }

    fn pass(&mut self, pass: Pass<'_>) {
        let [first, second] = pass.ops;
        assert!(pass.index < 8 && first != second && pass.ops.iter().all(|&op| op < 5));
        assert!(pass.weights[0] >= pass.weights[1] && (pass.weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(pass.address.len() == 6 && pass.read.len() == 32 && is_unit(pass.address));
        match pass.index {
            0 => assert_eq!((pass.hop, pass.hold), (0.0, 1.0)),
            _ => assert!([pass.hop, pass.hold].iter().all(|gate| (0.0..=1.0).contains(gate))),
        }
        self.passes += 1;
        self.reads.push(pass.read.to_vec());
    }

    fn write(&mut self, write: MemoryWrite<'_>) {
        assert!(write.gates.iter().all(|gate| (0.0..=1.0).contains(gate)));
        // the first token has no context, and the code of nothing points nowhere
        assert!(is_unit(write.token) && (is_unit(write.context) || write.context.iter().all(|&a| a == 0.0)));
        self.writes += 1;
    }
}

fn is_unit(address: &[f32]) -> bool {
    address.len() == 6 && (address.iter().map(|a| a * a).sum::<f32>() - 1.0).abs() < 1e-4
}

#[test]
fn the_observer_sees_every_pass_and_changes_nothing() {
    let blob = random_blob(&SMALL, 5);
    let text = tokens(200, 5);
    let mut plain = on_heap(&blob, Kernels::detect());
    plain.prefill(&text).unwrap();
    let mut session = on_heap(&blob, Kernels::detect());
    let mut log = Log::default();
    text.iter().for_each(|&token| session.step_observed(token, &mut log).unwrap());
    assert_eq!(logits(&session), logits(&plain));
    assert_eq!((log.depths.len(), log.writes), (200, 200));
    assert_eq!(log.passes, log.depths.iter().map(|&(passes, _)| usize::from(passes)).sum::<usize>());
    // who stops at once was asked once, all others twice
    assert!(log.depths.iter().all(|&depth| [(1, 1), (3, 2), (8, 2)].contains(&depth)));
    // a random choice takes more than one depth over 200 tokens
    assert!(log.depths.iter().any(|d| *d != log.depths[0]));

    session.set_depth(Depth::Fixed(2)).unwrap();
    let mut log = Log::default();
    session.step_observed(3, &mut log).unwrap();
    assert_eq!((log.depths, log.passes), (std::vec![(2, 0)], 2));
}

#[test]
fn depth_must_be_one_the_model_has() {
    let blob = random_blob(&SMALL, 5);
    let mut session = on_heap(&blob, Kernels::detect());
    assert_eq!(session.depth(), Depth::Adaptive);
    for n in [0, 9, 255] {
        assert_eq!(session.set_depth(Depth::Fixed(n)), Err(SessionError::Depth(Depth::Fixed(n))));
    }
    assert_eq!(session.set_depth(Depth::Fixed(8)), Ok(()));
    let blob = random_blob(&ModelConfig { rcsm: None, ..SMALL }, 5);
    let mut session = on_heap(&blob, Kernels::detect());
    assert_eq!(session.set_depth(Depth::Adaptive), Err(SessionError::Depth(Depth::Adaptive)));
    assert_eq!(session.set_depth(Depth::Fixed(1)), Ok(()));
    session.prefill(&[1, 2, 3]).unwrap();
}

#[test]
fn a_strange_token_is_refused_and_nothing_happens() {
    let blob = random_blob(&SMALL, 5);
    let mut session = on_heap(&blob, Kernels::detect());
    session.step(1).unwrap();
    let before = session.state().to_vec();
    assert_eq!(session.prefill(&[1, 2, 300]), Err(SessionError::Token(300)));
    assert_eq!(session.prefill_logits(&[1, 300], |_, _, _| panic!("nothing to report")), Err(SessionError::Token(300)));
    assert_eq!(session.state(), before);
    assert_eq!(session.prefill(&[]), Ok(()));
    assert_eq!(session.state(), before);
}

#[test]
fn an_arena_too_small_for_one_token_is_refused() {
    let blob = random_blob(&SMALL, 5);
    let model = Model::from_bytes(blob.bytes()).unwrap();
    let needed = crate::arena_lines(blob.bytes(), 1);
    let mut arena = std::vec![Line::ZERO; needed];
    let short = Session::new(model, Kernels::scalar(), &mut arena[1..]).err();
    assert_eq!(short, Some(SessionError::ArenaTooSmall { needed, found: needed - 1 }));
    let mut session = Session::new(model, Kernels::scalar(), arena.as_mut_slice()).unwrap();
    session.prefill(&[1, 2, 3]).unwrap();
    let mut fixed = FixedSession::<512>::new(model, Kernels::scalar(), [Line::ZERO; 512]).unwrap();
    fixed.prefill(&[1, 2, 3]).unwrap();
    assert_eq!(logits(&fixed), logits(&session));
}

/// What an arena held before does not matter.
#[test]
fn a_dirty_arena_gives_the_same_logits() {
    MODELS.iter().for_each(dirty_arena);
}

fn dirty_arena(config: &ModelConfig) {
    let blob = random_blob(config, 5);
    let model = Model::from_bytes(blob.bytes()).unwrap();
    let n = crate::arena_lines(blob.bytes(), 4);
    let run = |fill: u8| {
        let mut session = Session::new(model, Kernels::detect(), std::vec![Line([fill; 64]); n]).unwrap();
        session.prefill(&[1, 2, 3, 4, 5]).unwrap();
        logits(&session)
    };
    assert_eq!(run(0), run(0xFF));
}

#[test]
fn the_memory_is_the_same_whatever_depths_were_taken() {
    let blob = random_blob(&SMALL, 5);
    // the end of a story in the middle
    let mut text: Vec<u16> = tokens(120, 5).iter().map(|&token| token.max(1)).collect();
    text[70] = 0;
    let remembered = |depth: &dyn Fn(usize) -> Depth| {
        let mut session = on_heap(&blob, Kernels::detect());
        for (i, &token) in text.iter().enumerate() {
            session.set_depth(depth(i)).unwrap();
            session.step(token).unwrap();
        }
        let last = logits(&session);
        let mut state = session.carve().unwrap().0;
        let bits = |floats: &[f32]| floats.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        (bits(state.memory().values(0)), bits(state.past().values(0)), last)
    };
    let (memory, past, shallow) = remembered(&|_| Depth::Fixed(1));
    assert!(memory.iter().any(|&bits| bits != 0) && past.iter().any(|&bits| bits != 0));
    let mut numbers = Numbers(3);
    let drawn: Vec<u8> = (0..text.len()).map(|_| 1 + numbers.below(8) as u8).collect();
    let depths: [&dyn Fn(usize) -> Depth; 4] =
        [&|_| Depth::Fixed(3), &|_| Depth::Fixed(8), &|_| Depth::Adaptive, &|i| Depth::Fixed(drawn[i])];
    for depth in depths {
        let other = remembered(depth);
        // the engine is not in the last block, whose input depends on the depth: the memory itself must not
        assert!(other.0 == memory && other.1 == past);
        assert!(depth(0) != Depth::Fixed(8) || other.2 != shallow, "the depth changes the logits");
    }
}

#[test]
fn a_story_s_end_clears_memory_and_past() {
    let blob = random_blob(&SMALL, 5);
    let mut session = on_heap(&blob, Kernels::detect());
    let mut fresh = on_heap(&blob, Kernels::detect());
    fresh.prefill(&[0, 11, 12]).unwrap();
    // as the first, a middle and the last token of a chunk
    for before in [4, 15, 16, 17] {
        session.prefill(&tokens(before, 3)).unwrap();
        session.prefill(&[&[9; 20][..before], &[0, 11, 12]].concat()).unwrap();
        assert_eq!(logits(&session), logits(&fresh));
        let (mut kept, mut new) = (session.carve().unwrap().0, fresh.carve().unwrap().0);
        assert_eq!(kept.memory().lines(0), new.memory().lines(0), "{before} tokens before");
        assert_eq!(kept.past().lines(0), new.past().lines(0), "{before} tokens before");
    }
}

#[test]
fn without_writes_nothing_is_read_and_one_write_is_not_two() {
    let told = |writes: Writes| {
        let mut config = SMALL;
        if let Some(rcsm) = &mut config.rcsm {
            rcsm.writes = writes;
        }
        let blob = random_blob(&config, 5);
        let mut session = on_heap(&blob, Kernels::new(Level::Scalar).unwrap());
        let mut log = Log::default();
        session.prefill_observed(&[1, 2, 3], &mut log).unwrap();
        let memory = session.carve().unwrap().0.memory().values::<f32>(0).to_vec();
        (log, memory, logits(&session))
    };
    let (log, memory, _) = told(Writes::None);
    assert!(log.writes == 0 && log.reads.iter().flatten().all(|&v| v == 0.0) && memory.iter().all(|&v| v == 0.0));
    let (one, two) = (told(Writes::Forward), told(Writes::Both));
    assert_eq!((one.0.writes, two.0.writes), (3, 3));
    assert!(one.1 != two.1 && one.2 != two.2);
}
