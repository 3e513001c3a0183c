//! Probe items: stories cut off right before an answer.

use super::{Difficulty, Family, Rng, Split, story};

/// A prompt that ends right before its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The kind of reasoning it takes.
    pub family: Family,
    /// Facts needed: 1 is one hop.
    pub facts: u8,
    /// Words between the last needed fact and the question.
    pub distance: u16,
    /// No space at the end: the answer follows after one, or directly when the prompt ends with an opening quote.
    pub prompt: String,
    /// The right answer.
    pub answer: String,
    /// At least three wrong answers.
    pub wrong: Vec<String>,
}

/// `count` items of one family, each of its own story. Of a story's answers one that needs `difficulty.facts` facts
/// is taken where there is one, in three stories of four; else any.
pub fn items(split: Split, family: Family, difficulty: Difficulty, seed: u64, count: usize) -> Vec<Item> {
    let item = |index| {
        let told = story(split, &[family], difficulty, seed, index);
        let mut rng = Rng::new(!seed).fork(index);
        let hardest: Vec<_> = told.answers.iter().filter(|a| a.facts >= difficulty.facts).collect();
        let answer = match rng.chance(75) && !hardest.is_empty() {
            true => hardest[rng.below(hardest.len())],
            false => &told.answers[rng.below(told.answers.len())],
        };
        Item {
            family,
            facts: answer.facts,
            distance: answer.distance,
            prompt: told.text[..answer.span.start].trim_end().to_string(),
            answer: told.text[answer.span.clone()].to_string(),
            wrong: answer.wrong.clone(),
        }
    };
    (0..count as u64).map(item).collect()
}
