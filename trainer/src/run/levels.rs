//! How many facts the questions of reasoning stories may need: more once those of fewer are answered.

use std::collections::VecDeque;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::nn::Answers;

/// Answers that a level is judged by, at least.
pub const JUDGED: u32 = 500;
/// The share of right ones at which the next level opens.
pub const ENOUGH: f64 = 0.95;

/// The levels that are open: questions that need 1 to so many facts are asked.
///
/// A level is judged by its own answers, the last [`JUDGED`] and a few more, in training, at the depths that can know
/// them: one pass reads one fact, so answers that need more count only where more passes were taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactLevels {
    open: u8,
    /// Right answers and all, of every step that counts, the oldest first; and their sums.
    recent: VecDeque<[u32; 2]>,
    sums: [u32; 2],
}

/// Why a level opened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Opened {
    /// Facts of the level.
    pub facts: u8,
    /// Share of right answers at the level below, if any were judged.
    pub below: Option<f64>,
    /// Whether those were enough; if not, it was the phase's turn.
    pub earned: bool,
}

impl FactLevels {
    /// Questions of one fact only.
    pub fn new() -> Self {
        Self { open: 1, recent: VecDeque::new(), sums: [0; 2] }
    }

    /// Facts that the hardest questions need.
    pub fn open(&self) -> u8 {
        self.open
    }

    /// The share of right answers at the hardest level, once [`JUDGED`] are in.
    pub fn accuracy(&self) -> Option<f64> {
        (self.sums[1] >= JUDGED).then(|| f64::from(self.sums[0]) / f64::from(self.sums[1]))
    }

    /// Opens what a phase allows without proof.
    pub fn enter(&mut self, facts: u8) -> Option<Opened> {
        (facts > self.open).then(|| self.open_to(facts, false))
    }

    /// Counts a step's answers. Opens the next level, of at most `most` facts, where they were enough. With
    /// `any_depth` all count: where depths are not told apart.
    pub fn count(&mut self, answers: &Answers, most: u8, any_depth: bool) -> Option<Opened> {
        let facts = usize::from(self.open - 1).min(answers.total.len() - 1);
        let able = if facts == 0 || any_depth { 0.. } else { 1.. };
        let sum = |counts: &[u32; 3]| counts[able.clone()].iter().sum::<u32>();
        let step = [sum(&answers.right[facts]), sum(&answers.total[facts])];
        if step[1] == 0 {
            return None;
        }
        self.recent.push_back(step);
        self.sums = [self.sums[0] + step[0], self.sums[1] + step[1]];
        while let Some(&[right, all]) = self.recent.front()
            && self.sums[1] - all >= JUDGED
        {
            self.sums = [self.sums[0] - right, self.sums[1] - all];
            self.recent.pop_front();
        }
        let earned = self.open < most && self.accuracy().is_some_and(|accuracy| accuracy >= ENOUGH);
        earned.then(|| self.open_to(self.open + 1, true))
    }

    fn open_to(&mut self, facts: u8, earned: bool) -> Opened {
        let opened = Opened { facts, below: self.accuracy(), earned };
        *self = Self { open: facts, recent: VecDeque::new(), sums: [0; 2] };
        opened
    }
}

impl Default for FactLevels {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "questions of {} facts from here on: ", self.facts)?;
        match (self.below, self.earned) {
            (Some(share), true) => write!(f, "{:.1} % of the answers with one less are right", 100.0 * share),
            (Some(share), false) => {
                write!(f, "it is the phase's turn, though {:.1} % with less are right", 100.0 * share)
            }
            (None, _) => write!(f, "it is the phase's turn"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step with answers of so many facts at one depth.
    fn step(facts: usize, depth: usize, right: u32, total: u32) -> Answers {
        let mut answers = Answers::default();
        (answers.right[facts - 1][depth], answers.total[facts - 1][depth]) = (right, total);
        answers
    }

    #[test]
    fn a_level_opens_once_the_one_below_is_answered_and_not_before_there_is_proof() {
        let mut levels = FactLevels::new();
        for _ in 0..4 {
            assert_eq!(levels.count(&step(1, 0, 100, 100), 2, false), None, "{levels:?}");
        }
        assert_eq!(levels.accuracy(), None);
        assert_eq!(levels.count(&step(1, 2, 74, 100), 2, false), None, "0.948 is not enough");
        let opened = levels.count(&step(1, 1, 100, 100), 2, false);
        // the first hundred have left the window
        assert_eq!(opened, None);
        assert_eq!(levels.accuracy(), Some(0.948));
        for _ in 0..3 {
            assert_eq!(levels.count(&step(1, 0, 100, 100), 2, false), None);
        }
        let opened = levels.count(&step(1, 0, 100, 100), 2, false).unwrap();
        assert_eq!((opened.facts, opened.below, opened.earned, levels.open()), (2, Some(1.0), true, 2));
        assert_eq!(levels.accuracy(), None, "the next level is judged by its own answers");
    }

    #[test]
    fn only_depths_that_can_know_are_judged() {
        let mut levels = FactLevels::new();
        levels.enter(2);
        assert_eq!(levels.count(&step(2, 0, 0, 5000), 3, false), None);
        assert_eq!(levels.accuracy(), None, "one pass cannot know two facts");
        assert_eq!(levels.count(&step(1, 2, 0, 5000), 3, false), None, "nor do other levels count");
        assert_eq!(levels.count(&step(2, 1, 480, 500), 3, false).unwrap().facts, 3);
        let mut all = FactLevels::new();
        all.enter(2);
        assert_eq!(all.count(&step(2, 0, 500, 500), 3, true).unwrap().facts, 3);
    }

    #[test]
    fn no_phase_is_asked_more_than_it_allows_and_each_gets_what_is_due() {
        let mut levels = FactLevels::new();
        assert_eq!(levels.count(&step(1, 0, 900, 900), 1, false), None);
        assert_eq!(levels.enter(1), None);
        let opened = levels.enter(2).unwrap();
        assert_eq!((opened.facts, opened.earned, opened.below), (2, false, Some(1.0)));
        assert_eq!(levels.enter(2), None);
        assert_eq!(levels.enter(3).unwrap().below, None);
    }

    #[test]
    fn stored_levels_go_on_as_they_would_have() {
        let mut levels = FactLevels::new();
        for i in 0..30 {
            levels.count(&step(1, 0, 20 + i % 3, 30), 2, false);
        }
        let stored = serde_json::to_string(&levels).unwrap();
        let mut restored: FactLevels = serde_json::from_str(&stored).unwrap();
        assert_eq!(restored, levels);
        for i in 0..60 {
            let step = step(1, 0, 29 + i % 2, 30);
            assert_eq!(restored.count(&step, 2, false), levels.count(&step, 2, false));
        }
        assert_eq!((restored.open(), restored), (2, levels));
    }
}
