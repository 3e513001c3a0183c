//! An n-gram model of words, to compare with: interpolated, smoothed after Witten and Bell (1991).
//!
//! P(w | h) = (c(h w) + t(h) P(w | h')) / (c(h) + t(h)): c counts, t is how many different words followed the history
//! h, h' is h without its first word, and the last resort is one over the number of words known.

use std::collections::HashMap;

use crate::words::words;

/// Words a probability looks at: the word itself and those before it.
pub const ORDER: usize = 5;

/// Counts of word sequences up to [`ORDER`] long.
#[derive(Clone, Debug, Default)]
pub struct Ngram {
    known: HashMap<String, u32>,
    /// Of a sequence, by its hash: how often it occurred.
    counts: HashMap<u64, u32>,
    /// Of a history, by its hash: how many words followed it, and how many different ones.
    follows: HashMap<u64, (u32, u32)>,
}

impl Ngram {
    /// Counts a text.
    pub fn learn(&mut self, text: &str) {
        let ids = self.ids(text);
        self.count(&ids);
    }

    /// How many different words were seen.
    pub fn vocabulary(&self) -> usize {
        self.known.len()
    }

    /// The log-probability of each of `choices` after `prompt`. The prompt is counted as text too, and forgotten again:
    /// what it says beats what was learned.
    pub fn score<'a>(&mut self, prompt: &str, choices: impl IntoIterator<Item = &'a str>) -> Vec<f64> {
        let ids = self.ids(prompt);
        self.count(&ids);
        let choices: Vec<Vec<u32>> = choices.into_iter().map(|choice| self.ids(choice)).collect();
        let scores = choices
            .iter()
            .map(|choice| {
                let mut text = ids[ids.len().saturating_sub(ORDER - 1)..].to_vec();
                choice
                    .iter()
                    .map(|&word| {
                        let p = self.probability(&text, word);
                        text.push(word);
                        p.ln()
                    })
                    .sum()
            })
            .collect();
        self.forget(&ids);
        scores
    }

    fn ids(&mut self, text: &str) -> Vec<u32> {
        let known = &mut self.known;
        words(text)
            .map(|word| {
                let next = known.len() as u32;
                *known.entry(word).or_insert(next)
            })
            .collect()
    }

    fn count(&mut self, ids: &[u32]) {
        for end in 0..ids.len() {
            for start in (end + 1).saturating_sub(ORDER)..=end {
                let count = self.counts.entry(hash(&ids[start..=end])).or_default();
                *count += 1;
                let follows = self.follows.entry(hash(&ids[start..end])).or_default();
                *follows = (follows.0 + 1, follows.1 + u32::from(*count == 1));
            }
        }
    }

    /// Undoes [`count`](Self::count).
    fn forget(&mut self, ids: &[u32]) {
        for end in 0..ids.len() {
            for start in (end + 1).saturating_sub(ORDER)..=end {
                let (sequence, history) = (hash(&ids[start..=end]), hash(&ids[start..end]));
                let Some(count) = self.counts.get_mut(&sequence) else { continue };
                *count -= 1;
                let gone = *count == 0;
                if gone {
                    self.counts.remove(&sequence);
                }
                if let Some(follows) = self.follows.get_mut(&history) {
                    *follows = (follows.0 - 1, follows.1 - u32::from(gone));
                    if follows.0 == 0 {
                        self.follows.remove(&history);
                    }
                }
            }
        }
    }

    fn probability(&self, history: &[u32], word: u32) -> f64 {
        let mut p = 1.0 / (self.known.len().max(1)) as f64;
        for length in 0..=history.len().min(ORDER - 1) {
            let history = &history[history.len() - length..];
            let Some(&(total, types)) = self.follows.get(&hash(history)) else { break };
            let sequence: Vec<u32> = history.iter().copied().chain([word]).collect();
            let count = self.counts.get(&hash(&sequence)).copied().unwrap_or(0);
            p = (f64::from(count) + f64::from(types) * p) / f64::from(total + types);
        }
        p
    }
}

/// FNV-1a over the words' numbers; sequences of different lengths differ in theirs.
fn hash(ids: &[u32]) -> u64 {
    let step = |h: u64, v: u64| (h ^ v).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    ids.iter().fold(step(0xcbf2_9ce4_8422_2325, ids.len() as u64), |h, &id| step(h, u64::from(id) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trained() -> Ngram {
        let mut model = Ngram::default();
        for text in ["The cat sat on the mat.", "The cat sat on the chair.", "The dog sat on the mat."] {
            model.learn(text);
        }
        model
    }

    #[test]
    fn probabilities_of_all_words_sum_to_one() {
        let mut model = trained();
        for text in ["", "the", "the cat sat on the", "an unknown word"] {
            let history = model.ids(text);
            let sum: f64 = (0..model.vocabulary() as u32).map(|word| model.probability(&history, word)).sum();
            assert!((sum - 1.0).abs() < 1e-9, "{text:?}: {sum}");
        }
    }

    #[test]
    fn what_was_seen_is_likelier_and_the_prompt_counts() {
        let mut model = trained();
        let scores = model.score("the dog sat on the", ["mat", "chair", "zebra"]);
        assert!(scores[0] > scores[1] && scores[1] > scores[2], "{scores:?}");
        let scores = model.score("Zorp is blue. Zorp is", ["blue", "red", "green"]);
        assert!(scores[0] > scores[1] && scores[1] == scores[2], "{scores:?}");
    }

    #[test]
    fn a_prompt_leaves_no_counts_behind() {
        let mut model = trained();
        let (counts, follows) = (model.counts.clone(), model.follows.clone());
        model.score("The cat saw the cat on the mat.", ["mat", "moon mat"]);
        assert!(model.counts == counts && model.follows == follows);
    }

    #[test]
    fn witten_bells_formula_gives_what_a_hand_computes() {
        let mut model = Ngram::default();
        model.learn("a b");
        let (a, b) = (model.known["a"], model.known["b"]);
        // unigram: (1 + 2/2) / (2 + 2); after a: (1 + 1 x 1/2) / (1 + 1)
        assert!((model.probability(&[], b) - 0.5).abs() < 1e-12);
        assert!((model.probability(&[a], b) - 0.75).abs() < 1e-12);
        assert!((model.probability(&[a], a) - 0.25).abs() < 1e-12);
    }
}
