use proptest::prelude::*;

use super::*;
use crate::generate::{Generation, Turn};
use crate::sampler::SamplerConfig;
use crate::session::Session;
use crate::testing::{Blob, MODELS, Numbers, SMALL, random_blob};

fn model(blob: &Blob) -> Model<'_> {
    Model::from_bytes(blob.bytes()).unwrap()
}

/// Sessions of their own, at these depths.
fn sessions<'m>(model: Model<'m>, depths: &[Depth]) -> std::vec::Vec<Session<'m, std::vec::Vec<Line>>> {
    let session = |&depth: &Depth| {
        let mut session = Session::on_heap(model, Kernels::scalar());
        session.set_depth(depth).unwrap();
        session
    };
    depths.iter().map(session).collect()
}

/// Depths that the model takes, drawn.
fn depths(model: &Model<'_>, streams: usize, numbers: &mut Numbers) -> std::vec::Vec<Depth> {
    let depth = |_| match model.config().rcsm {
        Some(_) if numbers.below(3) == 0 => Depth::Adaptive,
        Some(_) => Depth::Fixed(1 + numbers.below(8) as u8),
        None => Depth::Fixed(1),
    };
    (0..streams).map(depth).collect()
}

fn samplers(streams: usize, seed: u64) -> std::vec::Vec<Sampler> {
    let config = |stream: usize| SamplerConfig {
        temperature: [0.0, 0.8, 1.5][stream % 3],
        repetition_penalty: [1.0, 1.2][stream % 2],
        seed: seed + stream as u64,
        ..SamplerConfig::default()
    };
    (0..streams).map(|stream| Sampler::new(config(stream)).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_stream_is_bit_for_bit_a_session_of_its_own(
        seed in any::<u64>(), streams in 1usize..=16, room in 1usize..=16, n in 1usize..120,
    ) {
        let mut numbers = Numbers(seed);
        let blob = random_blob(&MODELS[seed as usize % MODELS.len()], seed % 7);
        let model = model(&blob);
        let lines = batch_lines(model.config(), streams, room);
        for kernels in Kernels::available() {
            let mut arena = std::vec![Line::ZERO; lines];
            let mut batch = Batch::new(model, kernels, streams, arena.as_mut_slice()).unwrap();
            let depths = depths(&model, streams, &mut numbers);
            let mut alone = sessions(model, &depths);
            for (stream, &depth) in depths.iter().enumerate() {
                batch.set_depth(stream, depth).unwrap();
            }
            // any streams in any order, some of them often, some never; one token in ten ends a story
            let token = |numbers: &mut Numbers| if numbers.below(10) == 0 { 0 } else { numbers.below(300) as u16 };
            let mut given = || (numbers.below(streams as u32) as usize, token(&mut numbers));
            let tokens: std::vec::Vec<_> = (0..n).map(|_| given()).collect();
            for piece in tokens.chunks(1 + n / 3) {
                batch.process(piece).unwrap();
            }
            for &(stream, token) in &tokens {
                alone[stream].step(token).unwrap();
            }
            for (stream, alone) in alone.iter().enumerate() {
                prop_assert!(batch.state(stream).unwrap() == alone.state(), "{:?} {stream}", kernels.level());
            }
        }
    }

    #[test]
    fn stories_told_together_are_those_told_alone(seed in any::<u64>(), streams in 1usize..=16) {
        let blob = random_blob(&MODELS[seed as usize % MODELS.len()], seed % 7);
        let model = model(&blob);
        let depths = depths(&model, streams, &mut Numbers(seed));
        let prompt = |stream: usize| (0..stream as u16 % 5).map(|i| 1 + i).collect::<std::vec::Vec<_>>();
        let mut batch = Batch::on_heap(model, Kernels::detect(), streams);
        let mut drawing = samplers(streams, seed);
        let mut stories = std::vec::Vec::new();
        for (stream, sampler) in drawing.iter_mut().enumerate() {
            batch.set_depth(stream, depths[stream]).unwrap();
            let mut sequence = batch.stream(stream).unwrap();
            let mut story = Generation::begin(&mut sequence, sampler, &prompt(stream), &mut ()).unwrap();
            if stream % 4 == 1 {
                story.owe_space();
            }
            stories.push((story, std::vec::Vec::new(), true));
        }
        for _ in 0..12 {
            // those that have ended are left out
            let going = stories.iter_mut().zip(&mut drawing).enumerate().filter(|(_, ((_, _, goes), _))| *goes);
            let (mut turns, told): (std::vec::Vec<_>, std::vec::Vec<_>) = going
                .map(|(stream, ((story, told, goes), sampler))| {
                    (Turn { stream, story, sampler, token: None }, (told, goes))
                })
                .unzip();
            Generation::next_together(&mut batch, &mut turns).unwrap();
            for (turn, (told, goes)) in turns.iter().zip(told) {
                *goes = turn.token.is_some();
                told.extend(turn.token);
            }
        }
        for (stream, (mut session, mut sampler)) in
            sessions(model, &depths).into_iter().zip(samplers(streams, seed)).enumerate()
        {
            let mut story = Generation::begin(&mut session, &mut sampler, &prompt(stream), &mut ()).unwrap();
            if stream % 4 == 1 {
                story.owe_space();
            }
            let next = || story.next(&mut session, &mut sampler, &mut ()).unwrap();
            let alone: std::vec::Vec<u16> = std::iter::from_fn(next).take(12).collect();
            prop_assert_eq!(&stories[stream].1, &alone, "stream {}", stream);
        }
    }
}

#[test]
fn states_pass_between_streams_and_sessions() {
    for config in MODELS {
        let blob = random_blob(&config, 3);
        let model = model(&blob);
        let mut session = Session::on_heap(model, Kernels::detect());
        session.prefill(&[0, 5, 6, 7]).unwrap();
        let mut batch = Batch::on_heap(model, Kernels::detect(), 3);
        batch.prefill(0, &[0, 9]).unwrap();
        let first = batch.state(0).unwrap().to_vec();
        batch.restore(2, session.state()).unwrap();
        batch.process(&[(2, 8), (1, 4)]).unwrap();
        session.step(8).unwrap();
        assert_eq!(batch.state(2).unwrap(), session.state());
        assert_eq!(batch.state(0).unwrap(), first, "a stream that was given nothing stays as it was");
        session.restore(batch.state(0).unwrap()).unwrap();
        assert_eq!(session.state(), first);
        batch.reset(2).unwrap();
        session.reset();
        assert_eq!(batch.state(2).unwrap(), session.state());
    }
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_is() {
    let blob = random_blob(&SMALL, 3);
    let model = model(&blob);
    assert!(matches!(Batch::new(model, Kernels::detect(), 0, [Line::ZERO; 1]), Err(SessionError::Stream(0))));
    assert!(matches!(Batch::new(model, Kernels::detect(), 17, [Line::ZERO; 1]), Err(SessionError::Stream(17))));
    let needed = batch_lines(model.config(), 2, 1);
    let short = std::vec![Line::ZERO; needed - 1];
    let refused = Batch::new(model, Kernels::detect(), 2, short).err();
    assert_eq!(refused, Some(SessionError::ArenaTooSmall { needed, found: needed - 1 }));

    let mut batch = Batch::on_heap(model, Kernels::detect(), 2);
    batch.prefill(1, &[0, 3]).unwrap();
    let before = batch.state(1).unwrap().to_vec();
    assert_eq!(batch.process(&[(1, 4), (2, 4)]), Err(SessionError::Stream(2)));
    assert_eq!(batch.process(&[(1, 4), (0, 300)]), Err(SessionError::Token(300)));
    assert_eq!(batch.prefill(1, &[4, 300]), Err(SessionError::Token(300)));
    assert_eq!(batch.set_depth(1, Depth::Fixed(9)), Err(SessionError::Depth(Depth::Fixed(9))));
    assert_eq!(batch.set_depth(2, Depth::Fixed(1)), Err(SessionError::Stream(2)));
    assert_eq!(batch.restore(1, &before[1..]), Err(SessionError::State));
    assert_eq!(
        (batch.stream(2).err(), batch.state(7).err()),
        (Some(SessionError::Stream(2)), Some(SessionError::Stream(7)))
    );
    let mut sampler = Sampler::new(SamplerConfig::default()).unwrap();
    assert_eq!(batch.sample(&mut [(0, &mut sampler)]), Err(SessionError::Empty));
    assert_eq!(batch.state(1).unwrap(), before);
    // nothing to do is no error
    assert_eq!(batch.process(&[]), Ok(()));
    assert!(batch.sample(&mut []).unwrap().is_empty());
}
