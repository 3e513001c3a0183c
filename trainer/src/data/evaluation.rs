//! Text to measure bits per byte on.

use std::collections::HashSet;
use std::path::Path;

use flashlm_core::text::{SEPARATOR, stories};
use flashlm_core::tokenizer::Tokenizer;
use flashlm_host::text::{self, Form};

use super::DataError;
use super::encoder::Encoder;

/// One story to score: from the reset state, EOT and all tokens but the last are fed and the tokens predicted,
/// and after the last one an EOT if the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalStory {
    /// Its tokens, without end-of-story tokens; none for an empty story.
    pub tokens: Vec<u16>,
    /// Whether a separator follows in the file, so that the EOT is predicted too.
    pub terminated: bool,
}

/// A file of stories, every byte of which counts, but for the marks of answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvaluationSet {
    /// All stories, blank ones included.
    pub stories: Vec<EvalStory>,
    /// Bytes of the text as it is read, without marks: what the total bits are divided by.
    pub bytes: u64,
}

impl EvaluationSet {
    /// Reads and encodes a file.
    pub fn load(path: &Path, tokenizer: Tokenizer) -> Result<Self, DataError> {
        Self::from_bytes(&read(path, &Form::default())?, tokenizer)
    }

    /// Encodes a file's bytes, which hold no marks.
    pub fn from_bytes(file: &[u8], tokenizer: Tokenizer) -> Result<Self, DataError> {
        let mut encoder = Encoder::new(tokenizer);
        let mut set = Self { stories: Vec::new(), bytes: file.len() as u64 };
        for story in stories(file) {
            let mut tokens = Vec::new();
            encoder.encode(story.text, &mut tokens)?;
            set.stories.push(EvalStory { tokens, terminated: story.terminated });
        }
        Ok(set)
    }

    /// Tokens that are predicted, the EOTs included.
    pub fn predicted(&self) -> u64 {
        self.stories.iter().map(|story| story.tokens.len() as u64 + u64::from(story.terminated)).sum()
    }

    /// The first stories, until their text holds at least `bytes`; their bytes are counted from `tokenizer`'s
    /// pieces and the canonical separator. A quick figure, close to the whole set's but not equal to it.
    pub fn head(&self, bytes: u64, tokenizer: Tokenizer) -> Self {
        let mut head = Self { stories: Vec::new(), bytes: 0 };
        for story in &self.stories {
            if head.bytes >= bytes {
                break;
            }
            let text: usize = story.tokens.iter().map(|&token| tokenizer.piece_len(token)).sum();
            let separator = if story.terminated { SEPARATOR.len() + 2 } else { 0 };
            head.bytes += (text + separator) as u64;
            head.stories.push(story.clone());
        }
        head
    }
}

/// A text to evaluate on, without marks.
pub fn read(path: &Path, form: &Form) -> Result<Vec<u8>, DataError> {
    let file = text::read_unmarked(path, form)?;
    if file.is_empty() {
        return Err(DataError::NoStories { path: path.display().to_string(), reason: "it is empty" });
    }
    Ok(file)
}

/// The fingerprints of a text's stories.
pub fn fingerprints(text: &[u8]) -> HashSet<u64> {
    stories(text).filter(|story| !story.is_blank()).map(|story| super::split::fingerprint(story.text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_file_counts_and_every_separator_is_predicted() {
        let table = super::super::bpe::table(&[]);
        let tokenizer = Tokenizer::from_bytes(&table).unwrap();
        let file = b"ab\n<|endoftext|>\n<|endoftext|>\nc";
        let set = EvaluationSet::from_bytes(file, tokenizer).unwrap();
        let story = |tokens: &[u16], terminated| EvalStory { tokens: tokens.to_vec(), terminated };
        assert_eq!(set.stories, [story(&[98, 99], true), story(&[], true), story(&[100], false)]);
        assert_eq!((set.bytes, set.predicted()), (file.len() as u64, 5));
    }

    #[test]
    fn marks_are_neither_scored_nor_counted() {
        let table = super::super::bpe::table(&[]);
        let tokenizer = Tokenizer::from_bytes(&table).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (plain, marked) = (dir.path().join("plain.txt"), dir.path().join("marked.txt"));
        std::fs::write(&plain, "In a barn.\n<|endoftext|>\nTom.").unwrap();
        std::fs::write(&marked, "In <|answer:2|>a barn<|/answer|>.\n<|endoftext|>\n<|answer|>Tom<|/answer|>.").unwrap();
        let set = EvaluationSet::load(&marked, tokenizer).unwrap();
        assert_eq!(set, EvaluationSet::load(&plain, tokenizer).unwrap());
        assert_eq!(set.bytes, std::fs::metadata(&plain).unwrap().len());
        assert_eq!(read(&marked, &Form::default()).unwrap(), read(&plain, &Form::default()).unwrap());
    }

    #[test]
    fn the_head_of_a_canonical_file_counts_its_bytes_exactly() {
        let table = super::super::bpe::table(&[]);
        let tokenizer = Tokenizer::from_bytes(&table).unwrap();
        let file = b"One.\n<|endoftext|>\nTwo!\n<|endoftext|>\n";
        let set = EvaluationSet::from_bytes(file, tokenizer).unwrap();
        assert_eq!(set.head(u64::MAX, tokenizer), set);
        assert_eq!(set.head(1, tokenizer).bytes, file.len() as u64 / 2);
    }
}
