//! Where one story ends and the next begins, in a file of many.
//!
//! Everything that reads story files (training, evaluation, the desktop program) splits them here, so that
//! bits per byte mean the same thing everywhere.

/// What stands between stories in a file. Inside one text it has no special meaning.
pub const SEPARATOR: &[u8] = b"<|endoftext|>";

/// One story of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Story<'a> {
    /// The story, byte for byte; may be empty.
    pub text: &'a [u8],
    /// Bytes before it in the file.
    pub start: usize,
    /// Whether a separator follows. Only a file's last story can lack one; its end is then not scored.
    pub terminated: bool,
}

impl Story<'_> {
    /// Whether there is nothing to learn from: no byte but ASCII white space. Training leaves such stories out.
    /// Evaluation keeps them, for every byte of the file counts.
    pub fn is_blank(&self) -> bool {
        self.text.iter().all(|b| is_space(*b))
    }
}

/// ASCII white space: space, \t, \n, vertical tab, form feed, \r.
pub(crate) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// A text that is to be gone on with, as a model reads it best.
///
/// Tokens carry the space before a word, so a model that reads "the " has to go on with a word that has none, which it
/// has hardly ever seen: it should read "the" and go on with " cat". So white space at the end (that behind the last
/// line end) is left out, and where it followed something, the story [owes it](crate::Generation::owe_space).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prompt<'a> {
    /// What the model is to read, and what is to be shown before that which follows.
    pub text: &'a [u8],
    /// Whether what follows is to begin with a space.
    pub space: bool,
    /// Whether `text` is shorter than what it was made from.
    pub folded: bool,
}

impl<'a> Prompt<'a> {
    /// A text that begins a story.
    pub fn new(text: &'a [u8]) -> Self {
        let end = text.len() - text.iter().rev().take_while(|&&b| is_space(b) && b != b'\n').count();
        let text_end = text.get(..end).unwrap_or(text);
        let folded = end < text.len();
        Self { text: text_end, space: folded && !matches!(text_end.last(), None | Some(b'\n')), folded }
    }

    /// A text that is added to a story: it follows something even where it is nothing but space.
    pub fn within(text: &'a [u8]) -> Self {
        let prompt = Self::new(text);
        Self { space: prompt.space || prompt.folded && prompt.text.is_empty(), ..prompt }
    }
}

/// The stories of a file, in order. Each [`SEPARATOR`] ends one; one "\n" directly before it and one directly
/// after it belong to the separator. Bytes after the last separator are a story without a terminator, unless
/// there are none.
///
/// ```
/// use flashlm_core::text::stories;
/// let texts: Vec<_> = stories(b"One.\n<|endoftext|>\nTwo.").map(|s| (s.text, s.terminated)).collect();
/// assert_eq!(texts, [(&b"One."[..], true), (&b"Two."[..], false)]);
/// ```
pub fn stories(file: &[u8]) -> Stories<'_> {
    Stories { file, at: 0 }
}

/// Iterator made by [`stories`].
#[derive(Clone, Debug)]
pub struct Stories<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Stories<'a> {
    type Item = Story<'a>;

    fn next(&mut self) -> Option<Story<'a>> {
        let start = self.at;
        let rest = self.file.get(start..)?;
        if rest.is_empty() {
            return None;
        }
        let Some(length) = find_separator(rest) else {
            self.at = self.file.len();
            return Some(Story { text: rest, start, terminated: false });
        };
        let (text, after) = rest.split_at(length);
        let newline = after.get(SEPARATOR.len()) == Some(&b'\n');
        self.at = start + length + SEPARATOR.len() + usize::from(newline);
        Some(Story { text: text.strip_suffix(b"\n").unwrap_or(text), start, terminated: true })
    }
}

fn find_separator(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        // The separator's first byte is rare in prose: look for it alone, then compare.
        from += text.get(from..)?.iter().position(|&b| b == SEPARATOR[0])?;
        if text.get(from..)?.starts_with(SEPARATOR) {
            return Some(from);
        }
        from += 1;
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn split(file: &str) -> Vec<(&str, bool)> {
        stories(file.as_bytes()).map(|s| (core::str::from_utf8(s.text).unwrap(), s.terminated)).collect()
    }

    #[test]
    fn one_newline_on_each_side_belongs_to_the_separator() {
        assert_eq!(split("a\n<|endoftext|>\nb\n<|endoftext|>\n"), [("a", true), ("b", true)]);
        assert_eq!(split("a\n\n<|endoftext|>\n\nb"), [("a\n", true), ("\nb", false)]);
        assert_eq!(split("a<|endoftext|>b"), [("a", true), ("b", false)]);
    }

    #[test]
    fn adjacent_separators_make_empty_stories_and_an_empty_file_none() {
        assert_eq!(split("<|endoftext|>\n<|endoftext|>"), [("", true), ("", true)]);
        assert_eq!(split("\n<|endoftext|>\n\n<|endoftext|>\n"), [("", true), ("", true)]);
        assert_eq!(split(""), []);
        assert_eq!(split("\n"), [("\n", false)]);
    }

    #[test]
    fn a_broken_separator_is_text() {
        assert_eq!(split("a <|endoftext|b <<|endoftext|>"), [("a <|endoftext|b <", true)]);
    }

    #[test]
    fn white_space_at_a_prompts_end_is_left_to_the_next_word_and_line_ends_are_not() {
        let of = |text: &'static str| {
            let Prompt { text, space, folded } = Prompt::new(text.as_bytes());
            (core::str::from_utf8(text).unwrap(), space, folded)
        };
        assert_eq!(of("the"), ("the", false, false));
        assert_eq!(of("the "), ("the", true, true));
        assert_eq!(of(" the \t "), (" the", true, true));
        assert_eq!(of("日本\r"), ("日本", true, true));
        assert_eq!(of("The end.\n"), ("The end.\n", false, false));
        assert_eq!(of("The end. \n\n  "), ("The end. \n\n", false, true));
        assert_eq!(of("  "), ("", false, true), "a story does not begin with a space");
        assert_eq!(of(""), ("", false, false));
        // the no-break space of U+00A0 is a word's like any other symbol
        assert_eq!(of("the\u{a0}"), ("the\u{a0}", false, false));
        let within = |text: &'static str| Prompt::within(text.as_bytes());
        assert_eq!(within("  "), Prompt { text: b"", space: true, folded: true });
        assert_eq!(within(""), Prompt { text: b"", space: false, folded: false });
        assert_eq!(within(" and "), Prompt { text: b" and", space: true, folded: true });
        assert_eq!(within("\n "), Prompt { text: b"\n", space: false, folded: true });
    }

    proptest! {
        #[test]
        fn joining_stories_in_canonical_form_restores_them(texts in prop::collection::vec("[a-z<|\n]{0,12}", 0..8)) {
            let mut file = String::new();
            for text in &texts {
                file.push_str(text);
                file.push_str("\n<|endoftext|>\n");
            }
            let found = split(&file);
            prop_assert_eq!(found.len(), texts.len());
            for ((text, terminated), want) in found.into_iter().zip(&texts) {
                prop_assert_eq!(text, want.as_str());
                prop_assert!(terminated);
            }
        }
    }
}
