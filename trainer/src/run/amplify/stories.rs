//! The training stories with generated ones behind them.

use flashlm_core::tokenizer::EOT;

use crate::data::{DataError, StoryTokens, Told};

/// A set of stories and those added to it. An added story keeps its number as long as it is there, so a lane that is
/// reading one reads on when others join it.
pub struct Amplified<S> {
    base: S,
    /// Stories in the base: the number of the first added one.
    count: u32,
    added: Vec<Vec<u16>>,
    /// Base and added stories in the share asked for; empty while nothing is mixed in.
    mixed: Vec<u32>,
}

impl<S: StoryTokens> Amplified<S> {
    /// The `count` stories of `base`, none added.
    pub fn new(base: S, count: usize) -> Self {
        Self { base, count: count as u32, added: Vec::new(), mixed: Vec::new() }
    }

    /// The stories that were there from the start, and how many.
    pub fn base(&self) -> (&S, u32) {
        (&self.base, self.count)
    }

    /// The added stories, without end-of-story tokens.
    pub fn added(&self) -> &[Vec<u16>] {
        &self.added
    }

    /// Adds stories. They are read once [`mix`](Self::mix) was called after it.
    pub fn add(&mut self, stories: impl IntoIterator<Item = Vec<u16>>) {
        self.added.extend(stories);
    }

    /// Makes added stories the `share` of a pool of which `pool` is the rest; each is named about equally often. The
    /// pool's size does not depend on how many were added, so epochs go on when more are. Without added stories, or at
    /// share 0, nothing is mixed.
    pub fn mix(&mut self, pool: &[u32], share: f32) {
        self.mixed.clear();
        let slots = added_slots(pool.len(), share);
        if self.added.is_empty() || slots == 0 {
            return;
        }
        self.mixed.extend_from_slice(pool);
        let names = (self.count..).take(self.added.len());
        self.mixed.extend(names.cycle().take(slots));
    }

    /// Reads the given stories alone again, each lane from its next story on.
    pub fn unmix(&mut self) {
        self.mixed.clear();
    }

    /// Whether added stories are being read.
    pub fn is_mixed(&self) -> bool {
        !self.mixed.is_empty()
    }

    /// What lanes read: `pool`, or the pool last mixed.
    pub fn pool<'a>(&'a self, pool: &'a [u32]) -> &'a [u32] {
        if self.mixed.is_empty() { pool } else { &self.mixed }
    }

    /// The added stories end to end, an end-of-story token after each: for a checkpoint.
    pub fn to_tokens(&self) -> Vec<u16> {
        self.added.iter().flat_map(|story| story.iter().copied().chain([EOT])).collect()
    }

    /// Adds what [`to_tokens`](Self::to_tokens) gave.
    pub fn add_tokens(&mut self, tokens: &[u16]) {
        self.add(tokens.split_inclusive(|&token| token == EOT).map(|story| match story {
            [story @ .., EOT] => story.to_vec(),
            story => story.to_vec(),
        }));
    }
}

/// How often added stories are named beside `pool` others to be the `share` of all.
fn added_slots(pool: usize, share: f32) -> usize {
    let share = f64::from(share.clamp(0.0, 0.99));
    (pool as f64 * share / (1.0 - share)).round() as usize
}

impl<S: StoryTokens> StoryTokens for Amplified<S> {
    fn read(&self, index: u32, told: &mut Told) -> Result<(), DataError> {
        match index.checked_sub(self.count) {
            // the model marks no answers in its own
            Some(added) => {
                told.clear();
                told.tokens.extend_from_slice(&self.added[added as usize]);
                Ok(())
            }
            None => self.base.read(index, told),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::lanes::Tell;
    use crate::data::reasoning::Difficulty;
    use crate::data::{Chunk, Deal, DepthShares, lanes};
    use crate::run::levels::DIFFICULTIES;

    /// Story i is three tokens, each 1 + i.
    struct Three(Vec<[u16; 3]>);

    impl StoryTokens for Three {
        fn read(&self, index: u32, told: &mut Told) -> Result<(), DataError> {
            *told = Told { tokens: self.0[index as usize].to_vec(), ..Told::default() };
            Ok(())
        }
    }

    fn hundred() -> (Amplified<Three>, Vec<u32>) {
        (Amplified::new(Three((1..=100).map(|i| [i; 3]).collect()), 100), (0..100).collect())
    }

    /// Tells no reasoning stories.
    struct Silent;

    impl Tell for Silent {
        fn tell(&self, _: u64, _: Difficulty, _: &mut Told) {}
    }

    /// First tokens of the next stories that a lane begins.
    fn read(stories: &Amplified<Three>, pool: &[u32], count: usize) -> Vec<u16> {
        let mut lane = lanes(1, 7).remove(0);
        let (mut ids, mut targets) = (vec![0; 4 * count], vec![0; 4 * count]);
        let (mut facts, mut depths) = (vec![0; 4 * count], vec![0; 4 * count]);
        let deal = Deal {
            pool: stories.pool(pool),
            share: 0.0,
            difficulties: &DIFFICULTIES[..1],
            depths: [1, 3, 8],
            shares: DepthShares { plain: [1.0, 0.0, 0.0], reasoning: [1.0, 0.0, 0.0] },
        };
        let chunk = Chunk { ids: &mut ids, targets: &mut targets, facts: &mut facts, depths: &mut depths, stride: 1 };
        lane.fill(stories, &Silent, &deal, chunk).unwrap();
        ids.chunks(4).map(|story| story[1]).collect()
    }

    #[test]
    fn added_stories_are_the_share_asked_for_and_each_is_read_equally_often() {
        let (mut stories, pool) = hundred();
        stories.add((0..4).map(|i| vec![1000 + i; 3]));
        for (share, slots) in [(0.2, 25), (0.5, 100), (0.1, 11)] {
            stories.mix(&pool, share);
            assert_eq!(stories.pool(&pool).len(), 100 + slots);
            // one epoch
            let read = read(&stories, &pool, 100 + slots);
            let generated = read.iter().filter(|&&first| first >= 1000).count();
            assert_eq!(generated, slots, "share {share}");
            for story in 1000..1004 {
                let times = read.iter().filter(|&&first| first == story).count();
                assert!(times.abs_diff(slots / 4) <= 1, "{story}: {times} of {slots}");
            }
        }
    }

    #[test]
    fn nothing_is_mixed_without_stories_or_share_or_after_unmixing() {
        let (mut stories, pool) = hundred();
        stories.mix(&pool, 0.5);
        assert!(!stories.is_mixed());
        stories.add([vec![1000; 3]]);
        stories.mix(&pool, 0.0);
        assert_eq!(stories.pool(&pool), pool);
        stories.mix(&pool, 0.5);
        assert!(stories.is_mixed());
        stories.unmix();
        assert_eq!(stories.pool(&pool), pool);
        assert_eq!(stories.added().len(), 1, "a lane may still be reading it");
    }

    #[test]
    fn a_story_keeps_its_number_and_the_pool_its_size_when_others_join() {
        let (mut stories, pool) = hundred();
        stories.add([vec![1000; 3], vec![1001; 5]]);
        stories.mix(&pool, 0.3);
        let size = stories.pool(&pool).len();
        stories.add([vec![1002; 2]]);
        stories.mix(&pool, 0.3);
        assert_eq!(stories.pool(&pool).len(), size);
        let told = |index| {
            let mut told = Told::default();
            stories.read(index, &mut told).unwrap();
            told.tokens
        };
        assert_eq!([told(101), told(102), told(3)], [vec![1001; 5], vec![1002; 2], vec![4; 3]]);
    }

    #[test]
    fn stored_stories_come_back() {
        let (mut stories, _) = hundred();
        stories.add([vec![7, 8], vec![], vec![9]]);
        let tokens = stories.to_tokens();
        assert_eq!(tokens, [7, 8, EOT, EOT, 9, EOT]);
        let (mut back, _) = hundred();
        back.add_tokens(&tokens);
        assert_eq!(back.added(), stories.added());
    }
}
