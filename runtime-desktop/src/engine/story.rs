//! A story as it was told: its tokens, who wrote them, and where it stands.

use flashlm_core::Generation;
use flashlm_core::config::Depth;
use flashlm_core::tokenizer::Utf8Stream;

/// Who wrote a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    Reader,
    Model,
}

/// How far a story is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// None was begun.
    #[default]
    None,
    Open,
    /// The model ended it, with this depth.
    Ended(Depth),
}

/// Tokens that one writer told at one depth, up to where the next part begins.
#[derive(Clone, Copy, Debug)]
struct Part {
    start: usize,
    writer: Writer,
    /// At which the tokens before them were processed.
    depth: Depth,
}

/// All of a story that the session does not hold.
#[derive(Clone, Debug, Default)]
pub struct Story {
    pub generation: Generation,
    /// Bytes of a letter that is not whole yet.
    pub utf8: Utf8Stream,
    /// Behind the one that begins every story.
    pub tokens: Vec<u16>,
    parts: Vec<Part>,
    /// Text that a stop word kept from being shown.
    pub held: String,
    pub stage: Stage,
}

impl Story {
    /// Takes note of tokens that came at this depth.
    pub fn tell(&mut self, writer: Writer, depth: Depth, tokens: &[u16]) {
        if tokens.is_empty() {
            return;
        }
        if self.parts.last().is_none_or(|last| (last.writer, last.depth) != (writer, depth)) {
            self.parts.push(Part { start: self.tokens.len(), writer, depth });
        }
        self.tokens.extend(tokens);
    }

    /// Its last `count` tokens, or as many as there are.
    pub fn last(&self, count: usize) -> &[u16] {
        self.tokens.get(self.tokens.len().saturating_sub(count)..).unwrap_or_default()
    }

    /// Its tokens, with who wrote them and at which depth.
    pub fn told(&self) -> impl Iterator<Item = (Writer, Depth, u16)> + '_ {
        let ends = self.parts.iter().skip(1).map(|part| part.start).chain([self.tokens.len()]);
        self.parts.iter().zip(ends).flat_map(|(part, end)| {
            let tokens = self.tokens.get(part.start..end).unwrap_or_default();
            tokens.iter().map(|&token| (part.writer, part.depth, token))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_comes_back_with_its_writer_and_depth() {
        let mut story = Story::default();
        let (one, two) = (Depth::Fixed(1), Depth::Fixed(2));
        story.tell(Writer::Reader, one, &[]);
        story.tell(Writer::Reader, one, &[5, 6]);
        story.tell(Writer::Model, one, &[7]);
        story.tell(Writer::Model, one, &[8]);
        story.tell(Writer::Model, two, &[9]);
        let told: Vec<_> = story.told().collect();
        let (r, m) = (Writer::Reader, Writer::Model);
        assert_eq!(told, [(r, one, 5), (r, one, 6), (m, one, 7), (m, one, 8), (m, two, 9)]);
        assert_eq!((story.last(2), story.last(99)), (&[8, 9][..], &[5, 6, 7, 8, 9][..]));
        assert_eq!(story.parts.len(), 3);
    }
}
