//! Telling a story: what is the same wherever tokens are drawn one after another.

use crate::memory::Line;
use crate::observer::Observer;
use crate::sampler::Sampler;
use crate::session::{Session, SessionError};

/// A story that is being told: begun with a prompt, which the sampler knows of, then drawn token by token.
///
/// A token that was drawn is processed when the next is asked for, so the last one of a story costs no step. All calls
/// of one story take the same session and sampler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generation {
    /// The last token, which the session has not processed yet.
    pending: Option<u16>,
    /// Whether the next token is to begin with a space.
    owes_space: bool,
}

impl Generation {
    /// Begins a story with the tokens of `prompt`, from the reset state: whatever was told before is forgotten, by the
    /// sampler too.
    ///
    /// # Errors
    /// [`SessionError::NoEndOfStory`] if the model has no token to begin a story with; or a token is unknown to it.
    pub fn begin<A: AsRef<[Line]> + AsMut<[Line]>>(
        session: &mut Session<'_, A>,
        sampler: &mut Sampler,
        prompt: &[u16],
        observer: &mut impl Observer,
    ) -> Result<Self, SessionError> {
        // as input, the end of a story begins the next
        let eot = session.model().config().eot.ok_or(SessionError::NoEndOfStory)? as u16;
        session.check(prompt)?;
        sampler.forget();
        let mut story = Self { pending: Some(eot), owes_space: false };
        story.add(session, sampler, prompt, observer)?;
        Ok(story)
    }

    /// Adds tokens that somebody else wrote.
    ///
    /// # Errors
    /// A token is unknown to the model; then nothing was added.
    pub fn add<A: AsRef<[Line]> + AsMut<[Line]>>(
        &mut self,
        session: &mut Session<'_, A>,
        sampler: &mut Sampler,
        tokens: &[u16],
        observer: &mut impl Observer,
    ) -> Result<(), SessionError> {
        session.check(tokens)?;
        self.settle(session, observer)?;
        session.prefill_observed(tokens, observer)?;
        tokens.iter().for_each(|&token| sampler.observe(token));
        self.owes_space &= tokens.is_empty();
        Ok(())
    }

    /// Makes the next token that is drawn one that begins with a space, or the end of the story: what the tokens so far
    /// spell was followed by one, which was [left to the next word](crate::text::Prompt).
    pub fn owe_space(&mut self) {
        self.owes_space = true;
    }

    /// Whether that space is still to come. Tokens that are [added](Self::add) meanwhile should begin with it.
    pub fn owes_space(&self) -> bool {
        self.owes_space
    }

    /// Draws the next token; `None` where the story ends, which is nothing to go on from.
    ///
    /// # Errors
    /// None after [`Self::begin`], with the same session.
    pub fn next<A: AsRef<[Line]> + AsMut<[Line]>>(
        &mut self,
        session: &mut Session<'_, A>,
        sampler: &mut Sampler,
        observer: &mut impl Observer,
    ) -> Result<Option<u16>, SessionError> {
        self.settle(session, observer)?;
        let token = if self.owes_space { session.sample_spaced(sampler) } else { session.sample(sampler) }?;
        self.owes_space = false;
        if session.model().config().eot == Some(token.into()) {
            return Ok(None);
        }
        self.pending = Some(token);
        Ok(Some(token))
    }

    /// The token that the next call processes first.
    pub fn pending(&self) -> Option<u16> {
        self.pending
    }

    /// Processes what is pending.
    fn settle<A: AsRef<[Line]> + AsMut<[Line]>>(
        &mut self,
        session: &mut Session<'_, A>,
        observer: &mut impl Observer,
    ) -> Result<(), SessionError> {
        match self.pending.take() {
            Some(token) => session.step_observed(token, observer),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::kernels::Kernels;
    use crate::model::Model;
    use crate::sampler::SamplerConfig;
    use crate::testing::{SMALL, random_blob};

    /// What is drawn by hand, token by token.
    fn by_hand(session: &mut Session<'_, Vec<Line>>, sampler: &mut Sampler, prompt: &[u16], n: usize) -> Vec<u16> {
        session.step(0).unwrap();
        session.prefill(prompt).unwrap();
        prompt.iter().for_each(|&token| sampler.observe(token));
        let mut told = Vec::new();
        while told.len() < n {
            let token = session.sample(sampler).unwrap();
            if token == 0 {
                break;
            }
            told.push(token);
            session.step(token).unwrap();
        }
        told
    }

    #[test]
    fn a_story_is_what_steps_and_draws_give_whatever_was_told_before() {
        let blob = random_blob(&SMALL, 3);
        let model = Model::from_bytes(blob.bytes()).unwrap();
        // what the prompt says counts against it
        let config = SamplerConfig { seed: 4, repetition_penalty: 2.0, ..SamplerConfig::default() };
        let prompt = [5, 9, 5, 7];
        let mut want = Session::on_heap(model, Kernels::detect());
        let want = by_hand(&mut want, &mut Sampler::new(config).unwrap(), &prompt, 30);

        let mut session = Session::on_heap(model, Kernels::detect());
        let mut other = Sampler::new(config).unwrap();
        Generation::begin(&mut session, &mut other, &[3], &mut ())
            .unwrap()
            .next(&mut session, &mut other, &mut ())
            .unwrap();
        let mut sampler = Sampler::new(config).unwrap();
        sampler.observe(2);
        let mut story = Generation::begin(&mut session, &mut sampler, &prompt, &mut ()).unwrap();
        let mut told = Vec::new();
        while told.len() < 30
            && let Some(token) = story.next(&mut session, &mut sampler, &mut ()).unwrap()
        {
            told.push(token);
        }
        assert_eq!(told, want);
        assert!(told.len() > 3, "{told:?}");
    }

    #[test]
    fn a_strange_token_is_refused_and_the_story_goes_on() {
        let blob = random_blob(&SMALL, 3);
        let mut session = Session::on_heap(Model::from_bytes(blob.bytes()).unwrap(), Kernels::detect());
        let mut sampler = Sampler::new(SamplerConfig::default()).unwrap();
        let mut story = Generation::begin(&mut session, &mut sampler, &[1], &mut ()).unwrap();
        let refused = story.add(&mut session, &mut sampler, &[2, u16::MAX], &mut ());
        assert_eq!(refused, Err(SessionError::Token(u16::MAX)));
        assert_eq!(session.position(), 2);
        assert!(story.next(&mut session, &mut sampler, &mut ()).is_ok());
    }

    #[test]
    fn a_model_without_an_end_of_story_begins_none() {
        let blob = random_blob(&crate::config::ModelConfig { eot: None, ..SMALL }, 3);
        let mut session = Session::on_heap(Model::from_bytes(blob.bytes()).unwrap(), Kernels::detect());
        let mut sampler = Sampler::new(SamplerConfig::default()).unwrap();
        let begun = Generation::begin(&mut session, &mut sampler, &[1], &mut ());
        assert_eq!(begun, Err(SessionError::NoEndOfStory));
    }
}
