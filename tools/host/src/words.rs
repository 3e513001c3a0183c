//! How many passes of the reasoning loop a model takes for which words.

use std::collections::BTreeMap;

use anyhow::Result;
use flashlm_core::config::Depth;
use flashlm_core::tokenizer::PreTokens;
use flashlm_core::{Observer, text};

use crate::Blob;
use crate::score::{each, end_of_story};

/// A word of a text, and the passes it took.
#[derive(Clone, Debug, PartialEq)]
pub struct WordPasses {
    /// Without the space before it.
    pub word: String,
    /// How often it stands in the text.
    pub count: u64,
    /// Mean passes that the tokens took from which its tokens are predicted.
    pub passes: f64,
}

/// What a word, or all of its kind, took.
#[derive(Clone, Copy, Default)]
struct Sum {
    words: u64,
    passes: u64,
    /// Tokens that took them.
    tokens: u64,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.words += other.words;
        self.passes += other.passes;
        self.tokens += other.tokens;
    }
}

impl Observer for Sum {
    fn depth(&mut self, passes: u8, _: &[f32]) {
        self.passes += u64::from(passes);
        self.tokens += 1;
    }
}

/// The words (runs of letters) that stand at least `least` times in `text`, a file of stories, each story from the
/// reset state and at the depths that the model chooses; those with the most passes first.
///
/// # Errors
/// The model has no tokenizer, no end-of-story token or no reasoning loop, or the text a story that it cannot read.
pub fn passes_by_word(blob: &Blob, text: &[u8], least: u64, threads: usize) -> Result<Vec<WordPasses>> {
    let (tokenizer, eot) = (blob.tokenizer()?, end_of_story(blob)?);
    let stories: Vec<_> = text::stories(text).collect();
    let parts = each(blob, stories.len(), Some(Depth::Adaptive), threads, |session, index| {
        session.reset();
        let mut words: BTreeMap<&[u8], Sum> = BTreeMap::new();
        let mut before = eot;
        for word in PreTokens::new(stories[index].text) {
            let mut sum = Sum { words: 1, ..Sum::default() };
            for token in tokenizer.encoded(word) {
                session.step_observed(before, &mut sum)?;
                before = token;
            }
            let word = word.strip_prefix(b" ").unwrap_or(word);
            if word.iter().all(u8::is_ascii_alphabetic) && !word.is_empty() {
                words.entry(word).or_default().add(sum);
            }
        }
        Ok(words)
    })?;
    let mut words: BTreeMap<&[u8], Sum> = BTreeMap::new();
    for (word, sum) in parts.into_iter().flatten() {
        words.entry(word).or_default().add(sum);
    }
    let mut words: Vec<_> = words
        .into_iter()
        .filter(|(_, sum)| sum.words >= least)
        .map(|(word, sum)| WordPasses {
            word: String::from_utf8_lossy(word).into_owned(),
            count: sum.words,
            passes: sum.passes as f64 / sum.tokens as f64,
        })
        .collect();
    words.sort_by(|a, b| b.passes.total_cmp(&a.passes));
    Ok(words)
}

#[cfg(test)]
mod tests {
    use flashlm_core::ModelConfig;
    use flashlm_core::testing::{Numbers, SMALL, hostile};

    use super::*;

    #[test]
    fn every_word_is_counted_once_and_its_passes_are_the_models() {
        let blob = Blob::copy("random", &hostile::blob(&SMALL, &mut Numbers(1))).unwrap();
        let text = b"Tom ran. Tom sat.\n<|endoftext|>\nThe cat, Tom and 7 dogs ran.\n<|endoftext|>\n";
        let words = passes_by_word(&blob, text, 1, 2).unwrap();
        let count = |name: &str| words.iter().find(|w| w.word == name).map(|w| w.count);
        assert_eq!((count("Tom"), count("ran"), count("cat"), count("7")), (Some(3), Some(2), Some(1), None));
        let depths = SMALL.rcsm.unwrap().depths.map(f64::from);
        assert!(words.iter().all(|w| (depths[0]..=depths[2]).contains(&w.passes)), "{words:?}");
        assert!(words.windows(2).all(|w| w[0].passes >= w[1].passes));
        assert_eq!(passes_by_word(&blob, text, 3, 1).unwrap().len(), 1, "Tom alone stands there three times");
        assert_eq!(passes_by_word(&blob, text, 1, 1).unwrap(), words, "threads make no difference");
    }

    #[test]
    fn a_model_without_the_loop_is_refused() {
        let config = ModelConfig { rcsm: None, ..SMALL };
        let blob = Blob::copy("plain", &hostile::blob(&config, &mut Numbers(1))).unwrap();
        assert!(passes_by_word(&blob, b"Tom ran.", 1, 1).unwrap_err().to_string().contains("no reasoning loop"));
    }
}
