//! Reasoning stories: simple-English stories in which something has to be worked out, told from a small world.
//!
//! Four families, one file each: [`pattern`] (sequences that go on), [`if_then`] (rules stated and later
//! triggered), [`tracking`] (who is where, who holds what) and [`in_context`] (made-up words defined and then
//! used). A family keeps the truth, its `*_words` file holds the sentences, a [`writer`] puts words into them and
//! notes where an answer stands, how many facts it needs and how far back the last of them was told.
//!
//! The two splits share no name, object, place, made-up word or sentence: a model trained on [`Split::Train`] has
//! seen none of the words or wordings that [`Split::Test`] asks with. All is a function of the arguments.

mod filler;
mod hearsay;
mod if_then;
mod if_then_words;
mod in_context;
mod in_context_words;
mod items;
mod lexicon;
mod made_up;
mod open;
mod pattern;
mod pattern_words;
mod phrases;
mod recast;
mod slips;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_tracking;
mod tracking;
mod tracking_questions;
mod tracking_words;
mod words_test;
mod words_train;
mod writer;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::rng::Rng;
pub use items::{Item, items};
use writer::Writer;

/// Kinds of reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Sequences that repeat, alternate or grow, and examples to go by.
    Pattern,
    /// Rules stated and later triggered.
    IfThen,
    /// Who is where and who holds what.
    Tracking,
    /// Made-up words defined and then used.
    InContext,
}

impl Family {
    /// Every family.
    pub const ALL: [Family; 4] = [Family::Pattern, Family::IfThen, Family::Tracking, Family::InContext];

    /// The name used in tables and files: "pattern", "if-then", "tracking" or "in-context".
    pub fn name(self) -> &'static str {
        match self {
            Family::Pattern => "pattern",
            Family::IfThen => "if-then",
            Family::Tracking => "tracking",
            Family::InContext => "in-context",
        }
    }

    /// The family called `name`, if there is one.
    pub fn from_name(name: &str) -> Option<Family> {
        Family::ALL.into_iter().find(|f| f.name() == name)
    }
}

/// Which lists of names, objects, made-up words and sentence templates a story is told from. They are disjoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Split {
    /// For training.
    Train,
    /// For probes.
    Test,
}

/// How hard the questions of a story are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difficulty {
    /// Facts the hardest question needs, 1 to 3; a story draws each question's from 1 to this, the hardest most often.
    pub facts: u8,
    /// Most filler sentences between facts and question; drawn uniformly from 0 to this.
    pub filler: u16,
    /// People, things or rules beyond those needed.
    pub distractors: u8,
    /// Sentences to choose from for every thing that is said or asked, the plainest first; a story of few has nothing
    /// else in it either. [`ALL_WORDINGS`] for all.
    pub wordings: u8,
    /// Percent of a training story's names and things that come from outside the word lists: see [`open`].
    pub open: u8,
    /// Whether some training stories have sentences that nobody would say, with [`slips`], [`recast`] or all
    /// [`hearsay`].
    pub loose: bool,
}

impl Difficulty {
    /// Whether stories are told tersely, in a few plain sentences, and of what chains of facts are made of only.
    pub fn plain(self) -> bool {
        self.wordings <= PLAIN_WORDINGS
    }
}

/// What [`Difficulty::open`] usually is.
pub const OPEN: u8 = 75;

/// No limit to [`Difficulty::wordings`].
pub const ALL_WORDINGS: u8 = u8::MAX;
/// The families of plain stories: chains of facts most of all.
const PLAIN_FAMILIES: [Family; 10] = {
    use Family::{IfThen, InContext, Pattern, Tracking};
    [Tracking, Tracking, Tracking, Tracking, Tracking, Tracking, InContext, InContext, IfThen, Pattern]
};
/// With so many wordings or fewer a story is plain.
const PLAIN_WORDINGS: u8 = 12;

/// An answer within a story's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Bytes of the answer's words in the text, without the space before and the punctuation after.
    pub span: Range<usize>,
    /// The kind of reasoning it takes.
    pub family: Family,
    /// Facts needed: 1 is one hop.
    pub facts: u8,
    /// Words between the last needed fact and the question.
    pub distance: u16,
    /// At least three wrong answers of the same kind, mostly from the same story.
    pub wrong: Vec<String>,
}

/// One story and its answers, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReasoningStory {
    /// ASCII prose; no newline at the end.
    pub text: String,
    /// At least one answer.
    pub answers: Vec<Answer>,
}

/// Story number `index` of `seed`: one of `families` (all four if none is named), told from `split`'s words.
pub fn story(split: Split, families: &[Family], difficulty: Difficulty, seed: u64, index: u64) -> ReasoningStory {
    let mut rng = Rng::new(seed).fork(index);
    let families = if families.is_empty() { &Family::ALL } else { families };
    let family = match rng.pick(families) {
        // what recall and its chains are learnt from first
        _ if difficulty.plain() && families == Family::ALL => rng.pick(&PLAIN_FAMILIES),
        family => family,
    };
    let mut writer = Writer::new(split, family, difficulty, rng);
    writer.open();
    match family {
        family if writer.hears() => hearsay::tell(&mut writer, family),
        Family::Pattern => pattern::tell(&mut writer),
        Family::IfThen => if_then::tell(&mut writer),
        Family::Tracking => tracking::tell(&mut writer),
        Family::InContext => in_context::tell(&mut writer),
    }
    writer.close();
    writer.finish()
}
