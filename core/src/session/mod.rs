//! Running a model: tokens in, logits out, in a fixed piece of memory.
//!
//! A [`Session`] is one sequence, a [`Batch`] several that advance together. Both are states and scratch in an arena;
//! `forward` takes tokens through the layers, `head` makes logits of what they leave and draws.

mod batch;
mod cut;
mod forward;
mod head;

pub use batch::{Batch, Stream, batch_lines};
pub use cut::StepParts;
pub(crate) use head::Wanted;

use self::forward::forward;
use self::head::{HEAD_ROWS, Last, head_rows};
use crate::arena::Layout;
use crate::config::Depth;
use crate::kernels::Kernels;
use crate::layers;
use crate::math;
use crate::memory::{Line, MAX_CHUNK, Scratch, StateHeader};
use crate::model::Model;
use crate::observer::Observer;
use crate::parts::Parts;
use crate::sampler::Sampler;
use crate::streams::Streams;

/// Why a session cannot be made or cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SessionError {
    /// The arena has fewer lines than one token needs.
    ArenaTooSmall {
        /// Lines that one token needs.
        needed: usize,
        /// Lines there are.
        found: usize,
    },
    /// The model has no reasoning loop that runs at this depth.
    Depth(Depth),
    /// A token is not in the vocabulary. Nothing of the call was processed.
    Token(u16),
    /// A batch has no stream of this number. Nothing of the call was processed.
    Stream(usize),
    /// No token was processed yet, so there are no logits.
    Empty,
    /// The saved state was taken under another model.
    State,
    /// The saved state holds a value that no session writes: it was damaged.
    Damaged,
    /// The model has no end-of-story token, so there is nothing to predict a text's first token from.
    NoEndOfStory,
}

impl core::fmt::Display for SessionError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::ArenaTooSmall { needed, found } => {
                write!(f, "an arena of {found} lines of 64 bytes is too small, {needed} are needed")
            }
            Self::Depth(Depth::Adaptive) => f.write_str("the model has no reasoning loop to choose a depth for"),
            Self::Depth(Depth::Fixed(n)) => write!(f, "the model's reasoning loop cannot take {n} passes"),
            Self::Token(token) => write!(f, "token {token} is not in the vocabulary"),
            Self::Stream(stream) => write!(f, "the batch has no stream {stream}"),
            Self::Empty => f.write_str("no token was processed yet"),
            Self::State => f.write_str("the saved state belongs to another model"),
            Self::Damaged => f.write_str("the saved state is damaged: it holds a value that no session writes"),
            Self::NoEndOfStory => f.write_str("the model has no end-of-story token to begin a text with"),
        }
    }
}

impl core::error::Error for SessionError {}

/// A session in N lines of its own, N from [`arena_lines`](crate::arena_lines): for a static or the stack.
pub type FixedSession<'m, const N: usize> = Session<'m, [Line; N]>;

/// One sequence run through a model. All its memory is the arena `A`: an array, a borrowed slice or, on a host, a
/// vector. State (what the sequence remembers) is constant in size at any length.
///
/// ```
/// use flashlm_core::*;
///
/// const BLOB: &[u8] = include_blob!("../../tiny.flm");
/// const LINES: usize = arena_lines(BLOB, 4); // prefills 4 tokens together
/// let mut arena = [Line::ZERO; LINES];
/// let mut session = Session::new(Model::from_bytes(BLOB)?, Kernels::detect(), &mut arena[..])?;
///
/// session.set_depth(Depth::Fixed(3))?; // passes of the reasoning loop
/// session.step(0)?; // the end of a story begins the next
/// session.prefill(&[85, 112, 110])?; // "Tom"
/// assert_eq!(session.position(), 4);
///
/// // the state can be kept anywhere and gone back to
/// let mut kept = [Line::ZERO; LINES];
/// let kept = &mut kept[..session.state().len()];
/// kept.copy_from_slice(session.state());
/// let mut likeliest = |session: &Session<'_, _>| -> Result<u32, SessionError> {
///     let mut best = (0, f32::NEG_INFINITY);
///     session.logits(|first, rows| {
///         for (token, &logit) in (first..).zip(rows) {
///             if logit > best.1 {
///                 best = (token, logit);
///             }
///         }
///     })?;
///     Ok(best.0)
/// };
/// let before = likeliest(&session)?;
/// session.step(33)?; // a space
/// session.restore(kept)?;
/// assert_eq!(likeliest(&session)?, before);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Session<'m, A> {
    model: Model<'m>,
    kernels: Kernels,
    arena: A,
    layout: Layout,
    /// Most tokens run together.
    chunk: usize,
    depth: Depth,
}

#[cfg(any(test, feature = "std"))]
impl<'m> Session<'m, Vec<Line>> {
    /// A session on the heap, with room to prefill [`MAX_CHUNK`] tokens together.
    pub fn on_heap(model: Model<'m>, kernels: Kernels) -> Self {
        let layout = Layout::new(model.config());
        let lines = layout.fixed_lines() + MAX_CHUNK * layout.token_lines();
        Self::build(model, kernels, std::vec![Line::ZERO; lines], layout, MAX_CHUNK)
    }
}

impl<'m, A: AsRef<[Line]> + AsMut<[Line]>> Session<'m, A> {
    /// A session in `arena`, in the reset state and at the model's default depth. Prefills as many tokens together,
    /// up to [`MAX_CHUNK`], as the arena has room for.
    pub fn new(model: Model<'m>, kernels: Kernels, arena: A) -> Result<Self, SessionError> {
        let layout = Layout::new(model.config());
        let found = arena.as_ref().len();
        let chunk =
            found.saturating_sub(layout.fixed_lines()).checked_div(layout.token_lines()).unwrap_or(0).min(MAX_CHUNK);
        if chunk == 0 {
            let needed = layout.fixed_lines() + layout.token_lines();
            return Err(SessionError::ArenaTooSmall { needed, found });
        }
        Ok(Self::build(model, kernels, arena, layout, chunk))
    }

    fn build(model: Model<'m>, kernels: Kernels, arena: A, layout: Layout, chunk: usize) -> Self {
        let mut session = Self { model, kernels, arena, layout, chunk, depth: model.default_depth() };
        session.reset();
        session
    }

    /// The model.
    pub fn model(&self) -> &Model<'m> {
        &self.model
    }

    /// The kernels it runs on.
    pub fn kernels(&self) -> Kernels {
        self.kernels
    }

    /// Tokens processed since the session began or was reset by [`reset`](Self::reset).
    pub fn position(&self) -> u64 {
        self.header().position
    }

    /// Passes the reasoning loop takes.
    pub fn depth(&self) -> Depth {
        self.depth
    }

    /// Chooses how many passes the reasoning loop takes, from the next token on: the controller's choice, or 1 to
    /// the deepest the model was made for. A model without the loop takes `Fixed(1)` only.
    pub fn set_depth(&mut self, depth: Depth) -> Result<(), SessionError> {
        self.depth = allowed(&self.model, depth)?;
        Ok(())
    }

    /// Forgets everything: recurrent state, the tokens before and the memory are zero.
    pub fn reset(&mut self) {
        let lines = self.layout.state_lines();
        reset(&self.model, &self.layout, self.arena.as_mut().front_mut(lines));
    }

    /// All that the session remembers, to be kept and [restored](Self::restore): to branch, or to go back.
    pub fn state(&self) -> &[Line] {
        let lines = self.arena.as_ref();
        lines.get(..self.layout.state_lines()).unwrap_or(lines)
    }

    /// Goes back to a [`state`](Self::state) taken from a session, or a [stream](Batch::state), over the same model.
    /// `state` may have been kept anywhere: what could upset the kernels is refused, and on an error nothing changes.
    pub fn restore(&mut self, state: &[Line]) -> Result<(), SessionError> {
        let own = self.arena.as_mut().get_mut(..self.layout.state_lines()).ok_or(SessionError::State)?;
        restore(&self.model, &self.layout, own, state)
    }

    /// Processes one token. The end-of-story token resets the state first: it also begins a story.
    pub fn step(&mut self, token: u16) -> Result<(), SessionError> {
        self.step_observed(token, &mut ())
    }

    /// [`step`](Self::step), telling `observer` what the reasoning loop does.
    pub fn step_observed(&mut self, token: u16, observer: &mut impl Observer) -> Result<(), SessionError> {
        self.prefill_observed(&[token], observer)
    }

    /// Processes `tokens`, bit for bit as that many [`step`](Self::step)s would, but faster: products take up to
    /// [`MAX_CHUNK`] tokens at a time. On a token outside the vocabulary nothing is processed.
    pub fn prefill(&mut self, tokens: &[u16]) -> Result<(), SessionError> {
        self.prefill_observed(tokens, &mut ())
    }

    /// [`prefill`](Self::prefill), telling `observer` what the reasoning loop does, token after token.
    pub fn prefill_observed(&mut self, tokens: &[u16], observer: &mut impl Observer) -> Result<(), SessionError> {
        self.check(tokens)?;
        for chunk in tokens.chunks(self.chunk.max(1)) {
            self.run(chunk, observer)?;
        }
        Ok(())
    }

    /// [`prefill`](Self::prefill) that also streams the logits after every token, to score a text: calls
    /// `each(index of the token, first row, logits of the rows from there on)`. The rows of one token come in order,
    /// the tokens of a chunk in turn for each piece of rows.
    pub fn prefill_logits(
        &mut self,
        tokens: &[u16],
        mut each: impl FnMut(usize, u32, &[f32]),
    ) -> Result<(), SessionError> {
        self.check(tokens)?;
        let (model, kernels) = (self.model, self.kernels);
        let d: usize = model.config().d_model.into();
        let most = self.chunk;
        for (c, chunk) in tokens.chunks(most.max(1)).enumerate() {
            self.run(chunk, &mut ())?;
            let (_, s) = self.carve()?;
            // the products are done with: their memory takes the activations
            let q: &mut [i16] = bytemuck::must_cast_slice_mut(s.wide);
            let mut scale = [0.0; MAX_CHUNK];
            let rows = s.x.rows(d).zip(s.n.rows_mut(d)).zip(q.rows_mut(d)).zip(&mut scale);
            for (((x, n), q), scale) in rows.take(chunk.len()) {
                *scale = layers::final_norm(model.norm_gain(), kernels, x, n, q);
            }
            for first in (0..model.config().vocab).step_by(HEAD_ROWS) {
                for (t, (q, &scale)) in q.rows(d).zip(&scale).take(chunk.len()).enumerate() {
                    let mut rows = [0.0; HEAD_ROWS];
                    each(c * most + t, first, head_rows(&model, kernels, q, scale, first, &mut rows));
                }
            }
        }
        Ok(())
    }

    /// Streams the logits after the last token: calls `each(first row, logits of the rows from there on)` in order.
    /// They are computed as they are read and never stored.
    pub fn logits(&self, mut each: impl FnMut(u32, &[f32])) -> Result<(), SessionError> {
        self.last()?.logits(|first, rows| each(first, rows));
        Ok(())
    }

    /// Draws the next token. It is not processed: pass it to [`step`](Self::step).
    ///
    /// Text stays valid UTF-8: where the token drawn cannot follow the bytes of the tokens that the sampler has seen
    /// lately (or ends the story within a character), one is drawn again among those that can. There always is one, for
    /// every byte is a token; only a model without a tokenizer, whose tokens spell nothing, draws as it likes, and one
    /// that overflows, so that no logit is a number, draws token 0.
    pub fn sample(&self, sampler: &mut Sampler) -> Result<u16, SessionError> {
        Ok(self.last()?.sample(sampler, Wanted::Any))
    }

    /// Draws the next token among those that begin with a space, which ends an unfinished character too, and the end of
    /// the story.
    pub(crate) fn sample_spaced(&self, sampler: &mut Sampler) -> Result<u16, SessionError> {
        Ok(self.last()?.sample(sampler, Wanted::Spaced))
    }

    /// Draws among all tokens, or those that are `wanted`.
    #[cfg(test)]
    pub(crate) fn draw(
        &self,
        sampler: &mut Sampler,
        wanted: Option<&dyn Fn(u16) -> bool>,
    ) -> Result<u16, SessionError> {
        Ok(self.last()?.draw(sampler, wanted))
    }

    /// What the last token left for the head.
    fn last(&self) -> Result<Last<'_, 'm>, SessionError> {
        Last::of(&self.model, self.kernels, &self.layout, self.state())
    }

    fn header(&self) -> StateHeader {
        StateHeader::read(self.arena.as_ref().first().unwrap_or(&Line::ZERO))
    }

    pub(crate) fn check(&self, tokens: &[u16]) -> Result<(), SessionError> {
        known(&self.model, tokens)
    }

    fn carve(&mut self) -> Result<(Streams<'_>, Scratch<'_>), SessionError> {
        let arena = self.arena.as_mut();
        let (needed, found) = (self.layout.fixed_lines() + self.chunk * self.layout.token_lines(), arena.len());
        self.layout.carve(arena, 1, self.chunk).ok_or(SessionError::ArenaTooSmall { needed, found })
    }

    /// Takes at most `self.chunk` tokens through all layers.
    fn run(&mut self, tokens: &[u16], observer: &mut impl Observer) -> Result<(), SessionError> {
        debug_assert!((1..=self.chunk).contains(&tokens.len()) && self.check(tokens).is_ok());
        let (model, kernels, depths) = (self.model, self.kernels, [self.depth; MAX_CHUNK]);
        let (mut stream, scratch) = self.carve()?;
        forward(&model, kernels, tokens, &depths, &mut stream, scratch, observer);
        Ok(())
    }
}

/// Whether all of `tokens` are in the model's vocabulary.
fn known(model: &Model<'_>, tokens: &[u16]) -> Result<(), SessionError> {
    let stranger = tokens.iter().find(|&&token| u32::from(token) >= model.config().vocab);
    stranger.map_or(Ok(()), |&token| Err(SessionError::Token(token)))
}

/// `depth`, if the model's reasoning loop can run at it.
fn allowed(model: &Model<'_>, depth: Depth) -> Result<Depth, SessionError> {
    let allowed = model.config().rcsm.map_or(depth == Depth::Fixed(1), |r| r.allows(depth));
    if allowed { Ok(depth) } else { Err(SessionError::Depth(depth)) }
}

/// Makes of `state` one that remembers nothing.
fn reset(model: &Model<'_>, layout: &Layout, state: &mut [Line]) {
    state.fill(Line::ZERO);
    let mut stream = Streams::new(layout.places(), state);
    let width = model.config().heads().map_or(1, |heads| heads.width.into());
    for (i, step) in stream.rotary().values(0).iter_mut().enumerate() {
        *step = math::rotary_step(i, width);
    }
    stream.set_header(0, StateHeader { position: 0, model: model.checksum(), head_scale: 0, story: 0 });
}

/// Takes over `state` into `own` if it was taken under the same model and holds what sessions write.
fn restore(model: &Model<'_>, layout: &Layout, own: &mut [Line], state: &[Line]) -> Result<(), SessionError> {
    let (first, rest) = state.split_first().ok_or(SessionError::State)?;
    let header = StateHeader::read(first);
    if state.len() != own.len() || header.model != model.checksum() {
        return Err(SessionError::State);
    }
    let (floats, head) = rest.cut(rest.len().saturating_sub(layout.head_lines()));
    let mut floats = layout.state_floats(floats).flatten();
    let head: &[i16] = bytemuck::must_cast_slice(head);
    let d: usize = model.config().d_model.into();
    let scale = f32::from_bits(header.head_scale);
    // The kernels' sums are proven for what quantising gives, and quantising relies on arithmetic's own NaN, whose
    // low bits are zero.
    let range = math::int16_range(d).unsigned_abs();
    let written = |v: f32| !v.is_nan() || v.to_bits() << 16 == 0;
    if !floats.all(|&v| written(v)) || !written(scale) || head.front(d).iter().any(|q| q.unsigned_abs() > range) {
        return Err(SessionError::Damaged);
    }
    own.set(state);
    Ok(())
}

#[cfg(test)]
mod tests;
