//! Multi-query associative recall (Arora et al., 2023, "Zoology"): pairs of words, then the first of a pair, and what
//! came after it is to be said.
//!
//! ```text
//! Pairs: ban sor mel ten. Queries: mel ten ban sor.
//! ```
//! Every word is one token of the model. Keys begin with a letter up to m, values with a later one, so no word is
//! both. Only a model trained on such text can do it.

use std::collections::HashSet;

use flashlm_core::Tokenizer;

use super::{Part, sample};
use crate::item::Item;
use crate::marked::Told;

/// The words of the task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    keys: Vec<String>,
    values: Vec<String>,
}

impl Words {
    /// 200 keys and 200 values of three letters, for training text when there is no model yet.
    pub fn made_up() -> Self {
        let mut all = Vec::new();
        for first in "bcdfghjklmnpqrstvwxz".chars() {
            for vowel in "aeiou".chars() {
                all.extend("lnrs".chars().map(|last| String::from_iter([first, vowel, last])));
            }
        }
        Self::split(all)
    }

    /// The words of a model: its tokens that spell a space and small letters and that no other token contains.
    pub fn of(tokenizer: &Tokenizer) -> Self {
        let tokens = || (0..=u16::MAX).take(tokenizer.vocab() as usize);
        let parts: HashSet<u16> = tokens().filter_map(|t| tokenizer.parts(t)).flat_map(|(a, b)| [a, b]).collect();
        let word = |token: u16| {
            let piece = tokenizer.piece(token);
            let word = str::from_utf8(piece.strip_prefix(b" ")?).ok()?;
            let small = !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
            (small && tokenizer.encoded([" ", word].concat().as_bytes()) == [token]).then(|| word.to_string())
        };
        Self::split(tokens().filter(|t| !parts.contains(t)).filter_map(word).collect())
    }

    fn split(all: Vec<String>) -> Self {
        let (keys, values) = all.into_iter().partition(|word| word.as_str() < "n");
        Self { keys, values }
    }

    /// The most pairs there can be.
    pub fn most_pairs(&self) -> usize {
        self.keys.len().min(self.values.len())
    }
}

/// A text of so many pairs (at most [`Words::most_pairs`]), and each query as an item whose wrong answers are the
/// other values.
pub fn story(words: &Words, pairs: usize, part: Part, seed: u64, index: u64) -> (Told, Vec<Item>) {
    let mut rng = part.rng(seed ^ (pairs as u64) << 32, index);
    let keys = sample(&mut rng, &words.keys.iter().collect::<Vec<_>>(), pairs);
    let values = sample(&mut rng, &words.values.iter().collect::<Vec<_>>(), pairs);
    let mut told = Told { text: "Pairs:".into(), answers: vec![] };
    for (key, value) in keys.iter().zip(&values) {
        told.say(key);
        told.say(value);
    }
    told.text.push('.');
    told.say("Queries:");
    let order: Vec<usize> = (0..keys.len().min(values.len())).collect();
    let mut items = Vec::new();
    for i in sample(&mut rng, &order, order.len()) {
        told.say(keys[i]);
        items.push(Item {
            family: format!("mqar {pairs} pairs"),
            facts: Some(1),
            distance: None,
            prompt: told.text.clone(),
            answer: values[i].clone(),
            wrong: values.iter().filter(|v| **v != values[i]).map(|v| v.to_string()).collect(),
            end: String::new(),
        });
        told.answer(values[i]);
    }
    told.text.push('.');
    (told, items)
}

/// `count` items of so many pairs.
pub fn items(words: &Words, pairs: usize, part: Part, seed: u64, count: usize) -> Vec<Item> {
    (0..).flat_map(|index| story(words, pairs, part, seed, index).1).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_is_answered_by_its_pair() {
        let words = Words::made_up();
        assert_eq!(words.most_pairs(), 200);
        for pairs in [1, 4, 64] {
            for (i, item) in items(&words, pairs, Part::Test, 3, 100).iter().enumerate() {
                let (told, query) = item.prompt.split_once(". Queries: ").unwrap();
                let told: Vec<&str> = told.strip_prefix("Pairs: ").unwrap().split(' ').collect();
                assert_eq!(told.len(), 2 * pairs);
                let key = query.rsplit(' ').next().unwrap();
                let at = told.iter().step_by(2).position(|k| *k == key).unwrap();
                assert_eq!(item.answer, told[2 * at + 1], "{i}");
                assert_eq!(item.wrong.len(), pairs - 1);
            }
        }
    }

    #[test]
    fn training_and_test_texts_differ() {
        let words = Words::made_up();
        let texts = |part| (0..50).map(|i| story(&words, 8, part, 1, i).0.text).collect::<HashSet<_>>();
        assert!(texts(Part::Train).is_disjoint(&texts(Part::Test)));
        assert_eq!(texts(Part::Train).len(), 50);
    }
}
