//! Easy stories first.

use rayon::prelude::*;

/// How hard each story is, 0 easiest to 1 hardest: the mean of its rank by length and its rank by rareness, where
/// rareness is the mean of -log2 p over its tokens, p the share of the token in the whole set. Ranks, because
/// the two have different units; equal values keep the stories' order.
pub fn difficulties(lengths: &[u32], rareness: &[f32]) -> Vec<f32> {
    let by_length = ranks(lengths.iter().map(|&length| length as f32).collect());
    let by_rareness = ranks(rareness.to_vec());
    by_length.iter().zip(by_rareness).map(|(a, b)| (a + b) / 2.0).collect()
}

/// Mean of `-log2 p` over a story's tokens; 0 for none.
pub fn rareness(story: &[u16], surprisal: &[f32]) -> f32 {
    let total: f64 = story.iter().map(|&token| f64::from(surprisal[usize::from(token)])).sum();
    (total / story.len().max(1) as f64) as f32
}

/// `-log2` of each token's share of `counts`.
pub fn surprisal(counts: &[u64]) -> Vec<f32> {
    let total: u64 = counts.iter().sum();
    counts.iter().map(|&count| (total.max(1) as f64 / count.max(1) as f64).log2() as f32).collect()
}

fn ranks(values: Vec<f32>) -> Vec<f32> {
    let mut ranks = vec![0.0; values.len()];
    let last = values.len().saturating_sub(1).max(1) as f32;
    for (rank, index) in order(&values).into_iter().enumerate() {
        ranks[index as usize] = rank as f32 / last;
    }
    ranks
}

fn order(values: &[f32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    order.par_sort_by(|&a, &b| values[a as usize].total_cmp(&values[b as usize]));
    order
}

/// Stories from easiest to hardest.
#[derive(Clone, Debug)]
pub struct Curriculum {
    order: Vec<u32>,
}

impl Curriculum {
    /// Sorts stories by difficulty.
    pub fn new(difficulties: &[f32]) -> Self {
        Self { order: order(difficulties) }
    }

    /// The easiest `share` of the stories, 0 to 1, at least one of them.
    pub fn pool(&self, share: f32) -> &[u32] {
        let count = (self.order.len() as f64 * f64::from(share.clamp(0.0, 1.0))).round() as usize;
        &self.order[..count.max(1).min(self.order.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_stories_of_common_words_come_first() {
        let counts = [0, 50, 30, 1];
        let surprisal = surprisal(&counts);
        let stories: [&[u16]; 4] = [&[3, 3, 3, 3], &[1], &[1, 2, 1, 2, 1], &[3, 2]];
        let rare: Vec<f32> = stories.iter().map(|story| rareness(story, &surprisal)).collect();
        assert!(rare[0] > rare[3] && rare[3] > rare[2] && rare[2] > rare[1], "{rare:?}");
        let lengths: Vec<u32> = stories.iter().map(|story| story.len() as u32).collect();
        let curriculum = Curriculum::new(&difficulties(&lengths, &rare));
        assert_eq!(curriculum.pool(1.0)[0], 1);
        assert_eq!(curriculum.pool(1.0)[3], 0);
    }

    #[test]
    fn a_pool_is_the_easiest_share_and_never_empty() {
        let curriculum = Curriculum::new(&[0.5, 0.1, 0.9, 0.3]);
        assert_eq!(curriculum.pool(0.5), [1, 3]);
        assert_eq!(curriculum.pool(0.0), [1]);
        assert_eq!(curriculum.pool(1.0), [1, 3, 0, 2]);
    }

    #[test]
    fn token_surprisal_is_in_bits() {
        assert_eq!(surprisal(&[2, 1, 1]), [1.0, 2.0, 2.0]);
    }
}
