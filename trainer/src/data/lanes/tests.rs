use super::*;

/// Story i is i % 7 + 1 tokens, each 1000 + i. Reasoning story i is 5 + i % 4 + filler tokens, each 20_000 + i, of
/// which number 2 is an answer of one fact and the last two are one of as many facts as the difficulty has.
struct Numbered(Vec<Vec<u16>>);

impl StoryTokens for Numbered {
    /// Every fifth story has its first token marked.
    fn read(&self, index: u32, told: &mut Told) -> Result<(), DataError> {
        let answers = if index % 5 == 4 { vec![AnswerTokens { start: 0, length: 1, facts: 4 }] } else { vec![] };
        *told = Told { tokens: self.0[index as usize].clone(), answers, next: None };
        Ok(())
    }
}

impl Tell for Numbered {
    fn tell(&self, index: u64, difficulty: Difficulty, told: &mut Told) {
        let length = 5 + index % 4 + u64::from(difficulty.filler);
        told.clear();
        told.tokens = vec![TOLD + index as u16; length as usize];
        told.answers = vec![
            AnswerTokens { start: 2, length: 1, facts: 1 },
            AnswerTokens { start: length as u32 - 2, length: 2, facts: difficulty.facts },
        ];
    }
}

const TOLD: u16 = 20_000;
const EASY: Difficulty = Difficulty { facts: 2, filler: 0, distractors: 0, wordings: 2, open: 0, loose: false };
const SHARES: DepthShares = DepthShares { plain: [0.7, 0.2, 0.1], reasoning: [0.2, 0.4, 0.4] };

fn numbered(count: u16) -> (Numbered, Vec<u32>) {
    let stories = (0..count).map(|i| vec![1000 + i; usize::from(i) % 7 + 1]).collect();
    (Numbered(stories), (0..u32::from(count)).collect())
}

fn dealing(pool: &[u32], share: f32) -> Deal<'_> {
    Deal { pool, share, difficulties: &[EASY], depths: [1, 3, 8], shares: SHARES }
}

/// Columns of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rows {
    ids: Vec<u16>,
    targets: Vec<u16>,
    facts: Vec<u8>,
    depths: Vec<u8>,
}

impl Rows {
    fn new(length: usize) -> Self {
        Self { ids: vec![9; length], targets: vec![9; length], facts: vec![99; length], depths: vec![99; length] }
    }

    fn chunk(&mut self, from: usize, stride: usize) -> Chunk<'_> {
        let Self { ids, targets, facts, depths } = self;
        let (ids, targets) = (&mut ids[from..], &mut targets[from..]);
        Chunk { ids, targets, facts: &mut facts[from..], depths: &mut depths[from..], stride }
    }

    fn join(mut self, other: Self) -> Self {
        self.ids.extend(other.ids);
        self.targets.extend(other.targets);
        self.facts.extend(other.facts);
        self.depths.extend(other.depths);
        self
    }

    /// The ranges of whole stories, each from its opening EOT on.
    fn stories(&self) -> Vec<std::ops::Range<usize>> {
        let starts: Vec<usize> = (0..self.ids.len()).filter(|&row| self.ids[row] == EOT).collect();
        starts.windows(2).map(|pair| pair[0]..pair[1]).collect()
    }
}

fn fill(lane: &mut Lane, stories: &Numbered, deal: &Deal, length: usize) -> Rows {
    let mut rows = Rows::new(length);
    lane.fill(stories, stories, deal, rows.chunk(0, 1)).unwrap();
    rows
}

fn read(lane: &mut Lane, stories: &Numbered, pool: &[u32], length: usize) -> (Vec<u16>, Vec<u16>) {
    let rows = fill(lane, stories, &dealing(pool, 0.0), length);
    (rows.ids, rows.targets)
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
    for (count, share) in [(1, 0.0), (3, 0.0), (4, 0.4), (7, 0.0), (7, 0.8)] {
        let mut read_in_epoch_one: Vec<u16> = Vec::new();
        for mut lane in lanes(count, 5) {
            let ids = fill(&mut lane, &stories, &dealing(&pool, share), 4000).ids;
            let own = 60 / count + usize::from((lane.lane as usize) < 60 % count);
            let plain = stories_of(&ids).into_iter().filter(|&story| story < 60);
            read_in_epoch_one.extend(plain.take(own));
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
    let deal = dealing(&pool, 0.5);
    let mut whole = Lane::new(1, 3, 9);
    let rows = fill(&mut whole, &stories, &deal, 300);
    let mut within_told = 0;
    for cut in 0..150 {
        let mut lane = Lane::new(1, 3, 9);
        let first = fill(&mut lane, &stories, &deal, cut);
        within_told += usize::from(matches!(lane.reading, Reading::Told(..)) && lane.place > 0);
        let stored = serde_json::to_string(&lane).unwrap();
        let mut lane: Lane = serde_json::from_str(&stored).unwrap();
        let second = fill(&mut lane, &stories, &deal, 300 - cut);
        assert_eq!(first.join(second), rows);
        assert_eq!(lane, whole);
    }
    assert!(within_told > 50, "few cuts fell into a reasoning story");
}

#[test]
fn a_reasoning_story_is_read_to_its_end_as_it_was_begun() {
    let (stories, pool) = numbered(20);
    let mut lane = Lane::new(0, 1, 9);
    while !matches!(lane.reading, Reading::Told(..)) {
        fill(&mut lane, &stories, &dealing(&pool, 0.5), 1);
    }
    let stored = serde_json::to_string(&lane).unwrap();
    let mut lane: Lane = serde_json::from_str(&stored).unwrap();
    let harder = Difficulty { facts: 3, filler: 40, distractors: 1, wordings: 2, open: 0, loose: false };
    let rows = fill(&mut lane, &stories, &Deal { difficulties: &[harder], ..dealing(&pool, 0.9) }, 400);
    let rest = rows.ids.iter().take_while(|&&id| id != EOT).count();
    assert!(rest <= 8, "the story grew under way");
    assert_eq!(rows.facts[rest - 2], 2);
    assert_eq!(rows.facts.iter().max(), Some(&4), "marked stories' answers");
    assert!(rows.facts[rest..].contains(&3), "the next ones are harder");
}

#[test]
fn a_new_pool_takes_effect_at_the_next_story() {
    let (stories, pool) = numbered(30);
    for cut in 100..115 {
        let mut lane = Lane::new(0, 1, 4);
        let (ids, _) = read(&mut lane, &stories, &pool[..5], cut);
        assert!(stories_of(&ids).iter().all(|&story| story < 5));
        let Reading::Pool(index) = lane.reading else { continue };
        let current = &stories.0[index as usize];
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
fn a_lane_at_its_next_story_reads_what_the_lane_itself_will_read_then() {
    let (stories, pool) = numbered(30);
    let deal = dealing(&pool, 0.5);
    for cut in 100..130 {
        let mut lane = Lane::new(0, 1, 4);
        fill(&mut lane, &stories, &deal, cut);
        let ahead = fill(&mut lane.at_its_next_story(), &stories, &deal, 200);
        let own = fill(&mut lane, &stories, &deal, 300);
        // in the middle of a story, or at its end
        let next = own.ids.iter().position(|&id| id == EOT).unwrap();
        assert_eq!(ahead.ids, own.ids[next..next + 200]);
        assert_eq!(
            (ahead.facts, ahead.depths),
            (own.facts[next..next + 200].into(), own.depths[next..next + 200].into())
        );
    }
}

#[test]
fn a_strided_chunk_is_the_same_stream() {
    let (stories, pool) = numbered(12);
    let deal = dealing(&pool, 0.4);
    let mut rows = Rows::new(400);
    for (column, mut lane) in lanes(4, 2).into_iter().enumerate() {
        lane.fill(&stories, &stories, &deal, rows.chunk(column, 4)).unwrap();
    }
    for (column, mut lane) in lanes(4, 2).into_iter().enumerate() {
        let row = fill(&mut lane, &stories, &deal, 100);
        assert!(row.ids.iter().eq(rows.ids[column..].iter().step_by(4)));
        assert!(row.targets.iter().eq(rows.targets[column..].iter().step_by(4)));
        assert!(row.facts.iter().eq(rows.facts[column..].iter().step_by(4)));
        assert!(row.depths.iter().eq(rows.depths[column..].iter().step_by(4)));
    }
}

#[test]
fn reasoning_stories_make_up_their_share_of_all_tokens_soon_and_for_good() {
    let (stories, pool) = numbered(200);
    for share in [0.0, 0.1, 0.3, 0.5, 0.9] {
        for mut lane in lanes(3, 7) {
            let ids = fill(&mut lane, &stories, &dealing(&pool, share), 20_000).ids;
            for end in [1000, 5000, 20_000] {
                // every story's EOT counts as its own
                let (mut told, mut current) = (0, false);
                for pair in ids[..end].windows(2) {
                    current = if pair[0] == EOT { pair[1] >= TOLD } else { current };
                    told += usize::from(current);
                }
                let found = told as f32 / end as f32;
                assert!((found - share).abs() < 0.02, "{found} of {share} after {end} tokens");
            }
        }
    }
}

#[test]
fn no_reasoning_story_is_told_twice_whatever_the_lane() {
    let (stories, pool) = numbered(20);
    let mut seen: Vec<u16> = Vec::new();
    for mut lane in lanes(3, 2) {
        let ids = fill(&mut lane, &stories, &dealing(&pool, 0.5), 2000).ids;
        let told: Vec<u16> = ids.windows(2).filter(|p| p[0] == EOT && p[1] >= TOLD).map(|p| p[1] - TOLD).collect();
        let own = (0..told.len() as u16).map(|count| count * 3 + lane.lane as u16);
        assert!(told.iter().copied().eq(own));
        seen.extend(told);
    }
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert!(count > 150 && seen.len() == count);
}

#[test]
fn facts_stand_on_exactly_the_rows_that_predict_an_answer() {
    let (stories, pool) = numbered(20);
    // cut into odd chunks, so that answers are cut too
    let mut lane = Lane::new(0, 1, 6);
    let parts = (0..400).map(|_| fill(&mut lane, &stories, &dealing(&pool, 0.5), 3));
    let rows = parts.reduce(Rows::join).unwrap();
    let mut seen = [0; 5];
    for story in rows.stories() {
        let facts = &rows.facts[story.clone()];
        let token = rows.ids[story.start + 1];
        let length = story.len() - 1;
        let mut want = vec![0; story.len()];
        if token >= TOLD {
            // row i predicts token i, the last one the EOT
            want[2] = 1;
            want[length - 2..length].fill(2);
        } else if (token - 1000) % 5 == 4 {
            want[0] = 4;
        }
        assert_eq!(facts, want, "story {token}");
        want.iter().for_each(|&facts| seen[usize::from(facts)] += 1);
    }
    assert!(seen[1] > 20 && seen[2] > 40 && seen[4] > 5, "{seen:?}");
}

#[test]
fn depths_are_drawn_for_whole_stories_in_the_shares_of_their_kind() {
    let (stories, pool) = numbered(50);
    // by kind (plain, reasoning or marked) and depth
    let (mut count, mut all) = ([[0; 3]; 2], [0; 2]);
    for mut lane in lanes(8, 3) {
        let rows = fill(&mut lane, &stories, &dealing(&pool, 0.4), 20_000);
        for story in rows.stories() {
            let depth = rows.depths[story.start];
            assert!(rows.depths[story.clone()].iter().all(|&d| d == depth));
            let token = rows.ids[story.start + 1];
            let kind = usize::from(token >= TOLD || (token - 1000) % 5 == 4);
            count[kind][[1, 3, 8].iter().position(|&d| d == depth).unwrap()] += 1;
            all[kind] += 1;
        }
    }
    for (kind, shares) in [SHARES.plain, SHARES.reasoning].into_iter().enumerate() {
        for (count, share) in count[kind].iter().zip(shares) {
            let found = *count as f32 / all[kind] as f32;
            assert!((found - share).abs() < 0.015, "{found} of {share}");
        }
    }
}

#[test]
fn a_share_of_nothing_is_never_drawn() {
    let (stories, pool) = numbered(50);
    let shares = DepthShares { plain: [0.0, 2.0, 0.0], reasoning: [0.0, 0.0, 1.0] };
    let rows = fill(&mut Lane::new(0, 1, 1), &stories, &Deal { shares, ..dealing(&pool, 0.4) }, 2000);
    assert!(rows.depths.iter().all(|&depth| depth != 1));
}

#[test]
fn half_of_the_reasoning_stories_are_as_hard_as_they_get_and_the_others_easier() {
    let (stories, pool) = numbered(40);
    let levels: [Difficulty; 4] = std::array::from_fn(|i| Difficulty { facts: 11 + i as u8, ..EASY });
    let mut lane = Lane::new(1, 3, 8);
    let rows = fill(&mut lane, &stories, &Deal { difficulties: &levels, ..dealing(&pool, 0.9) }, 60_000);
    let counts: [usize; 4] = std::array::from_fn(|i| rows.facts.iter().filter(|&&f| f == 11 + i as u8).count());
    let all: usize = counts.iter().sum();
    for (count, share) in counts.iter().zip([1.0 / 6.0, 1.0 / 6.0, 1.0 / 6.0, 0.5]) {
        assert!((*count as f64 / all as f64 - share).abs() < 0.02, "{counts:?}");
    }
}

#[test]
fn another_number_of_lanes_reads_the_rest_of_the_epoch() {
    let (stories, pool) = numbered(120);
    let mut before = lanes(4, 5);
    let mut seen: Vec<u16> =
        before.iter_mut().flat_map(|lane| stories_of(&read(lane, &stories, &pool, 40).0)).collect();
    let begun = seen.len();
    assert!((20..100).contains(&begun), "{begun}");
    for count in [1, 3, 8] {
        let left = (120 - begun) / count;
        let rest = regrouped(&before, count).into_iter().flat_map(|mut lane| {
            let ids = read(&mut lane, &stories, &pool, 4000).0;
            stories_of(&ids).into_iter().take(left).collect::<Vec<_>>()
        });
        let rest: Vec<u16> = rest.collect();
        let twice = rest.iter().filter(|story| seen.contains(story)).count();
        assert!(twice <= 6, "{count} lanes read {twice} of {} stories again", rest.len());
        assert!(rest.len() + count > 120 - begun);
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), begun);
    assert_eq!(regrouped(&[], 2).len(), 2);
}
