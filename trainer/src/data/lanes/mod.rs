//! The endless streams of tokens that training reads, one for each sequence of the batch.
//!
//! A lane feeds `EOT s1 .. sn EOT s1' ..`: stories end to end, cut into chunks of whatever length is asked for,
//! while the model's state carries over. Every epoch goes through the whole pool in an order of its own, and the
//! epochs' stories, laid end to end, are dealt to the lanes in turn like cards: so no story is read twice in an
//! epoch, each lane depends on no other, and they may run on any thread.
//!
//! Between them come reasoning stories, told when their turn comes, until they make up the share of all tokens that
//! was asked for. At a story's begin the depth it trains the reasoning loop at is drawn. Nothing here is random: the
//! share is kept by counting, depth and order are hashes of the seed and of counts.

mod shuffle;
#[cfg(test)]
mod tests;

use flashlm_core::tokenizer::EOT;
use serde::{Deserialize, Serialize};

use self::shuffle::shuffled;
use super::DataError;
use super::encoder::AnswerTokens;
use super::hash::mix;
use super::reasoning::Difficulty;

/// Where stories' tokens come from. The token cache is one; a set that adds stories to it is another, its pool
/// naming them by numbers from the cache's length on.
pub trait StoryTokens {
    /// Puts story `index` into `told`, in place of what was there.
    ///
    /// # Errors
    /// It cannot be read any more.
    fn read(&self, index: u32, told: &mut Told) -> Result<(), DataError>;
}

/// A story in tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Without any end-of-story token.
    pub tokens: Vec<u16>,
    /// In order and without overlap.
    pub answers: Vec<AnswerTokens>,
    /// What comes after the last token, where that is not the story's end.
    pub next: Option<u16>,
}

impl Told {
    /// Forgets the story and keeps its memory.
    pub fn clear(&mut self) {
        self.tokens.clear();
        self.answers.clear();
        self.next = None;
    }
}

/// Tells reasoning stories.
pub trait Tell {
    /// Puts story number `index`, a pure function of number and difficulty, into `told`, in place of what was there.
    fn tell(&self, index: u64, difficulty: Difficulty, told: &mut Told);
}

/// With what shares the three depths are drawn for a story; they need not add up to one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DepthShares {
    pub plain: [f32; 3],
    /// For reasoning stories, and for others that have answers marked.
    pub reasoning: [f32; 3],
}

/// What lanes begin next.
#[derive(Clone, Copy, Debug)]
pub struct Deal<'a> {
    /// Story indices, easiest first. A pool of another size than before begins new epochs.
    pub pool: &'a [u32],
    /// Share of all tokens in reasoning stories, 0 to 1.
    pub share: f32,
    /// Of reasoning stories: half of them are as the last says, the others as one of those before, so that nothing
    /// learned is forgotten. At least one.
    pub difficulties: &'a [Difficulty],
    /// Passes of the three depths, and how often each is drawn.
    pub depths: [u8; 3],
    pub shares: DepthShares,
}

/// Rows to fill: of slices of equal length every `stride`-th place, from the first on. Stride 1 fills a row of (B, T);
/// stride B a column of (T, B), given slices that begin at it.
pub struct Chunk<'a> {
    /// Inputs, and the token to predict after each.
    pub ids: &'a mut [u16],
    pub targets: &'a mut [u16],
    /// Facts that the answer which the target is a token of needs; 0 where the target is no answer.
    pub facts: &'a mut [u8],
    /// Passes for this row: those of the story its input is of.
    pub depths: &'a mut [u8],
    pub stride: usize,
}

/// One lane: a plain value that says where its stream stands, so a checkpoint stores it and a resumed run reads
/// on exactly there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    seed: u64,
    /// This lane and how many there are.
    lane: u32,
    lanes: u32,
    /// Stories in the pool that the current round of epochs goes through.
    pool: u32,
    /// Stories of the pool this lane has begun in this round.
    begun: u64,
    /// Reasoning stories this lane has begun, and stories of either kind.
    told: u64,
    stories: u64,
    /// Tokens of reasoning stories that are still to come for their share to be right, in units of 1 / [`ONE`].
    owed: i64,
    /// The story being read, the passes it is read with, and the place of the next input in it: 0 its opening EOT,
    /// i its token i - 1.
    reading: Reading,
    depth: u8,
    place: u32,
    /// The story being read; fetched anew after a lane was stored.
    #[serde(skip)]
    telling: Told,
}

/// What a lane reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Reading {
    Nothing,
    /// This story of the pool.
    Pool(u32),
    /// The reasoning story of this number.
    Told(u64, Difficulty),
}

/// One token in [`Lane::owed`].
const ONE: i64 = 1 << 16;

/// All lanes of a run.
pub fn lanes(count: usize, seed: u64) -> Vec<Lane> {
    (0..count as u32).map(|lane| Lane::new(lane, count as u32, seed)).collect()
}

/// So many lanes that go on about where `before`, of another number, stood: each begins its next story at its place
/// behind all that were begun. What was being read is left, and as some lanes were ahead of others, a few stories of
/// the epoch are left out or read twice.
pub fn regrouped(before: &[Lane], count: usize) -> Vec<Lane> {
    // lanes that have begun no story since the last change of the pool are of a round that is over
    let pool = before.iter().map(|lane| lane.pool).max().unwrap_or(0);
    let current = || before.iter().filter(|lane| lane.pool == pool);
    let all = |counted: u64| counted.div_ceil(count.max(1) as u64);
    let begun = current().map(|lane| lane.begun).sum::<u64>() * before.len() as u64 / current().count().max(1) as u64;
    let told = before.iter().map(|lane| lane.told).sum();
    let stories = before.iter().map(|lane| lane.stories).sum();
    let owed = before.iter().map(|lane| lane.owed).sum::<i64>() / count.max(1) as i64;
    let seed = before.first().map_or(0, |lane| lane.seed);
    let (begun, told, stories) = (all(begun), all(told), all(stories));
    lanes(count, seed).into_iter().map(|lane| Lane { pool, begun, told, stories, owed, ..lane }).collect()
}

impl Lane {
    /// Lane `lane` of `lanes`. The same three numbers give the same stream.
    pub fn new(lane: u32, lanes: u32, seed: u64) -> Self {
        Self {
            seed,
            lane,
            lanes: lanes.max(1),
            pool: 0,
            begun: 0,
            told: 0,
            stories: 0,
            owed: 0,
            reading: Reading::Nothing,
            depth: 1,
            place: 0,
            telling: Told::default(),
        }
    }

    /// The same lane, about to begin its next story.
    pub fn at_its_next_story(&self) -> Self {
        Self { reading: Reading::Nothing, telling: Told::default(), ..self.clone() }
    }

    /// Makes room for stories of so many tokens, so that reading one need not.
    pub fn reserve(&mut self, tokens: usize) {
        self.telling.tokens.reserve(tokens);
    }

    /// Fills the next chunk. What `deal` says takes effect at the next story.
    ///
    /// Panics when the pool is empty or names a story that does not exist.
    ///
    /// # Errors
    /// A story cannot be read. The chunk is not filled then, and the lane is not to be used any more.
    pub fn fill(
        &mut self,
        stories: &impl StoryTokens,
        teller: &impl Tell,
        deal: &Deal,
        chunk: Chunk,
    ) -> Result<(), DataError> {
        let Chunk { ids, targets, facts, depths, stride } = chunk;
        let mut row = 0;
        while row < ids.len() {
            match self.reading {
                Reading::Nothing => self.begin(stories, teller, deal)?,
                // a lane that was stored
                _ if self.telling.tokens.is_empty() => self.fetch(stories, teller)?,
                _ => {}
            }
            let Told { tokens, answers, next } = &self.telling;
            let after = next.unwrap_or(EOT);
            let ended = answers.partition_point(|answer| answer.start + answer.length <= self.place);
            let mut answers = answers[ended..].iter().peekable();
            while (self.place as usize) <= tokens.len() && row < ids.len() {
                let place = self.place as usize;
                ids[row] = if place == 0 { EOT } else { tokens[place - 1] };
                targets[row] = tokens.get(place).copied().unwrap_or(after);
                while answers.next_if(|answer| answer.start + answer.length <= self.place).is_some() {}
                facts[row] = answers.peek().filter(|answer| answer.start <= self.place).map_or(0, |a| a.facts);
                depths[row] = self.depth;
                self.place += 1;
                row += stride;
            }
            if self.place as usize > tokens.len() {
                self.reading = Reading::Nothing;
            }
        }
        Ok(())
    }

    /// Begins a reasoning story where their share is behind, else the next story of the pool.
    fn begin(&mut self, stories: &impl StoryTokens, teller: &impl Tell, deal: &Deal) -> Result<(), DataError> {
        let share = (f64::from(deal.share) * ONE as f64).round() as i64;
        if share > 0 && self.owed > 0 {
            let index = self.told * u64::from(self.lanes) + u64::from(self.lane);
            self.told += 1;
            self.reading = Reading::Told(index, self.difficulty(index, deal.difficulties));
        } else {
            self.reading = Reading::Pool(self.deal(deal.pool));
        }
        self.fetch(stories, teller)?;
        let length = self.telling.tokens.len() as i64 + 1;
        let is_told = matches!(self.reading, Reading::Told(..));
        self.owed += share * length - if is_told { ONE * length } else { 0 };
        let plain = !is_told && self.telling.answers.is_empty();
        self.depth = self.draw(&deal.depths, if plain { &deal.shares.plain } else { &deal.shares.reasoning });
        (self.stories, self.place) = (self.stories + 1, 0);
        Ok(())
    }

    /// Puts the story being read into memory.
    fn fetch(&mut self, stories: &impl StoryTokens, teller: &impl Tell) -> Result<(), DataError> {
        match self.reading {
            Reading::Pool(index) => stories.read(index, &mut self.telling),
            Reading::Told(index, difficulty) => {
                teller.tell(index, difficulty, &mut self.telling);
                Ok(())
            }
            Reading::Nothing => Ok(()),
        }
    }

    /// The next story of the pool.
    fn deal(&mut self, pool: &[u32]) -> u32 {
        assert!(!pool.is_empty(), "a lane needs stories to read");
        let size = pool.len() as u32;
        if size != self.pool {
            (self.pool, self.begun) = (size, 0);
        }
        let dealt = self.begun * u64::from(self.lanes) + u64::from(self.lane);
        let (epoch, position) = (dealt / u64::from(size), (dealt % u64::from(size)) as u32);
        let key = mix(self.seed ^ mix(epoch) ^ mix(u64::from(size)).rotate_left(1));
        self.begun += 1;
        pool[shuffled(position, size, key) as usize]
    }

    /// How hard reasoning story number `index` is.
    fn difficulty(&self, index: u64, all: &[Difficulty]) -> Difficulty {
        let [before @ .., last] = all else { panic!("a lane needs to know how hard stories are") };
        let key = mix(self.seed ^ mix(index).rotate_left(3));
        match before.len() {
            0 => *last,
            _ if key & 1 == 0 => *last,
            count => before[(key >> 1) as usize % count],
        }
    }

    /// The depth of the story that begins.
    fn draw(&self, depths: &[u8; 3], shares: &[f32; 3]) -> u8 {
        let key = mix(self.seed ^ mix(u64::from(self.lane)).rotate_left(1) ^ mix(self.stories).rotate_left(2));
        let all: f64 = shares.iter().map(|&share| f64::from(share)).sum();
        let mut left = (key >> 11) as f64 / (1u64 << 53) as f64 * all;
        for (&depth, &share) in depths.iter().zip(shares) {
            left -= f64::from(share);
            if left < 0.0 {
                return depth;
            }
        }
        depths[2]
    }
}
