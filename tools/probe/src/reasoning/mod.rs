//! Stand-in until the story generator is merged.
use std::ops::Range;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Pattern,
    IfThen,
    Tracking,
    InContext,
}
impl Family {
    pub const ALL: [Self; 4] = [Self::Pattern, Self::IfThen, Self::Tracking, Self::InContext];
    pub fn name(self) -> &'static str {
        ["pattern", "if-then", "tracking", "in-context"][self as usize]
    }
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    Train,
    Test,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difficulty {
    pub facts: u8,
    pub filler: u16,
    pub distractors: u8,
}
#[derive(Clone, Debug)]
pub struct Answer {
    pub span: Range<usize>,
    pub family: Family,
    pub facts: u8,
    pub distance: u16,
    pub wrong: Vec<String>,
}
#[derive(Clone, Debug)]
pub struct ReasoningStory {
    pub text: String,
    pub answers: Vec<Answer>,
}
#[derive(Clone, Debug)]
pub struct Item {
    pub family: Family,
    pub facts: u8,
    pub distance: u16,
    pub prompt: String,
    pub answer: String,
    pub wrong: Vec<String>,
}
pub fn story(_: Split, families: &[Family], d: Difficulty, _: u64, index: u64) -> ReasoningStory {
    let text = format!("Tom{index} is in the barn. Where is Tom{index}? barn.");
    let span = text.len() - 5..text.len() - 1;
    ReasoningStory {
        text,
        answers: vec![Answer {
            span,
            family: families[0],
            facts: d.facts,
            distance: 0,
            wrong: ["a", "b", "c"].map(String::from).to_vec(),
        }],
    }
}
pub fn items(split: Split, family: Family, d: Difficulty, seed: u64, count: usize) -> Vec<Item> {
    (0..count as u64)
        .map(|i| {
            let s = story(split, &[family], d, seed, i);
            let a = s.answers[0].clone();
            Item {
                family,
                facts: a.facts,
                distance: 0,
                prompt: s.text[..a.span.start].trim_end().into(),
                answer: s.text[a.span].into(),
                wrong: a.wrong,
            }
        })
        .collect()
}
