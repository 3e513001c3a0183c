//! Tasks of the literature and of this project's own measurements, as items to ask and as text to train on.

pub mod babi;
pub mod hops;
pub mod mqar;

use crate::rng::Rng;

/// Two streams of stories that have nothing in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Train,
    Test,
}

impl Part {
    /// The random numbers of a story.
    fn rng(self, seed: u64, index: u64) -> Rng {
        Rng::new(seed).fork(2 * index + u64::from(self == Self::Test))
    }
}

/// `n` different ones of `from`, in random order; all of them where there are fewer.
fn sample<T: Copy>(rng: &mut Rng, from: &[T], n: usize) -> Vec<T> {
    let mut left = from.to_vec();
    (0..n.min(left.len())).map(|_| left.swap_remove(rng.below(left.len()))).collect()
}
