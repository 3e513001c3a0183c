//! Documents within a text: long ones are cut at the ends of paragraphs, or every line is one.

use std::fmt;

use flashlm_core::text::Story;
use flashlm_host::text::{Form, marks};
use serde::{Deserialize, Serialize};

/// Bytes of a document that is not cut.
pub const LONG: usize = 16 << 10;
/// Bytes of a piece, at most: some two thousand tokens.
const PIECE: usize = 8 << 10;

/// How texts are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reading {
    pub form: Form,
    pub split: Split,
}

/// What becomes of the text between two separators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Where it is longer than [`LONG`], it is cut at ends of paragraphs; where there are none, of lines, sentences or
    /// words. One with marked answers stays whole.
    #[default]
    Paragraphs,
    /// Every line is a document.
    Lines,
    /// It is one document, however long.
    None,
}

impl Split {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Paragraphs, Self::Lines, Self::None];

    /// What it is called in flags and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Paragraphs => "paragraphs",
            Self::Lines => "lines",
            Self::None => "none",
        }
    }

    /// The documents that `story` is.
    pub fn documents(self, story: Story<'_>) -> Documents<'_> {
        let whole = match self {
            Self::Paragraphs => story.text.len() <= LONG || marks::has_marks(story.text),
            Self::Lines => false,
            Self::None => true,
        };
        Documents { rest: Some(story), split: if whole { Self::None } else { self } }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Iterator made by [`Split::documents`].
pub struct Documents<'a> {
    rest: Option<Story<'a>>,
    split: Split,
}

impl<'a> Iterator for Documents<'a> {
    type Item = Story<'a>;

    fn next(&mut self) -> Option<Story<'a>> {
        let story = self.rest.take()?;
        let end = match self.split {
            Split::Paragraphs => piece(story.text),
            Split::Lines => memchr::memchr(b'\n', story.text).unwrap_or(story.text.len()),
            Split::None => return Some(story),
        };
        let (text, after) = story.text.split_at(end);
        // a blank line, or the space between two words, is of neither piece
        let white = after.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if white < after.len() {
            let start = story.start + end + white;
            self.rest = Some(Story { text: &after[white..], start, terminated: story.terminated });
        }
        Some(Story { text, start: story.start, terminated: true })
    }
}

/// How long the first piece of a text is.
fn piece(text: &[u8]) -> usize {
    if text.len() <= PIECE {
        return text.len();
    }
    let head = &text[..PIECE];
    let last = |end: &[u8], kept: usize| memchr::memmem::rfind(head, end).map(|at| at + kept);
    let sentence = [&b". "[..], b"! ", b"? ", b"\" "].into_iter().filter_map(|end| last(end, 1)).max();
    let ends = [last(b"\n\n", 0), last(b"\n", 0), sentence, last(b" ", 0)];
    let end = ends.into_iter().flatten().find(|&end| end >= PIECE / 2);
    // whole characters
    end.unwrap_or_else(|| (0..=PIECE).rev().find(|&at| text[at] & 0xC0 != 0x80).unwrap_or(PIECE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, split: Split) -> Vec<&str> {
        let story = Story { text: text.as_bytes(), start: 7, terminated: false };
        let found: Vec<_> = split.documents(story).collect();
        for document in &found {
            assert_eq!(document.text, &text.as_bytes()[document.start - 7..][..document.text.len()]);
        }
        found.iter().map(|document| std::str::from_utf8(document.text).unwrap()).collect()
    }

    #[test]
    fn a_long_text_is_cut_at_ends_of_paragraphs_and_nothing_but_space_is_lost() {
        let short = "A paragraph.\n\nAnother.";
        assert_eq!(cut(short, Split::Paragraphs), [short]);
        let sentence = |i: usize| format!("This is sentence number {i} of a book.");
        for (between, end) in [("\n\n", "book."), ("\n", "book."), (" ", "book.")] {
            let book: Vec<String> = (0..3000).map(sentence).collect();
            let book = book.join(between);
            let pieces = cut(&book, Split::Paragraphs);
            assert!(pieces.iter().all(|p| p.len() <= PIECE && p.ends_with(end) && p.starts_with("This")));
            assert!(pieces.len() <= book.len() / (PIECE / 2) + 1);
            assert_eq!(pieces.join(between), book);
        }
        assert_eq!(cut(&sentence(1).repeat(900), Split::None).len(), 1);
    }

    #[test]
    fn a_text_without_spaces_is_cut_between_characters() {
        let text = "字".repeat(10_000);
        assert_eq!(cut(&text, Split::Paragraphs).concat(), text);
    }

    #[test]
    fn a_text_with_marked_answers_stays_whole() {
        let text = format!("{}<|answer|>x<|/answer|>", "word ".repeat(9000));
        assert_eq!(cut(&text, Split::Paragraphs).len(), 1);
    }

    #[test]
    fn every_line_is_a_document() {
        assert_eq!(cut("one\n\n two \nthree\n", Split::Lines), ["one", "two ", "three"]);
        assert_eq!(cut("", Split::Lines), [""]);
    }
}
