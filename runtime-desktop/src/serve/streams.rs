//! Streams of a thread that advance together.

use flashlm_core::config::Depth;
use flashlm_core::{Kernels, Line, Model, Sampler, Session, SessionError};

/// Sequences run through one model.
pub struct Batch<'m, A> {
    sessions: Vec<Session<'m, A>>,
}

impl<'m> Batch<'m, Vec<Line>> {
    /// So many streams on the heap, each in the reset state and at the model's own depth.
    pub fn on_heap(model: Model<'m>, kernels: Kernels, streams: usize) -> Self {
        Self { sessions: (0..streams).map(|_| Session::on_heap(model, kernels)).collect() }
    }
}

impl<A: AsRef<[Line]> + AsMut<[Line]>> Batch<'_, A> {
    /// How many there are.
    pub fn streams(&self) -> usize {
        self.sessions.len()
    }

    /// Has a stream forget everything.
    pub fn reset(&mut self, stream: usize) {
        self.sessions[stream].reset();
    }

    /// All that a stream remembers, as a session's [`state`](Session::state).
    pub fn state(&self, stream: usize) -> &[Line] {
        self.sessions[stream].state()
    }

    /// Chooses how many passes a stream's reasoning loop takes from its next token on.
    pub fn set_depth(&mut self, stream: usize, depth: Depth) -> Result<(), SessionError> {
        self.sessions[stream].set_depth(depth)
    }

    /// Processes tokens of one stream.
    pub fn prefill(&mut self, stream: usize, tokens: &[u16]) -> Result<(), SessionError> {
        self.sessions[stream].prefill(tokens)
    }

    /// Processes one token of each of several streams, in ascending order.
    pub fn step(&mut self, tokens: &[(usize, u16)]) -> Result<(), SessionError> {
        tokens.iter().try_for_each(|&(stream, token)| self.sessions[stream].step(token))
    }

    /// Draws the next token of each of several streams, in ascending order.
    pub fn sample(&self, draws: &mut [(usize, &mut Sampler)], tokens: &mut [u16]) -> Result<(), SessionError> {
        for ((stream, sampler), token) in draws.iter_mut().zip(tokens) {
            *token = self.sessions[*stream].sample(sampler)?;
        }
        Ok(())
    }

    /// Streams the logits after a stream's last token.
    pub fn logits(&self, stream: usize, each: impl FnMut(u32, &[f32])) -> Result<(), SessionError> {
        self.sessions[stream].logits(each)
    }
}
