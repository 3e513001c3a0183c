//! The words of a story: what people read, where models read tokens.

use std::ops::Range;

use flashlm_core::tokenizer::{PreTokens, Tokenizer};

use super::Trace;

/// A word, or a mark between words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// With the white space before it.
    pub text: String,
    /// The most that one of its tokens took.
    pub passes: usize,
    /// The steps that led to its tokens.
    pub steps: Range<usize>,
}

impl Trace {
    /// The words that the steps led to; the end of the story is none.
    pub fn words(&self, tokenizer: &Tokenizer) -> Vec<Word> {
        let steps = self.steps.iter().take_while(|step| step.drawn != self.eot);
        let pieces: Vec<_> = steps.map(|step| tokenizer.piece(step.drawn)).collect();
        let text: Vec<u8> = pieces.iter().flatten().copied().collect();
        // where each word ends, and where each token begins, in bytes; a token is of the word it begins in
        let ends = PreTokens::new(&text).scan(0, |end, word| {
            *end += word.len();
            Some(*end)
        });
        let (mut words, mut begun, mut at) = (Vec::new(), 0, 0);
        for end in ends {
            let first = begun;
            let mut bytes = Vec::new();
            while let Some(piece) = pieces.get(begun).filter(|_| at < end) {
                bytes.extend(piece);
                at += piece.len();
                begun += 1;
            }
            let passes = self.steps[first..begun].iter().map(|step| step.hops.len()).max();
            if let Some(passes) = passes {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                words.push(Word { text, passes, steps: first..begun });
            }
        }
        words
    }

    /// What the reasoning loop did for a word: [lines](Trace::lines) for each of its tokens.
    pub fn lines_of_word(&self, tokenizer: &Tokenizer, word: &Word) -> String {
        self.steps[word.steps.clone()].iter().map(|step| self.lines_of(tokenizer, step)).collect()
    }
}

/// Where the last sentence of `text` begins, in bytes: behind the white space after the one before. A sentence ends in
/// a full stop, an exclamation or a question mark, and closing quotation marks, before white space and no small letter;
/// or with its line.
pub fn last_sentence(text: &[u8]) -> usize {
    let text = text.trim_ascii_end();
    let mut start = 0;
    for (at, byte) in text.iter().enumerate() {
        let behind = match byte {
            b'\n' => &text[at..],
            b'.' | b'!' | b'?' => unquoted(&text[at + 1..]),
            _ => continue,
        };
        let next = behind.trim_ascii_start();
        if next.len() < behind.len() && (*byte == b'\n' || !next.first().is_some_and(u8::is_ascii_lowercase)) {
            start = text.len() - next.len();
        }
    }
    start
}

/// `text` without the closing quotation marks and brackets at its begin.
fn unquoted(mut text: &[u8]) -> &[u8] {
    let marks = ["\"", "'", ")", "\u{201d}", "\u{2019}"];
    while let Some(rest) = marks.iter().find_map(|mark| text.strip_prefix(mark.as_bytes())) {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use flashlm_core::config::RcsmConfig;
    use flashlm_core::{Observer, Pass, tokenizer};

    use super::*;

    #[test]
    fn the_last_sentence_is_found_behind_quotation_marks_and_line_ends() {
        let last = |text: &'static str| &text[last_sentence(text.as_bytes())..];
        assert_eq!(last("Tom ran. Lily sat."), "Lily sat.");
        assert_eq!(last("Tom ran.  Lily sat. \n"), "Lily sat. \n");
        assert_eq!(last("\"Run!\" said Tom. He had 3.5 cats"), "He had 3.5 cats");
        assert_eq!(last("He ran. \"Stop!\" said Tom"), "\"Stop!\" said Tom");
        assert_eq!(last("\u{201c}Stop.\u{201d} He ran"), "He ran");
        assert_eq!(last("The end\n\nof it"), "of it");
        assert_eq!(last("One"), "One");
        assert_eq!(last(""), "");
    }

    #[test]
    fn a_word_takes_as_many_passes_as_its_deepest_token() {
        let table = [&tokenizer::MAGIC[..], &[1, 0, 0, 0]].concat();
        let tokenizer = Tokenizer::from_bytes(&table).unwrap();
        let eot = tokenizer.eot();
        let rcsm = RcsmConfig { depths: [1, 2, 8], ..RcsmConfig::DEFAULT };
        let mut trace = Trace::new(&rcsm, eot, 0);
        let tokens = tokenizer.encoded("Tom sat.".as_bytes());
        let passes = [1, 1, 1, 2, 1, 3, 1, 2];
        let inputs = [&[eot][..], &tokens].concat();
        for ((&input, &token), passes) in inputs.iter().zip(&tokens).zip(passes) {
            trace.expect(&[input]);
            for index in 0..passes {
                trace.pass(Pass {
                    index,
                    ops: [0, 1],
                    weights: [0.5; 2],
                    address: &[],
                    hop: 0.0,
                    hold: 1.0,
                    read: &[],
                });
            }
            trace.depth(passes, &[]);
            trace.drawn(token);
        }
        trace.drawn(eot);
        let word = |text: &str, passes, steps| Word { text: text.into(), passes, steps };
        assert_eq!(trace.words(&tokenizer), [word("Tom", 1, 0..3), word(" sat", 3, 3..7), word(".", 2, 7..8)]);
        assert_eq!(trace.lines_of_word(&tokenizer, &word(".", 2, 7..8)).lines().count(), 3);
        assert_eq!([1, 2, 3, 8].map(|passes| trace.level(passes)), [0, 1, 2, 2]);
    }
}
