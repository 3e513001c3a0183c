//! Which stories train, which are held out, and which are left out because they are there already.

use std::collections::HashSet;
use std::hash::Hasher;

use super::hash::{Hash64, mix};

/// Share of the stories that is held out when no validation file is named.
pub const HELD_OUT_SHARE: f64 = 0.01;
/// The most stories held out.
pub const HELD_OUT_MAX: usize = 2000;

/// What makes two stories the same: their words, whatever white space separates them.
pub fn fingerprint(story: &[u8]) -> u64 {
    let mut state = Hash64::default();
    for word in story.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
        state.write(word);
    }
    state.finish()
}

/// Indices of the stories of either side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Stories to train on, each once.
    pub train: Vec<u32>,
    /// Stories to evaluate on, each once.
    pub held_out: Vec<u32>,
    /// Copies of another story, left out.
    pub duplicates: usize,
    /// Stories left out of training because the validation file has them.
    pub in_validation: usize,
}

/// Splits by story: a story is held out because of what it says, not where it stands, so all its copies fall on
/// one side, and adding stories does not move the others. One in a hundred, at least one and at most
/// [`HELD_OUT_MAX`] are held out; none when there is only one story.
pub fn hold_out(fingerprints: &[u64], seed: u64) -> Split {
    let mut split = without_copies(fingerprints, &HashSet::new());
    let count = (split.train.len() as f64 * HELD_OUT_SHARE).round() as usize;
    let count = count.clamp(1, HELD_OUT_MAX).min(split.train.len().saturating_sub(1));
    let draw = |index: &u32| mix(fingerprints[*index as usize] ^ mix(seed));
    let mut order = split.train.clone();
    order.sort_unstable_by_key(|index| (draw(index), *index));
    split.held_out = order[..count].to_vec();
    split.held_out.sort_unstable();
    let held_out: HashSet<u32> = split.held_out.iter().copied().collect();
    split.train.retain(|index| !held_out.contains(index));
    split
}

/// All stories train, but for copies and for those in `validation` (fingerprints).
pub fn without_copies(fingerprints: &[u64], validation: &HashSet<u64>) -> Split {
    let mut split = Split::default();
    let mut seen = HashSet::with_capacity(fingerprints.len());
    for (index, fingerprint) in fingerprints.iter().enumerate() {
        if validation.contains(fingerprint) {
            split.in_validation += 1;
        } else if seen.insert(fingerprint) {
            split.train.push(index as u32);
        } else {
            split.duplicates += 1;
        }
    }
    split
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prints(range: std::ops::Range<u32>) -> Vec<u64> {
        range.map(|i| fingerprint(format!("Story number {i}.").as_bytes())).collect()
    }

    #[test]
    fn white_space_alone_does_not_make_a_story_another() {
        assert_eq!(fingerprint(b"A cat.\n\nIt sat. "), fingerprint(b"A  cat. It\tsat."));
        assert_ne!(fingerprint(b"A cat."), fingerprint(b"Acat."));
    }

    #[test]
    fn no_story_and_no_copy_is_on_both_sides() {
        let mut all = prints(0..3000);
        all.extend(prints(0..1500));
        let split = hold_out(&all, 1);
        assert_eq!((split.train.len(), split.held_out.len(), split.duplicates), (2970, 30, 1500));
        let train: HashSet<u64> = split.train.iter().map(|&i| all[i as usize]).collect();
        assert_eq!(train.len(), 2970);
        assert!(split.held_out.iter().all(|&i| !train.contains(&all[i as usize])));
    }

    #[test]
    fn the_choice_depends_on_the_seed_and_not_on_the_order() {
        let all = prints(0..3000);
        let reversed: Vec<u64> = all.iter().rev().copied().collect();
        let chosen = |all: &[u64], seed| -> HashSet<u64> {
            hold_out(all, seed).held_out.iter().map(|&i| all[i as usize]).collect()
        };
        assert_eq!(chosen(&all, 1), chosen(&reversed, 1));
        assert_ne!(chosen(&all, 1), chosen(&all, 2));
    }

    #[test]
    fn few_stories_hold_out_one_and_a_single_story_none() {
        assert_eq!(hold_out(&prints(0..5), 1).held_out.len(), 1);
        assert_eq!(hold_out(&prints(0..1), 1).held_out.len(), 0);
        assert_eq!(hold_out(&prints(0..400_000), 1).held_out.len(), HELD_OUT_MAX);
    }

    #[test]
    fn stories_of_the_validation_file_do_not_train() {
        let all = prints(0..10);
        let split = without_copies(&all, &prints(8..12).into_iter().collect());
        assert_eq!((split.train, split.in_validation), ((0..8).collect(), 2));
    }
}
