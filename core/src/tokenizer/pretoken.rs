//! Cutting text into the pieces within which merges apply.

use super::character::is_continuation;
use crate::parts::Parts;
use crate::text::is_space;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    Space,
    Other,
}

const fn class(byte: u8) -> Class {
    match byte {
        b'A'..=b'Z' | b'a'..=b'z' => Class::Letter,
        b'0'..=b'9' => Class::Digit,
        b if is_space(b) => Class::Space,
        _ => Class::Other,
    }
}

/// Characters that a pre-token has at most, beside a space that stands before a word.
const MAX_CHARACTERS: usize = 127;

/// Bytes that a pre-token has at most: no text in UTF-8 comes near, as a space and 127 characters are 509 bytes.
pub const MAX_PRE_TOKEN: usize = 512;

/// The matches, one after another, of ` ?[A-Za-z]+| ?[0-9]+| ?[^A-Za-z0-9\s]+|\s+`, with `\s` the six ASCII
/// white-space bytes, every byte from 0x80 up in the third class, and each `+` ending after 127 characters. They cover
/// the text without gaps.
///
/// A word takes the one space before it along, but a longer run of white space stays whole, its last space
/// included: "a b" is "a", " b", and "a  b" is "a", "  ", "b".
///
/// What is longer than 127 characters (a line of Chinese, a ruler of dashes) goes on in the next pre-token, so merging
/// takes time linear in a text's length whatever the text. Text that is no UTF-8 is cut after [`MAX_PRE_TOKEN`] bytes
/// at the latest: a byte 0x80 to 0xBF counts as part of the character before it.
#[derive(Clone, Debug)]
pub struct PreTokens<'a> {
    text: &'a [u8],
}

impl<'a> PreTokens<'a> {
    /// Iterates over the pre-tokens of `text`.
    pub fn new(text: &'a [u8]) -> Self {
        Self { text }
    }
}

impl<'a> Iterator for PreTokens<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let &[first, ref rest @ ..] = self.text else { return None };
        let run = match rest {
            &[second, ..] if first == b' ' => class(second),
            _ => class(first),
        };
        // the space before a word
        let before = usize::from(class(first) != run);
        let longest = self.text.len().min(MAX_PRE_TOKEN);
        let mut characters = 0;
        let mut ends = |byte: u8| {
            characters += usize::from(!is_continuation(byte));
            class(byte) != run || characters > MAX_CHARACTERS
        };
        let length = (before..longest).zip(self.text.iter().skip(before)).find(|&(_, &byte)| ends(byte));
        let (pre_token, text) = self.text.cut(length.map_or(longest, |(at, _)| at));
        self.text = text;
        Some(pre_token)
    }
}
