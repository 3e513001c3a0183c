//! The states of sequences that run through a model together, as layers see them: by token.

use crate::memory::{Line, MAX_CHUNK, StateHeader};
use crate::parts::Parts;

/// Where in a state its parts are, and how long, in lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    /// From one state to the next.
    pub stride: usize,
    /// The first block's mixer, and each.
    pub mixers: usize,
    pub mixer: usize,
    /// The first block's channel mixer, and each.
    pub ffns: usize,
    pub ffn: usize,
    pub rotary: [usize; 2],
    pub memory: [usize; 2],
    pub past: [usize; 2],
    pub head: [usize; 2],
}

/// What streams carry from one token to the next, and whose a chunk's tokens are. A session has one stream.
pub(crate) struct Streams<'a> {
    lines: &'a mut [Line],
    places: Places,
    /// The stream of every token.
    of: [u8; MAX_CHUNK],
}

impl<'a> Streams<'a> {
    /// Those whose states `lines` are, one after the other; all tokens are the first's.
    pub(crate) fn new(places: Places, lines: &'a mut [Line]) -> Self {
        Self { lines, places, of: [0; MAX_CHUNK] }
    }

    /// With other streams of the tokens.
    pub(crate) fn of(self, of: [u8; MAX_CHUNK]) -> Self {
        Self { of, ..self }
    }

    /// Whether none of the `tokens` tokens behind `t` is of the same stream.
    pub(crate) fn is_last(&self, t: usize, tokens: usize) -> bool {
        let (of, own) = (self.of.front(tokens), self.of.get(t));
        !of.iter().skip(t + 1).any(|other| Some(other) == own)
    }

    /// What block `index`'s mixer carries.
    pub(crate) fn mixer(&mut self, index: usize) -> Region<'_> {
        self.region([self.places.mixers + index * self.places.mixer, self.places.mixer])
    }

    /// The normalised input of the token before, where block `index`'s channel mixer is shifted.
    pub(crate) fn ffn(&mut self, index: usize) -> Region<'_> {
        self.region([self.places.ffns + index * self.places.ffn, self.places.ffn])
    }

    /// Steps of the rotary positions a token.
    pub(crate) fn rotary(&mut self) -> Region<'_> {
        self.region(self.places.rotary)
    }

    /// RCSM memory, S x R floats.
    pub(crate) fn memory(&mut self) -> Region<'_> {
        self.region(self.places.memory)
    }

    /// The engine's salient u of the tokens before, the nearest first, and their trace, (taps + 1) x R floats.
    pub(crate) fn past(&mut self) -> Region<'_> {
        self.region(self.places.past)
    }

    /// The activations after the last token, int16 for the head.
    pub(crate) fn head(&mut self) -> Region<'_> {
        self.region(self.places.head)
    }

    /// What the first line of token `t`'s state says.
    pub(crate) fn header(&mut self, t: usize) -> StateHeader {
        StateHeader::read(self.region([0, 1]).lines(t).first().unwrap_or(&Line::ZERO))
    }

    pub(crate) fn set_header(&mut self, t: usize, header: StateHeader) {
        if let Some(line) = self.region([0, 1]).lines(t).first_mut() {
            header.write(line);
        }
    }

    fn region(&mut self, [start, len]: [usize; 2]) -> Region<'_> {
        Region { lines: self.lines, of: &self.of, stride: self.places.stride, start, len }
    }
}

/// A part of every stream's state, the same of each, to be had by token.
pub(crate) struct Region<'a> {
    lines: &'a mut [Line],
    of: &'a [u8; MAX_CHUNK],
    /// From one stream's state to the next.
    stride: usize,
    start: usize,
    len: usize,
}

impl Region<'_> {
    /// Without its first `floats` floats, which are whole lines.
    pub(crate) fn behind(&mut self, floats: usize) -> Region<'_> {
        debug_assert!(floats.is_multiple_of(16) && floats / 16 <= self.len);
        let (start, len) = (self.start + floats / 16, self.len.saturating_sub(floats / 16));
        Region { lines: self.lines, of: self.of, stride: self.stride, start, len }
    }

    /// Of token `t`'s stream.
    #[inline(always)]
    pub(crate) fn lines(&mut self, t: usize) -> &mut [Line] {
        let stream = self.of.get(t).copied().unwrap_or_default();
        self.lines.cut_mut(usize::from(stream) * self.stride + self.start).1.front_mut(self.len)
    }

    /// The same as floats, or whatever else lines can be.
    #[inline(always)]
    pub(crate) fn values<T: bytemuck::Pod>(&mut self, t: usize) -> &mut [T] {
        bytemuck::must_cast_slice_mut(self.lines(t))
    }
}
