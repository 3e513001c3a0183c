//! Logits, and tokens drawn from them: the head's rows are computed as they are read and never stored.

use heapless::Vec;

use super::SessionError;
use crate::arena::Layout;
use crate::kernels::Kernels;
use crate::memory::{Line, MAX_CHUNK, StateHeader};
use crate::model::Model;
use crate::parts::Parts;
use crate::sampler::{Draw, Sampler};
use crate::tokenizer::Character;

/// Rows of the head that are computed at a time.
pub(super) const HEAD_ROWS: usize = 128;

/// Which tokens may be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All that go on with a character that is unfinished.
    Any,
    /// Those that begin with a space, which ends an unfinished character too, and the end of the story.
    Spaced,
}

impl Wanted {
    /// Those with a space, if they are to have one.
    pub(crate) fn of(spaced: bool) -> Self {
        if spaced { Self::Spaced } else { Self::Any }
    }
}

/// The activations after a stream's last token, for the head.
pub(super) struct Last<'a, 'm> {
    model: &'a Model<'m>,
    kernels: Kernels,
    q: &'a [i16],
    scale: f32,
}

impl<'a, 'm> Last<'a, 'm> {
    /// Those in `state`, if there was a token.
    pub(super) fn of(
        model: &'a Model<'m>,
        kernels: Kernels,
        layout: &Layout,
        state: &'a [Line],
    ) -> Result<Self, SessionError> {
        let header = StateHeader::read(state.first().unwrap_or(&Line::ZERO));
        if header.position == 0 {
            return Err(SessionError::Empty);
        }
        let lines = state.get(state.len().saturating_sub(layout.head_lines())..).ok_or(SessionError::State)?;
        let q = bytemuck::must_cast_slice::<_, i16>(lines).front(model.config().d_model.into());
        Ok(Self { model, kernels, q, scale: f32::from_bits(header.head_scale) })
    }

    /// Calls `each(first row, logits of the rows from there on)` in order.
    pub(super) fn logits(&self, mut each: impl FnMut(u32, &mut [f32])) {
        // cleared once: every product writes all it gives out
        let mut rows = [0.0; HEAD_ROWS];
        for first in (0..self.model.config().vocab).step_by(HEAD_ROWS) {
            each(first, self.rows(first, &mut rows));
        }
    }

    fn rows<'r>(&self, first: u32, rows: &'r mut [f32; HEAD_ROWS]) -> &'r mut [f32] {
        head_rows(self.model, self.kernels, self.q, self.scale, first, rows)
    }

    /// Draws a token that is `wanted`, which `sampler` then knows of.
    pub(super) fn sample(&self, sampler: &mut Sampler, wanted: Wanted) -> u16 {
        let token = self.draw(sampler, None);
        self.settle(sampler, wanted, token)
    }

    /// Makes of a token drawn among all one that is `wanted`. To draw among those at once would be to look at every
    /// token every time, where nearly always the first one fits.
    fn settle(&self, sampler: &mut Sampler, wanted: Wanted, mut token: u16) -> u16 {
        if let Some(tokenizer) = self.model.tokenizer() {
            let before = sampler.unfinished(tokenizer);
            let ends = |token: u16| self.model.config().eot == Some(token.into());
            let fits = |token| match wanted {
                Wanted::Any if ends(token) => before == Character::NONE,
                Wanted::Any => tokenizer.fits(before, token),
                Wanted::Spaced => {
                    let spaced = tokenizer.piece(token).first() == Some(&b' ');
                    ends(token) || spaced && tokenizer.fits(Character::NONE, token)
                }
            };
            if !fits(token) {
                token = self.draw(sampler, Some(&fits));
            }
        }
        sampler.observe(token);
        token
    }

    /// Draws among all tokens, or those that are `wanted`.
    pub(super) fn draw(&self, sampler: &mut Sampler, wanted: Option<&dyn Fn(u16) -> bool>) -> u16 {
        let mut draw = sampler.begin(self.kernels);
        self.logits(|first, rows| {
            let Some(wanted) = wanted else { return draw.push(first, rows) };
            let unwanted = (first..).zip(rows.iter_mut()).filter(|&(row, _)| !wanted(row as u16));
            let masked = unwanted.map(|(_, logit)| *logit = f32::NEG_INFINITY).count();
            // a piece of nothing else has no largest logit that the others could be relative to
            if masked < rows.len() {
                draw.push(first, rows);
            }
        });
        draw.finish()
    }
}

/// One stream's next token, to be drawn.
pub(super) struct Pick<'a, 'm, 's> {
    pub last: Last<'a, 'm>,
    pub sampler: &'s mut Sampler,
    pub wanted: Wanted,
}

/// Draws the next tokens of at most [`MAX_CHUNK`] streams, in their order, as [`Last::sample`] would one after the
/// other, but reads each piece of the head once for all.
pub(super) fn sample_together(picks: &mut [Pick<'_, '_, '_>]) -> Vec<u16, MAX_CHUNK> {
    debug_assert!(picks.len() <= MAX_CHUNK);
    let vocab = picks.first().map_or(0, |pick| pick.last.model.config().vocab);
    let mut draws: Vec<(&Last<'_, '_>, Draw<'_>), MAX_CHUNK> =
        picks.iter_mut().take(MAX_CHUNK).map(|pick| (&pick.last, pick.sampler.begin(pick.last.kernels))).collect();
    let mut rows = [0.0; HEAD_ROWS];
    for first in (0..vocab).step_by(HEAD_ROWS) {
        for (last, draw) in &mut draws {
            draw.push(first, last.rows(first, &mut rows));
        }
    }
    let drawn: Vec<u16, MAX_CHUNK> = draws.into_iter().map(|(_, draw)| draw.finish()).collect();
    picks.iter_mut().zip(drawn).map(|(pick, token)| pick.last.settle(pick.sampler, pick.wanted, token)).collect()
}

/// Logits of at most [`HEAD_ROWS`] rows from `first` on, for one token's activations.
pub(super) fn head_rows<'r>(
    model: &Model<'_>,
    kernels: Kernels,
    q: &[i16],
    scale: f32,
    first: u32,
    rows: &'r mut [f32; HEAD_ROWS],
) -> &'r mut [f32] {
    let (embedding, first) = (model.embedding(), first as usize);
    debug_assert!(first.is_multiple_of(16) && first < model.config().vocab as usize && q.len() == embedding.columns);
    let rows = rows.front_mut(embedding.scales.len().saturating_sub(first).min(HEAD_ROWS));
    kernels.head(embedding, first, q, scale, rows);
    let wanted = rows.len().min((model.config().vocab as usize).saturating_sub(first));
    rows.front_mut(wanted)
}
