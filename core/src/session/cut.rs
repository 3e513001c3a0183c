//! A step cut into parts, for programs that have other things to do meanwhile.

use super::forward::{enter, layer, leave};
use super::{Session, SessionError};
use crate::layers::{Chunk, Positions, Resets};
use crate::memory::{Line, MAX_CHUNK};
use crate::observer::Observer;

/// One token on its way through the layers, from [`Session::step_parts`].
///
/// Whoever drops it early has the rest run at once: a session never stays between two tokens.
#[derive(Debug)]
pub struct StepParts<'s, 'm, A: AsRef<[Line]> + AsMut<[Line]>> {
    session: &'s mut Session<'m, A>,
    resets: Resets,
    positions: Positions,
    /// The layer that comes next.
    next: usize,
}

impl<'m, A: AsRef<[Line]> + AsMut<[Line]>> Session<'m, A> {
    /// [`step`](Self::step) in parts of one layer each, so that a cooperative executor is not blocked for a whole
    /// token:
    ///
    /// ```
    /// use flashlm_core::{Line, Session, SessionError};
    /// # async fn yield_now() {}
    ///
    /// async fn step(session: &mut Session<'_, &mut [Line]>, token: u16) -> Result<(), SessionError> {
    ///     let mut parts = session.step_parts(token)?;
    ///     while parts.run(&mut ())? {
    ///         yield_now().await;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// Logits are no part of it: to draw the next token reads the head, at once.
    ///
    /// # Errors
    /// The token is not in the vocabulary; then nothing was processed.
    pub fn step_parts(&mut self, token: u16) -> Result<StepParts<'_, 'm, A>, SessionError> {
        self.check(&[token])?;
        let (model, kernels) = (self.model, self.kernels);
        let (mut stream, scratch) = self.carve()?;
        let Chunk { resets, positions, .. } = enter(&model, kernels, &[token], &mut stream, scratch);
        Ok(StepParts { session: self, resets, positions, next: 0 })
    }
}

impl<A: AsRef<[Line]> + AsMut<[Line]>> StepParts<'_, '_, A> {
    /// Runs the next layer; `observer` is told what the reasoning loop does. Returns whether there is more to run.
    ///
    /// # Errors
    /// None: the memory was checked when the token was begun.
    pub fn run(&mut self, observer: &mut impl Observer) -> Result<bool, SessionError> {
        let (model, kernels, depths) = (self.session.model, self.session.kernels, [self.session.depth; MAX_CHUNK]);
        let layers = usize::from(model.config().layers);
        let index = self.next;
        if index >= layers {
            return Ok(false);
        }
        let (resets, positions) = (self.resets, self.positions);
        let (mut stream, s) = self.session.carve()?;
        let mut chunk = Chunk { kernels, tokens: 1, resets, positions, scales: [0.0; MAX_CHUNK], s };
        layer(&model, index, &mut chunk, &depths, &mut stream, observer);
        if index + 1 == layers {
            leave(&model, chunk, &mut stream);
        }
        self.next = index + 1;
        Ok(self.next < layers)
    }

    /// Parts that are still to be run.
    pub fn left(&self) -> usize {
        usize::from(self.session.model.config().layers).saturating_sub(self.next)
    }
}

impl<A: AsRef<[Line]> + AsMut<[Line]>> Drop for StepParts<'_, '_, A> {
    fn drop(&mut self) {
        while let Ok(true) = self.run(&mut ()) {}
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::generate::Generation;
    use crate::kernels::Kernels;
    use crate::model::Model;
    use crate::sampler::{Sampler, SamplerConfig};
    use crate::testing::{MODELS, random_blob};

    #[test]
    fn parts_of_a_step_are_the_step_even_if_the_last_are_dropped() {
        for config in MODELS {
            let blob = random_blob(&config, 3);
            let model = Model::from_bytes(blob.bytes()).unwrap();
            let mut whole = Session::on_heap(model, Kernels::detect());
            let mut cut = Session::on_heap(model, Kernels::detect());
            for (i, token) in [0, 5, 6, 0, 7, 8, 9].into_iter().enumerate() {
                whole.step(token).unwrap();
                let mut parts = cut.step_parts(token).unwrap();
                let layers = usize::from(config.layers);
                for done in 0..i.min(layers) {
                    assert_eq!(parts.left(), layers - done);
                    assert_eq!(parts.run(&mut ()).unwrap(), done + 1 < layers);
                }
                drop(parts);
                assert_eq!(cut.state(), whole.state(), "token {i}");
            }
            let mut parts = cut.step_parts(3).unwrap();
            while parts.run(&mut ()).unwrap() {}
            assert_eq!((parts.left(), parts.run(&mut ())), (0, Ok(false)));
            drop(parts);
            let before = cut.state().to_vec();
            assert_eq!(cut.step_parts(300).err(), Some(SessionError::Token(300)));
            assert_eq!(cut.state(), before);
        }
    }

    #[test]
    fn a_story_can_be_told_in_parts() {
        let blob = random_blob(&MODELS[0], 3);
        let tell = |in_parts: bool| {
            let mut session = Session::on_heap(Model::from_bytes(blob.bytes()).unwrap(), Kernels::detect());
            let mut sampler = Sampler::new(SamplerConfig { temperature: 2.0, ..SamplerConfig::default() }).unwrap();
            let mut story = Generation::begin(&mut session, &mut sampler, &[4, 5], &mut ()).unwrap();
            let mut told = Vec::new();
            while told.len() < 20 {
                if in_parts && let Some(mut parts) = story.settle_in_parts(&mut session).unwrap() {
                    while parts.run(&mut ()).unwrap() {}
                }
                let Some(token) = story.next(&mut session, &mut sampler, &mut ()).unwrap() else { break };
                told.push(token);
            }
            told
        };
        assert!(tell(true).len() > 3);
        assert_eq!(tell(true), tell(false));
    }
}
