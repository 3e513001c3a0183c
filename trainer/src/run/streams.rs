//! The data stream of a run: one lane for every sequence of every replica.
//!
//! Lanes are dealt stories by their numbers and know nothing of one another. So each process of several has all of
//! them, and moves its own replicas' only.

use flashlm_core::Tokenizer;
use flashlm_core::tokenizer::TokenizerError;
use serde_json::Value;

use crate::data::mix::MAX_SHARE;
use crate::data::reasoning::{Difficulty, Family};
use crate::data::{Chunk, DataError, Deal, DepthShares, Lane, Mix, Teller, Texts, TokenCache, lanes, regrouped};
use crate::nn::Rows;
use crate::ranks::Ranks;
use crate::run::amplify::stories::Amplified;
use crate::run::levels::DIFFICULTIES;

/// All lanes and the stories they read.
pub struct Streams {
    library: Library,
    /// Lane `replica * sequences + b`, of all processes' replicas.
    lanes: Vec<Lane>,
    /// The first replica that is this process's, and how many are.
    first: usize,
    replicas: usize,
    /// Why the lanes cannot go on.
    failure: Option<DataError>,
}

/// What lanes read, and how they choose.
struct Library {
    stories: Amplified<Texts>,
    /// What lanes begin, of the given stories: the share at hand of them, easiest first.
    pool: Vec<u32>,
    /// The tokenizer's table and kinds of reasoning stories.
    table: Vec<u8>,
    families: Vec<Family>,
    seed: u64,
    sequences: usize,
    /// Share of all tokens in reasoning stories.
    share: f32,
    choice: Choice,
}

/// How many lanes, and the seed of what they read.
#[derive(Clone, Copy, Debug)]
pub struct Lanes {
    /// Processes, and which of them this is.
    pub ranks: usize,
    pub rank: usize,
    /// Of each process.
    pub replicas: usize,
    /// Of each replica.
    pub sequences: usize,
    pub seed: u64,
}

/// What the phase at hand wants to be read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// Share of the stories, easiest first.
    pub pool: f32,
    /// Of reasoning stories: how many, in units of the share asked for, and how hard.
    pub share: f32,
    pub difficulties: &'static [Difficulty],
    /// Passes of the three depths, and how often each is drawn.
    pub depths: [u8; 3],
    pub shares: DepthShares,
}

impl Streams {
    /// Lanes at their start, that read each of `texts` with its share of the tokens. `table` is the tokenizer's; an
    /// error where it is none, or a family of `mix` is unknown.
    pub fn new(
        texts: Vec<(TokenCache, f32)>,
        table: Vec<u8>,
        mix: &Mix,
        Lanes { ranks, rank, replicas, sequences, seed }: Lanes,
    ) -> Result<Self, DataError> {
        Tokenizer::from_bytes(&table)?;
        let choice = Choice {
            pool: 1.0,
            share: 1.0,
            difficulties: &DIFFICULTIES[..1],
            depths: [1; 3],
            shares: DepthShares { plain: [1.0, 0.0, 0.0], reasoning: [1.0, 0.0, 0.0] },
        };
        let (families, share) = (mix.families()?, mix.share);
        let count = ranks * replicas * sequences;
        let texts = Texts::new(texts, count);
        let (stories, longest, pool) = (texts.len(), texts.longest(), texts.pool(choice.pool));
        let stories = Amplified::new(texts, stories);
        let library = Library { stories, pool, table, families, seed, sequences, share, choice };
        let mut lanes = lanes(count, seed);
        // one more: the token after a piece is read with it
        lanes.iter_mut().for_each(|lane| lane.reserve(longest + 1));
        Ok(Self { library, lanes, first: rank * replicas, replicas, failure: None })
    }

    /// Pieces of text that lanes begin at in the phases that read the `pool` share of it.
    pub fn beginnings(&self, pool: f32) -> usize {
        self.library.stories.base().0.beginnings(pool)
    }

    /// What is read from each lane's next story on.
    pub fn choose(&mut self, choice: Choice) {
        let library = &mut self.library;
        if library.choice.pool != choice.pool {
            library.pool = library.stories.base().0.pool(choice.pool);
        }
        library.choice = choice;
    }

    /// The next chunk of every sequence of this process's `replica`; where that fails, [`failure`](Self::failure) says
    /// why.
    pub fn fill(&mut self, replica: usize, rows: Rows) {
        let filled = self.library.fill(&mut self.lanes, self.first + replica, rows);
        self.failure = self.failure.take().or(filled.err());
    }

    /// Why a chunk since the last look could not be filled. The lanes are not to be used any more then.
    pub fn failure(&mut self) -> Option<DataError> {
        self.failure.take()
    }

    /// The streams as they will go on from the next story of each lane, which is read from its start; the lanes
    /// themselves stay where they are.
    pub fn ahead(&self) -> Ahead<'_> {
        let lanes = self.lanes.iter().map(Lane::at_its_next_story).collect();
        Ahead { library: &self.library, lanes, first: self.first, failure: None }
    }

    /// What lanes read: the given stories, and the model's own behind them.
    pub fn stories(&self) -> &Amplified<Texts> {
        &self.library.stories
    }

    /// The same, to add stories of the model's own and to [`mix`](Self::mix) them in or not.
    pub fn stories_mut(&mut self) -> &mut Amplified<Texts> {
        &mut self.library.stories
    }

    /// Makes stories of the model's own this share of the stories that lanes begin, beside reasoning stories.
    pub fn mix(&mut self, share: f32) {
        let Library { stories, pool, .. } = &mut self.library;
        stories.mix(pool, share);
    }

    /// Tells the first process where the others' lanes stand; all have to call it.
    ///
    /// # Errors
    /// On the first process, where what came is not that.
    pub fn gather(&mut self, ranks: &Ranks) -> serde_json::Result<()> {
        let own = self.replicas * self.library.sequences;
        let each = ranks.gather_each(serde_json::to_vec(&self.lanes[self.first * self.library.sequences..][..own])?);
        for (lanes, bytes) in self.lanes.chunks_exact_mut(own).zip(&each).skip(1) {
            lanes.clone_from_slice(&serde_json::from_slice::<Vec<Lane>>(bytes)?);
        }
        Ok(())
    }

    /// Where all lanes stand, for a checkpoint; those of other processes as they were [gathered](Self::gather).
    pub fn cursor(&self) -> Value {
        // plain numbers: cannot fail
        serde_json::to_value(&self.lanes).unwrap_or_default()
    }

    /// Goes back to where [`cursor`](Self::cursor) was taken; `false`, and nothing changed, where it is of
    /// another number of lanes.
    pub fn restore(&mut self, cursor: &Value) -> bool {
        match serde_json::from_value::<Vec<Lane>>(cursor.clone()) {
            Ok(lanes) if lanes.len() == self.lanes.len() => {
                self.lanes = lanes;
                true
            }
            _ => false,
        }
    }

    /// Goes on about where a [`cursor`](Self::cursor) of another number of lanes was taken ([`regrouped`]); `false`,
    /// and nothing changed, where it is none.
    pub fn regroup(&mut self, cursor: &Value) -> bool {
        let Ok(before) = serde_json::from_value::<Vec<Lane>>(cursor.clone()) else { return false };
        self.lanes = regrouped(&before, self.lanes.len());
        true
    }
}

/// A look at what comes next.
pub struct Ahead<'a> {
    library: &'a Library,
    lanes: Vec<Lane>,
    first: usize,
    failure: Option<DataError>,
}

impl Ahead<'_> {
    /// As [`Streams::fill`].
    pub fn fill(&mut self, replica: usize, rows: Rows) {
        let filled = self.library.fill(&mut self.lanes, self.first + replica, rows);
        self.failure = self.failure.take().or(filled.err());
    }

    /// As [`Streams::failure`].
    pub fn failure(self) -> Option<DataError> {
        self.failure
    }
}

impl Library {
    fn fill(
        &self,
        lanes: &mut [Lane],
        replica: usize,
        Rows { ids, targets, facts, depths }: Rows,
    ) -> Result<(), DataError> {
        let checked = |_: TokenizerError| unreachable!("the table was checked when the streams were made");
        let tokenizer = Tokenizer::from_bytes(&self.table).unwrap_or_else(checked);
        let teller = Teller::new(tokenizer, &self.families, self.seed);
        let deal = Deal {
            pool: self.stories.pool(&self.pool),
            share: (self.share * self.choice.share).min(MAX_SHARE),
            difficulties: self.choice.difficulties,
            depths: self.choice.depths,
            shares: self.choice.shares,
        };
        let stride = self.sequences;
        for (b, lane) in lanes[replica * stride..][..stride].iter_mut().enumerate() {
            let (ids, targets) = (&mut ids[b..], &mut targets[b..]);
            let chunk = Chunk { ids, targets, facts: &mut facts[b..], depths: &mut depths[b..], stride };
            lane.fill(&self.stories, &teller, &deal, chunk)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fs;

    use super::*;
    use crate::data::cut::{Reading, Split};
    use crate::data::{Options, Source, with_shares};

    const SEQUENCES: usize = 16;
    const TOKENS: usize = 64;

    /// Batches read from `text`, each as its rows.
    fn batches(text: &str, pool: f32, count: usize) -> Vec<Vec<Vec<u16>>> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("text.txt"), text).unwrap();
        fs::write(dir.path().join("valid.txt"), "Held out.").unwrap();
        let options = Options {
            data: Source::Path(dir.path().join("text.txt")),
            valid: Some(Source::Path(dir.path().join("valid.txt"))),
            reading: Reading { split: Split::None, ..Reading::default() },
            vocab: 300,
            tokenizer: None,
            texts: Vec::new(),
            mix: Mix::NONE,
            sample: u64::MAX,
            cache_dir: dir.path().join("cache"),
            seed: 1,
        };
        let prepared = options.prepare(|_| {}).unwrap();
        let lanes = Lanes { ranks: 1, rank: 0, replicas: 1, sequences: SEQUENCES, seed: 1 };
        let table = prepared.tokenizer.clone();
        let mut streams = Streams::new(with_shares(prepared.train, prepared.mixed), table, &Mix::NONE, lanes).unwrap();
        assert!(streams.beginnings(pool) >= SEQUENCES);
        streams.choose(Choice { pool, ..streams.library.choice });
        let mut batch = || {
            let (mut ids, mut targets) = (vec![0; SEQUENCES * TOKENS], vec![0; SEQUENCES * TOKENS]);
            let (mut facts, mut depths) = (vec![0; SEQUENCES * TOKENS], vec![0; SEQUENCES * TOKENS]);
            let rows = Rows { ids: &mut ids, targets: &mut targets, facts: &mut facts, depths: &mut depths };
            streams.fill(0, rows);
            assert!(streams.failure().is_none());
            (0..SEQUENCES).map(|row| ids.iter().skip(row).step_by(SEQUENCES).copied().collect()).collect()
        };
        (0..count).map(|_| batch()).collect()
    }

    #[test]
    fn all_rows_of_a_batch_are_different_text_however_few_and_long_the_stories() {
        let play: String = (0..20_000).map(|i| format!("{i} went {}. ", i * 7919 % 10_007)).collect();
        let third = play.len() / 3;
        let three = [&play[..third], &play[third..2 * third], &play[2 * third..]].join("\n<|endoftext|>\n");
        for text in [&play, &three] {
            for pool in [0.3, 1.0] {
                for batch in batches(text, pool, 20) {
                    let distinct: HashSet<&Vec<u16>> = batch.iter().collect();
                    assert_eq!(distinct.len(), SEQUENCES);
                }
            }
        }
    }
}
