//! How hard reasoning stories are: from the plainest sentences and one fact up, a level at a time, each opened once the
//! one before is answered.

use std::collections::VecDeque;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::data::reasoning::{ALL_WORDINGS, Difficulty, OPEN};
use crate::nn::Answers;

/// Answers that a level is judged by, at least.
pub const JUDGED: u32 = 2000;

const fn stories(facts: u8, wordings: u8, filler: u16, distractors: u8) -> Difficulty {
    Difficulty { facts, filler, distractors, wordings, open: OPEN, loose: wordings > 2 }
}

/// What the stories of each level are like, the easiest first. Recall, and chains of facts after it, form on plain
/// sentences without filler and then carry over to others; told everything at once they take many times as long
/// (docs/RESULTS.md).
pub const DIFFICULTIES: [Difficulty; 10] = [
    stories(1, 2, 0, 0),
    stories(2, 2, 0, 0),
    stories(3, 2, 0, 1),
    stories(3, 4, 0, 1),
    stories(3, 7, 0, 1),
    stories(3, 12, 0, 1),
    stories(3, 20, 1, 1),
    stories(3, ALL_WORDINGS, 1, 1),
    stories(3, ALL_WORDINGS, 3, 2),
    stories(3, ALL_WORDINGS, 8, 3),
];
/// The share of right answers at a level at which the next opens.
const ENOUGH: [f64; DIFFICULTIES.len() - 1] = [0.85, 0.8, 0.8, 0.75, 0.75, 0.72, 0.68, 0.65, 0.65];

/// The level that is open.
///
/// It is judged by the answers that need two facts (one, where stories have no others), the last [`JUDGED`] and a few
/// more, in training, at the depths that can know them: one pass reads one fact, so they count only where more passes
/// were taken. Chains that hold are what the next level builds on; three facts come slowly and need not be waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Levels {
    /// Index into [`DIFFICULTIES`].
    open: usize,
    /// Right answers and all, of every step that counts, the oldest first; and their sums.
    recent: VecDeque<[u32; 2]>,
    sums: [u32; 2],
}

/// Why a level opened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Opened {
    /// Number of the level, from 1.
    pub level: usize,
    /// Share of right answers at the level below, if any were judged.
    pub below: Option<f64>,
    /// Whether those were enough; if not, it was the phase's turn.
    pub earned: bool,
}

impl Levels {
    /// The easiest.
    pub fn new() -> Self {
        Self { open: 0, recent: VecDeque::new(), sums: [0; 2] }
    }

    /// Number of the open level, from 1.
    pub fn open(&self) -> usize {
        self.open + 1
    }

    /// What stories are told like: at the open level, which comes last, and at those below.
    pub fn difficulties(&self) -> &'static [Difficulty] {
        &DIFFICULTIES[..=self.open]
    }

    /// The share of right answers at the open level, once [`JUDGED`] are in.
    pub fn accuracy(&self) -> Option<f64> {
        (self.sums[1] >= JUDGED).then(|| f64::from(self.sums[0]) / f64::from(self.sums[1]))
    }

    /// Opens level number `level`, what a phase begins with, without proof.
    pub fn enter(&mut self, level: usize) -> Option<Opened> {
        (level > self.open()).then(|| self.open_to(level, false))
    }

    /// Counts a step's answers. Opens the next level, level number `most` at most, where they were enough. With
    /// `any_depth` all count: where depths are not told apart.
    pub fn count(&mut self, answers: &Answers, most: usize, any_depth: bool) -> Option<Opened> {
        let facts = usize::from(DIFFICULTIES[self.open].facts - 1).min(1);
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
        let enough = ENOUGH.get(self.open).filter(|_| self.open() < most);
        let earned = self.accuracy().zip(enough).is_some_and(|(accuracy, &enough)| accuracy >= enough);
        earned.then(|| self.open_to(self.open() + 1, true))
    }

    fn open_to(&mut self, level: usize, earned: bool) -> Opened {
        let level = level.clamp(1, DIFFICULTIES.len());
        let opened = Opened { level, below: self.accuracy(), earned };
        *self = Self { open: level - 1, ..Self::new() };
        opened
    }
}

impl Default for Levels {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difficulty { facts, filler, distractors, wordings, .. } = DIFFICULTIES[self.level - 1];
        write!(f, "level {} of {} from here on (up to {facts} facts, ", self.level, DIFFICULTIES.len())?;
        match wordings {
            ALL_WORDINGS => write!(f, "all wordings")?,
            some => write!(f, "{some} wordings")?,
        }
        write!(f, ", up to {filler} sentences of filler, {distractors} distractors): ")?;
        match (self.below, self.earned) {
            (Some(_), true) => {}
            (Some(_), false) => write!(f, "it is the phase's turn, though ")?,
            (None, _) => return write!(f, "it is the phase's turn"),
        }
        write!(f, "{:.1} % of the answers that count below are right", 100.0 * self.below.unwrap_or_default())
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
    fn levels_get_harder_one_thing_after_another() {
        assert_eq!(
            DIFFICULTIES[0],
            Difficulty { facts: 1, filler: 0, distractors: 0, wordings: 2, open: OPEN, loose: false }
        );
        for pair in DIFFICULTIES.windows(2) {
            let [a, b] = [pair[0], pair[1]];
            assert!(a.facts <= b.facts && a.wordings <= b.wordings, "{a:?} {b:?}");
            assert!(a.filler <= b.filler && a.distractors <= b.distractors && a != b, "{a:?} {b:?}");
        }
        assert_eq!(DIFFICULTIES[DIFFICULTIES.len() - 1].wordings, ALL_WORDINGS);
    }

    #[test]
    fn a_level_opens_once_the_one_below_is_answered_and_not_before_there_is_proof() {
        let mut levels = Levels::new();
        for _ in 0..4 {
            assert_eq!(levels.count(&step(1, 0, 400, 400), 2, false), None, "{levels:?}");
        }
        assert_eq!(levels.accuracy(), None);
        for _ in 0..4 {
            let right = if levels.accuracy().is_none() { 0 } else { 400 };
            assert_eq!(levels.count(&step(1, 1, right, 400), 2, false), None, "1,600 of 2,000 are not enough");
        }
        assert_eq!(levels.count(&step(1, 1, 400, 400), 2, false), None);
        // the wrong 400 have left the window
        let opened = levels.count(&step(1, 1, 400, 400), 2, false).unwrap();
        assert_eq!((opened.level, opened.below, opened.earned), (2, Some(1.0), true));
    }

    #[test]
    fn enough_is_enough_and_the_next_level_starts_from_nothing() {
        let mut levels = Levels::new();
        let opened = levels.count(&step(1, 0, 2000, 2000), 2, false).unwrap();
        assert_eq!((opened.level, opened.below, opened.earned, levels.open()), (2, Some(1.0), true, 2));
        assert_eq!(levels.difficulties(), &DIFFICULTIES[..2]);
        assert_eq!(levels.accuracy(), None, "the next level is judged by its own answers");
    }

    #[test]
    fn only_depths_that_can_know_are_judged() {
        let mut levels = Levels::new();
        levels.enter(2);
        assert_eq!(levels.count(&step(2, 0, 0, 5000), 3, false), None);
        assert_eq!(levels.accuracy(), None, "one pass cannot know two facts");
        assert_eq!(levels.count(&step(1, 2, 0, 5000), 3, false), None, "nor do other levels count");
        assert_eq!(levels.count(&step(2, 1, 1920, 2000), 3, false).unwrap().level, 3);
        let mut all = Levels::new();
        all.enter(2);
        assert_eq!(all.count(&step(2, 0, 2000, 2000), 3, true).unwrap().level, 3);
    }

    #[test]
    fn no_phase_is_asked_more_than_it_allows_and_each_gets_what_is_due() {
        let mut levels = Levels::new();
        assert_eq!(levels.count(&step(1, 0, 3600, 3600), 1, false), None);
        assert_eq!(levels.enter(1), None);
        let opened = levels.enter(2).unwrap();
        assert_eq!((opened.level, opened.earned, opened.below), (2, false, Some(1.0)));
        assert_eq!(levels.enter(2), None);
        assert_eq!(levels.enter(99).unwrap().level, DIFFICULTIES.len());
        assert_eq!(levels.count(&step(3, 1, 3600, 3600), 99, false), None, "there is no harder one");
    }

    #[test]
    fn stored_levels_go_on_as_they_would_have() {
        let mut levels = Levels::new();
        for i in 0..30 {
            levels.count(&step(1, 0, 15 + i % 3, 30), 2, false);
        }
        let stored = serde_json::to_string(&levels).unwrap();
        let mut restored: Levels = serde_json::from_str(&stored).unwrap();
        assert_eq!(restored, levels);
        for i in 0..60 {
            let step = step(1, 0, 29 + i % 2, 30);
            assert_eq!(restored.count(&step, 2, false), levels.count(&step, 2, false));
        }
        assert_eq!((restored.open(), restored), (2, levels));
    }
}
