//! Several sequences that advance together.

use heapless::Vec;

use super::forward::forward;
use super::head::{Last, Pick, Wanted, sample_together};
use super::{SessionError, allowed, known, reset, restore};
use crate::arena::Layout;
use crate::config::{Depth, ModelConfig};
use crate::kernels::Kernels;
use crate::memory::{Line, MAX_CHUNK};
use crate::model::Model;
use crate::observer::Observer;
use crate::parts::Parts;
use crate::sampler::Sampler;

/// Up to [`MAX_CHUNK`] sequences run through one model: each step reads the weights once for all of them. What a stream
/// gives is bit for bit what a [`Session`](super::Session) of its own gives, whatever the others do meanwhile; their
/// [states](Self::state) can be exchanged.
///
/// All its memory is the arena `A`: the streams' states, and working memory that they share.
///
/// ```
/// use flashlm_core::{Batch, Kernels, Line, Model, Sampler, SamplerConfig, SessionError, batch_lines};
///
/// /// Two stories at once: the next `length` tokens of each.
/// fn tell(model: Model<'_>, prompts: [&[u16]; 2], length: usize) -> Result<[Vec<u16>; 2], SessionError> {
///     let arena = vec![Line::ZERO; batch_lines(model.config(), 2, 16)];
///     let mut batch = Batch::new(model, Kernels::detect(), 2, arena)?;
///     let mut samplers = [1, 2].map(|seed| Sampler::new(SamplerConfig { seed, ..Default::default() }).unwrap());
///     let mut told = [Vec::new(), Vec::new()];
///     for (stream, prompt) in prompts.iter().enumerate() {
///         batch.prefill(stream, prompt)?;
///     }
///     for _ in 0..length {
///         let [a, b] = &mut samplers;
///         let tokens = batch.sample(&mut [(0, a), (1, b)])?;
///         batch.process(&[(0, tokens[0]), (1, tokens[1])])?;
///         told.iter_mut().zip(&tokens).for_each(|(told, &token)| told.push(token));
///     }
///     Ok(told)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Batch<'m, A> {
    model: Model<'m>,
    kernels: Kernels,
    arena: A,
    layout: Layout,
    streams: usize,
    /// Most tokens run together.
    chunk: usize,
    /// Every stream's.
    depths: [Depth; MAX_CHUNK],
}

#[cfg(any(test, feature = "std"))]
impl<'m> Batch<'m, std::vec::Vec<Line>> {
    /// A batch of `streams` streams, 1 to [`MAX_CHUNK`], on the heap, that runs [`MAX_CHUNK`] tokens together.
    pub fn on_heap(model: Model<'m>, kernels: Kernels, streams: usize) -> Self {
        let streams = streams.clamp(1, MAX_CHUNK);
        let lines = batch_lines(model.config(), streams, MAX_CHUNK);
        let layout = Layout::new(model.config());
        Self::build(model, kernels, std::vec![Line::ZERO; lines], layout, streams, MAX_CHUNK)
    }
}

/// Lines of arena that a batch of `streams` streams takes if `together` tokens, of whichever of them, run together.
pub const fn batch_lines(config: &ModelConfig, streams: usize, together: usize) -> usize {
    let layout = Layout::new(config);
    layout.shared_lines(streams) + together * layout.token_lines()
}

impl<'m, A: AsRef<[Line]> + AsMut<[Line]>> Batch<'m, A> {
    /// A batch of `streams` streams in `arena`, all in the reset state and at the model's default depth. Runs as many
    /// tokens together, up to [`MAX_CHUNK`], as the arena has room for: see [`batch_lines`].
    ///
    /// # Errors
    /// [`SessionError::Stream`] if there are to be none or more than [`MAX_CHUNK`] streams; or the arena has no room to
    /// run one token.
    pub fn new(model: Model<'m>, kernels: Kernels, streams: usize, arena: A) -> Result<Self, SessionError> {
        if !(1..=MAX_CHUNK).contains(&streams) {
            return Err(SessionError::Stream(streams));
        }
        let layout = Layout::new(model.config());
        let found = arena.as_ref().len();
        let left = found.saturating_sub(layout.shared_lines(streams));
        let chunk = left.checked_div(layout.token_lines()).unwrap_or(0).min(MAX_CHUNK);
        if chunk == 0 {
            let needed = layout.shared_lines(streams) + layout.token_lines();
            return Err(SessionError::ArenaTooSmall { needed, found });
        }
        Ok(Self::build(model, kernels, arena, layout, streams, chunk))
    }

    fn build(model: Model<'m>, kernels: Kernels, arena: A, layout: Layout, streams: usize, chunk: usize) -> Self {
        let depths = [model.default_depth(); MAX_CHUNK];
        let mut batch = Self { model, kernels, arena, layout, streams, chunk, depths };
        for stream in 0..streams {
            // it has it
            let _ = batch.reset(stream);
        }
        batch
    }

    /// The model.
    pub fn model(&self) -> &Model<'m> {
        &self.model
    }

    /// The kernels it runs on.
    pub fn kernels(&self) -> Kernels {
        self.kernels
    }

    /// How many streams there are; they are numbered from 0 on.
    pub fn streams(&self) -> usize {
        self.streams
    }

    /// One of the streams, for what takes a sequence.
    ///
    /// # Errors
    /// There is no stream of this number; so with all calls that name one.
    pub fn stream(&mut self, stream: usize) -> Result<Stream<'_, 'm, A>, SessionError> {
        self.has(stream)?;
        Ok(Stream { batch: self, stream })
    }

    /// Passes the reasoning loop takes at a stream's tokens.
    pub fn depth(&self, stream: usize) -> Result<Depth, SessionError> {
        self.has(stream)?;
        self.depths.get(stream).copied().ok_or(SessionError::Stream(stream))
    }

    /// Chooses how many passes the reasoning loop takes at a stream's tokens, as
    /// [`Session::set_depth`](super::Session::set_depth).
    pub fn set_depth(&mut self, stream: usize, depth: Depth) -> Result<(), SessionError> {
        self.has(stream)?;
        *self.depths.get_mut(stream).ok_or(SessionError::Stream(stream))? = allowed(&self.model, depth)?;
        Ok(())
    }

    /// Makes a stream forget everything. Its depth stays.
    pub fn reset(&mut self, stream: usize) -> Result<(), SessionError> {
        let (model, layout) = (self.model, self.layout);
        reset(&model, &layout, self.state_mut(stream)?);
        Ok(())
    }

    /// All that a stream remembers, to be kept and restored, here or in a [`Session`](super::Session).
    pub fn state(&self, stream: usize) -> Result<&[Line], SessionError> {
        let len = self.layout.state_lines();
        self.has(stream)?;
        Ok(self.arena.as_ref().part(stream * len, len))
    }

    fn state_mut(&mut self, stream: usize) -> Result<&mut [Line], SessionError> {
        let len = self.layout.state_lines();
        self.has(stream)?;
        Ok(self.arena.as_mut().cut_mut(stream * len).1.front_mut(len))
    }

    /// Brings a stream to a state that was taken from a stream or a session over the same model, as
    /// [`Session::restore`](super::Session::restore).
    pub fn restore(&mut self, stream: usize, state: &[Line]) -> Result<(), SessionError> {
        let (model, layout) = (self.model, self.layout);
        restore(&model, &layout, self.state_mut(stream)?, state)
    }

    /// Processes tokens, each on its stream: of one stream in their order, streams in any. Products take up to
    /// [`MAX_CHUNK`] of them together.
    ///
    /// # Errors
    /// A stream that is not there or a token that is not in the vocabulary; then nothing was processed.
    pub fn process(&mut self, tokens: &[(usize, u16)]) -> Result<(), SessionError> {
        self.process_observed(tokens, &mut ())
    }

    /// [`process`](Self::process), telling `observer` what the reasoning loop does, token after token.
    pub fn process_observed(
        &mut self,
        tokens: &[(usize, u16)],
        observer: &mut impl Observer,
    ) -> Result<(), SessionError> {
        for &(stream, token) in tokens {
            self.has(stream)?;
            self.check(&[token])?;
        }
        for chunk in tokens.chunks(self.chunk.max(1)) {
            self.run(chunk.iter().copied(), observer)?;
        }
        Ok(())
    }

    /// Processes `tokens` on one stream.
    pub fn prefill(&mut self, stream: usize, tokens: &[u16]) -> Result<(), SessionError> {
        self.prefill_observed(stream, tokens, &mut ())
    }

    /// [`prefill`](Self::prefill), telling `observer` what the reasoning loop does.
    pub fn prefill_observed(
        &mut self,
        stream: usize,
        tokens: &[u16],
        observer: &mut impl Observer,
    ) -> Result<(), SessionError> {
        self.has(stream)?;
        self.check(tokens)?;
        for chunk in tokens.chunks(self.chunk.max(1)) {
            self.run(chunk.iter().map(|&token| (stream, token)), observer)?;
        }
        Ok(())
    }

    /// Streams the logits after a stream's last token, as [`Session::logits`](super::Session::logits).
    pub fn logits(&self, stream: usize, mut each: impl FnMut(u32, &[f32])) -> Result<(), SessionError> {
        self.last(stream)?.logits(|first, rows| each(first, rows));
        Ok(())
    }

    /// Draws the next tokens of at most [`MAX_CHUNK`] streams, each with a sampler of its own, as
    /// [`Session::sample`](super::Session::sample) would: the head is read once for all of them. They are not
    /// processed.
    ///
    /// # Errors
    /// A stream that is not there, that has processed nothing yet, or that is one too many; then none was drawn.
    pub fn sample(&self, streams: &mut [(usize, &mut Sampler)]) -> Result<Vec<u16, MAX_CHUNK>, SessionError> {
        self.sample_wanted(streams.iter_mut().map(|(stream, sampler)| (*stream, &mut **sampler, Wanted::Any)))
    }

    /// [`sample`](Self::sample), of each stream a token that is wanted.
    pub(crate) fn sample_wanted<'s>(
        &self,
        streams: impl Iterator<Item = (usize, &'s mut Sampler, Wanted)>,
    ) -> Result<Vec<u16, MAX_CHUNK>, SessionError> {
        let mut picks = Vec::<_, MAX_CHUNK>::new();
        for (stream, sampler, wanted) in streams {
            let pick = Pick { last: self.last(stream)?, sampler, wanted };
            picks.push(pick).map_err(|_| SessionError::Stream(stream))?;
        }
        Ok(sample_together(&mut picks))
    }

    fn last(&self, stream: usize) -> Result<Last<'_, 'm>, SessionError> {
        Last::of(&self.model, self.kernels, &self.layout, self.state(stream)?)
    }

    fn has(&self, stream: usize) -> Result<(), SessionError> {
        if stream < self.streams { Ok(()) } else { Err(SessionError::Stream(stream)) }
    }

    pub(crate) fn check(&self, tokens: &[u16]) -> Result<(), SessionError> {
        known(&self.model, tokens)
    }

    /// Takes at most `self.chunk` tokens, which are known, through all layers.
    fn run(
        &mut self,
        tokens: impl Iterator<Item = (usize, u16)>,
        observer: &mut impl Observer,
    ) -> Result<(), SessionError> {
        let (mut of, mut depths) = ([0; MAX_CHUNK], self.depths);
        let mut chunk = Vec::<u16, MAX_CHUNK>::new();
        for ((stream, token), (of, depth)) in tokens.zip(of.iter_mut().zip(&mut depths)) {
            *of = stream as u8;
            *depth = self.depths.get(stream).copied().unwrap_or(*depth);
            // as many places as there are streams to zip with
            let _ = chunk.push(token);
        }
        let found = self.arena.as_ref().len();
        let needed = self.layout.shared_lines(self.streams) + self.chunk * self.layout.token_lines();
        let carved = self.layout.carve(self.arena.as_mut(), self.streams, self.chunk);
        let (streams, scratch) = carved.ok_or(SessionError::ArenaTooSmall { needed, found })?;
        forward(&self.model, self.kernels, &chunk, &depths, &mut streams.of(of), scratch, observer);
        Ok(())
    }
}

/// One stream of a batch, as a sequence: what [`Generation`](crate::Generation) begins and adds to.
#[derive(Debug)]
pub struct Stream<'b, 'm, A> {
    pub(crate) batch: &'b mut Batch<'m, A>,
    pub(crate) stream: usize,
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
