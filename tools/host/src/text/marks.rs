//! Answers marked in text files: `Where was Tom? In the <|answer|>barn<|/answer|>.`
//!
//! An opening mark stands right before an answer and a closing one right after it; `<|answer:2|>` says that the
//! answer takes two facts of the story, `<|answer|>` one. Everything that reads stories reads them without the marks,
//! and bits per byte count the bytes without them; training weighs the tokens of answers. A text without marks is
//! only searched, not copied.

use std::borrow::Cow;
use std::path::Path;

use flashlm_core::text;

use super::TextError;

const OPENING: &[u8] = b"<|answer";
const CLOSING: &[u8] = b"<|/answer|>";
const END: &[u8] = b"|>";

/// Marks that do not make sense, and where: bytes from the start of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarkError {
    #[error("an opening mark at byte {offset} is no <|answer|> or <|answer:N|> with N in 1 ..= 99")]
    Malformed { offset: usize },
    #[error("<|answer|> at byte {offset} has no <|/answer|> before the story's end")]
    Unclosed { offset: usize },
    #[error("<|/answer|> at byte {offset} has no <|answer|> before it")]
    Unopened { offset: usize },
    #[error("<|answer|> at byte {offset} stands inside another answer")]
    Nested { offset: usize },
    #[error("nothing stands between <|answer|> and <|/answer|> at byte {offset}")]
    Empty { offset: usize },
}

impl MarkError {
    /// The error as one of story number `story` (from 1), which begins at byte `start` of the file.
    pub fn in_story(self, path: &Path, story: usize, start: u64) -> TextError {
        let offset = match self {
            Self::Malformed { offset }
            | Self::Unclosed { offset }
            | Self::Unopened { offset }
            | Self::Nested { offset }
            | Self::Empty { offset } => start + offset as u64,
        };
        TextError::Marks { path: path.to_owned(), story, offset, error: self }
    }
}

/// An answer in a text without marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerBytes {
    /// Its first byte and how many it has.
    pub start: u32,
    pub length: u32,
    /// Facts of the story it needs, at least 1.
    pub facts: u8,
}

/// Whether a text has a mark anywhere.
pub fn has_marks(text: &[u8]) -> bool {
    find(text, 0).is_some()
}

/// Appends a story without its marks to `clean` and its answers to `answers`, their bytes counted from the story's
/// start.
pub fn strip(story: &[u8], clean: &mut Vec<u8>, answers: &mut Vec<AnswerBytes>) -> Result<(), MarkError> {
    let begin = clean.len();
    let mut copied = 0;
    // where the answer being read was marked, where it begins in `clean`, its facts
    let mut open: Option<(usize, usize, u8)> = None;
    while let Some(offset) = find(story, copied) {
        clean.extend_from_slice(&story[copied..offset]);
        let here = clean.len();
        copied = match (opening(&story[offset..]), open) {
            (None, None) => return Err(MarkError::Unopened { offset }),
            (None, Some((_, start, facts))) => {
                if start == here {
                    return Err(MarkError::Empty { offset });
                }
                let (start, length) = ((start - begin) as u32, (here - start) as u32);
                answers.push(AnswerBytes { start, length, facts });
                open = None;
                offset + CLOSING.len()
            }
            (Some(_), Some(_)) => return Err(MarkError::Nested { offset }),
            (Some(None), None) => return Err(MarkError::Malformed { offset }),
            (Some(Some((length, facts))), None) => {
                open = Some((offset, here, facts));
                offset + length
            }
        };
    }
    if let Some((offset, ..)) = open {
        return Err(MarkError::Unclosed { offset });
    }
    clean.extend_from_slice(&story[copied..]);
    Ok(())
}

/// A whole file without marks, its separators and everything else as they are; `path` is for messages.
pub fn clean_file<'a>(file: &'a [u8], path: &Path) -> Result<Cow<'a, [u8]>, TextError> {
    if !has_marks(file) {
        return Ok(Cow::Borrowed(file));
    }
    let (mut clean, mut answers, mut copied) = (Vec::with_capacity(file.len()), Vec::new(), 0);
    for (index, story) in text::stories(file).enumerate() {
        clean.extend_from_slice(&file[copied..story.start]);
        strip(story.text, &mut clean, &mut answers)
            .map_err(|error| error.in_story(path, index + 1, story.start as u64))?;
        copied = story.start + story.text.len();
    }
    clean.extend_from_slice(&file[copied..]);
    Ok(Cow::Owned(clean))
}

/// Where the next mark of either kind begins.
fn find(text: &[u8], mut from: usize) -> Option<usize> {
    loop {
        // A mark's first byte is rare in prose: look for it alone, then compare.
        from += text.get(from..)?.iter().position(|&b| b == b'<')?;
        if text[from..].starts_with(OPENING) || text[from..].starts_with(CLOSING) {
            return Some(from);
        }
        from += 1;
    }
}

/// What an opening mark at the start of `text` says: its length and the facts, or `None` where it is malformed;
/// outer `None` where the mark is a closing one.
fn opening(text: &[u8]) -> Option<Option<(usize, u8)>> {
    let rest = text.strip_prefix(OPENING)?;
    if rest.starts_with(END) {
        return Some(Some((OPENING.len() + END.len(), 1)));
    }
    let digits = rest.iter().skip(1).take_while(|b| b.is_ascii_digit()).count();
    let number = rest.get(1..1 + digits).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let ends = rest.first() == Some(&b':') && rest.get(1 + digits..).is_some_and(|rest| rest.starts_with(END));
    let facts = number.filter(|facts| ends && (1..=99).contains(facts));
    Some(facts.map(|facts| (OPENING.len() + 1 + digits + END.len(), facts)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(text: &str) -> Result<(String, Vec<AnswerBytes>), MarkError> {
        let (mut clean, mut answers) = (b"before".to_vec(), Vec::new());
        strip(text.as_bytes(), &mut clean, &mut answers)?;
        Ok((String::from_utf8(clean.split_off(6)).unwrap(), answers))
    }

    #[test]
    fn marks_are_taken_out_and_answers_found_where_they_stood() {
        let (clean, answers) = stripped("In the <|answer|>barn<|/answer|>, by <|answer:12|>Tom<|/answer|>.").unwrap();
        assert_eq!(clean, "In the barn, by Tom.");
        let answer = |start, length, facts| AnswerBytes { start, length, facts };
        assert_eq!(answers, [answer(7, 4, 1), answer(16, 3, 12)]);
        let words = answers.iter().map(|a| &clean[a.start as usize..][..a.length as usize]);
        assert!(words.eq(["barn", "Tom"]));
    }

    #[test]
    fn what_only_looks_like_a_mark_is_text() {
        for text in ["a < b <| c <|answ <|/answer| d <|endoftext", "", "<", "1 <<|/answe|>"] {
            assert_eq!(stripped(text).unwrap(), (text.to_owned(), vec![]));
            assert!(!has_marks(text.as_bytes()));
        }
    }

    #[test]
    fn marks_without_their_counterpart_are_named_with_their_place() {
        use MarkError::*;
        for (text, error) in [
            ("ab <|answer|>c", Unclosed { offset: 3 }),
            ("ab <|/answer|>c", Unopened { offset: 3 }),
            ("<|answer|>a<|/answer|> b<|/answer|>", Unopened { offset: 24 }),
            ("<|answer|>a <|answer|>b<|/answer|><|/answer|>", Nested { offset: 12 }),
            ("a<|answer|><|/answer|>", Empty { offset: 11 }),
            ("<|answer:0|>a<|/answer|>", Malformed { offset: 0 }),
            ("<|answer:100|>a<|/answer|>", Malformed { offset: 0 }),
            ("<|answer:|>a<|/answer|>", Malformed { offset: 0 }),
            ("<|answers|>a<|/answer|>", Malformed { offset: 0 }),
            ("<|answer2|>a<|/answer|>", Malformed { offset: 0 }),
            ("a <|answer", Malformed { offset: 2 }),
            ("a <|answer:2", Malformed { offset: 2 }),
        ] {
            assert_eq!(stripped(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_file_keeps_every_other_byte() {
        let marked = b"One <|answer|>two<|/answer|>.\n<|endoftext|>\n\n<|endoftext|>\n<|answer:2|>x<|/answer|>";
        let clean = clean_file(marked, Path::new("a.txt")).unwrap();
        assert_eq!(clean, &b"One two.\n<|endoftext|>\n\n<|endoftext|>\nx"[..]);
        assert!(matches!(clean_file(&clean, Path::new("a.txt")).unwrap(), Cow::Borrowed(_)));
    }

    #[test]
    fn an_error_in_a_file_names_story_and_offset() {
        let error = clean_file(b"One.\n<|endoftext|>\nTwo<|/answer|>.", Path::new("a.txt")).unwrap_err().to_string();
        assert!(error.contains("a.txt: story 2, byte 22 of the file: "), "{error}");
    }
}
