//! What can be had without understanding: guessing, and answers read off the prompt's surface.

use crate::item::Item;
use crate::ngram::Ngram;
use crate::words::words;

/// What each way of guessing scores on one item's choices: 1 where it picks the answer, 1/n where it picks between n
/// choices of which the answer is one, else 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guesses {
    /// Any choice.
    pub chance: f64,
    /// The choice an n-gram model finds likeliest; `None` without one.
    pub ngram: Option<f64>,
    /// The choice the prompt mentions last.
    pub last: f64,
    /// The choice the prompt mentions most often.
    pub frequent: f64,
}

impl Guesses {
    /// Guesses at an item; `None` where it has no wrong answers.
    pub fn of(item: &Item, ngram: Option<&mut Ngram>) -> Option<Self> {
        if item.wrong.is_empty() {
            return None;
        }
        let prompt: Vec<String> = words(&item.prompt).collect();
        let mentions: Vec<(usize, usize)> = item.choices().map(|choice| mentioned(&prompt, choice)).collect();
        Some(Self {
            chance: 1.0 / mentions.len() as f64,
            ngram: ngram.map(|model| credit(&model.score(&item.prompt, item.choices()))),
            last: credit(&mentions.iter().map(|m| m.0 as f64).collect::<Vec<_>>()),
            frequent: credit(&mentions.iter().map(|m| m.1 as f64).collect::<Vec<_>>()),
        })
    }
}

/// Where a choice is mentioned last (words up to there; 0: nowhere), and how often.
fn mentioned(prompt: &[String], choice: &str) -> (usize, usize) {
    let choice: Vec<String> = words(choice).collect();
    if choice.is_empty() {
        return (0, 0);
    }
    let found = prompt.windows(choice.len()).enumerate().filter(|(_, window)| *window == choice);
    found.fold((0, 0), |(_, count), (start, window)| (start + window.len(), count + 1))
}

/// The first choice's share of the best score.
fn credit(scores: &[f64]) -> f64 {
    let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let ties = scores.iter().filter(|&&s| s >= best - 1e-9).count();
    if scores.first().is_some_and(|&s| s >= best - 1e-9) { 1.0 / ties as f64 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(prompt: &str, answer: &str, wrong: &[&str]) -> Item {
        let wrong = wrong.iter().map(|w| w.to_string()).collect();
        Item { prompt: prompt.into(), answer: answer.into(), wrong, ..Item::default() }
    }

    #[test]
    fn the_last_and_the_most_frequent_mention_are_found() {
        let prompt = "Tom is in the barn. The barn is red. Sue is in the park. Where is";
        let guesses = |answer, wrong: &[&str]| Guesses::of(&item(prompt, answer, wrong), None).unwrap();
        let barn = guesses("barn", &["park", "lake", "hill"]);
        assert_eq!((barn.chance, barn.last, barn.frequent, barn.ngram), (0.25, 0.0, 1.0, None));
        let park = guesses("park", &["barn", "lake"]);
        assert_eq!((park.last, park.frequent), (1.0, 0.0));
        // "in" is within no other word, and mentions know no case
        assert_eq!(guesses("THE BARN", &["bar", "arn"]).last, 1.0);
    }

    #[test]
    fn ties_are_shared() {
        let none = Guesses::of(&item("Nothing here.", "a", &["b", "c", "d"]), None).unwrap();
        assert_eq!((none.last, none.frequent), (0.25, 0.25));
        let one = Guesses::of(&item("b a c c.", "a", &["b", "c"]), None).unwrap();
        assert_eq!((one.last, one.frequent), (0.0, 0.0));
        let two = Guesses::of(&item("b a.", "a", &["b", "c"]), None).unwrap();
        assert_eq!((two.last, two.frequent), (1.0, 0.5));
    }

    #[test]
    fn an_item_without_wrong_answers_has_nothing_to_guess_among() {
        assert_eq!(Guesses::of(&item("x", "a", &[]), None), None);
    }

    #[test]
    fn the_ngram_model_guesses_what_it_learned() {
        let mut model = Ngram::default();
        model.learn("The sky is blue.");
        let guess = Guesses::of(&item("The sky is", "blue", &["red", "green"]), Some(&mut model)).unwrap();
        assert_eq!(guess.ngram, Some(1.0));
    }
}
