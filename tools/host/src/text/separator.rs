//! Another separator between documents, in place of which the usual one is put.

use flashlm_core::text;
use memchr::memmem::Finder;

/// Replaces a separator in a text that arrives in pieces.
pub struct Separator {
    finder: Finder<'static>,
    /// The end of the last piece, which may be the begin of a separator.
    held: Vec<u8>,
}

impl Separator {
    pub fn new(separator: &str) -> Self {
        Self { finder: Finder::new(separator.as_bytes()).into_owned(), held: Vec::new() }
    }

    /// Replaces it in the piece that stands in `text` from `begin` on; what may go on in the next piece is held back
    /// unless the text has ended.
    pub fn replace(&mut self, text: &mut Vec<u8>, begin: usize, ended: bool) {
        let mut piece = std::mem::take(&mut self.held);
        piece.extend_from_slice(&text[begin..]);
        text.truncate(begin);
        let separator = self.finder.needle();
        let mut from = 0;
        while let Some(at) = self.finder.find(&piece[from..]) {
            text.extend_from_slice(&piece[from..from + at]);
            text.push(b'\n');
            text.extend_from_slice(text::SEPARATOR);
            text.push(b'\n');
            from += at + separator.len();
        }
        let rest = &piece[from..];
        let longest = rest.len().min(separator.len().saturating_sub(1));
        let kept = if ended { 0 } else { (1..=longest).rev().find(|&n| rest.ends_with(&separator[..n])).unwrap_or(0) };
        text.extend_from_slice(&rest[..rest.len() - kept]);
        self.held = rest[rest.len() - kept..].to_vec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_replaced_wherever_pieces_end() {
        let (all, want) = ("a--b---c-", "a\n<|endoftext|>\nb\n<|endoftext|>\n-c-");
        for first in 0..=all.len() {
            for second in first..=all.len() {
                let (mut separator, mut text) = (Separator::new("--"), b"x".to_vec());
                for (piece, ended) in [(&all[..first], false), (&all[first..second], false), (&all[second..], true)] {
                    let begin = text.len();
                    text.extend_from_slice(piece.as_bytes());
                    separator.replace(&mut text, begin, ended);
                }
                assert_eq!(String::from_utf8(text).unwrap(), format!("x{want}"), "cut at {first} and {second}");
            }
        }
    }
}
