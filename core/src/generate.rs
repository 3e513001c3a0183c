//! Telling a story: what is the same wherever tokens are drawn one after another.

use crate::memory::{Line, MAX_CHUNK};
use crate::model::Model;
use crate::observer::Observer;
use crate::sampler::Sampler;
use crate::session::{Batch, Session, SessionError, StepParts, Stream, Wanted};

/// A sequence of tokens that a story can be told in: a [`Session`] or a [`Stream`] of a [`Batch`].
pub trait Sequence: sealed::Tells {}

impl<A: AsRef<[Line]> + AsMut<[Line]>> Sequence for Session<'_, A> {}
impl<A: AsRef<[Line]> + AsMut<[Line]>> Sequence for Stream<'_, '_, A> {}

mod sealed {
    use super::*;

    /// What telling takes.
    pub trait Tells {
        fn model(&self) -> &Model<'_>;
        fn check(&self, tokens: &[u16]) -> Result<(), SessionError>;
        fn read(&mut self, tokens: &[u16], observer: &mut impl Observer) -> Result<(), SessionError>;
        fn sample(&self, sampler: &mut Sampler, spaced: bool) -> Result<u16, SessionError>;
    }
}

impl<A: AsRef<[Line]> + AsMut<[Line]>> sealed::Tells for Session<'_, A> {
    fn model(&self) -> &Model<'_> {
        self.model()
    }

    fn check(&self, tokens: &[u16]) -> Result<(), SessionError> {
        self.check(tokens)
    }

    fn read(&mut self, tokens: &[u16], observer: &mut impl Observer) -> Result<(), SessionError> {
        self.prefill_observed(tokens, observer)
    }

    fn sample(&self, sampler: &mut Sampler, spaced: bool) -> Result<u16, SessionError> {
        if spaced { self.sample_spaced(sampler) } else { self.sample(sampler) }
    }
}

impl<A: AsRef<[Line]> + AsMut<[Line]>> sealed::Tells for Stream<'_, '_, A> {
    fn model(&self) -> &Model<'_> {
        self.batch.model()
    }

    fn check(&self, tokens: &[u16]) -> Result<(), SessionError> {
        self.batch.check(tokens)
    }

    fn read(&mut self, tokens: &[u16], observer: &mut impl Observer) -> Result<(), SessionError> {
        self.batch.prefill_observed(self.stream, tokens, observer)
    }

    fn sample(&self, sampler: &mut Sampler, spaced: bool) -> Result<u16, SessionError> {
        let picks = [(self.stream, sampler, Wanted::of(spaced))];
        let drawn = self.batch.sample_wanted(picks.into_iter())?;
        drawn.first().copied().ok_or(SessionError::Stream(self.stream))
    }
}

/// A story that is being told: begun with a prompt, which the sampler knows of, then drawn token by token.
///
/// A token that was drawn is processed when the next is asked for, so the last one of a story costs no step. All calls
/// of one story take the same session and sampler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
    pub fn begin(
        session: &mut impl Sequence,
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
    pub fn add(
        &mut self,
        session: &mut impl Sequence,
        sampler: &mut Sampler,
        tokens: &[u16],
        observer: &mut impl Observer,
    ) -> Result<(), SessionError> {
        session.check(tokens)?;
        self.settle(session, observer)?;
        session.read(tokens, observer)?;
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
    pub fn next(
        &mut self,
        session: &mut impl Sequence,
        sampler: &mut Sampler,
        observer: &mut impl Observer,
    ) -> Result<Option<u16>, SessionError> {
        self.settle(session, observer)?;
        let token = session.sample(sampler, self.owes_space)?;
        Ok(self.take(token, session.model()))
    }

    /// [`next`](Self::next) of several stories, each of a stream of its own, which advance together; tells every turn
    /// its token.
    ///
    /// # Errors
    /// None for at most [`MAX_CHUNK`] stories that were begun in these streams of this batch.
    pub fn next_together<A: AsRef<[Line]> + AsMut<[Line]>>(
        batch: &mut Batch<'_, A>,
        turns: &mut [Turn<'_>],
    ) -> Result<(), SessionError> {
        let pending = turns.iter_mut().filter_map(|turn| Some((turn.stream, turn.story.pending.take()?)));
        let pending: heapless::Vec<(usize, u16), MAX_CHUNK> = pending.take(MAX_CHUNK).collect();
        batch.process(&pending)?;
        let picks = turns.iter_mut().map(|turn| (turn.stream, &mut *turn.sampler, Wanted::of(turn.story.owes_space)));
        let drawn = batch.sample_wanted(picks)?;
        for (turn, token) in turns.iter_mut().zip(drawn) {
            turn.token = turn.story.take(token, batch.model());
        }
        Ok(())
    }

    /// Makes `token`, which was drawn, the pending one, unless it ends the story.
    fn take(&mut self, token: u16, model: &Model<'_>) -> Option<u16> {
        self.owes_space = false;
        if model.config().eot == Some(token.into()) {
            return None;
        }
        self.pending = Some(token);
        self.pending
    }

    /// The token that the next call processes first.
    pub fn pending(&self) -> Option<u16> {
        self.pending
    }

    /// Begins to process what is pending, in [parts](StepParts), if something is: the call of [`next`](Self::next)
    /// after them only draws.
    ///
    /// # Errors
    /// None after [`Self::begin`], with the same session.
    pub fn settle_in_parts<'s, 'm, A: AsRef<[Line]> + AsMut<[Line]>>(
        &mut self,
        session: &'s mut Session<'m, A>,
    ) -> Result<Option<StepParts<'s, 'm, A>>, SessionError> {
        self.pending.take().map(|token| session.step_parts(token)).transpose()
    }

    /// Processes what is pending.
    fn settle(&mut self, session: &mut impl Sequence, observer: &mut impl Observer) -> Result<(), SessionError> {
        match self.pending.take() {
            Some(token) => session.read(&[token], observer),
            None => Ok(()),
        }
    }
}

/// A story's part in a step that several take [together](Generation::next_together).
#[derive(Debug)]
pub struct Turn<'t> {
    /// The stream it is told in.
    pub stream: usize,
    /// The story, begun in that stream.
    pub story: &'t mut Generation,
    /// Its sampler.
    pub sampler: &'t mut Sampler,
    /// What was drawn; `None` before, and where the story ended.
    pub token: Option<u16>,
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
