//! How many answers are right, by the facts they need and the depth they were read at.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::nn::Answers;

/// Share of what was counted before that a step leaves.
const KEPT: f64 = 0.98;

/// Answers of one step, for the metrics: right ones and all, by facts (1 to 4 or more) and depth (of the model's
/// three).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerCounts {
    pub right: [[u32; 3]; 4],
    pub total: [[u32; 3]; 4],
}

impl AnswerCounts {
    /// `None` for a step without answers.
    pub fn of(answers: &Answers) -> Option<Self> {
        let any = answers.total.iter().flatten().any(|&n| n > 0);
        any.then_some(Self { right: answers.right, total: answers.total })
    }
}

/// Recent answers, the newest weighing most.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AnswerRates {
    right: [[f64; 3]; 4],
    total: [[f64; 3]; 4],
}

impl AnswerRates {
    /// Adds a step's answers.
    pub fn add(&mut self, answers: &Answers) {
        for (sums, counts) in [(&mut self.right, &answers.right), (&mut self.total, &answers.total)] {
            for (sum, &count) in sums.iter_mut().flatten().zip(counts.iter().flatten()) {
                *sum = KEPT * *sum + f64::from(count);
            }
        }
    }

    /// Shares of right ones by facts and depth; `None` where there were hardly any answers.
    pub fn shares(&self) -> [[Option<f64>; 3]; 4] {
        let share = |facts: usize, depth: usize| {
            let total = self.total[facts][depth];
            (total >= 1.0).then(|| self.right[facts][depth] / total)
        };
        std::array::from_fn(|facts| std::array::from_fn(|depth| share(facts, depth)))
    }
}

/// `answers 1: 93/97/98 % 2: 40/88/91 %`: right ones by facts, at each depth; nothing where there were none.
impl fmt::Display for AnswerRates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut begun = false;
        for (facts, shares) in self.shares().iter().enumerate().filter(|(_, s)| s.iter().any(Option::is_some)) {
            let shares = shares.map(|share| share.map_or("-".to_owned(), |share| format!("{:.0}", 100.0 * share)));
            let lead = if begun { "" } else { "answers" };
            write!(f, "{lead} {}: {} %", facts + 1, shares.join("/"))?;
            begun = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_by_facts_and_depth_and_follow_the_newest_answers() {
        let mut rates = AnswerRates::default();
        assert_eq!(rates.to_string(), "");
        let mut answers = Answers::default();
        (answers.right[0], answers.total[0]) = ([9, 5, 10], [10; 3]);
        (answers.right[1], answers.total[1]) = ([0, 4, 0], [0, 5, 0]);
        rates.add(&answers);
        assert_eq!(rates.to_string(), "answers 1: 90/50/100 % 2: -/80/- %");
        answers.right[0] = [0; 3];
        (0..300).for_each(|_| rates.add(&answers));
        assert!(rates.shares()[0].iter().all(|share| share.unwrap() < 0.01));
        assert_eq!(rates.shares()[3], [None; 3]);
    }

    #[test]
    fn a_step_without_answers_is_none_in_the_metrics() {
        assert_eq!(AnswerCounts::of(&Answers::default()), None);
        let mut answers = Answers::default();
        answers.total[3][2] = 1;
        assert_eq!(AnswerCounts::of(&answers).unwrap().total[3][2], 1);
    }
}
