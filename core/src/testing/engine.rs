//! The engine on any valid small model and any course of a session, at every level of kernels at once.

use std::vec::Vec;

use super::exercise::{canonical, last_logits};
use super::{Blob, Numbers, hostile};
use crate::config::Depth;
use crate::kernels::Kernels;
use crate::memory::Line;
use crate::model::Model;
use crate::session::{Session, SessionError};

/// Bytes that make the model; those behind them are the session's course.
const MODEL: usize = 8;
/// Steps of a course that are taken: what goes wrong later goes wrong in a shorter one, too.
const LONGEST: usize = 16;

/// Makes a model with an engine of the first bytes and runs a session through what the others say: tokens one by one
/// and several at a time, depths, saved states and new beginnings. Whatever the course, all levels have the same logits
/// and the same state, bit for bit, as has a session that takes every token alone.
///
/// # Panics
/// If they differ, or anything that is allowed is refused.
pub fn course(bytes: &[u8]) {
    let Some((seed, mut course)) = bytes.split_first_chunk::<MODEL>() else { return };
    let mut numbers = Numbers(u64::from_le_bytes(*seed));
    let config = loop {
        let config = hostile::config(&mut numbers);
        if config.rcsm.is_some() {
            break config;
        }
    };
    let blob = Blob::new(&hostile::blob(&config, &mut numbers));
    let model = Model::from_bytes(blob.bytes()).expect("a valid model");
    let mut sessions: Vec<_> = Kernels::available().map(|kernels| Session::on_heap(model, kernels)).collect();
    // the last one never takes two tokens together
    sessions.push(Session::on_heap(model, Kernels::scalar()));
    let mut saved = sessions[0].state().to_vec();

    for _ in 0..LONGEST {
        let [what, value, rest @ ..] = course else { return };
        course = rest;
        let token = |byte: u8| (u32::from(byte) * 257 % config.vocab) as u16;
        match what % 8 {
            0 => {
                let depth = if value % 4 == 0 { Depth::Adaptive } else { Depth::Fixed(value / 4) };
                let allowed = config.rcsm.is_some_and(|rcsm| rcsm.allows(depth));
                sessions.iter_mut().for_each(|session| assert_eq!(session.set_depth(depth).is_ok(), allowed));
                continue;
            }
            1 => saved = sessions[0].state().to_vec(),
            2 => sessions.iter_mut().for_each(|session| session.restore(&saved).expect("a state of its own")),
            3 if value % 4 == 0 => sessions.iter_mut().for_each(Session::reset),
            3 | 4 => {
                let end = config.eot.map_or(token(*value), |eot| eot as u16);
                sessions.iter_mut().for_each(|session| session.step(end).expect("a known token"));
            }
            5 => sessions.iter_mut().for_each(|session| session.step(token(*value)).expect("a known token")),
            _ => {
                // as many as there are, up to a few chunks and the start of another
                let (tokens, rest) = course.split_at(course.len().min(usize::from(value % 40)));
                course = rest;
                let tokens: Vec<u16> = tokens.iter().map(|&byte| token(byte)).collect();
                let (alone, together) = sessions.split_last_mut().expect("the last one");
                together.iter_mut().for_each(|session| session.prefill(&tokens).expect("known tokens"));
                tokens.iter().for_each(|&token| alone.step(token).expect("a known token"));
            }
        }
        assert_alike(&sessions);
    }
}

/// That all sessions have the state and the logits of the first.
fn assert_alike(sessions: &[Session<'_, Vec<Line>>]) {
    let [first, others @ ..] = sessions else { return };
    let logits = |session: &Session<'_, Vec<Line>>| match session.logits(|_, _| ()) {
        Err(SessionError::Empty) => Vec::new(),
        _ => last_logits(session),
    };
    let want = logits(first);
    assert!(want.iter().all(|&bits| bits != canonical(f32::NAN)), "a valid model's logits are numbers");
    for session in others {
        let level = session.kernels().level();
        assert!(session.state() == first.state(), "the state at {level:?} differs");
        assert!(logits(session) == want, "the logits at {level:?} differ");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn any_course_of_any_model_is_the_same_at_every_level(bytes in prop::collection::vec(any::<u8>(), 8..160)) {
            super::course(&bytes);
        }
    }
}
