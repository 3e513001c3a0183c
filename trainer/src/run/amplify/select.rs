//! Which generated stories are kept.
//!
//! A candidate must first be sane: ended by the model itself with a whole sentence, between a quarter and four times as
//! long as the training story it begins like, no copy of that story, of a held-out one or of another candidate. The
//! sane ones are ranked by
//!
//! `log_likelihood - 2 * repetition - 1 * (1 - names)` [nats per token]
//!
//! and the best `keep` of all candidates are kept; fewer where fewer are sane.

use std::collections::HashSet;

use flashlm_core::Tokenizer;
use serde::{Deserialize, Serialize};

use super::generate::Candidate;
use super::score::TextScore;
use crate::data::split::fingerprint;

/// Nats per token that a wholly repetitive story loses, and one whose late names are all new.
const REPETITION_WEIGHT: f64 = 2.0;
const NAMES_WEIGHT: f64 = 1.0;
/// The shortest sane story, in lengths of the training story it begins like; the longest is as long as generation lets
/// it be.
const SHORTEST: f64 = 0.25;

/// A candidate with its text and scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub text: String,
    pub score: TextScore,
    pub log_likelihood: f64,
    pub sane: bool,
}

impl Judged {
    /// Reads and scores a candidate. `taken` are fingerprints of texts that it must not be, to which its own is added.
    pub fn of(candidate: &Candidate, source: &str, tokenizer: &Tokenizer, taken: &mut HashSet<u64>) -> Self {
        let bytes = text(tokenizer, &candidate.tokens);
        let valid = std::str::from_utf8(&bytes).is_ok();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let score = TextScore::of(&text);
        let length = candidate.tokens.len() as f64 >= SHORTEST * candidate.source_tokens as f64;
        let is_copy = fingerprint(text.as_bytes()) == fingerprint(source.as_bytes());
        let told = candidate.tokens.len() > candidate.prompt && candidate.log_likelihood.is_finite();
        let sane = valid && candidate.ended && score.whole && length && told && !is_copy;
        let sane = sane && taken.insert(fingerprint(text.as_bytes()));
        Self { text, score, log_likelihood: candidate.log_likelihood, sane }
    }

    /// What candidates are ranked by [nats per token].
    pub fn rank(&self) -> f64 {
        self.log_likelihood - REPETITION_WEIGHT * self.score.repetition - NAMES_WEIGHT * (1.0 - self.score.names)
    }
}

/// The bytes of some tokens.
pub fn text(tokenizer: &Tokenizer, tokens: &[u16]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for &token in tokens {
        tokenizer.for_each_byte(token, |byte| bytes.push(byte));
    }
    bytes
}

/// Indices of the best sane ones, best first, at most `keep` of all; of equals the first.
pub fn best(all: &[Judged], keep: f32) -> Vec<usize> {
    let most = (all.len() as f64 * f64::from(keep)).round() as usize;
    let mut order: Vec<usize> = (0..all.len()).filter(|&i| all[i].sane).collect();
    order.sort_by(|&a, &b| all[b].rank().total_cmp(&all[a].rank()).then(a.cmp(&b)));
    order.truncate(most);
    order
}

/// Means over some judged stories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Means {
    /// Nats per token.
    pub log_likelihood: f64,
    pub repetition: f64,
    pub names: f64,
}

impl Means {
    /// All zero for none.
    pub fn of<'a>(judged: impl Iterator<Item = &'a Judged> + Clone) -> Self {
        let count = judged.clone().count().max(1) as f64;
        let mean = |value: fn(&Judged) -> f64| judged.clone().map(value).sum::<f64>() / count + 0.0;
        Self {
            log_likelihood: mean(|j| j.log_likelihood),
            repetition: mean(|j| j.score.repetition),
            names: mean(|j| j.score.names),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::bpe;

    fn judged(log_likelihood: f64, repetition: f64, names: f64, sane: bool) -> Judged {
        Judged { text: String::new(), score: TextScore { repetition, names, whole: true }, log_likelihood, sane }
    }

    #[test]
    fn the_best_sane_ones_are_kept_in_order() {
        let all = [
            judged(-2.0, 0.0, 1.0, true),
            judged(-0.1, 0.0, 1.0, false), // the likeliest, but not sane
            judged(-0.5, 0.9, 1.0, true),  // -2.3: likely because it repeats itself
            judged(-1.5, 0.0, 1.0, true),
            judged(-1.2, 0.0, 0.0, true), // -2.2: forgets its names
            judged(-1.5, 0.0, 1.0, true), // as good as number 3
        ];
        assert_eq!(best(&all, 1.0), [3, 5, 0, 4, 2]);
        assert_eq!(best(&all, 0.5), [3, 5, 0]);
        assert_eq!(best(&all, 0.0), [0; 0]);
        assert_eq!(best(&[], 1.0), [0; 0]);
    }

    /// What of `text` told from `source` is sane, `prompt` bytes being given. Without merges a token is a byte.
    fn is_sane(text: &str, source: &str, prompt: usize, ended: bool, taken: &mut HashSet<u64>) -> bool {
        let table = bpe::table(&[]);
        let tokenizer = Tokenizer::from_bytes(&table).unwrap();
        let tokens = text.bytes().map(|b| u16::from(b) + 1).collect();
        let source_tokens = source.len();
        let candidate = Candidate { source: 0, source_tokens, tokens, prompt, ended, log_likelihood: -1.0 };
        Judged::of(&candidate, source, &tokenizer, taken).sane
    }

    #[test]
    fn a_sane_story_is_ended_whole_long_enough_and_new() {
        let source = "Tom had a dog. It ran away.";
        let mut taken = HashSet::from([fingerprint(b"Tom had a cat. It sat.")]);
        let mut sane = |text, ended| is_sane(text, source, 9, ended, &mut taken);
        assert!(sane("Tom had a hat. It blew away.", true));
        assert!(!sane("Tom had a hat.\nIt blew away.", true), "the same again");
        assert!(!sane("Tom had a cup. It fell down.", false), "cut off");
        assert!(!sane("Tom had a cup. It fell", true), "half a sentence");
        assert!(!sane("Tom.", true), "too short");
        assert!(!sane(source, true), "a copy of its source");
        assert!(!sane("Tom had a cat. It sat.", true), "held out");
    }

    #[test]
    fn bytes_that_are_no_text_are_not_sane() {
        let table = bpe::table(&[]);
        let tokenizer = Tokenizer::from_bytes(&table).unwrap();
        let tokens = b"Tom \xff\xfe was there.".iter().map(|&b| u16::from(b) + 1).collect();
        let candidate =
            Candidate { source: 0, source_tokens: 10, tokens, prompt: 1, ended: true, log_likelihood: -1.0 };
        assert!(!Judged::of(&candidate, "", &tokenizer, &mut HashSet::new()).sane);
        let tokens = b"Tom was there.".iter().map(|&b| u16::from(b) + 1).collect();
        let not_finite = Candidate { tokens, log_likelihood: f64::NAN, ..candidate };
        assert!(!Judged::of(&not_finite, "", &tokenizer, &mut HashSet::new()).sane);
    }

    #[test]
    fn means_are_over_what_is_given() {
        let all = [judged(-1.0, 0.5, 1.0, true), judged(-3.0, 0.0, 0.0, true)];
        assert_eq!(Means::of(all.iter()), Means { log_likelihood: -2.0, repetition: 0.25, names: 0.5 });
        assert_eq!(Means::of([].iter()), Means::default());
    }
}
