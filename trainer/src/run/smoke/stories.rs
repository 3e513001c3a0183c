//! Stories with questions as tokens, one a word: small enough a task to learn in seconds.

use std::collections::HashMap;

use flashlm_probe::tasks::{
    Part,
    hops::{self, Task},
};
use flashlm_probe::words;

use crate::nn::{Rng, Rows};

/// Room for words, the end-of-story token included; the stories use fewer.
pub(super) const VOCAB: u32 = 64;
/// The token that ends a story.
pub(super) const EOT: u16 = 0;
/// Three persons, three things, questions of one and of two facts, facts told either way round.
const TASK: Task = Task { chains: false, telling: hops::Telling::Mixed, filler: (0, 0) };

/// A word, and how many facts it takes to know it: 0 where it is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) id: u16,
    pub(super) facts: u8,
}

/// Words numbered as they come.
#[derive(Clone, Debug, Default)]
pub(super) struct Words(HashMap<String, u16>);

impl Words {
    /// The story `index` of `seed`, without end-of-story tokens.
    pub(super) fn story(&mut self, part: Part, seed: u64, index: u64) -> anyhow::Result<Vec<Token>> {
        let (told, items) = hops::story(&TASK, part, seed, index);
        let mut tokens = Vec::new();
        let mut add = |text: &str, facts: u8| -> anyhow::Result<()> {
            for word in words::words(text) {
                let next = self.0.len() as u16 + EOT + 1;
                let id = *self.0.entry(word).or_insert(next);
                anyhow::ensure!(u32::from(id) < VOCAB, "the stories have more than {} words", VOCAB - 1);
                tokens.push(Token { id, facts });
            }
            Ok(())
        };
        let mut at = 0;
        for (answer, item) in told.answers.iter().zip(&items) {
            add(&told.text[at..answer.start], 0)?;
            add(&told.text[answer.clone()], item.facts.unwrap_or(1))?;
            at = answer.end;
        }
        add(&told.text[at..], 0)?;
        Ok(tokens)
    }
}

/// Endless sequences of stories to train on, each story at a depth of its own.
pub(super) struct Lanes {
    words: Words,
    seed: u64,
    next: u64,
    lanes: Vec<Lane>,
    /// Sequences of a replica.
    sequences: usize,
    depths: [u8; 3],
    /// Tells each story its depth.
    rng: Rng,
    /// Why stories ran out.
    failure: Option<anyhow::Error>,
}

/// One sequence: a story between two end-of-story tokens.
#[derive(Clone)]
struct Lane {
    tokens: Vec<Token>,
    at: usize,
    depth: u8,
}

/// Shares of the stories at the first and the second of the depths.
const SHARES: [f32; 2] = [0.2, 0.6];

impl Lanes {
    pub(super) fn new(replicas: usize, sequences: usize, depths: [u8; 3], seed: u64) -> Self {
        let lanes = vec![Lane { tokens: vec![], at: 0, depth: depths[0] }; replicas * sequences];
        let rng = Rng::new(seed ^ 0x5eed);
        Self { words: Words::default(), seed, next: 0, lanes, sequences, depths, rng, failure: None }
    }

    /// Fills the next chunk of a replica's sequences, time-major; with nothing from the first failure on.
    pub(super) fn fill(&mut self, replica: usize, rows: &mut Rows<'_>) {
        if self.failure.is_none() {
            self.failure = self.try_fill(replica, rows).err();
        }
    }

    fn try_fill(&mut self, replica: usize, rows: &mut Rows<'_>) -> anyhow::Result<()> {
        for at in 0..rows.ids.len() {
            let lane = &mut self.lanes[replica * self.sequences + at % self.sequences];
            if lane.at + 1 >= lane.tokens.len() {
                let eot = Token { id: EOT, facts: 0 };
                let story = self.words.story(Part::Train, self.seed, self.next)?;
                let u = self.rng.uniform();
                let depth = usize::from(u >= SHARES[0]) + usize::from(u >= SHARES[0] + SHARES[1]);
                *lane = Lane { tokens: [vec![eot], story, vec![eot]].concat(), at: 0, depth: self.depths[depth] };
                self.next += 1;
            }
            let next = lane.tokens[lane.at + 1];
            rows.ids[at] = lane.tokens[lane.at].id;
            (rows.targets[at], rows.facts[at], rows.depths[at]) = (next.id, next.facts, lane.depth);
            lane.at += 1;
        }
        Ok(())
    }

    /// The words met, to read other stories with; or why a chunk could not be filled.
    pub(super) fn into_words(self) -> anyhow::Result<Words> {
        self.failure.map_or(Ok(self.words), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_marked_with_the_facts_they_need() {
        let mut words = Words::default();
        let mut seen = [0; 3];
        for index in 0..50 {
            let tokens = words.story(Part::Test, 2, index).unwrap();
            let (told, items) = hops::story(&TASK, Part::Test, 2, index);
            let answers: Vec<Token> = tokens.iter().copied().filter(|t| t.facts > 0).collect();
            assert_eq!(answers.len(), items.len());
            for (token, item) in answers.iter().zip(&items) {
                assert_eq!(words.0[&item.answer.to_lowercase()], token.id, "{}", told.text);
                assert_eq!(Some(token.facts), item.facts);
                seen[usize::from(token.facts)] += 1;
            }
        }
        assert!(seen[1] > 50 && seen[2] > 50, "{seen:?}");
    }

    #[test]
    fn rows_predict_the_next_token_and_stories_begin_behind_an_end() {
        let mut lanes = Lanes::new(1, 3, [1, 3, 8], 1);
        let (mut ids, mut targets, mut facts, mut depths) = ([0; 600], [0; 600], [0; 600], [0; 600]);
        let mut rows = Rows { ids: &mut ids, targets: &mut targets, facts: &mut facts, depths: &mut depths };
        lanes.fill(0, &mut rows);
        for at in 0..597 {
            assert_eq!(targets[at], ids[at + 3]);
            assert!(ids[at + 3] == EOT || depths[at] == depths[at + 3], "a story has one depth");
        }
        assert!(ids[..3] == [EOT; 3] && ids.iter().filter(|&&id| id == EOT).count() > 3);
        assert!(facts.contains(&1) && facts.contains(&2));
        assert!(lanes.into_words().is_ok_and(|words| words.0.len() > 20));
    }
}
