//! The endless streams of tokens that training reads, one for each sequence of the batch.
//!
//! A lane feeds `EOT s1 .. sn EOT s1' ..`: stories end to end, cut into chunks of whatever length is asked for,
//! while the model's state carries over. Every epoch goes through the whole pool in an order of its own, and the
//! epochs' stories, laid end to end, are dealt to the lanes in turn like cards: so no story is read twice in an
//! epoch, each lane depends on no other, and they may run on any thread.

use super::hash::mix;
use flashlm_core::tokenizer::EOT;
use serde::{Deserialize, Serialize};

/// Where stories' tokens come from. The token cache is one; a set that adds stories to it is another, its pool
/// naming them by numbers from the cache's length on.
pub trait StoryTokens {
    /// The tokens of story `index`, without any end-of-story token.
    fn story(&self, index: u32) -> &[u16];
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
    /// Stories this lane has begun in this round.
    begun: u64,
    /// The story being read, and the place of the next input in it: 0 its opening EOT, i its token i - 1.
    story: u32,
    place: u32,
    /// Whether a story is being read at all.
    reading: bool,
}

/// All lanes of a run.
pub fn lanes(count: usize, seed: u64) -> Vec<Lane> {
    (0..count as u32).map(|lane| Lane::new(lane, count as u32, seed)).collect()
}

impl Lane {
    /// Lane `lane` of `lanes`. The same three numbers give the same stream.
    pub fn new(lane: u32, lanes: u32, seed: u64) -> Self {
        Self { seed, lane, lanes: lanes.max(1), pool: 0, begun: 0, story: 0, place: 0, reading: false }
    }

    /// Fills the next chunk: `ids[i * stride]` is an input and `targets[i * stride]` the token to predict after
    /// it, for every i that fits. Stride 1 fills a row of (B, T); stride B a column of (T, B), given slices that
    /// begin at it. A pool (story indices, easiest first) of another size than before takes effect at the next
    /// story and begins new epochs.
    ///
    /// Panics when the pool is empty or names a story that does not exist.
    pub fn fill(
        &mut self,
        stories: &impl StoryTokens,
        pool: &[u32],
        ids: &mut [u16],
        targets: &mut [u16],
        stride: usize,
    ) {
        let mut out = ids.iter_mut().step_by(stride).zip(targets.iter_mut().step_by(stride)).peekable();
        while out.peek().is_some() {
            if !self.reading {
                self.begin(pool);
            }
            let story = stories.story(self.story);
            while (self.place as usize) <= story.len() {
                let Some((id, target)) = out.next() else { return };
                let place = self.place as usize;
                *id = if place == 0 { EOT } else { story[place - 1] };
                *target = story.get(place).copied().unwrap_or(EOT);
                self.place += 1;
            }
            self.reading = false;
        }
    }

    fn begin(&mut self, pool: &[u32]) {
        assert!(!pool.is_empty(), "a lane needs stories to read");
        let size = pool.len() as u32;
        if size != self.pool {
            (self.pool, self.begun) = (size, 0);
        }
        let dealt = self.begun * u64::from(self.lanes) + u64::from(self.lane);
        let (epoch, position) = (dealt / u64::from(size), (dealt % u64::from(size)) as u32);
        let key = mix(self.seed ^ mix(epoch) ^ mix(u64::from(size)).rotate_left(1));
        self.story = pool[shuffled(position, size, key) as usize];
        (self.begun, self.place, self.reading) = (self.begun + 1, 0, true);
    }
}

/// Where `position` goes in the shuffle of 0..size that `key` names: a Feistel network over the next power of
/// four, walked until it lands inside. A shuffle of any size that needs no memory.
fn shuffled(position: u32, size: u32, key: u64) -> u32 {
    let half_bits = (32 - (size - 1).leading_zeros()).div_ceil(2);
    let mask = (1u32 << half_bits) - 1;
    let mut x = position;
    loop {
        let (mut left, mut right) = (x >> half_bits, x & mask);
        for round in 0..6 {
            let next = left ^ (mix(key.wrapping_add(round) ^ u64::from(right) << 32) as u32 & mask);
            (left, right) = (right, next);
        }
        // At least a quarter of all values are inside, and the walk is a cycle through `position`.
        x = u64::from(left).wrapping_shl(half_bits) as u32 | right;
        if x < size {
            return x;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Story i is i + 1 tokens, each 1000 + i.
    struct Numbered(Vec<Vec<u16>>);

    impl StoryTokens for Numbered {
        fn story(&self, index: u32) -> &[u16] {
            &self.0[index as usize]
        }
    }

    fn numbered(count: u16) -> (Numbered, Vec<u32>) {
        let stories = (0..count).map(|i| vec![1000 + i; usize::from(i) % 7 + 1]).collect();
        (Numbered(stories), (0..u32::from(count)).collect())
    }

    fn read(lane: &mut Lane, stories: &Numbered, pool: &[u32], length: usize) -> (Vec<u16>, Vec<u16>) {
        let (mut ids, mut targets) = (vec![9; length], vec![9; length]);
        lane.fill(stories, pool, &mut ids, &mut targets, 1);
        (ids, targets)
    }

    /// The stories a stream reads, in order.
    fn stories_of(ids: &[u16]) -> Vec<u16> {
        ids.windows(2).filter(|pair| pair[0] == EOT).map(|pair| pair[1] - 1000).collect()
    }

    #[test]
    fn a_stream_is_whole_stories_between_end_tokens_and_targets_are_the_next_inputs() {
        let (stories, pool) = numbered(10);
        let (ids, targets) = read(&mut Lane::new(0, 1, 3), &stories, &pool, 500);
        assert_eq!(ids[0], EOT);
        assert_eq!(ids[1..], targets[..499]);
        for story in ids.split(|&id| id == EOT).skip(1) {
            let Some(&first) = story.first() else { panic!("an empty story") };
            let whole = &stories.0[usize::from(first - 1000)];
            assert!(whole.starts_with(story));
        }
    }

    #[test]
    fn lanes_share_out_every_epoch_without_overlap() {
        let (stories, pool) = numbered(60);
        for count in [1, 3, 4, 7] {
            let mut read_in_epoch_one: Vec<u16> = Vec::new();
            for mut lane in lanes(count, 5) {
                let (ids, _) = read(&mut lane, &stories, &pool, 4000);
                let own = 60 / count + usize::from((lane.lane as usize) < 60 % count);
                read_in_epoch_one.extend(&stories_of(&ids)[..own]);
            }
            read_in_epoch_one.sort();
            assert_eq!(read_in_epoch_one, (0..60).collect::<Vec<u16>>(), "{count} lanes");
        }
    }

    #[test]
    fn more_lanes_than_stories_all_get_some_to_read() {
        let (stories, pool) = numbered(3);
        for mut lane in lanes(8, 1) {
            let (ids, _) = read(&mut lane, &stories, &pool, 100);
            let mut seen = stories_of(&ids);
            seen.sort();
            seen.dedup();
            assert_eq!(seen, [0, 1, 2]);
        }
    }

    #[test]
    fn epochs_and_seeds_have_orders_of_their_own() {
        let (stories, pool) = numbered(50);
        let (ids, _) = read(&mut Lane::new(0, 1, 1), &stories, &pool, 1000);
        let order = stories_of(&ids);
        assert_ne!(order[..50], order[50..100]);
        let (other, _) = read(&mut Lane::new(0, 1, 2), &stories, &pool, 1000);
        assert_ne!(order[..50], stories_of(&other)[..50]);
    }

    #[test]
    fn a_stored_lane_reads_on_exactly_where_it_stopped() {
        let (stories, pool) = numbered(20);
        let mut whole = Lane::new(1, 3, 9);
        let (ids, targets) = read(&mut whole, &stories, &pool, 300);
        for cut in [0, 1, 2, 57, 150] {
            let mut lane = Lane::new(1, 3, 9);
            let first = read(&mut lane, &stories, &pool, cut);
            let stored = serde_json::to_string(&lane).unwrap();
            let mut lane: Lane = serde_json::from_str(&stored).unwrap();
            let second = read(&mut lane, &stories, &pool, 300 - cut);
            assert_eq!([first.0, second.0].concat(), ids);
            assert_eq!([first.1, second.1].concat(), targets);
            assert_eq!(lane, whole);
        }
    }

    #[test]
    fn a_new_pool_takes_effect_at_the_next_story() {
        let (stories, pool) = numbered(30);
        for cut in 100..115 {
            let mut lane = Lane::new(0, 1, 4);
            let (ids, _) = read(&mut lane, &stories, &pool[..5], cut);
            assert!(stories_of(&ids).iter().all(|&story| story < 5));
            let current = &stories.0[lane.story as usize];
            let left = current.len() + 1 - lane.place as usize;
            let (ids, _) = read(&mut lane, &stories, &pool, 400);
            assert_eq!(ids.iter().position(|&id| id == EOT), Some(left));
            assert_eq!(ids[..left], current[current.len() - left..]);
            let mut order = stories_of(&ids[left..]);
            order.truncate(30);
            order.sort();
            assert_eq!(order, (0..30).collect::<Vec<u16>>());
        }
    }

    #[test]
    fn a_strided_chunk_is_the_same_stream() {
        let (stories, pool) = numbered(12);
        let (mut ids, mut targets) = ([9; 40], [9; 40]);
        for (column, mut lane) in lanes(4, 2).into_iter().enumerate() {
            lane.fill(&stories, &pool, &mut ids[column..], &mut targets[column..], 4);
        }
        for (column, mut lane) in lanes(4, 2).into_iter().enumerate() {
            let (row, row_targets) = read(&mut lane, &stories, &pool, 10);
            assert!(row.iter().eq(ids[column..].iter().step_by(4)));
            assert!(row_targets.iter().eq(targets[column..].iter().step_by(4)));
        }
    }

    proptest! {
        #[test]
        fn a_shuffle_hits_every_place_once(size in 1u32..2000, key: u64) {
            let mut places: Vec<u32> = (0..size).map(|position| shuffled(position, size, key)).collect();
            places.sort();
            prop_assert!(places.into_iter().eq(0..size));
        }
    }
}
