//! Cutting text into the pieces within which merges apply.

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

/// The matches, one after another, of ` ?[A-Za-z]+| ?[0-9]+| ?[^A-Za-z0-9\s]+|\s+`, with `\s` the six ASCII
/// white-space bytes and every byte from 0x80 up in the third class. They cover the text without gaps.
///
/// A word takes the one space before it along, but a longer run of white space stays whole, its last space
/// included: "a b" is "a", " b", and "a  b" is "a", "  ", "b".
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
        let length = 1 + rest.iter().position(|&b| class(b) != run).unwrap_or(rest.len());
        let (pre_token, text) = self.text.cut(length);
        self.text = text;
        Some(pre_token)
    }
}
